"""What an adversary would try on sensors, sweep and runs: long runs, repeated ticks, letters that do not fit."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.errors import DagsterUserCodeUnreachableError

from mlpipe_dagster import clock
from mlpipe_dagster.definitions import defs
from mlpipe_dagster.defs import sensors
from mlpipe_dagster.errors import BrokerUnavailable, MlpipeError, TooLarge
from mlpipe_dagster.events import BiasTrigger
from mlpipe_dagster.messaging.records import Acknowledgement, OutboundMessage
from mlpipe_dagster.vocabulary import Role, Stage
from mlpipe_dagster.warehouse import datasets, ledger, results
from mlpipe_dagster.warehouse.intake import Intake
from mlpipe_dagster.warehouse.schema import LedgerRow
from mlpipe_dagster.warehouse.warehouse import set_player
from mlpipe_dagster_tests.defs.flow import Flow


def persons_run(flow: Flow, status: dg.DagsterRunStatus, cause: str = "") -> str:
    """A run of the bias report that a person started a minute ago, at work; returns its id."""
    config = {"ops": {"bias_report": {"config": {"cause": cause}}}} if cause else {}
    run = flow.instance.create_run_for_job(defs.resolve_job_def("bias_report_job"), run_config=config, status=status)
    with flow.warehouse.transaction() as session:
        version = datasets.get_version(session, "ada", "small")
        ledger.take_for_person(session, flow.warehouse.settings, Stage.BIAS, version, run.run_id, {}, False)
        session.query(LedgerRow).filter_by(run_id=run.run_id).one().requested_at = clock.now() - timedelta(minutes=1)
    return run.run_id


def bias_rows(flow: Flow) -> list[LedgerRow]:
    with flow.warehouse.reading() as session:
        return session.query(LedgerRow).filter_by(stage="bias").all()


def test_a_persons_long_run_is_left_alone(flow: Flow, small_table: Path) -> None:
    flow.upload(small_table, "small")
    run_id = persons_run(flow, dg.DagsterRunStatus.STARTED)
    result = flow.tick("sweep", advance=False)
    assert isinstance(result, dg.SensorResult) and not result.run_requests
    assert [(row.state, row.run_id) for row in bias_rows(flow)] == [("taken", run_id)]


@pytest.mark.usefixtures("without_waiting")
def test_a_persons_run_that_died_gets_another_attempt(flow: Flow, small_table: Path) -> None:
    flow.upload(small_table, "small")
    run_id = persons_run(flow, dg.DagsterRunStatus.FAILURE)
    result = flow.tick("sweep", advance=False)
    assert isinstance(result, dg.SensorResult) and result.run_requests
    (request,) = result.run_requests
    (row,) = bias_rows(flow)
    assert (request.run_key, row.state, row.cause) == (f"{row.id}/2", "expected", f"run:{run_id}")


@pytest.mark.usefixtures("without_waiting")
def test_a_run_executed_again_after_a_cancel_and_killed_gets_another_attempt(flow: Flow, small_table: Path) -> None:
    flow.upload(small_table, "small")
    result = flow.tick("dataset_events", advance=False)
    assert isinstance(result, dg.SensorResult) and result.run_requests
    tags = dict(result.run_requests[0].tags)
    job = defs.resolve_job_def("dataset_job")
    for status in (dg.DagsterRunStatus.CANCELED, dg.DagsterRunStatus.FAILURE):
        flow.instance.create_run_for_job(job, tags=tags, status=status)
    with flow.warehouse.transaction() as session:
        session.query(LedgerRow).one().requested_at = clock.now() - timedelta(minutes=1)
    result = flow.tick("sweep", advance=False)
    assert isinstance(result, dg.SensorResult) and len(result.run_requests or []) == 1


def test_a_run_that_cannot_be_ended_does_not_stop_the_sweep(
    flow: Flow, small_table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow.upload(small_table, "small")
    persons_run(flow, dg.DagsterRunStatus.STARTED)
    flow.upload(small_table, "small")  # supersedes it

    def unreachable(run_id: str) -> bool:
        raise DagsterUserCodeUnreachableError("the code server that launched it is gone")

    monkeypatch.setattr(flow.instance.run_launcher, "terminate", unreachable)
    flow.tick("sweep")
    assert "cannot be ended" in flow.messages[-1]


def test_a_foreign_result_is_shown_once_though_its_tick_is_repeated(flow: Flow, small_table: Path) -> None:
    with flow.warehouse.transaction() as session:
        set_player(session, Role.BIAS, "foreign")
    flow.upload(small_table, "small")
    flow.tick("dataset_events")
    flow.tick("bias_trigger_events")
    results.receive_bias_report(flow.warehouse, "ada", "small", {"theirs": 1}, "target", "classification")
    flow.flush()
    flow.tick("bias_events", advance=False)  # previewed, or killed before Dagster stored what came of it
    flow.tick("bias_events")
    flow.cursors["bias_events"] = None
    flow.tick("bias_events")
    records = flow.instance.fetch_materializations(dg.AssetKey("bias_report"), limit=10).records
    assert len(records) == 1


def test_a_run_for_a_dataset_that_was_deleted_says_so(flow: Flow, small_table: Path) -> None:
    flow.upload(small_table, "small")
    flow.tick("dataset_events")
    datasets.delete_dataset(flow.warehouse, "ada", "small")
    run = defs.resolve_job_def("bias_report_job").execute_in_process(
        partition_key="small", instance=flow.instance, raise_on_error=False
    )
    failure = run.filter_events(lambda event: event.is_step_failure)[0].step_failure_data.user_failure_data
    assert failure and failure.description == "There is no dataset small of ada."


class SmallTopic:
    """A publisher whose dead-letter topic takes 10 bytes of value."""

    def __init__(self, refuses: MlpipeError | None = None) -> None:
        self.stored: list[OutboundMessage] = []
        self.refuses = refuses

    def publish(self, messages: list[OutboundMessage]) -> list[Any]:
        return [self._one(message) for message in messages]

    def _one(self, message: OutboundMessage) -> Any:
        if self.refuses:
            return self.refuses
        if len(message.value or b"") > 10:
            return TooLarge("over the limit")
        self.stored.append(message)
        return Acknowledgement("id", 0, len(self.stored), 0)


class FakeKafkaResource:
    def __init__(self, publisher: SmallTopic) -> None:
        self._publisher = publisher

    def publisher(self) -> SmallTopic:
        return self._publisher


def letters(*values: bytes) -> Intake:
    headers = (("__connect.errors.offset", b"7"),)
    return Intake(dead=[OutboundMessage("bias-trigger-events.dlq", b"k", value, headers) for value in values])


def test_a_letter_too_large_for_its_topic_goes_without_its_value() -> None:
    topic = SmallTopic()
    sensors._publish_dead_letters(FakeKafkaResource(topic), letters(b"short", b"far too long for it"))  # type: ignore[arg-type]
    assert [(letter.value, letter.headers[0][1]) for letter in topic.stored] == [(b"short", b"7"), (None, b"7")]


@pytest.mark.parametrize("refuses", [BrokerUnavailable("gone"), TooLarge("even so")])
def test_a_letter_that_is_not_stored_ends_the_tick(refuses: MlpipeError) -> None:
    with pytest.raises(BrokerUnavailable):
        sensors._publish_dead_letters(FakeKafkaResource(SmallTopic(refuses)), letters(b"any"))  # type: ignore[arg-type]


def test_a_budget_nobody_can_wait_for_does_not_stop_the_sensor(flow: Flow, small_table: Path) -> None:
    flow.upload(small_table, "small")
    flow.tick("dataset_events")
    flow.publish(
        "automl-trigger-events",
        {
            "event_type": "automl-trigger.reported",
            "dataset_id": "small",
            "user_id": "ada",
            "timestamp": "2026-01-01T00:00:00.000000",
            "target_column_name": None,
            "task_type": None,
            "time_budget": "999999999999999h",
        },
    )
    result = flow.tick("automl_trigger_events")
    assert isinstance(result, dg.SensorResult) and not result.run_requests
    assert "longer than 7 days" in flow.messages[-1]


def test_contracts_of_triggers_have_no_config_that_a_run_cannot_take() -> None:
    event = BiasTrigger.model_validate(
        {
            "dataset_id": "d",
            "user_id": "u",
            "timestamp": "t",
            "target_column_name": None,
            "task_type": None,
            "metadata": {"a": {"b": None}},
            "record_count": None,
        }
    )
    assert ledger.trigger_payload(event) == {}
