"""The one partition dimension: a dataset. Keys are made by the warehouse, because two users may share a dataset_id."""

import dagster as dg

datasets = dg.DynamicPartitionsDefinition(name="dataset_id")
