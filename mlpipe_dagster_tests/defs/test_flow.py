"""The flow through sensors, runs and hooks over a real broker: duplicates, bad records, versions, roles, the UI."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mlpipe_dagster import clock
from mlpipe_dagster.definitions import defs
from mlpipe_dagster.messaging.connection import Connection
from mlpipe_dagster.messaging.embedded import EmbeddedBroker
from mlpipe_dagster.messaging.topics import create_topics
from mlpipe_dagster.settings import settings
from mlpipe_dagster.vocabulary import Level, Role
from mlpipe_dagster.warehouse import decisions, inbox, pipelines, results
from mlpipe_dagster.warehouse.outbox import Owner
from mlpipe_dagster.warehouse.schema import LedgerRow, OutboxRow
from mlpipe_dagster.warehouse.warehouse import set_player
from mlpipe_dagster_tests.defs.flow import Flow, bias_trigger, records
from mlpipe_dagster_tests.tools.apache_kafka.kafka import Node

WHEN = "2026-01-01T00:00:00.000000"


def state(flow: Flow, dataset_id: str) -> dict[str, Any]:
    with flow.warehouse.reading() as session:
        return pipelines.pipeline_object(session, flow.warehouse.settings, dataset_id)


def failed(topic: str = "pipeline-failed-events") -> list[dict[str, Any]]:
    return [json.loads(record.value or b"") for record in records(topic)]


def test_an_upload_becomes_two_explanations(flow: Flow, small_table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLPIPE_DEFAULT_TIME_BUDGET", "6")
    settings.cache_clear()
    flow.upload(small_table, "small", drop=["city"])
    flow.turn(2)
    pipeline = state(flow, "small")
    assert pipeline["status"] == "done", pipeline
    assert [(row["stage"], row["state"], row["attempt"]) for row in pipeline["stages"]] == [
        ("dataset", "done", 1),
        ("bias", "done", 1),
        ("automl", "done", 1),
        ("xai", "done", 1),
    ]
    assert all(run.success for run in flow.runs)
    events = [event["event_type"] for event in pipeline["events"]]
    assert events == [
        "dataset.uploaded", "bias-trigger.reported", "bias.reported", "automl-trigger.reported", "model.uploaded",
        "xai-trigger.reported", "xai.reported", "xai.reported",
    ]  # fmt: skip
    chain = {event["ce_id"]: event["ce_causationid"] for event in pipeline["events"]}
    last = pipeline["events"][-1]["ce_id"]
    steps = 0
    while chain.get(last):
        last, steps = chain[last], steps + 1
    assert steps == 6, "every event names its cause, back to the upload"
    assert {"bias_report", "model", "model_explanation", "data_explanation"} <= pipeline["links"].keys()
    with flow.warehouse.reading() as session:
        model = pipelines.latest_model_of(session, Owner("ada", "small", 1))
        assert model is not None
        assert "Left out “city”: as was asked." in model.custom_metadata["notes"]
    checks = {
        evaluation.check_name: evaluation.passed
        for run in flow.runs
        for evaluation in run.get_asset_check_evaluations()
    }
    assert (
        checks["target_is_not_given_away"]
        and checks["enough_rows"]
        and checks["shap_values_add_up"]
        and checks["no_constant_columns"]
    )
    made = [done.step_materialization_data for run in flow.runs for done in run.get_asset_materialization_events()]
    shown = {one.materialization.asset_key.to_user_string(): one.materialization.metadata for one in made}["xai_report"]
    assert {"summary", "columns by influence", "additivity error"} <= shown.keys()
    pages = {f"{kind} explanation, {level}" for kind in ("model", "data") for level in Level}
    assert pages <= shown.keys()


def test_the_same_trigger_five_times_is_one_run_and_one_report(flow: Flow, small_table: Path) -> None:
    flow.upload(small_table, "small", time_budget="6")
    flow.tick("dataset_events")
    for _ in range(5):
        flow.publish("bias-trigger-events", bias_trigger("small"), headers={"ce_id": "the-same"})
    flow.tick("bias_trigger_events")
    flow.tick("bias_trigger_events")
    rows = [row for row in state(flow, "small")["stages"] if row["cause"] == "the-same"]
    assert [(row["state"], row["attempt"]) for row in rows] == [("done", 1)]
    reports = [record for record in records("bias-events") if record.headers["ce_causationid"] == "the-same"]
    assert len(reports) == 1


def test_a_previewed_tick_does_no_harm(flow: Flow, small_table: Path) -> None:
    flow.upload(small_table, "small")
    flow.tick("dataset_events", advance=False)
    flow.tick("dataset_events")
    flow.tick("bias_trigger_events")
    flow.tick("bias_events", advance=False)
    flow.tick("bias_events")
    assert len(records("automl-trigger-events")) == 1
    assert len(flow.runs) == 2


@pytest.mark.long
@pytest.mark.parametrize(
    ("topic", "value", "fault"),
    [
        ("bias-trigger-events", b"{not json", "not JSON"),
        ("bias-trigger-events", bias_trigger("../x"), "dataset_id"),
        ("automl-trigger-events", {
            "event_type": "automl-trigger.reported", "dataset_id": "small", "user_id": "ada", "timestamp": WHEN,
            "target_column_name": None, "task_type": None, "time_budget": "abc",
        }, "time budget"),
        ("xai-trigger-events", {"event_type": "xai-trigger.reported"}, "model_id"),
    ],
)  # fmt: skip
def test_a_bad_record_becomes_a_dead_letter_and_the_next_is_served(
    quick_flow: Flow, small_table: Path, topic: str, value: Any, fault: str
) -> None:
    flow = quick_flow
    flow.upload(small_table, "small")
    flow.tick("dataset_events")
    flow.publish(topic, value, key="bad", headers={"x": "y"})
    flow.turn()
    letters = records(f"{topic}.dlq")
    assert len(letters) == 1
    assert (letters[0].key, letters[0].headers["x"]) == (b"bad", "y")
    assert letters[0].value == (value if isinstance(value, bytes) else json.dumps(value).encode())
    assert fault in letters[0].headers["__connect.errors.exception.message"]
    assert [row["state"] for row in state(flow, "small")["stages"]][:2] == ["done", "done"]


def test_a_trigger_for_an_unknown_dataset_waits_then_fails(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    flow.publish("bias-trigger-events", bias_trigger("nobody-knows"))
    flow.turn()
    assert not failed() and not flow.runs
    monkeypatch.setenv("MLPIPE_UNKNOWN_GRACE", "0")
    settings.cache_clear()
    flow.turn()
    (event,) = failed()
    assert (event["stage"], event["error_type"]) == ("bias", "unknown_dataset")
    assert "nobody-knows" in event["error_message"] and "Upload it" in event["error_message"]


def test_a_trigger_that_came_before_its_dataset_runs_when_it_is_there(quick_flow: Flow, small_table: Path) -> None:
    flow = quick_flow
    flow.publish("bias-trigger-events", bias_trigger("small"), headers={"ce_id": "early"})
    flow.tick("bias_trigger_events")
    flow.upload(small_table, "small")
    flow.turn(2)
    early = next(row for row in state(flow, "small")["stages"] if row["cause"] == "early")
    assert early["state"] == "done"


@pytest.mark.long
def test_an_unknown_task_type_is_told_not_crashed(flow: Flow, small_table: Path) -> None:
    flow.upload(small_table, "small")
    flow.tick("dataset_events")
    flow.publish("bias-trigger-events", bias_trigger("small", task_type="clustering", target_column_name="target"))
    flow.tick("bias_trigger_events")
    flow.flush()
    (event,) = failed()
    assert event["error_type"] == "bad_task_type" and "clustering" in event["error_message"]
    with flow.warehouse.reading() as session:
        assert any("clustering" in note.body for note in inbox.list_notifications(session, "ada"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "empty"),
        ("a,b,target\n", "no rows"),
        ("text\n" + "\n".join(f"some words number {n} that never come back" for n in range(60)), "target"),
    ],
)
def test_a_table_nobody_can_use_ends_in_plain_words(flow: Flow, tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "bad.csv"
    file.write_text(content, encoding="utf-8")
    flow.upload(file, "bad")
    flow.turn()
    (event,) = failed()
    assert event["stage"] == "dataset" and message in event["error_message"].lower()
    assert state(flow, "bad")["status"] == "failed"


@pytest.mark.parametrize(
    ("pipeline", "error_type", "words"),
    [
        ({"target_column_name": "tarket"}, "bad_target", "Did you mean “target”?"),
        ({"task_type": "regression", "target_column_name": "city"}, "bad_task_type", "needs numbers"),
        ({"sensitive_features": ["nose"]}, "bad_input", "nose"),
    ],
)
def test_a_wish_that_cannot_be_met_says_what_to_do(
    flow: Flow, small_table: Path, pipeline: dict[str, Any], error_type: str, words: str
) -> None:
    flow.upload(small_table, "small", **pipeline)
    flow.turn()
    (event,) = failed()
    assert (event["error_type"], words in event["error_message"]) == (error_type, True), event


@pytest.mark.long
@pytest.mark.parametrize(("target", "words"), [("same", "only one value"), ("empty", "empty in every row")])
def test_a_target_that_holds_nothing_to_predict_is_told(flow: Flow, tmp_path: Path, target: str, words: str) -> None:
    file = tmp_path / "flat.csv"
    file.write_text("hours,same,empty\n" + "\n".join(f"{hours},7," for hours in range(60)) + "\n")
    flow.upload(file, "flat", target_column_name=target)
    flow.turn()
    (event,) = failed()
    assert (event["error_type"], words in event["error_message"]) == ("bad_target", True), event


def test_a_second_upload_while_the_first_is_in_flight(flow: Flow, small_table: Path) -> None:
    flow.upload(small_table, "small")
    flow.tick("dataset_events")
    flow.tick("bias_trigger_events")  # v1: bias report stored, its event not read yet
    flow.upload(small_table, "small", target_column_name="city")
    flow.tick("bias_events")  # the core stops v1 here
    flow.tick("dataset_events")
    flow.tick("bias_trigger_events")
    flow.tick("bias_events")
    triggers = [json.loads(record.value or b"") for record in records("automl-trigger-events")]
    assert [trigger["target_column_name"] for trigger in triggers] == ["city"]
    with flow.warehouse.reading() as session:
        first = pipelines.pipeline_object(session, flow.warehouse.settings, "small", version="v1")
    assert first["status"] == "superseded"
    assert [decision["outcome"] for decision in first["decisions"]] == ["trigger", "stop"]


def test_a_run_of_a_superseded_version_stores_nothing(flow: Flow, small_table: Path) -> None:
    flow.upload(small_table, "small")
    flow.tick("dataset_events")
    result = flow.tick("bias_trigger_events", advance=False)  # the run is asked for, and starts late
    assert isinstance(result, dg.SensorResult) and result.run_requests
    flow.upload(small_table, "small")
    flow.instance.add_dynamic_partitions("dataset_id", ["small"])
    run = flow.run(result.run_requests[0])
    assert run.success
    assert not run.get_asset_materialization_events()
    assert records("bias-events") == []


def test_two_users_with_one_dataset_id(flow: Flow, small_table: Path) -> None:
    flow.upload(small_table, "iris", user_id="ada")
    flow.upload(small_table, "iris", user_id="bob", target_column_name="city")
    flow.tick("dataset_events")
    flow.tick("bias_trigger_events")
    assert set(flow.instance.get_dynamic_partitions("dataset_id")) == {"iris", "iris~bob"}
    targets = {json.loads(r.value or b"")["user_id"]: json.loads(r.value or b"")["target_column_name"]
               for r in records("bias-events")}  # fmt: skip
    assert targets == {"ada": "target", "bob": "city"}


def test_a_dataset_id_that_dagster_would_refuse_as_partition(flow: Flow, small_table: Path) -> None:
    flow.upload(small_table, "a...b")
    flow.tick("dataset_events")
    assert flow.runs[-1].success and flow.instance.get_dynamic_partitions("dataset_id") == ["a.~.b"]


@pytest.mark.long
def test_ask_mode_waits_for_an_answer_and_stores_it_with_its_trigger(flow: Flow, small_table: Path) -> None:
    flow.upload(small_table, "small", mode="ask")
    flow.turn(2)
    assert state(flow, "small")["status"] == "waiting"
    assert records("bias-trigger-events") == [] and len(flow.runs) == 1
    (question,) = state(flow, "small")["questions"]
    assert question["fields"]["properties"]["target_column_name"]["default"] == "target"
    answer = {"target_column_name": "city", "task_type": "multiclass"}
    decisions.answer_question(flow.warehouse, question["id"], answer, "ada")
    flow.turn()
    (trigger,) = records("bias-trigger-events")
    assert json.loads(trigger.value or b"")["target_column_name"] == "city"
    assert trigger.headers["ce_taskkind"] == "multiclass"
    assert state(flow, "small")["status"] == "running"


def test_the_bias_report_is_asked_about_before_anything_is_trained(flow: Flow, small_table: Path) -> None:
    flow.upload(small_table, "small", ask=["bias"], target_column_name="target")
    flow.turn(4)
    assert state(flow, "small")["status"] == "waiting"
    assert records("automl-trigger-events") == []
    (question,) = state(flow, "small")["questions"]
    assert (question["kind"], question["status"]) == ("bias", "open")
    decisions.answer_question(flow.warehouse, question["id"], {"decision": "proceed"}, "ada")
    flow.turn()
    (trigger,) = records("automl-trigger-events")
    assert json.loads(trigger.value or b"")["target_column_name"] == "target"
    assert state(flow, "small")["status"] == "running"


def test_a_foreign_bias_detector_is_waited_for_and_shown_in_the_lineage(flow: Flow, small_table: Path) -> None:
    with flow.warehouse.transaction() as session:
        set_player(session, Role.BIAS, "foreign")
    flow.upload(small_table, "small")
    flow.tick("dataset_events")
    flow.tick("bias_trigger_events")
    assert len(flow.runs) == 1, "no run for a foreign stage"
    results.receive_bias_report(flow.warehouse, "ada", "small", {"theirs": 1}, "target", "classification")
    flow.flush()
    flow.tick("bias_events")
    assert len(records("automl-trigger-events")) == 1
    assert state(flow, "small")["stages"][1]["state"] == "answered"
    latest = flow.instance.get_latest_materialization_event(dg.AssetKey("bias_report"))
    assert latest and latest.asset_materialization
    assert latest.asset_materialization.partition == "small"
    assert latest.asset_materialization.metadata["player"].value == "foreign"


def test_with_a_foreign_core_every_event_expects_its_trigger(flow: Flow, small_table: Path) -> None:
    with flow.warehouse.transaction() as session:
        set_player(session, Role.AGENTIC_CORE, "foreign")
    flow.upload(small_table, "small")
    flow.turn()
    assert records("bias-trigger-events") == []
    flow.publish("bias-trigger-events", bias_trigger("small", target_column_name="target", task_type="Binary"))
    flow.turn()
    assert len(records("bias-events")) == 1
    rows = {row["stage"]: row["state"] for row in state(flow, "small")["stages"]}
    assert rows == {"dataset": "done", "core-bias": "answered", "bias": "done", "core-automl": "expected"}


def test_an_overdue_foreign_worker_is_noticed_and_can_be_replaced(flow: Flow, small_table: Path) -> None:
    with flow.warehouse.transaction() as session:
        set_player(session, Role.BIAS, "foreign")
    flow.upload(small_table, "small")
    flow.tick("dataset_events")
    flow.tick("bias_trigger_events")
    with flow.warehouse.transaction() as session:
        row = session.query(LedgerRow).filter_by(stage="bias").one()
        row.deadline = clock.now() - timedelta(seconds=1)
    flow.tick("sweep")
    (event,) = failed()
    assert (event["error_type"], event["run_id"]) == ("overdue", None)
    assert "mlpipe role bias ours" in event["error_message"]


def test_taking_over_does_what_is_open(flow: Flow, small_table: Path) -> None:
    with flow.warehouse.transaction() as session:
        set_player(session, Role.BIAS, "foreign")
    flow.upload(small_table, "small")
    flow.tick("dataset_events")
    flow.tick("bias_trigger_events")
    with flow.warehouse.transaction() as session:
        set_player(session, Role.BIAS, "ours")
    age(flow, "bias")
    flow.tick("sweep")
    flow.tick("sweep")
    assert len(records("bias-events")) == 1


def age(flow: Flow, stage: str, seconds: int = 60) -> None:
    """As if the row had been asked for a while ago."""
    with flow.warehouse.transaction() as session:
        for row in session.query(LedgerRow).filter_by(stage=stage):
            row.requested_at = clock.now() - timedelta(seconds=seconds)


@pytest.mark.usefixtures("without_waiting")
def test_a_run_that_dies_is_asked_for_again_and_given_up_in_words(flow: Flow, small_table: Path) -> None:
    flow.upload(small_table, "small")
    for attempt in range(3):
        result = flow.tick("dataset_events" if attempt == 0 else "sweep", advance=False)
        assert isinstance(result, dg.SensorResult) and result.run_requests
        (request,) = result.run_requests
        if attempt:
            assert (request.run_key or "").endswith(f"/{attempt + 1}")
        flow.instance.create_run_for_job(
            defs.resolve_job_def("dataset_job"), tags=dict(request.tags), status=dg.DagsterRunStatus.FAILURE
        )
        age(flow, "dataset")
    flow.tick("sweep")
    (event,) = failed()
    assert event["error_type"] == "run_died"
    assert state(flow, "small")["status"] == "failed"


@pytest.mark.usefixtures("without_waiting")
@pytest.mark.parametrize(("somebody_asked", "status"), [(True, "cancelled"), (False, "running")])
def test_a_cancelled_run_cancels_its_pipeline_and_an_interrupted_one_is_asked_for_again(
    flow: Flow, small_table: Path, somebody_asked: bool, status: str
) -> None:
    flow.upload(small_table, "small")
    result = flow.tick("dataset_events", advance=False)
    assert isinstance(result, dg.SensorResult) and result.run_requests
    run = flow.instance.create_run_for_job(
        defs.resolve_job_def("dataset_job"), tags=dict(result.run_requests[0].tags), status=dg.DagsterRunStatus.STARTED
    )
    if somebody_asked:
        flow.instance.report_run_canceling(run)
    flow.instance.report_run_canceled(run)
    age(flow, "dataset")
    again = flow.tick("sweep")
    assert isinstance(again, dg.SensorResult)
    assert bool(again.run_requests) is not somebody_asked
    assert state(flow, "small")["status"] == status


def test_materialize_all_in_the_ui_runs_each_stage_once_and_starts_nothing(quick_flow: Flow, small_table: Path) -> None:
    flow = quick_flow
    flow.upload(small_table, "small")
    flow.tick("dataset_events")
    flow.tick("bias_trigger_events")
    before = len(records("automl-trigger-events"))
    config = {"ops": {"model": {"config": {"time_budget": "6"}}}}
    job = flow.definitions.resolve_implicit_global_asset_job_def()
    run = job.execute_in_process(run_config=config, partition_key="small", instance=flow.instance)
    assert run.success
    assert len(run.get_asset_materialization_events()) == 4
    flow.turn(2)
    rows = [(row["stage"], row["state"]) for row in state(flow, "small")["stages"] if row["cause"].startswith("run:")]
    assert sorted(rows) == [("automl", "done"), ("bias", "done"), ("dataset", "done"), ("xai", "done")]
    theirs = [r for topic in ("bias-events", "automl-events", "xai-events") for r in records(topic)
              if r.headers.get("ce_pipelinecontinue") == "false"]  # fmt: skip
    assert len(theirs) == 4
    triggers = [r for r in records("automl-trigger-events") if r.headers["ce_causationid"] in {t.cause for t in theirs}]
    assert (before, triggers) == (0, [])


def test_a_missing_target_in_the_ui_names_the_field(flow: Flow, small_table: Path) -> None:
    flow.upload(small_table, "small")
    flow.tick("dataset_events")
    run = defs.resolve_job_def("bias_report_job").execute_in_process(
        run_config={"ops": {"bias_report": {"config": {"target_column_name": "tarket"}}}},
        partition_key="small",
        instance=flow.instance,
        raise_on_error=False,
    )
    assert not run.success
    failure = run.filter_events(lambda event: event.is_step_failure)[0].step_failure_data.user_failure_data
    assert failure and failure.description and "Did you mean “target”?" in failure.description
    assert state(flow, "small")["status"] == "running", "a person's failed try does not end the pipeline"


@pytest.mark.long
def test_a_broker_that_is_down_is_a_skipped_tick_and_loses_nothing(
    own_flow: Flow, small_table: Path, own_broker: EmbeddedBroker | Node
) -> None:
    flow = own_flow
    flow.upload(small_table, "small")
    flow.tick("dataset_events")
    own_broker.stop()
    result = flow.tick("bias_trigger_events")
    assert isinstance(result, dg.SkipReason)
    assert settings().kafka_bootstrap_servers in (result.skip_message or "")
    flow.tick("sweep")
    assert "Kafka unreachable" in flow.messages[-1]
    own_broker.start()
    create_topics(Connection.from_settings())  # an embedded broker comes back empty: the trigger is sent again
    flow.turn(2)
    assert state(flow, "small")["stages"][1]["state"] == "done"


@pytest.mark.long
def test_an_upload_larger_than_the_topic_allows_goes_without_its_columns(
    flow: Flow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLPIPE_KAFKA_MAX_MESSAGE_BYTES", "60000")
    settings.cache_clear()
    names = [f"{'a_rather_long_column_name_' * 32}{number}" for number in range(80)]
    file = tmp_path / "wide.csv"
    rows = [",".join(str((row * 7 + column) % 11) for column in range(80)) for row in range(60)]
    file.write_text("\n".join([",".join([*names, "target"])] + [f"{line},{i % 2}" for i, line in enumerate(rows)]))
    flow.upload(file, "wide")
    (record,) = records("dataset-events")
    content = json.loads(record.value or b"")["dataset"]
    assert (content["columns"], content["data_types"], content["row_count"]) == (None, None, 60)
    flow.tick("dataset_events")
    (trigger,) = records("bias-trigger-events")
    assert json.loads(trigger.value or b"")["metadata"]["columns"] is None


def test_outbox_rows_keep_where_they_were_acknowledged(flow: Flow, small_table: Path) -> None:
    flow.upload(small_table, "small")
    (record,) = records("dataset-events")
    with flow.warehouse.reading() as session:
        row = session.query(OutboxRow).one()
    assert (row.ce_id, row.partition, row.offset) == (record.headers["ce_id"], 0, 0)
    assert row.topic_id and row.sends == 1
