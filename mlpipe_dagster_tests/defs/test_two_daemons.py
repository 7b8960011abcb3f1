"""Two of Dagster's daemons on one instance, one catalogue and one broker: what is asked for is done once.

Nobody should run two; a deployment that overlaps with its predecessor does. That `mlpipe up` refuses to be the second
in its home stands in services/test_lock.py.
"""

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mlpipe_dagster.settings import settings
from mlpipe_dagster.warehouse.schema import BiasReportRow, LedgerRow, ModelRow, OutboxRow, Pipeline, XaiReportRow
from mlpipe_dagster.warehouse.warehouse import Warehouse
from mlpipe_dagster_tests.defs.daemon import instance_in
from mlpipe_dagster_tests.defs.flow import Flow, deliver_again, records

pytestmark = pytest.mark.faults

DATASETS = 4
GIVE_UP_SECONDS = 240
STAGES = ("dataset", "bias", "automl", "xai")
EACH = {"bias-trigger-events": 1, "bias-events": 1, "automl-trigger-events": 1, "automl-events": 1, "xai-events": 2}


@contextmanager
def two_daemons(dagster_folder: Path, log_folder: Path) -> Iterator[list[Path]]:
    """Two processes on the instance in that folder, and their logs; killed at the end."""
    logs = [log_folder / f"daemon-{number}.log" for number in (1, 2)]
    daemons = []
    try:
        for log in logs:
            with log.open("wb") as file:
                command = [sys.executable, "-m", "mlpipe_dagster_tests.defs.daemon", str(dagster_folder)]
                daemons.append(subprocess.Popen(command, stdout=file, stderr=file))
        yield logs
        assert [daemon.poll() for daemon in daemons] == [None, None], "both lived to the end"
    finally:
        for daemon in daemons:
            daemon.kill()
            daemon.wait()


def test_every_dataset_is_worked_once(
    broker: str, small_table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLPIPE_SENSOR_POLL_SECONDS", "0.05")
    settings.cache_clear()
    with instance_in(tmp_path / "dagster") as instance:
        flow = Flow(instance)
        for number in range(DATASETS):
            flow.upload(small_table, f"d{number}")
        deliver_again("dataset-events", 2)  # in all three times
        with two_daemons(tmp_path / "dagster", tmp_path) as logs:
            wait_until_done(flow.warehouse, logs)
    assert_worked_once(flow.warehouse)
    assert {topic: len({it.cause for it in records(topic)}) for topic in EACH} == {
        topic: DATASETS * times for topic, times in EACH.items()
    }


def wait_until_done(warehouse: Warehouse, logs: list[Path]) -> None:
    give_up_at = time.monotonic() + GIVE_UP_SECONDS
    while True:
        with warehouse.reading() as session:
            statuses = Counter(pipeline.status for pipeline in session.query(Pipeline))
            unsent = session.query(OutboxRow).filter(OutboxRow.acknowledged_at.is_(None)).count()
        if statuses == {"done": DATASETS} and not unsent:  # a pipeline is done before its last event has left
            return
        assert time.monotonic() < give_up_at, (statuses, unsent, [log.read_text()[-2000:] for log in logs])
        time.sleep(0.2)


def assert_worked_once(warehouse: Warehouse) -> None:
    with warehouse.reading() as session:
        work = Counter((row.stage, row.state) for row in session.query(LedgerRow))
        assert work == {(stage, "done"): DATASETS for stage in STAGES}
        assert session.query(BiasReportRow).count() == DATASETS
        assert [row.number for row in session.query(ModelRow)] == [1] * DATASETS
        assert session.query(XaiReportRow).count() == 2 * DATASETS
