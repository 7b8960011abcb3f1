"""Killed at a line, in the middle of what belongs together: in the end every event is out, every effect there once.

Dagster's own daemon works in a process of its own until it is killed; another one goes on with what it left.
"""

import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest
from fastapi.testclient import TestClient

from mlpipe_dagster import clock
from mlpipe_dagster.api.app import create_app
from mlpipe_dagster.messaging.connection import Connection
from mlpipe_dagster.messaging.reader import Cursor, SharedReader
from mlpipe_dagster.settings import settings
from mlpipe_dagster.warehouse.schema import (
    BiasReportRow,
    LedgerRow,
    ModelRow,
    Notification,
    OutboxRow,
    Pipeline,
    XaiReportRow,
)
from mlpipe_dagster.warehouse.warehouse import Warehouse
from mlpipe_dagster_tests.brokers import called
from mlpipe_dagster_tests.defs.daemon import instance_in, rounds
from mlpipe_dagster_tests.defs.flow import Flow
from mlpipe_dagster_tests.stopping import Line, run_until

pytestmark = pytest.mark.faults

SENSOR = "dagster._daemon.sensor"
STAGES = "mlpipe_dagster_tests.quick_stages"
TICK = "mlpipe_dagster.defs.sensors:tick"
GIVE_UP_SECONDS = 240
EVENTS = {
    "dataset-events": 1,
    "bias-trigger-events": 1,
    "bias-events": 1,
    "automl-trigger-events": 1,
    "automl-events": 1,
    "xai-trigger-events": 1,
    "xai-events": 2,
    "pipeline-failed-events": 0,
}
PLACES = {
    "work claimed, nothing done": Line(f"{STAGES}:measure", "results.save_bias_report("),
    "table and decision stored, hook not called": Line(f"{STAGES}:read", "return StageOutcome"),
    "report stored, hook not called": Line(f"{STAGES}:measure", "return StageOutcome"),
    "explanations stored, hook not called": Line(f"{STAGES}:explain", "return StageOutcome"),
    "trigger entered, cursor not stored": Line(
        TICK, "for note in", "topic.endswith('bias-trigger-events') and intake.wanted"
    ),
    "decision stored, not sent, cursor not stored": Line(
        TICK, "kafka.deliver_or_leave(", "topic.endswith('bias-events')"
    ),
    "decision sent, cursor not stored": Line(
        TICK, "return _result(", "topic.endswith('bias-events') and batch.records"
    ),
    "cursor stored, run not created": Line(
        f"{SENSOR}:_handle_run_requests_and_automation_condition_evaluations", "list(context.tick.reserved_run_ids"
    ),
    "run created, not launched": Line(f"{SENSOR}:_submit_run_request", "instance.submit_run("),
    "run launched, tick not ended": Line(f"{SENSOR}:_evaluate_sensor", "if context.tick.tick_data.user_interrupted"),
}


@pytest.fixture
def dagster_folder(broker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where two daemons find the same instance, one after the other; the settings lead them to the same warehouse."""
    monkeypatch.setenv("MLPIPE_SENSOR_POLL_SECONDS", "0.05")
    settings.cache_clear()
    return tmp_path / "dagster"


@pytest.fixture
def instance(dagster_folder: Path) -> Iterator[dg.DagsterInstance]:
    with instance_in(dagster_folder) as shared:
        yield shared


@pytest.mark.parametrize("line", PLACES.values(), ids=PLACES.keys())
def test_what_a_killed_daemon_left_is_finished_once(
    dagster_folder: Path, instance: dg.DagsterInstance, small_table: Path, line: Line
) -> None:
    flow = Flow(instance)
    flow.upload(small_table, "small")
    run_until(line, "mlpipe_dagster_tests.defs.daemon:run", str(dagster_folder))
    finish(flow)
    assert sent() == EVENTS
    assert_each_effect_once(flow.warehouse)


def test_what_was_published_and_not_noted_goes_twice_under_one_id_and_is_acted_on_once(
    dagster_folder: Path, instance: dg.DagsterInstance, small_table: Path
) -> None:
    flow = Flow(instance)
    flow.upload(small_table, "small")
    line = Line("mlpipe_dagster.warehouse.outbox:flush", "_record(catalogue")
    run_until(line, "mlpipe_dagster_tests.defs.daemon:run", str(dagster_folder))
    assert sent()["bias-trigger-events"] == 1, "it was out when the process died"
    finish(flow)
    assert sent() == EVENTS | {"bias-trigger-events": 2}
    assert len(ids("bias-trigger-events")) == 1
    assert_each_effect_once(flow.warehouse)


def test_an_upload_without_an_answer_is_stored_and_its_pipeline_runs(
    dagster_folder: Path, instance: dg.DagsterInstance
) -> None:
    line = Line("mlpipe_dagster.api.datasets:upload", "flusher.nudge()")
    run_until(line, f"{__name__}:upload_through_the_api")
    flow = Flow(instance)
    assert sent()["dataset-events"] == 0, "nobody was left to send it"
    finish(flow)
    assert sent() == EVENTS
    assert_each_effect_once(flow.warehouse)


def upload_through_the_api() -> None:
    """What the killed process of that test does."""
    with TestClient(create_app()) as client:
        form = {"user_id": "ada", "dataset_id": "small", "name": "Small"}
        client.post("/datasets/upload", files={"file": ("small.csv", b"hours,target\n1,no\n4,yes\n")}, data=form)


def finish(flow: Flow) -> None:
    """Another daemon goes on until the pipeline has ended and all is sent; nobody waits for leases and graces here."""
    for run in flow.instance.get_runs(
        dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING])
    ):
        flow.instance.report_run_failed(run, "its process was killed")  # as the run launcher notices
    with flow.warehouse.transaction() as session:
        session.query(OutboxRow).update({"leased_until": clock.now()})
        session.query(LedgerRow).update({"requested_at": clock.now() - timedelta(minutes=1)})
    give_up_at = time.monotonic() + GIVE_UP_SECONDS
    for errors in rounds(flow.instance):
        assert not errors
        if _ended(flow.warehouse):
            return
        assert time.monotonic() < give_up_at, "the pipeline does not end"


def _ended(warehouse: Warehouse) -> bool:
    """The pipeline is done, and its two last events were read and told."""
    with warehouse.reading() as session:
        done = session.query(Pipeline).one().status == "done"
        return done and session.query(Notification).filter(Notification.link.is_not(None)).count() == 2


def _records(topic: str) -> list[str]:
    reader = SharedReader(Connection.from_settings())
    batch = reader.read(called(topic), Cursor(), 0.1)
    reader.close()
    return [record.headers["ce_id"] for record in batch.records]


def sent() -> dict[str, int]:
    """How many records every topic has."""
    return {topic: len(_records(topic)) for topic in EVENTS}


def ids(topic: str) -> set[str]:
    return set(_records(topic))


def assert_each_effect_once(warehouse: Warehouse) -> None:
    with warehouse.reading() as session:
        assert Counter((row.stage, row.state) for row in session.query(LedgerRow)) == {
            ("dataset", "done"): 1, ("bias", "done"): 1, ("automl", "done"): 1, ("xai", "done"): 1,
        }  # fmt: skip
        assert session.query(BiasReportRow).count() == 1
        assert [row.number for row in session.query(ModelRow)] == [1]
        assert session.query(XaiReportRow).count() == 2
