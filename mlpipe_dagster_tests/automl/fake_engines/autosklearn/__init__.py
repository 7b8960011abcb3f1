"""Stands in for auto-sklearn where it is not installed: the same calls and attributes, one linear model."""
