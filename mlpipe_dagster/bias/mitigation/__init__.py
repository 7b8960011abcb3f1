"""Mitigation: what can be done about a bias of the table before a model learns it, and what that changes."""
