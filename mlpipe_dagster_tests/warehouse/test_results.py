"""Results: ours need their claim, foreign ones find the row they are for; each is announced with its record."""

from pathlib import Path

import pytest

from mlpipe_dagster.errors import StageLost, UnknownThing
from mlpipe_dagster.vocabulary import Level, ReportType, Role, Stage, TaskKind
from mlpipe_dagster.warehouse import ledger, results
from mlpipe_dagster.warehouse.results import NewExplanation, NewModel, StoredFile
from mlpipe_dagster.warehouse.schema import BiasReportRow, LedgerRow, Pipeline
from mlpipe_dagster.warehouse.warehouse import Warehouse, set_player
from mlpipe_dagster_tests.warehouse import scenes

MODEL = NewModel("m", "M", "sklearn", "classification", ())


def trigger(ce_id: str, version: str) -> ledger.Arrived:
    return scenes.arrived(scenes.bias_trigger(), "bias-trigger-events", ce_id=ce_id, version=version)


def enter(warehouse: Warehouse, stage: Stage, what: ledger.Arrived) -> None:
    with warehouse.transaction() as session:
        ledger.enter(session, warehouse, stage, what)


def states(warehouse: Warehouse) -> dict[str, str]:
    with warehouse.reading() as session:
        return {row.cause: row.state for row in session.query(LedgerRow)}


def page(report_type: ReportType, level: Level = Level.BEGINNER) -> NewExplanation:
    return NewExplanation(
        report_type, level, StoredFile("p.html", f"explanations/{report_type}", 4, "0" * 64, "text/html")
    )


def test_a_foreign_report_on_an_unknown_dataset_stores_nothing(warehouse: Warehouse) -> None:
    with pytest.raises(UnknownThing):
        results.receive_bias_report(warehouse, "ann", "nothing", {}, None, None)
    assert scenes.outbox_rows(warehouse) == []


def test_a_superseded_claim_stores_neither_report_nor_event(warehouse: Warehouse, tmp_path: Path) -> None:
    scenes.upload(warehouse, tmp_path)
    held = scenes.claim(warehouse, Stage.BIAS, trigger("t1", "v1"))
    scenes.upload(warehouse, tmp_path)
    with pytest.raises(StageLost):
        results.save_bias_report(warehouse, held, {}, "paid", TaskKind.BINARY)
    with warehouse.reading() as session:
        assert session.query(BiasReportRow).count() == 0
    assert scenes.outbox_rows(warehouse, "bias.reported") == []


def test_our_report_names_what_caused_it(warehouse: Warehouse, tmp_path: Path) -> None:
    version = scenes.upload(warehouse, tmp_path)
    held = scenes.claim(warehouse, Stage.BIAS, trigger("t1", "v1"))
    row = results.save_bias_report(warehouse, held, {"a": 1}, "paid", TaskKind.BINARY)
    sent = scenes.outbox_rows(warehouse, "bias.reported")[0]
    value = scenes.value_of(sent)
    assert (value["bias_report_id"], value["task_type"], value["has_transformation_report"]) == (
        row.id,
        "classification",
        False,
    )
    headers = {name: sent.headers.get(name) for name in ("ce_causationid", "ce_datasetversion", "ce_taskkind")}
    assert headers == {"ce_causationid": "t1", "ce_datasetversion": "v1", "ce_taskkind": "binary"}
    assert sent.headers["ce_correlationid"] == version.correlation_id
    assert states(warehouse) == {"t1": "done"}


def test_a_foreign_report_takes_the_version_of_the_oldest_unanswered_row(warehouse: Warehouse, tmp_path: Path) -> None:
    scenes.upload(warehouse, tmp_path)
    enter(warehouse, Stage.BIAS, trigger("t1", "v1"))
    scenes.upload(warehouse, tmp_path)
    enter(warehouse, Stage.BIAS, trigger("t2", "v2"))
    assert results.receive_bias_report(warehouse, "ann", "loans", {}, None, None).number == 1
    assert states(warehouse) == {"t1": "answered", "t2": "expected"}
    assert results.receive_bias_report(warehouse, "ann", "loans", {}, None, None).number == 2
    assert states(warehouse) == {"t1": "answered", "t2": "answered"}
    assert (
        results.receive_bias_report(warehouse, "ann", "loans", {}, None, None).number == 2
    )  # nobody asked: the latest
    versions = [row.headers["ce_datasetversion"] for row in scenes.outbox_rows(warehouse, "bias.reported")]
    assert versions == ["v1", "v2", "v2"]


