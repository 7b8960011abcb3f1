"""Any role may be foreign, and may change hands in the middle of flight: nothing is lost, and nothing is done twice."""

import json
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from kafka import KafkaConsumer

from mlpipe_dagster import clock
from mlpipe_dagster.messaging.connection import Connection
from mlpipe_dagster.messaging.records import Record
from mlpipe_dagster.vocabulary import Level, ReportType, Role, Stage
from mlpipe_dagster.warehouse import pipelines, results
from mlpipe_dagster.warehouse.results import NewExplanation, NewModel, StoredFile
from mlpipe_dagster.warehouse.schema import LedgerRow
from mlpipe_dagster.warehouse.warehouse import set_player
from mlpipe_dagster_tests.brokers import called
from mlpipe_dagster_tests.defs.flow import Flow, bias_trigger, records

WHEN = "2026-01-01T00:00:00.000000"
TRIGGERS = {Role.BIAS: "bias-trigger-events", Role.AUTOML: "automl-trigger-events", Role.XAI: "xai-trigger-events"}
SENSORS = {Role.BIAS: "bias_trigger_events", Role.AUTOML: "automl_trigger_events", Role.XAI: "xai_trigger_events"}
STAGES = {Role.BIAS: Stage.BIAS, Role.AUTOML: Stage.AUTOML, Role.XAI: Stage.XAI}
ONCE_EACH = {
    "dataset-events": 1, "bias-trigger-events": 1, "bias-events": 1, "automl-trigger-events": 1,
    "automl-events": 1, "xai-trigger-events": 1, "xai-events": 2, "pipeline-failed-events": 0,
}  # fmt: skip
TURNS = 6


def each_role(always: Role) -> pytest.MarkDecorator:
    """The test for each role that has a stage; for others than `always` in long runs."""
    roles = [pytest.param(role, marks=() if role is always else pytest.mark.long) for role in SENSORS]
    return pytest.mark.parametrize("role", roles, ids=str)


MOST_POLLS = 20


def play(flow: Flow, role: Role, player: str) -> None:
    with flow.warehouse.transaction() as session:
        set_player(session, role, player)


def counts() -> dict[str, int]:
    return {topic: len(records(topic)) for topic in ONCE_EACH}


def status(flow: Flow) -> dict[str, Any]:
    with flow.warehouse.reading() as session:
        return pipelines.pipeline_object(session, flow.warehouse.settings, "small")


def finish(flow: Flow) -> None:
    """Until the pipeline is done, and once more: nothing may follow."""
    for _ in range(TURNS):
        flow.turn()
        if status(flow)["status"] == "done":
            break
    flow.turn()


def rows(flow: Flow, stage: Stage) -> list[LedgerRow]:
    with flow.warehouse.reading() as session:
        return session.query(LedgerRow).filter_by(stage=stage.value).order_by(LedgerRow.id).all()


TICKS_AT_MOST = 5


@dataclass
class Outsiders:
    """Foreign workers of some roles: each answers what it has not read before, and knows no headers."""

    flow: Flow
    roles: tuple[Role, ...]
    read: dict[str, int] = field(default_factory=dict)

    def work(self) -> None:
        """Once through every topic of their roles."""
        for role in self.roles:
            topics = (
                ("dataset-events", "bias-events", "automl-events") if role is Role.AGENTIC_CORE else (TRIGGERS[role],)
            )
            for topic in topics:
                for record in self._new(topic):
                    self._answer(role, topic, json.loads(record.value or b""))
        self.flow.flush()

    def _new(self, topic: str) -> list[Record]:
        known = records(topic)
        new, self.read[topic] = known[self.read.get(topic, 0) :], len(known)
        return new

    def _answer(self, role: Role, topic: str, event: dict[str, Any]) -> None:
        warehouse, dataset_id = self.flow.warehouse, event.get("dataset_id") or event["dataset"]["dataset_id"]
        common = {"user_id": "ada", "dataset_id": dataset_id, "timestamp": WHEN}
        aim = {"target_column_name": "target", "task_type": "classification"}
        match role, topic:
            case Role.AGENTIC_CORE, "dataset-events":
                self.flow.publish("bias-trigger-events", bias_trigger(dataset_id, **aim))
            case Role.AGENTIC_CORE, "bias-events":
                more = {"event_type": "automl-trigger.reported", "time_budget": "10"}
                self.flow.publish("automl-trigger-events", common | aim | more)
            case Role.AGENTIC_CORE, _:
                more = {"event_type": "xai-trigger.reported", "model_id": event["model_id"], "level": "beginner"}
                self.flow.publish("xai-trigger-events", common | more)
            case Role.BIAS, _:
                results.receive_bias_report(warehouse, "ada", dataset_id, {"theirs": 1}, "target", "classification")
            case Role.AUTOML, _:
                model = NewModel("theirs", "Theirs", "sklearn", "classification", ())
                results.receive_model(warehouse, "ada", dataset_id, model)
            case Role.XAI, _:
                file = StoredFile("p.html", "p", 4, "0" * 64, "text/html")
                for kind in ReportType:
                    page = NewExplanation(kind, Level(event["level"]), file)
                    results.receive_explanation(warehouse, "ada", dataset_id, event["model_id"], page)


