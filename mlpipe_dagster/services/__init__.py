"""The processes of `mlpipe up`: which there are, how they start, stay and stop together on one machine."""