def test_a_second_report_replaces_the_first_and_is_announced_again(warehouse: Warehouse, tmp_path: Path) -> None:
    scenes.upload(warehouse, tmp_path)
    first = results.receive_bias_report(warehouse, "ann", "loans", {"a": 1}, None, None)
    second = results.receive_bias_report(warehouse, "ann", "loans", {"a": 2}, "paid", "binary")
    assert (first.id, second.report) == (second.id, {"a": 2})
    assert len(scenes.outbox_rows(warehouse, "bias.reported")) == 2


def test_a_foreign_model_without_a_known_dataset_is_stored_and_announced(warehouse: Warehouse) -> None:
    assert results.receive_model(warehouse, "ann", None, MODEL).version == "v1"
    assert results.receive_model(warehouse, "ann", "elsewhere", MODEL).version == "v2"
    named = [scenes.value_of(row)["dataset_id"] for row in scenes.outbox_rows(warehouse, "model.uploaded")]
    assert named == [None, "elsewhere"]


def test_a_persons_run_is_not_announced_to_a_foreign_core(warehouse: Warehouse, tmp_path: Path) -> None:
    version = scenes.upload(warehouse, tmp_path)
    for run_id, player, count in (("run-1", "ours", 1), ("run-2", "foreign", 1)):
        with warehouse.transaction() as session:
            set_player(session, Role.AGENTIC_CORE, player)
            held = ledger.take_for_person(session, warehouse.settings, Stage.BIAS, version, run_id, {}, False)
        results.save_bias_report(warehouse, held, {}, "paid", TaskKind.BINARY)
        sent = scenes.outbox_rows(warehouse, "bias.reported")
        assert len(sent) == count
    assert sent[0].headers["ce_pipelinecontinue"] == "false"


def test_a_pipeline_ends_when_both_foreign_explanations_are_there(warehouse: Warehouse, tmp_path: Path) -> None:
    scenes.upload(warehouse, tmp_path)
    results.receive_model(warehouse, "ann", "loans", MODEL)
    enter(warehouse, Stage.XAI, scenes.arrived(scenes.xai_trigger(), "xai-trigger-events", ce_id="x1", version="v1"))

    def status() -> str:
        with warehouse.reading() as session:
            return session.query(Pipeline).one().status

    results.receive_explanation(warehouse, "ann", "loans", "m", page(ReportType.MODEL))
    results.receive_explanation(warehouse, "ann", "loans", "m", page(ReportType.DATA, Level.EXPERT))
    assert (status(), states(warehouse)) == ("running", {"x1": "expected"})
    results.receive_explanation(warehouse, "ann", "loans", "m", page(ReportType.DATA))
    assert (status(), states(warehouse)) == ("done", {"x1": "answered"})
    assert len(scenes.outbox_rows(warehouse, "xai.reported")) == 3


def test_our_explanations_are_announced_at_the_level_asked_for(warehouse: Warehouse, tmp_path: Path) -> None:
    scenes.upload(warehouse, tmp_path)
    model = results.receive_model(warehouse, "ann", "loans", MODEL)
    what = scenes.arrived(scenes.xai_trigger(), "xai-trigger-events", ce_id="x1", version="v1")
    held = scenes.claim(warehouse, Stage.XAI, what)
    pages = [page(kind, level) for kind in ReportType for level in Level]
    results.save_explanations(warehouse, held, model, pages, Level.BEGINNER)
    sent = [scenes.value_of(row) for row in scenes.outbox_rows(warehouse, "xai.reported")]
    assert [(value["report_type"], value["level"]) for value in sent] == [
        ("model_explanation", "beginner"),
        ("data_explanation", "beginner"),
    ]
    with warehouse.reading() as session:
        assert session.query(Pipeline).one().status == "done"
