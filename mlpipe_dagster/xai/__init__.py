"""Explanations: one set of numbers about a model and its data. Rendering lives in reports/."""