def until_triggered(flow: Flow, table: Path, role: Role) -> None:
    """A pipeline up to the trigger of that role's stage, which nobody has read yet."""
    flow.upload(table, "small")
    order = ("dataset_events", "bias_trigger_events", "bias_events", "automl_trigger_events", "automl_events")
    for _ in range(TICKS_AT_MOST):  # one that waits so briefly may come back with nothing on a busy machine
        for sensor in order[: 1 + 2 * list(SENSORS).index(role)]:
            flow.tick(sensor)
        if records(TRIGGERS[role]):
            break
    assert len(records(TRIGGERS[role])) == 1


@each_role(always=Role.BIAS)
def test_handing_over_leaves_with_ours_what_was_asked_of_ours(quick_flow: Flow, small_table: Path, role: Role) -> None:
    flow = quick_flow
    until_triggered(flow, small_table, role)
    result = flow.tick(SENSORS[role], advance=False)
    assert isinstance(result, dg.SensorResult) and result.run_requests
    play(flow, role, "foreign")
    flow.tick(SENSORS[role])  # the run is asked for by the repeated tick, as it was before
    finish(flow)
    assert counts() == ONCE_EACH and status(flow)["status"] == "done"
    first = json.loads(records(TRIGGERS[role])[0].value or b"")
    flow.publish(TRIGGERS[role], first | {"timestamp": WHEN}, headers={"ce_id": "the next"})
    flow.tick(SENSORS[role])
    assert [(row.player, row.state) for row in rows(flow, STAGES[role])] == [
        ("ours", "done"),
        ("foreign", "expected"),
    ]


@pytest.mark.long
@each_role(always=Role.AUTOML)
def test_handing_over_while_a_run_of_ours_has_died_still_tries_ours_again(
    quick_flow: Flow, small_table: Path, role: Role, without_waiting: None
) -> None:
    flow = quick_flow
    until_triggered(flow, small_table, role)
    result = flow.tick(SENSORS[role], advance=False)
    assert isinstance(result, dg.SensorResult) and result.run_requests
    (request,) = result.run_requests
    flow.instance.create_run_for_job(
        flow.definitions.resolve_job_def(request.job_name or ""),
        tags=dict(request.tags),
        status=dg.DagsterRunStatus.FAILURE,
    )
    flow.requested.add(request.run_key or "")
    play(flow, role, "foreign")
    with flow.warehouse.transaction() as session:
        session.query(LedgerRow).filter_by(stage=STAGES[role].value).one().requested_at = clock.now() - timedelta(0, 9)
    finish(flow)
    assert counts() == ONCE_EACH and status(flow)["status"] == "done"


@each_role(always=Role.XAI)
def test_taking_over_does_what_is_open_once(quick_flow: Flow, small_table: Path, role: Role) -> None:
    flow = quick_flow
    play(flow, role, "foreign")
    until_triggered(flow, small_table, role)
    flow.tick(SENSORS[role])
    assert [(row.player, row.state) for row in rows(flow, STAGES[role])] == [("foreign", "expected")]
    play(flow, role, "ours")
    finish(flow)
    assert counts() == ONCE_EACH and status(flow)["status"] == "done"
    assert [(row.player, row.state) for row in rows(flow, STAGES[role])] == [("ours", "done")]


