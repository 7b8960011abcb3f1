"""Dagster glue, and the only importer of dagster: assets, sensors, hooks, config, checks."""
