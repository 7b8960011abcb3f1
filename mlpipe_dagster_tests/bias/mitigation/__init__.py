"""Mitigation of bias in a table."""
