"""The one partition dimension: a dataset. Keys are made by the warehouse, because two users may share a dataset_id."""

from collections.abc import Iterable

import dagster as dg

datasets = dg.DynamicPartitionsDefinition(name="dataset_id")


def missing_partitions(instance: dg.DagsterInstance, keys: Iterable[str]) -> list[dg.AddDynamicPartitionsRequest]:
    """The request that adds those keys Dagster does not have yet; empty where it has them all."""
    new = [key for key in dict.fromkeys(keys) if not instance.has_dynamic_partition(datasets.name or "", key)]
    return [datasets.build_add_request(new)] if new else []
