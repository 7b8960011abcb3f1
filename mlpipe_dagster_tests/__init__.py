"""Tests of mlpipe; the folders mirror the package."""
