"""Fairness of a model."""
