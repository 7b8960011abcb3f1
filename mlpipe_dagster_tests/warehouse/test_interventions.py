"""Cancelling and trying again: what each leaves in the catalogue, and when it is refused."""

from pathlib import Path

import pytest

from mlpipe_dagster.errors import Conflict, StageLost, UnknownThing
from mlpipe_dagster.vocabulary import Stage, TaskKind
from mlpipe_dagster.warehouse import failures, inbox, interventions, ledger, pipelines, results
from mlpipe_dagster.warehouse.schema import DatasetVersion, LedgerRow
from mlpipe_dagster.warehouse.warehouse import Warehouse
from mlpipe_dagster_tests.warehouse import scenes


@pytest.fixture
def loans(warehouse: Warehouse, tmp_path: Path) -> DatasetVersion:
    """A table that has been read; its bias trigger is in the outbox."""
    return scenes.read_table(warehouse, tmp_path, scenes.upload(warehouse, tmp_path))


def bias_claim(warehouse: Warehouse) -> ledger.Claim:
    (row,) = scenes.outbox_rows(warehouse, "bias-trigger.reported")
    event = scenes.bias_trigger()
    return scenes.claim(warehouse, Stage.BIAS, scenes.arrived(event, row.topic, ce_id=row.ce_id, version="v1"))


def test_cancelling_ends_the_work_and_the_run_that_comes_late_stores_nothing(
    warehouse: Warehouse, loans: DatasetVersion
) -> None:
    claim = bias_claim(warehouse)
    ended = interventions.cancel_pipeline(warehouse, "loans", "ann", by="ann")
    assert ended.run_ids == ("run-1",)
    with pytest.raises(StageLost, match="cancelled by ann"):
        results.save_bias_report(warehouse, claim, {}, "paid", TaskKind.BINARY)
    with warehouse.reading() as session:
        pipeline = pipelines.pipeline_object(session, warehouse.settings, "loans")
        assert pipeline["status"] == "cancelled"
        assert any(note.subject == "loans: cancelled" for note in inbox.list_notifications(session, "ann"))
    with warehouse.transaction() as session:
        late = scenes.arrived(scenes.bias_trigger(), "bias-trigger-events", ce_id="late", version="v1")
        row = ledger.enter(session, warehouse, Stage.BIAS, late)
        assert (row.state, row.note) == ("cancelled", "the pipeline was cancelled")


def test_a_question_closes_with_its_pipeline(warehouse: Warehouse, tmp_path: Path) -> None:
    asked = scenes.upload(warehouse, tmp_path, custom_metadata={"pipeline": {"mode": "ask"}})
    scenes.read_table(warehouse, tmp_path, asked)
    interventions.cancel_pipeline(warehouse, "loans", None, by="ann")
    with warehouse.reading() as session:
        assert [question.status for question in inbox.list_questions(session, "ann", None)] == ["closed"]


def test_what_has_ended_cannot_be_cancelled(warehouse: Warehouse, loans: DatasetVersion) -> None:
    interventions.cancel_pipeline(warehouse, "loans", "ann", by="ann")
    with pytest.raises(Conflict, match="is cancelled already"):
        interventions.cancel_pipeline(warehouse, "loans", "ann", by="ann")
    with pytest.raises(UnknownThing, match="nothing-here"):
        interventions.cancel_pipeline(warehouse, "nothing-here", None, by="ann")


def test_a_retry_sends_a_new_trigger_caused_by_the_failed_one(warehouse: Warehouse, loans: DatasetVersion) -> None:
    claim = bias_claim(warehouse)
    with warehouse.transaction() as session:
        failures.fail_claim(session, warehouse.settings, claim, "run_died", "It died.")
    assert interventions.retry_pipeline(warehouse, "loans", "ann") is Stage.BIAS
    first, again = scenes.outbox_rows(warehouse, "bias-trigger.reported")
    assert again.ce_id != first.ce_id
    assert again.headers["ce_causationid"] == first.ce_id
    assert again.headers["ce_correlationid"] == first.headers["ce_correlationid"]
    assert scenes.value_of(again)["metadata"]["dataset_id"] == "loans"
    with warehouse.reading() as session:
        assert pipelines.pipeline_object(session, warehouse.settings, "loans")["status"] == "running"


def test_reading_is_tried_again_without_a_record(warehouse: Warehouse, tmp_path: Path) -> None:
    version = scenes.upload(warehouse, tmp_path)
    held = scenes.claim(warehouse, Stage.DATASET, scenes.upload_event(warehouse, version))
    with warehouse.transaction() as session:
        failures.fail_claim(session, warehouse.settings, held, "bad_table", "It is empty.")
    assert interventions.retry_pipeline(warehouse, "loans") is Stage.DATASET
    with warehouse.reading() as session:
        rows = session.query(LedgerRow).order_by(LedgerRow.id).all()
    assert [(row.stage, row.state) for row in rows] == [("dataset", "failed"), ("dataset", "expected")]
    assert len(scenes.outbox_rows(warehouse, "dataset.uploaded")) == 1


def test_there_must_be_something_to_try_again(warehouse: Warehouse, loans: DatasetVersion) -> None:
    with pytest.raises(Conflict, match="no failed stage"):
        interventions.retry_pipeline(warehouse, "loans")
    with pytest.raises(Conflict, match="has not reached the stage xai"):
        interventions.retry_pipeline(warehouse, "loans", stage=Stage.XAI)
    bias_claim(warehouse)
    with pytest.raises(Conflict, match="is at work"):
        interventions.retry_pipeline(warehouse, "loans", stage=Stage.DATASET)


def test_a_stage_that_succeeded_can_be_done_again_when_named(warehouse: Warehouse, loans: DatasetVersion) -> None:
    assert interventions.retry_pipeline(warehouse, "loans", stage=Stage.DATASET) is Stage.DATASET
