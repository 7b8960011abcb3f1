"""What an adversary would send or do: records that must not stop a sensor, races of foreign cores, ends and returns."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from mlpipe_dagster import clock
from mlpipe_dagster.events import AutomlTrigger, BiasReported, BiasTrigger, Event
from mlpipe_dagster.messaging.records import Record
from mlpipe_dagster.vocabulary import Level, ReportType, Role, Stage, TaskKind
from mlpipe_dagster.warehouse import datasets, intake, ledger, models, outbox, reconcile, results
from mlpipe_dagster.warehouse.delivery import deliver
from mlpipe_dagster.warehouse.ledger import Arrived
from mlpipe_dagster.warehouse.results import NewExplanation, NewModel, StoredFile
from mlpipe_dagster.warehouse.schema import Decision, LedgerRow, Notification, Pipeline
from mlpipe_dagster.warehouse.warehouse import Warehouse, set_player
from mlpipe_dagster_tests.warehouse import scenes

NOW_MS = 4_000_000_000_000


def foreign_core(warehouse: Warehouse, player: str = "foreign") -> None:
    with warehouse.transaction() as session:
        set_player(session, Role.AGENTIC_CORE, player)


def rows(warehouse: Warehouse) -> dict[str, str]:
    with warehouse.reading() as session:
        return {f"{row.stage} v{row.number}": row.state for row in session.query(LedgerRow).order_by(LedgerRow.id)}


def record(value: bytes, topic: str, headers: tuple[tuple[str, bytes], ...] = (), key: bytes = b"k") -> Record:
    return Record(topic, 0, 0, scenes.EPOCH_2025_MS, key, value, headers)


def take_in(warehouse: Warehouse, *arrived: Arrived) -> intake.Intake:
    return intake.take_in(warehouse, type(arrived[0].event), [one.record for one in arrived])


def bias_reported(
    warehouse: Warehouse, ce_id: str = "r1", version: str | None = "v1", key: bytes = b"loans"
) -> Arrived:
    event = BiasReported(
        dataset_id="loans",
        user_id="ann",
        bias_report_id="b1",
        timestamp=scenes.TIMESTAMP,
        has_transformation_report=False,
        target_column_name=None,
        task_type=None,
    )
    what = scenes.arrived(event, "bias-events", ce_id=ce_id, version=version)
    return Arrived(event, record(what.record.value or b"", "bias-events", what.record.raw_headers, key))  # type: ignore[arg-type]


def automl_trigger(time_budget: str = "60") -> AutomlTrigger:
    return AutomlTrigger(
        dataset_id="loans",
        user_id="ann",
        timestamp=scenes.TIMESTAMP,
        target_column_name=None,
        task_type=None,
        time_budget=time_budget,
    )


# --- records that must not stop a sensor ---


@pytest.mark.parametrize("budget", ["999999999999999h", "9" * 400])
def test_a_budget_beyond_the_calendar_stops_no_sensor(warehouse: Warehouse, tmp_path: Path, budget: str) -> None:
    scenes.upload(warehouse, tmp_path)
    what = scenes.arrived(automl_trigger(budget), "automl-trigger-events", ce_id="a1", version="v1")
    taken = take_in(warehouse, what)
    assert (taken.wanted, len(taken.dead)) == ([], 1), "no run can be made from it: it is a dead letter"


def test_metadata_of_any_depth_stops_no_sensor(warehouse: Warehouse, tmp_path: Path) -> None:
    scenes.upload(warehouse, tmp_path)
    deep = '{"a":' * 400 + "1" + "}" * 400
    value = scenes.bias_trigger().model_dump_json().replace('"metadata":{}', f'"metadata":{deep}').encode()
    taken = intake.take_in(warehouse, BiasTrigger, [record(value, "bias-trigger-events")])
    assert len(taken.wanted) == 1


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ((("ce_id", b"a\x00b"),), b"k"),
        ((("ce_id", b"x" * 5000),), b"k"),
        ((("ce_id", b"ok"), ("ce_correlationid", b"\x00")), b"k"),
        ((("ce_id", b"ok"),), b"\x00"),
        ((("ce_id", b"ok"),), b"x" * 5000),
    ],
)
def test_headers_and_keys_no_database_stores_become_dead_letters(
    warehouse: Warehouse, tmp_path: Path, headers: tuple[tuple[str, bytes], ...], key: bytes
) -> None:
    scenes.read_table(warehouse, tmp_path, scenes.upload(warehouse, tmp_path))
    value = bias_reported(warehouse).record.value or b""
    bad, good = record(value, "bias-events", headers, key), bias_reported(warehouse, "good").record
    taken = intake.take_in(warehouse, BiasReported, [bad, good])
    assert [letter.key for letter in taken.dead] == [key]
    assert len(scenes.outbox_rows(warehouse, "automl-trigger.reported")) == 1


# --- keys and names ---


def test_an_automl_trigger_is_keyed_by_its_dataset_whatever_the_report_was_keyed_by(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    scenes.read_table(warehouse, tmp_path, scenes.upload(warehouse, tmp_path))
    take_in(warehouse, bias_reported(warehouse, key=b"something else"))
    assert scenes.outbox_rows(warehouse, "automl-trigger.reported")[0].record_key == "loans"


def test_a_model_without_a_dataset_does_not_belong_to_a_dataset_called_none(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    scenes.upload(warehouse, tmp_path, "None")
    take_in(warehouse, scenes.arrived(scenes.model_uploaded(None), "automl-events", ce_id="m1"))
    with warehouse.reading() as session:
        note, decision = session.query(Notification).one(), session.query(Decision).one()
    assert (note.dataset_id, note.number, decision.dataset_id) == ("", None, "")


def test_the_second_owner_of_an_id_with_three_dots_has_a_key_too(warehouse: Warehouse, tmp_path: Path) -> None:
    assert scenes.upload(warehouse, tmp_path, "a...b").partition_key == "a.~.b"
    assert scenes.upload(warehouse, tmp_path, "a...b", user_id="bob").partition_key == "a.~.b~bob"


def test_an_unknown_model_is_called_so_even_when_dataset_is_in_its_name(warehouse: Warehouse, tmp_path: Path) -> None:
    scenes.upload(warehouse, tmp_path, "my-dataset")
    trigger = scenes.xai_trigger("automl_my-dataset", "my-dataset")
    take_in(warehouse, scenes.arrived(trigger, "xai-trigger-events", ce_id="x1", version="v1"))
    with warehouse.transaction() as session:
        session.query(LedgerRow).one().created_at = clock.now() - timedelta(minutes=5)
    with warehouse.transaction() as session:
        reconcile.recheck_unknown(session, warehouse)
    failed = scenes.value_of(scenes.outbox_rows(warehouse, "pipeline.failed")[0])
    assert failed["error_type"] == "unknown_model"
    assert "model automl_my-dataset" in failed["error_message"]


def test_work_for_a_version_that_was_deleted_ends_without_a_failure(warehouse: Warehouse, tmp_path: Path) -> None:
    version = scenes.upload(warehouse, tmp_path)
    event = scenes.upload_event(warehouse, version)
    datasets.delete_dataset(warehouse, "ann", "loans")
    take_in(warehouse, event)
    assert rows(warehouse) == {"dataset v1": "cancelled"}


# --- a foreign core ---


def test_a_core_that_answers_before_we_read_its_event_is_not_overdue(warehouse: Warehouse, tmp_path: Path) -> None:
    foreign_core(warehouse)
    scenes.read_table(warehouse, tmp_path, scenes.upload(warehouse, tmp_path))
    # the sensor of the triggers was quicker than the sensor of the event that it answers
    take_in(warehouse, scenes.arrived(automl_trigger(), "automl-trigger-events", ce_id="t1"))
    take_in(warehouse, bias_reported(warehouse))
    assert rows(warehouse) == {"dataset v1": "done", "automl v1": "expected", "core-automl v1": "answered"}


def test_a_core_is_not_waited_for_over_an_older_version(warehouse: Warehouse, tmp_path: Path) -> None:
    foreign_core(warehouse)
    first = scenes.upload(warehouse, tmp_path)
    event = scenes.upload_event(warehouse, first)
    scenes.upload(warehouse, tmp_path)
    take_in(warehouse, event)
    take_in(warehouse, bias_reported(warehouse, version="v1"))
    assert rows(warehouse) == {"dataset v1": "superseded"}


def test_a_core_is_not_waited_for_over_a_model_without_a_dataset(warehouse: Warehouse) -> None:
    foreign_core(warehouse)
    take_in(warehouse, scenes.arrived(scenes.model_uploaded(None), "automl-events", ce_id="m1"))
    assert rows(warehouse) == {}


def test_a_trigger_that_a_foreign_result_overtook_has_answered_for_the_core(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    foreign_core(warehouse)
    scenes.read_table(warehouse, tmp_path, scenes.upload(warehouse, tmp_path))
    take_in(warehouse, bias_reported(warehouse))
    results.receive_model(warehouse, "ann", "loans", NewModel("m", "M", "sklearn", "classification", ()))
    take_in(warehouse, scenes.arrived(automl_trigger(), "automl-trigger-events", ce_id="t1"))
    assert rows(warehouse)["core-automl v1"] == "answered"


def test_when_the_core_is_ours_again_it_decides_what_is_open(warehouse: Warehouse, tmp_path: Path) -> None:
    foreign_core(warehouse)
    version = scenes.upload(warehouse, tmp_path)
    upload = scenes.upload_event(warehouse, version)
    take_in(warehouse, upload)
    with warehouse.transaction() as session:
        held = ledger.take(session, Stage.DATASET, upload.cause, "run-1")
    assert held is not None
    parquet = tmp_path / "table.parquet"
    parquet.write_bytes(b"PAR1")
    results.save_dataset(warehouse, held, version.id, parquet, scenes.profile())
    results.receive_bias_report(warehouse, "ann", "loans", {}, "paid", "binary")
    sent = scenes.outbox_rows(warehouse, "bias.reported")[0]
    event = BiasReported.from_bytes(sent.value.encode())
    take_in(warehouse, scenes.arrived(event, "bias-events", ce_id=sent.ce_id, version="v1"))
    assert rows(warehouse) == {"dataset v1": "done", "core-bias v1": "expected", "core-automl v1": "expected"}
    foreign_core(warehouse, "ours")
    for _ in range(2):
        with warehouse.transaction() as session:
            reconcile.take_over(session, warehouse)
    assert rows(warehouse) == {"dataset v1": "done", "core-bias v1": "answered", "core-automl v1": "answered"}
    assert len(scenes.outbox_rows(warehouse, "bias-trigger.reported")) == 1
    (trigger,) = scenes.outbox_rows(warehouse, "automl-trigger.reported")
    assert scenes.value_of(trigger)["target_column_name"] == "paid"
    assert trigger.headers["ce_causationid"] == sent.ce_id


def test_what_is_overdue_can_be_taken_over_as_its_notice_says(warehouse: Warehouse, tmp_path: Path) -> None:
    with warehouse.transaction() as session:
        set_player(session, Role.BIAS, "foreign")
    scenes.upload(warehouse, tmp_path)
    take_in(warehouse, scenes.arrived(scenes.bias_trigger(), "bias-trigger-events", ce_id="t1", version="v1"))
    with warehouse.transaction() as session:
        session.query(LedgerRow).one().deadline = clock.now() - timedelta(seconds=1)
    with warehouse.transaction() as session:
        reconcile.end_overdue(session, warehouse)
    assert rows(warehouse) == {"bias v1": "failed"}
    with warehouse.transaction() as session:
        set_player(session, Role.BIAS, "ours")
        assert reconcile.take_over(session, warehouse) == 1
    with warehouse.reading() as session:
        row, pipeline = session.query(LedgerRow).one(), session.query(Pipeline).one()
    assert (row.state, row.player, pipeline.status) == ("expected", "ours", "running")


# --- ends and returns ---


def test_a_new_trigger_brings_a_failed_pipeline_back(warehouse: Warehouse, tmp_path: Path) -> None:
    scenes.upload(warehouse, tmp_path)
    with warehouse.transaction() as session:
        session.query(Pipeline).one().status = "failed"
    take_in(warehouse, scenes.arrived(scenes.bias_trigger(), "bias-trigger-events", ce_id="t2", version="v1"))
    with warehouse.reading() as session:
        assert session.query(Pipeline).one().status == "running"


def test_a_cancelled_row_is_taken_again_when_a_person_executes_its_run_again(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    scenes.upload(warehouse, tmp_path)
    what = scenes.arrived(scenes.bias_trigger(), "bias-trigger-events", ce_id="t1", version="v1")
    scenes.claim(warehouse, Stage.BIAS, what)
    with warehouse.transaction() as session:
        session.query(LedgerRow).one().state = "cancelled"
        session.query(Pipeline).one().status = "cancelled"
    with warehouse.transaction() as session:
        assert ledger.take(session, Stage.BIAS, "t1", "run-2") is None
        assert ledger.take(session, Stage.BIAS, "t1", "run-3", rerun=True) is not None
        assert session.query(Pipeline).one().status == "running"


def test_a_foreign_result_does_not_end_a_persons_run(warehouse: Warehouse, tmp_path: Path) -> None:
    version = scenes.upload(warehouse, tmp_path)
    with warehouse.transaction() as session:
        held = ledger.take_for_person(session, warehouse.settings, Stage.BIAS, version, "run-9", {}, False)
    results.receive_bias_report(warehouse, "ann", "loans", {}, None, None)
    results.save_bias_report(warehouse, held, {"ours": 1}, "paid", TaskKind.BINARY)


def test_the_announcements_that_end_a_pipeline_are_sent_again_too(warehouse: Warehouse, tmp_path: Path) -> None:
    scenes.upload(warehouse, tmp_path)
    results.receive_model(warehouse, "ann", "loans", NewModel("m", "M", "sklearn", "classification", ()))
    held = scenes.claim(
        warehouse,
        Stage.XAI,
        scenes.arrived(scenes.xai_trigger(), "xai-trigger-events", ce_id="x1", version="v1", timestamp=NOW_MS),
    )
    with warehouse.reading() as session:
        model = models.get_model(session, "ann", "m")
    assert model is not None
    file = StoredFile("p.html", "p", 4, "0" * 64, "text/html")
    pages = [NewExplanation(report_type, Level.BEGINNER, file) for report_type in ReportType]
    results.save_explanations(warehouse, held, model, pages, Level.BEGINNER)
    deliver(warehouse, scenes.FakeKafka())
    with warehouse.transaction() as session:
        assert session.query(Pipeline).one().status == "done"
        assert outbox.send_again(session, warehouse.settings, {"xai-events": "another-broker"}) == 2


def test_a_topic_that_is_missing_does_not_hold_up_the_others(warehouse: Warehouse, tmp_path: Path) -> None:
    from mlpipe_dagster.errors import BrokerUnavailable
    from mlpipe_dagster.messaging.topics import TopicMissing

    version = scenes.upload(warehouse, tmp_path, "first")
    for number in range(120):
        datasets.update_dataset(warehouse, "ann", "first", {"name": f"name {number}"})
    scenes.upload(warehouse, tmp_path, "second")
    missing = TopicMissing("no topic")
    kafka = scenes.FakeKafka(refuse=lambda message: missing if message.topic == "dataset-change-events" else None)
    with pytest.raises(BrokerUnavailable):
        deliver(warehouse, kafka)
    assert [json.loads(message.value or b"")["dataset"]["dataset_id"] for message in kafka.log] == ["first", "second"]
    assert version.version == "v1"


def test_the_events_of_a_foreign_result_are_shown_again_when_a_tick_is_repeated(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    scenes.upload(warehouse, tmp_path)
    results.receive_bias_report(warehouse, "ann", "loans", {}, "paid", "classification")
    sent = scenes.outbox_rows(warehouse, "bias.reported")[0]
    event: Event = BiasReported.from_bytes(sent.value.encode())
    what = scenes.arrived(event, "bias-events", ce_id=sent.ce_id, version="v1")
    first, second = take_in(warehouse, what), take_in(warehouse, what)
    assert first.foreign == second.foreign and len(first.foreign) == 1


def test_a_dead_letter_that_was_mended_and_replayed_is_decided(warehouse: Warehouse, tmp_path: Path) -> None:
    scenes.read_table(warehouse, tmp_path, scenes.upload(warehouse, tmp_path))
    broken = Record("bias-events", 0, 0, scenes.EPOCH_2025_MS, b"k", b"{", (("ce_id", b"r1"),))
    assert len(intake.take_in(warehouse, BiasReported, [broken]).dead) == 1
    take_in(warehouse, bias_reported(warehouse, "r1"))
    assert len(scenes.outbox_rows(warehouse, "automl-trigger.reported")) == 1
