"""Routes of transformation reports: what was changed in a dataset version to mend bias."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, ConfigDict, ValidationError

from mlpipe_dagster import clock
from mlpipe_dagster.api.access import TheCaller
from mlpipe_dagster.api.bias_reports import REPORT_POLICY
from mlpipe_dagster.api.datasets import Message
from mlpipe_dagster.api.foreign_report import as_rows
from mlpipe_dagster.api.parameters import JsonObject, TheWarehouse
from mlpipe_dagster.api.templating import NAVIGATION, html_response, page
from mlpipe_dagster.bias.mitigation.report import TransformationReport
from mlpipe_dagster.events import Id
from mlpipe_dagster.warehouse import links, reports
from mlpipe_dagster.warehouse.datasets import partition_key_of
from mlpipe_dagster.warehouse.schema import TransformationReportRow

router = APIRouter(prefix="/transformation-reports", tags=["transformation reports"])


class NewTransformationReport(BaseModel):
    """What a worker sends."""

    model_config = ConfigDict(frozen=True)
    user_id: Id
    dataset_id: Id
    version: Id
    report: JsonObject


class StoredTransformationReport(BaseModel):
    """A transformation report as it is stored."""

    user_id: str
    dataset_id: str
    version: str
    report: Any
    created_at: str
    updated_at: str


def _answer(row: TransformationReportRow) -> StoredTransformationReport:
    return StoredTransformationReport(
        user_id=row.user_id,
        dataset_id=row.dataset_id,
        version=f"v{row.number}",
        report=row.report,
        created_at=clock.iso(row.created_at),
        updated_at=clock.iso(row.updated_at),
    )


@router.post("/")
def receive(new: NewTransformationReport, warehouse: TheWarehouse, caller: TheCaller) -> StoredTransformationReport:
    """Store or replace a report; the next `bias.reported` says that there is one."""
    caller.check(new.user_id)
    row = reports.store_transformation_report(warehouse, new.user_id, new.dataset_id, new.version, new.report)
    return _answer(row)


@router.get("/{user_id}/{dataset_id}/{version}")
def read(user_id: Id, dataset_id: Id, version: Id, warehouse: TheWarehouse) -> StoredTransformationReport:
    """The report of a dataset version."""
    with warehouse.reading() as session:
        return _answer(reports.transformation_report_of(session, user_id, dataset_id, version))


@router.get("/{user_id}/{dataset_id}/{version}/view", response_class=HTMLResponse)
def view(user_id: Id, dataset_id: Id, version: Id, warehouse: TheWarehouse) -> HTMLResponse:
    """The report as a page: before, with the mitigation, after; another worker's as plain tables."""
    with warehouse.reading() as session:
        row = reports.transformation_report_of(session, user_id, dataset_id, version)
        partition_key = partition_key_of(session, user_id, dataset_id) or dataset_id
    try:
        report = TransformationReport.model_validate(row.report)
    except ValidationError:
        rows = as_rows(row.report)
        return page("foreign_report.html", title="Transformation report", row=_answer(row), facts=(), report=rows)
    from mlpipe_dagster.reports.mitigation import render_mitigation

    settings = warehouse.settings
    shown = {
        "Bias report": links.bias_view_link(settings, user_id, dataset_id),
        "Pipeline": links.pipeline_link(settings, partition_key, user_id),
        **NAVIGATION,
    }
    return html_response(render_mitigation(report, shown), REPORT_POLICY)


@router.delete("/{user_id}/{dataset_id}/{version}")
def remove(user_id: Id, dataset_id: Id, version: Id, warehouse: TheWarehouse) -> Message:
    """Remove that report."""
    with warehouse.transaction() as session:
        session.delete(reports.transformation_report_of(session, user_id, dataset_id, version))
    return Message(message=f"The transformation report of the dataset {dataset_id} {version} of {user_id} is deleted.")
