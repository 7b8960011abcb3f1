"""Imports, in the zygote only, what every run would import, and runs one small asset so that lazy parts are there too.

Makes no client, no database connection and no thread: forked children must not share them.
"""

import gc
import importlib
import logging
import tempfile
import threading

import dagster as dg
from dagster._core.instance.ref import InstanceRef
from dagster._serdes import deserialize_value
from sqlalchemy.orm import configure_mappers

from mlpipe_dagster.vocabulary import Stage

FOR_THE_CHILDREN = (
    "dagster._cli.api",
    "dagster._core.executor.in_process",
    "dagster._core.launcher",
    "dagster._core.run_coordinator",
    "mlpipe_dagster.defs.warm_runs.compute_logs",
    "mlpipe_dagster.defs.warm_runs.storage",
    "dagster._grpc.impl",
    "kafka.admin",
    "kafka.producer",
)
"""What a run would import after the fork."""


def preload(module: str, instance_ref: str) -> None:
    """Import `module`, whose `defs` the runs are of, and exercise it; look at the storage of their instance.

    Raises
    ------
    RuntimeError
        A thread was left behind, so forking is not safe.
    """
    for name in FOR_THE_CHILDREN:
        importlib.import_module(name)
    logging.disable(logging.CRITICAL)
    repository = importlib.import_module(module).defs.get_repository_def()
    for job in repository.get_all_jobs():
        job.get_job_snapshot()
    configure_mappers()
    _run_something()
    with dg.DagsterInstance.from_ref(deserialize_value(instance_ref, InstanceRef)) as instance:
        instance.get_runs_count()
    logging.disable(logging.NOTSET)
    gc.collect()
    gc.freeze()
    if threading.active_count() > 1:
        raise RuntimeError(f"preloading left threads behind: {threading.enumerate()}")


def preload_stages(module: str) -> None:
    """Import what the stages of `module`'s definitions need, two to five seconds of work, so that no run has to.

    Numerical libraries may be forked as long as they have not worked: nothing is computed here.
    """
    stages = (importlib.import_module(module).defs.resources or {}).get("stages")
    for name in (str(getattr(stages, stage.value)).split(":")[0] for stage in Stage if stages):
        for heavy in getattr(importlib.import_module(name), "NEEDED_APART", ()):
            importlib.import_module(heavy)
    gc.collect()
    gc.freeze()


def _run_something() -> None:
    """A small asset through the very storage that the runs will use: its statements are compiled by then."""
    keys = dg.StaticPartitionsDefinition(["some"])

    @dg.asset(partitions_def=keys)
    def source() -> dg.MaterializeResult[None]:
        return dg.MaterializeResult(metadata={"warm": True}, data_version=dg.DataVersion("1"), tags={"warm": "1"})

    @dg.asset(partitions_def=keys, deps=[source])
    def warm_up() -> None:
        """Reads the data version of what it depends on."""

    with tempfile.TemporaryDirectory() as folder:
        overrides = {
            "storage": {"custom": _ours("storage", "WarmSqliteStorage", base_dir=folder)},
            "compute_logs": _ours("compute_logs", "DirectComputeLogManager", base_dir=folder),
            "telemetry": {"enabled": False},
        }
        with dg.DagsterInstance.local_temp(folder, overrides=overrides) as instance:
            dg.materialize([source, warm_up], instance=instance, partition_key="some", raise_on_error=True)


def _ours(module: str, name: str, **config: str) -> dict[str, object]:
    return {"module": f"mlpipe_dagster.defs.warm_runs.{module}", "class": name, "config": config}
