"""Mitigation from the upload to the model: decided, measured, stored, announced, and used in the training."""

import json
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest
from click.testing import CliRunner

from mlpipe_dagster.api.model_page import model_page
from mlpipe_dagster.automl.fairness.frontier import Frontier
from mlpipe_dagster.bias.mitigation.report import Effect, TransformationReport
from mlpipe_dagster.choices import Wishes
from mlpipe_dagster.commands.intervene import mitigate
from mlpipe_dagster.settings import settings
from mlpipe_dagster.vocabulary import Mitigation
from mlpipe_dagster.warehouse import again as running_again
from mlpipe_dagster.warehouse import datasets, decisions, interventions, models, pipelines, reports
from mlpipe_dagster_tests.api.servers import running_server
from mlpipe_dagster_tests.automl.test_mitigation import unequal
from mlpipe_dagster_tests.defs.flow import Flow, records

TO_THE_MODEL = ("dataset_events", "bias_trigger_events", "bias_events", "automl_trigger_events")


@pytest.fixture
def hiring(tmp_path: Path) -> Path:
    """600 rows in which men are hired far more often at the same skill."""
    file = tmp_path / "hiring.csv"
    unequal(600).drop(columns="row").to_csv(file, index=False)
    return file


def tick(flow: Flow, *names: str) -> None:
    for name in names:
        flow.tick(name)
    assert all(run.success for run in flow.runs)


