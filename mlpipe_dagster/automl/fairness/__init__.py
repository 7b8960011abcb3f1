"""Bias of a model: what its answers on rows it has never seen mean for groups of people, with intervals."""
