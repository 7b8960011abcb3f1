"""Imports, in the zygote only, what every run would import, and runs one small asset so that lazy parts are there too.

Makes no client, no database connection and no thread: forked children must not share them.
"""

import gc
import importlib
import logging
import threading

import dagster as dg

FOR_THE_CHILDREN = (
    "dagster._cli.api",
    "dagster._core.executor.in_process",
    "dagster._core.launcher",
    "dagster._core.run_coordinator",
    "dagster._core.storage.local_compute_log_manager",
    "dagster._core.storage.sqlite_storage",
    "dagster._grpc.impl",
    "kafka.admin",
    "kafka.producer",
)
"""What a run would import after the fork."""


def preload(module: str) -> None:
    """Import `module`, whose `defs` the runs are of, and exercise it.

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
    _run_something()
    logging.disable(logging.NOTSET)
    gc.collect()
    gc.freeze()
    if threading.active_count() > 1:
        raise RuntimeError(f"preloading left threads behind: {threading.enumerate()}")


def _run_something() -> None:
    @dg.asset
    def warm_up() -> dg.MaterializeResult[None]:
        return dg.MaterializeResult(metadata={"warm": True})

    with dg.DagsterInstance.ephemeral() as instance:
        dg.materialize([warm_up], instance=instance)