@each_role(always=Role.AUTOML)
def test_a_foreign_result_that_arrives_while_ours_takes_over_is_the_one_that_counts(
    quick_flow: Flow, small_table: Path, role: Role
) -> None:
    flow = quick_flow
    play(flow, role, "foreign")
    until_triggered(flow, small_table, role)
    flow.tick(SENSORS[role])
    play(flow, role, "ours")
    taken_over = flow.tick("sweep", advance=False)
    assert isinstance(taken_over, dg.SensorResult) and taken_over.run_requests
    Outsiders(flow, (role,)).work()
    late = flow.run(taken_over.run_requests[0])
    assert late.success and not late.get_asset_materialization_events()
    finish(flow)
    assert counts() == ONCE_EACH and status(flow)["status"] == "done"


@pytest.mark.long
def test_the_core_may_change_hands_twice_in_the_middle_of_flight(quick_flow: Flow, small_table: Path) -> None:
    flow = quick_flow
    flow.upload(small_table, "small")
    flow.tick("dataset_events")
    play(flow, Role.AGENTIC_CORE, "foreign")
    flow.tick("bias_trigger_events")
    flow.tick("bias_events")
    assert len(records("automl-trigger-events")) == 0, "it is the foreign core's to send"
    play(flow, Role.AGENTIC_CORE, "ours")
    finish(flow)
    assert counts() == ONCE_EACH and status(flow)["status"] == "done"


def read_by_a_worker_that_starts_now(broker: str, topic: str, group: str) -> list[str]:
    """The `ce_id` of each record that a consumer of that group finds before it."""
    options = Connection(broker).client_options()
    consumer = KafkaConsumer(
        called(topic), **options, group_id=called(group), auto_offset_reset="earliest", enable_auto_commit=False
    )
    found: list[str] = []
    try:
        for _ in range(MOST_POLLS):
            for batch in consumer.poll(timeout_ms=3000).values():
                found += [dict(record.headers)["ce_id"].decode() for record in batch]
            if any(consumer.position(each) == len(records(topic)) for each in consumer.assignment()):
                return found
    finally:
        consumer.close()
    raise AssertionError(f"the end of {topic} was not reached; found {found}")


@pytest.mark.long
def test_a_foreign_worker_that_starts_later_finds_what_came_meanwhile_and_nothing_that_was_ours(
    quick_flow: Flow, broker: str, small_table: Path
) -> None:
    flow, topic, group = quick_flow, "bias-trigger-events", "bias-trigger-consumer"
    flow.upload(small_table, "small")
    flow.tick("dataset_events")
    while not rows(flow, Stage.BIAS):
        flow.tick("bias_trigger_events")  # ours does this one
    play(flow, Role.BIAS, "foreign")
    for number in range(3):
        flow.publish(topic, bias_trigger("small"), headers={"ce_id": f"theirs-{number}"})
        while len(rows(flow, Stage.BIAS)) < number + 2:
            flow.tick("bias_trigger_events")
    flow.tick("bias_trigger_events")
    assert [row.player for row in rows(flow, Stage.BIAS)] == ["ours", "foreign", "foreign", "foreign"]
    assert read_by_a_worker_that_starts_now(broker, topic, group) == ["theirs-0", "theirs-1", "theirs-2"]


@pytest.mark.long
def test_with_a_foreign_core_the_events_wait_for_it(quick_flow: Flow, broker: str, small_table: Path) -> None:
    flow = quick_flow
    play(flow, Role.AGENTIC_CORE, "foreign")
    flow.upload(small_table, "small")
    for _ in range(3):
        flow.tick("dataset_events")
    (uploaded,) = records("dataset-events")
    found = read_by_a_worker_that_starts_now(broker, "dataset-events", "agentic-core-dataset-consumer")
    assert found == [uploaded.headers["ce_id"]]
