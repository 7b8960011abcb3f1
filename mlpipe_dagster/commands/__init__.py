"""The commands of `mlpipe`, one noun a file; cli.py puts them together."""
