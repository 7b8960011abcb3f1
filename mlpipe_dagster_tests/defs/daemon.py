"""Dagster's own sensor daemon with the code and the runs in one process: for tests that kill it, or start it twice.

`Flow` is the same in a few lines and keeps its cursors in memory; here they are where Dagster stores them.
"""

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from dagster._core.remote_origin import CodeLocationOrigin, InProcessCodeLocationOrigin
from dagster._core.test_utils import create_test_daemon_workspace_context
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.load_target import WorkspaceLoadTarget
from dagster._daemon.sensor import execute_sensor_iteration

OVERRIDES = {
    "run_launcher": {
        "module": "dagster._core.launcher.sync_in_memory_run_launcher",
        "class": "SyncInMemoryRunLauncher",
    },
    "run_coordinator": {"module": "dagster._core.run_coordinator", "class": "DefaultRunCoordinator"},
    "telemetry": {"enabled": False},
}


class InThisProcess(WorkspaceLoadTarget):
    """The definitions with quick stages, and no code server."""

    def create_origins(self) -> Sequence[CodeLocationOrigin]:
        module = LoadableTargetOrigin(
            executable_path=sys.executable, module_name="mlpipe_dagster_tests.quick_definitions"
        )
        return [InProcessCodeLocationOrigin(module, location_name="quick")]


@contextmanager
def instance_in(folder: Path) -> Iterator[dg.DagsterInstance]:
    """Dagster's storage in a folder, which any number of processes may share."""
    folder.mkdir(parents=True, exist_ok=True)
    with dg.DagsterInstance.local_temp(str(folder), overrides=OVERRIDES) as instance:
        yield instance


def rounds(instance: dg.DagsterInstance) -> Iterator[list[str]]:
    """Every sensor that is due, one after the other with the runs it asks for: a round for each `next`, and its errors.

    As the daemon's own loop does, it goes on after an error.
    """
    with create_test_daemon_workspace_context(InThisProcess(), instance) as workspace:
        while True:
            errors = []
            try:
                for error in execute_sensor_iteration(workspace, logging.getLogger("daemon"), None, None):
                    errors += [error.to_string()] if error else []
            except dg.DagsterError as error:
                errors.append(repr(error))
            yield errors


def run(folder: str) -> None:
    """Rounds until somebody ends the process."""
    with instance_in(Path(folder)) as instance:
        for errors in rounds(instance):
            print("round", *errors, flush=True)


if __name__ == "__main__":
    run(sys.argv[1])
