"""Routes of bias reports: foreign detectors store theirs here, people read them as JSON or as a page."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, ConfigDict, ValidationError

from mlpipe_dagster import clock
from mlpipe_dagster.api.access import TheCaller
from mlpipe_dagster.api.datasets import Message
from mlpipe_dagster.api.foreign_report import as_rows
from mlpipe_dagster.api.parameters import JsonObject, OptionalId, OptionalLevel, PlainText, TheFlusher, TheWarehouse
from mlpipe_dagster.api.templating import NAVIGATION, html_response, page
from mlpipe_dagster.bias.mitigation.report import TransformationReport
from mlpipe_dagster.bias.report import BiasReport
from mlpipe_dagster.events import Id
from mlpipe_dagster.vocabulary import Level
from mlpipe_dagster.warehouse import links, reports, results
from mlpipe_dagster.warehouse.datasets import partition_key_of
from mlpipe_dagster.warehouse.decisions import recorded_choices
from mlpipe_dagster.warehouse.outbox import Owner
from mlpipe_dagster.warehouse.schema import BiasReportRow, TransformationReportRow
from mlpipe_dagster.warehouse.warehouse import Warehouse

router = APIRouter(prefix="/bias-reports", tags=["bias reports"])
REPORT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


class NewBiasReport(BaseModel):
    """What a bias detector sends."""

    model_config = ConfigDict(frozen=True)
    user_id: Id
    dataset_id: Id
    report: JsonObject
    target_column_name: PlainText | None = None
    task_type: PlainText | None = None


class StoredBiasReport(BaseModel):
    """A bias report as it is stored."""

    id: str
    user_id: str
    dataset_id: str
    version: str
    report: dict[str, Any]
    target_column_name: str | None
    task_type: str | None
    created_at: str
    updated_at: str


def _answer(row: BiasReportRow) -> StoredBiasReport:
    return StoredBiasReport(
        id=row.id,
        user_id=row.user_id,
        dataset_id=row.dataset_id,
        version=f"v{row.number}",
        report=row.report,
        target_column_name=row.target_column_name,
        task_type=row.task_type,
        created_at=clock.iso(row.created_at),
        updated_at=clock.iso(row.updated_at),
    )


@router.post("/")
def receive(new: NewBiasReport, warehouse: TheWarehouse, flusher: TheFlusher, caller: TheCaller) -> StoredBiasReport:
    """Store or replace a bias report and announce it."""
    caller.check(new.user_id)
    row = results.receive_bias_report(
        warehouse, new.user_id, new.dataset_id, new.report, new.target_column_name, new.task_type
    )
    flusher.nudge()
    return _answer(row)


@router.get("/{user_id}/{dataset_id}")
def read(user_id: Id, dataset_id: Id, warehouse: TheWarehouse, version: OptionalId = None) -> StoredBiasReport:
    """The report of the latest version that has one, or of the version asked for."""
    with warehouse.reading() as session:
        return _answer(reports.bias_report_of(session, user_id, dataset_id, version))


@router.delete("/{user_id}/{dataset_id}")
def remove(user_id: Id, dataset_id: Id, warehouse: TheWarehouse, version: OptionalId = None) -> Message:
    """Remove that report."""
    with warehouse.transaction() as session:
        row = reports.bias_report_of(session, user_id, dataset_id, version)
        session.delete(row)
    return Message(message=f"The bias report of the dataset {dataset_id} v{row.number} of {user_id} is deleted.")


@router.get("/{user_id}/{dataset_id}/view", response_class=HTMLResponse)
def view(
    user_id: Id,
    dataset_id: Id,
    warehouse: TheWarehouse,
    level: OptionalLevel = None,
    version: OptionalId = None,
) -> HTMLResponse:
    """The report as a page for the reader's level: ours with charts, another detector's as plain tables."""
    with warehouse.reading() as session:
        row = reports.bias_report_of(session, user_id, dataset_id, version)
        owner = Owner(user_id, dataset_id, row.number)
        choices, done = recorded_choices(session, owner), reports.get_transformation_report(session, owner)
        partition_key = partition_key_of(session, user_id, dataset_id) or dataset_id
    chosen = level or (choices.level if choices else warehouse.settings.default_xai_level)
    try:
        report = BiasReport.model_validate(row.report)
    except ValidationError:
        facts = [f"target column {row.target_column_name}"] if row.target_column_name else []
        facts += [row.task_type] if row.task_type else []
        rows = as_rows(row.report)
        return page("foreign_report.html", title="Bias report", row=_answer(row), facts=facts, report=rows)
    from mlpipe_dagster.reports.bias_report import render_bias_report

    links_there = _links(warehouse, row, partition_key)
    return html_response(render_bias_report(report, chosen, links_there, _mitigation_of(done)), REPORT_POLICY)


def _mitigation_of(row: TransformationReportRow | None) -> TransformationReport | None:
    """What was done about the bias; a foreign transformation report has a shape of its own and no place on our page."""
    if row is None or not reports.is_ours(row):
        return None
    try:
        return TransformationReport.model_validate(row.report)
    except ValidationError:  # somebody else's, with the same names
        return None


def _links(warehouse: Warehouse, row: BiasReportRow, partition_key: str) -> dict[str, str]:
    settings = warehouse.settings
    view_link = links.bias_view_link(settings, row.user_id, row.dataset_id)
    levels = {level.value: f"{view_link}?level={level.value}&version=v{row.number}" for level in Level}
    run = {"Dagster run": links.run_link(settings, row.run_id)} if row.run_id else {}
    return levels | {
        "Pipeline": links.pipeline_link(settings, partition_key, row.user_id),
        **run,
        "In the lineage": links.asset_partition_link(settings, "bias_report", partition_key),
        **NAVIGATION,
    }
