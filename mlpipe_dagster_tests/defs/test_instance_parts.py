"""Our storage, compute logs and sensor loop do what Dagster's do, in the same files."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.remote_origin import (
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    InstigatorType,
    SensorInstigatorData,
)
from dagster._core.storage.compute_log_manager import ComputeIOType
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._daemon import sensor as daemon

from mlpipe_dagster.defs.warm_runs import sensor_loop
from mlpipe_dagster.defs.warm_runs.compute_logs import DirectComputeLogManager
from mlpipe_dagster.defs.warm_runs.storage import Events

PARTITIONS = dg.DynamicPartitionsDefinition(name="dataset_id")


@dg.asset(partitions_def=PARTITIONS)
def spoken() -> dg.MaterializeResult[None]:
    """Prints on both streams."""
    print("said aloud")
    print("complained", file=sys.stderr)
    return dg.MaterializeResult(tags={"mlpipe/row": "7"}, data_version=dg.DataVersion("v1"))


@dg.asset(partitions_def=PARTITIONS, deps=[spoken])
def heard() -> None:
    """Depends on it, so that data versions are read."""


def ours(module: str, name: str, folder: Path) -> dict[str, object]:
    return {
        "module": f"mlpipe_dagster.defs.warm_runs.{module}",
        "class": name,
        "config": {"base_dir": str(folder)},
    }


def opened(folder: Path, **parts: object) -> dg.DagsterInstance:
    return dg.DagsterInstance.local_temp(str(folder), overrides={"telemetry": {"enabled": False}, **parts})


@pytest.fixture
def ran(tmp_path: Path) -> str:
    """Two assets of one partition were materialized through our storage; the run's id."""
    parts = {
        "storage": {"custom": ours("storage", "WarmSqliteStorage", tmp_path)},
        "compute_logs": ours("compute_logs", "DirectComputeLogManager", tmp_path / "logs"),
    }
    with opened(tmp_path, **parts) as instance:
        assert isinstance(instance.event_log_storage, Events)
        instance.add_dynamic_partitions("dataset_id", ["loans"])
        return dg.materialize([spoken, heard], instance=instance, partition_key="loans").run_id


def test_dagsters_own_storage_reads_what_ours_has_written(tmp_path: Path, ran: str) -> None:
    with opened(tmp_path, storage={"sqlite": {"base_dir": str(tmp_path)}}) as instance:
        run = instance.get_run_by_id(ran)
        assert run
        assert run.status is dg.DagsterRunStatus.SUCCESS
        assert instance.get_dynamic_partitions("dataset_id") == ["loans"]
        (record,) = instance.fetch_materializations(dg.AssetKey("spoken"), limit=5).records
        assert record.asset_materialization
        assert (record.asset_materialization.tags or {})["mlpipe/row"] == "7"
        kinds = [entry.dagster_event.event_type for entry in instance.all_logs(ran) if entry.dagster_event]
    assert kinds[-1] is dg.DagsterEventType.RUN_SUCCESS
    assert kinds.count(dg.DagsterEventType.ASSET_MATERIALIZATION) == 2


def test_ours_goes_on_where_dagsters_own_stopped(tmp_path: Path) -> None:
    with opened(tmp_path, storage={"sqlite": {"base_dir": str(tmp_path)}}) as instance:
        instance.add_dynamic_partitions("dataset_id", ["loans"])
        before = dg.materialize([spoken], instance=instance, partition_key="loans").run_id
    with opened(tmp_path, storage={"custom": ours("storage", "WarmSqliteStorage", tmp_path)}) as instance:
        after = dg.materialize([heard, spoken], selection=[heard], instance=instance, partition_key="loans").run_id
        assert {run.run_id for run in instance.get_runs()} == {before, after}
        assert instance.get_records_for_run(before, of_type=dg.DagsterEventType.RUN_SUCCESS).records


def test_threads_that_open_the_same_new_log_lose_nothing(tmp_path: Path) -> None:
    with opened(tmp_path, storage={"custom": ours("storage", "WarmSqliteStorage", tmp_path)}) as instance:

        def say(number: int) -> None:
            for _ in range(5):
                instance.report_engine_event(f"said by {number}", run_id="the-run", job_name="some_job")

        threads = [threading.Thread(target=say, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert len(instance.all_logs("the-run")) == 30


def test_what_a_step_prints_is_kept_and_nothing_is_left_running(tmp_path: Path, ran: str) -> None:
    with opened(tmp_path, compute_logs=ours("compute_logs", "DirectComputeLogManager", tmp_path / "logs")) as instance:
        manager = instance.compute_log_manager
        assert isinstance(manager, DirectComputeLogManager)
        (captured,) = instance.get_records_for_run(ran, of_type=dg.DagsterEventType.LOGS_CAPTURED).records
        event = captured.event_log_entry.dagster_event
        assert event
        key = [ran, "compute_logs", event.logs_captured_data.file_key]
        texts = {kind: manager.get_log_data_for_type(key, kind)[0] for kind in ComputeIOType}
        assert manager.is_capture_complete(key)
    assert b"said aloud" in (texts[ComputeIOType.STDOUT] or b"")
    assert b"complained" in (texts[ComputeIOType.STDERR] or b"")
    assert "tail" not in subprocess.run(
        ["ps", "-o", "comm=", "--ppid", str(os.getpid())], capture_output=True, text=True, check=False
    ).stdout.split()  # fmt: skip


class Sensor:
    """As much of a sensor as the daemon's clock looks at."""

    min_interval_seconds = 1

    def __init__(self, **tags: str) -> None:
        self.tags = tags


def state(succeeded: float | None) -> InstigatorState:
    """Of a sensor whose last tick began just now."""
    data = SensorInstigatorData(last_tick_start_timestamp=time.time(), last_tick_success_timestamp=succeeded)
    origin = RemoteInstigatorOrigin(
        RemoteRepositoryOrigin(
            ManagedGrpcPythonEnvCodeLocationOrigin(LoadableTargetOrigin(module_name="here")), "here"
        ),
        "watch",
    )
    return InstigatorState(origin, InstigatorType.SENSOR, InstigatorStatus.RUNNING, data)


def test_the_daemon_looks_often_and_again_at_once_where_a_sensor_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon, "MIN_INTERVAL_LOOP_TIME", 5)
    monkeypatch.setattr(daemon, "is_under_min_interval", daemon.is_under_min_interval)
    assert sensor_loop.quicken(0.2)
    assert sensor_loop.quicken(0.2), "also where it was done before"
    assert daemon.MIN_INTERVAL_LOOP_TIME == 0.2
    waiting, polling = Sensor(**{sensor_loop.WAITS: "true"}), Sensor()
    assert not daemon.is_under_min_interval(state(succeeded=time.time()), waiting)
    assert daemon.is_under_min_interval(state(succeeded=None), waiting), "a tick that failed is not repeated at once"
    assert daemon.is_under_min_interval(state(succeeded=time.time()), polling)


def test_another_dagster_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.delattr(daemon, "MIN_INTERVAL_LOOP_TIME")
    assert not sensor_loop.quicken(0.2)
    assert "sensors answer more slowly" in caplog.text
    monkeypatch.delitem(sys.modules, "dagster._daemon.sensor")
    assert not sensor_loop.quicken(0.2), "a process without the sensor daemon"
