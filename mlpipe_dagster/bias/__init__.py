"""Bias: what a table says about groups of people, measured and put into words."""