def told(topic: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(records(topic)[-1].value or b"")
    return value


def report_of(flow: Flow, dataset_id: str = "hiring") -> TransformationReport:
    with flow.warehouse.reading() as session:
        row = reports.transformation_report_of(session, "ada", dataset_id, "v1")
    return TransformationReport.model_validate(row.report)


def of_hired(found: TransformationReport) -> Effect:
    return next(line for line in found.before_after if line.measure == "DPL")


def fairness(flow: Flow, dataset_id: str) -> tuple[dict[str, Any], str | None]:
    with flow.warehouse.reading() as session:
        row = models.get_model(session, "ada", f"automl_{dataset_id}")
    assert row is not None
    return row.custom_metadata["fairness"], row.custom_metadata["mitigation"]


def test_a_model_with_reweighing_selects_more_alike(flow: Flow, hiring: Path) -> None:
    wishes: dict[str, Any] = {"target_column_name": "hired", "sensitive_features": ["sex"], "engine": "deterministic:4"}
    flow.upload(hiring, "plain", **wishes)
    tick(flow, *TO_THE_MODEL)
    assert told("bias-events")["has_transformation_report"] is False
    plain, method = fairness(flow, "plain")
    assert method is None
    without = next(one["value"] for one in plain["clear"] if one["measure"] == "DPPL")

    flow.upload(hiring, "hiring", mitigation="reweighing", **wishes)
    tick(flow, *TO_THE_MODEL)
    assert told("bias-events")["has_transformation_report"] is True
    assert set(told("automl-trigger-events")) == {
        "event_type", "dataset_id", "user_id", "timestamp", "target_column_name", "task_type", "time_budget",
    }  # fmt: skip
    found = report_of(flow)
    line = of_hired(found)
    assert (found.method.value, found.model, found.mitigated_version) == ("reweighing", "automl_hiring v1", None)
    assert line.after is not None
    assert line.model is not None
    assert abs(line.before.value) > 0.3
    assert line.after.value == pytest.approx(0, abs=1e-6)
    assert abs(line.model.value) < abs(without) - 0.1
    assert None not in (line.model.low, line.model.high, line.before.low, line.after.high)
    assert fairness(flow, "hiring")[1] == "reweighing"


@pytest.mark.long
@pytest.mark.parametrize("method", list(Mitigation), ids=str)
def test_each_method_is_asked_for_on_the_command_line_and_reaches_the_model(
    flow: Flow, broker: str, home: Path, hiring: Path, monkeypatch: pytest.MonkeyPatch, method: Mitigation
) -> None:
    wishes: dict[str, Any] = {"target_column_name": "hired", "sensitive_features": ["sex"], "engine": "deterministic:2"}
    flow.upload(hiring, "hiring", **wishes)
    tick(flow, "dataset_events", "bias_trigger_events")
    interventions.cancel_pipeline(flow.warehouse, "hiring", "ada", "ada")
    tick(flow, "bias_events")  # no training starts: it is cancelled
    with running_server(home, broker) as server:
        monkeypatch.setenv("API_BASE", server.base)
        settings.cache_clear()
        done = CliRunner().invoke(mitigate, ["hiring", "--method", method.value])
    assert done.output.startswith(f"hiring runs again from the stage bias. Mitigation: {method.value} (as you asked).")
    tick(flow, "sweep", "bias_trigger_events", "bias_events", "automl_trigger_events")
    assert told("bias-events")["has_transformation_report"] is True
    assert len(records("dataset-events")) == 1

    found, used = report_of(flow), fairness(flow, "hiring")[1]
    assert (found.method, found.model, used) == (method, "automl_hiring v1", method.value)
    assert found.transformations
    assert all(one.column and one.transformation and one.method == method.value for one in found.transformations)
    line = of_hired(found)
    assert line.model is not None
    assert None not in (line.before.low, line.before.high, line.model.low, line.model.high)
    changes_rows = method in (Mitigation.RESAMPLING, Mitigation.CORRELATION_REMOVER)
    assert found.mitigated_version == ("v2" if changes_rows else None)
    if changes_rows:
        with flow.warehouse.reading() as session:
            assert datasets.get_version(session, "ada", "hiring", "v2").tags == ["mitigated"]
    assert set(found.not_read) == {
        Mitigation.PROXY_DROPPING: {"sex", "club"},
        Mitigation.CORRELATION_REMOVER: {"sex"},
    }.get(method, set())


def test_the_answer_to_the_bias_report_decides(flow: Flow, hiring: Path) -> None:
    """Measured again with the method, which changes rows: they are a version of their own that starts nothing."""
    wishes: dict[str, Any] = {"target_column_name": "hired", "sensitive_features": ["sex"], "engine": "deterministic:4"}
    flow.upload(hiring, "hiring", ask=["bias"], mitigation="auto", **wishes)
    tick(flow, "dataset_events", "bias_trigger_events", "bias_events")
    with flow.warehouse.reading() as session:
        (question,) = pipelines.pipeline_object(session, flow.warehouse.settings, "hiring")["questions"]
    fields = question["fields"]["properties"]
    assert fields["decision"]["default"] == "proceed with mitigation"
    assert (fields["mitigation"]["enum"][0], fields["mitigation"]["default"]) == ("reweighing", "reweighing")
    assert "Against it we would use reweighing (the mildest method that fits)" in question["body"]
    answer = {"decision": "proceed with mitigation", "mitigation": "resampling"}
    decisions.answer_question(flow.warehouse, question["id"], answer, "ada")
    tick(flow, "sweep", "bias_trigger_events", "bias_events")
    assert [json.loads(record.value or b"")["has_transformation_report"] for record in records("bias-events")] == [
        False,
        True,
    ]
    found = report_of(flow)
    assert (found.method.value, found.mitigated_version, found.model) == ("resampling", "v2", None)
    change = told("dataset-change-events")
    assert (change["event_type"], change["version"]) == ("dataset.mitigated", "v2")
    assert change["changes"]["derived_from"] == "v1"
    assert len(records("dataset-events")) == 1
    with flow.warehouse.reading() as session:
        mitigated = datasets.get_version(session, "ada", "hiring", "v2")
        assert datasets.get_version(session, "ada", "hiring").version == "v1"
        assert interventions.latest_owner(session, "hiring", "ada").number == 1
    assert mitigated.tags == ["mitigated"]
    with flow.warehouse.objects.local(mitigated.file_path) as file:
        assert pd.read_parquet(file)["source_row"].duplicated().any()

    interventions.cancel_pipeline(flow.warehouse, "hiring", "ada", "ada")
    running_again.run_again(flow.warehouse, "hiring", "ada", Wishes(mitigation="none"), None, "ada")
    tick(flow, "sweep", "bias_trigger_events")
    assert told("bias-events")["has_transformation_report"] is False


def test_a_fairness_constraint_reaches_the_model_and_its_trade_is_told(flow: Flow, hiring: Path) -> None:
    wishes: dict[str, Any] = {"target_column_name": "hired", "sensitive_features": ["sex"], "engine": "deterministic:1"}
    flow.upload(hiring, "hiring", fairness="demographic_parity:0.1", **wishes)
    tick(flow, *TO_THE_MODEL)
    with flow.warehouse.reading() as session:
        row = models.get_model(session, "ada", "automl_hiring")
        assert row is not None
        page = model_page(flow.warehouse, row, models.model_files(session, row)).body.decode()
    found = Frontier.model_validate(row.custom_metadata["frontier"])
    assert found.constraint.word == "demographic_parity:0.1"
    assert found.met
    assert found.test_without is not None and found.test_with is not None
    assert found.test_with.difference.value < found.test_without.difference.value - 0.2
    assert "What the fairness constraint costs" in page
    assert page.count('<svg xmlns="http://www.w3.org/2000/svg" class="chart"') == 1
    latest = flow.instance.get_latest_materialization_event(dg.AssetKey("model"))
    assert latest is not None and latest.asset_materialization is not None
    told_in_dagster = latest.asset_materialization.metadata["fairness constraint"].value
    assert str(told_in_dagster).startswith("demographic parity within 0.1: difference 0.")
