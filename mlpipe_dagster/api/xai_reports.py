"""Routes of explanations: foreign XAI workers store their pages here; people read them.

Pages from outside are shown in a sandbox: no script of theirs ever runs on our address.
"""

import uuid
from typing import Annotated, Any

from fastapi import APIRouter, BackgroundTasks, File, Form, HTTPException, UploadFile
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from mlpipe_dagster import clock
from mlpipe_dagster.api.bias_reports import REPORT_POLICY
from mlpipe_dagster.api.datasets import Message
from mlpipe_dagster.api.downloads import chunks
from mlpipe_dagster.api.parameters import AnyCaseLevel, TheExplainer, TheFlusher, TheWarehouse
from mlpipe_dagster.api.receiving import form_route, received
from mlpipe_dagster.events import Id
from mlpipe_dagster.vocabulary import ReportType
from mlpipe_dagster.warehouse import models, reports, results
from mlpipe_dagster.warehouse.objects import object_name
from mlpipe_dagster.warehouse.results import NewExplanation, StoredFile
from mlpipe_dagster.warehouse.schema import XaiReportRow
from mlpipe_dagster.warehouse.warehouse import Warehouse

router = APIRouter(prefix="/xai-reports", tags=["explanations"], route_class=form_route("sha256"))
FOREIGN_POLICY = "sandbox; script-src 'none'; object-src 'none'; base-uri 'none'; form-action 'none'"
ONE = "/{user_id}/{dataset_id}/{model_id}/{report_type}/{level}"


class XaiReport(BaseModel):
    """A stored explanation."""

    user_id: str
    dataset_id: str
    model_id: str
    report_type: str
    level: str
    file_path: str
    file_size: int
    file_hash: str
    custom_metadata: dict[str, Any]
    created_at: str
    updated_at: str


def _answer(row: XaiReportRow) -> XaiReport:
    return XaiReport(
        user_id=row.user_id,
        dataset_id=row.dataset_id,
        model_id=row.model_id,
        report_type=row.report_type,
        level=row.level,
        file_path=row.file_path,
        file_size=row.file_size,
        file_hash=row.file_hash,
        custom_metadata=row.custom_metadata,
        created_at=clock.iso(row.created_at),
        updated_at=clock.iso(row.updated_at),
    )


@router.post("/upload/{user_id}")
def upload(
    user_id: Id,
    file: Annotated[UploadFile, File()],
    dataset_id: Annotated[Id, Form()],
    model_id: Annotated[Id, Form()],
    report_type: Annotated[ReportType, Form()],
    level: Annotated[AnyCaseLevel, Form()],
    warehouse: TheWarehouse,
    flusher: TheFlusher,
) -> XaiReport:
    """Store or replace another worker's page and announce it."""
    if not (file.filename or "").lower().endswith(".html"):
        raise HTTPException(400, "An explanation is one HTML page: the file name must end with .html.")
    arrived = received(file, warehouse.settings.max_upload_bytes)
    name = object_name("explanations", user_id, dataset_id, uuid.uuid4().hex, "page.html")
    stored = StoredFile(arrived.filename, name, arrived.size, arrived.digest, "text/html", is_primary=True)
    warehouse.objects.put(name, arrived.path, given=True)
    page = NewExplanation(report_type, level, stored)
    row = results.receive_explanation(warehouse, user_id, dataset_id, model_id, page)
    flusher.nudge()
    return _answer(row)


@router.get("/{user_id}/{dataset_id}/{model_id}")
def list_all(user_id: Id, dataset_id: Id, model_id: Id, warehouse: TheWarehouse) -> list[XaiReport]:
    """All explanations of a model."""
    with warehouse.reading() as session:
        return [_answer(row) for row in reports.explanations_of(session, user_id, dataset_id, model_id)]


@router.get(ONE)
def read(
    user_id: Id, dataset_id: Id, model_id: Id, report_type: ReportType, level: AnyCaseLevel, warehouse: TheWarehouse
) -> XaiReport:
    """One explanation's record."""
    with warehouse.reading() as session:
        return _answer(reports.explanation_of(session, user_id, dataset_id, model_id, report_type, level))


@router.delete(ONE)
def remove(
    user_id: Id, dataset_id: Id, model_id: Id, report_type: ReportType, level: AnyCaseLevel, warehouse: TheWarehouse
) -> Message:
    """Remove one explanation and its page."""
    reports.delete_explanation(warehouse, user_id, dataset_id, model_id, report_type, level)
    return Message(message=f"The {report_type} of {model_id} for the level {level} is deleted.")


@router.get(f"{ONE}/view", response_class=StreamingResponse)
def view(
    user_id: Id,
    dataset_id: Id,
    model_id: Id,
    report_type: ReportType,
    level: AnyCaseLevel,
    warehouse: TheWarehouse,
    explainer: TheExplainer,
    afterwards: BackgroundTasks,
) -> StreamingResponse:
    """The page itself."""
    with warehouse.reading() as session:
        row = reports.explanation_of(session, user_id, dataset_id, model_id, report_type, level)
        model = models.get_model(session, user_id, model_id)
    if model and report_type is ReportType.MODEL:
        afterwards.add_task(explainer.prepare, warehouse, model)
    return stored_page(warehouse, row.file_path, foreign=row.foreign)


def stored_page(warehouse: Warehouse, name: str, *, foreign: bool) -> StreamingResponse:
    """An explanation's page from the objects; one from outside is sandboxed."""
    headers = {
        "Content-Security-Policy": FOREIGN_POLICY if foreign else REPORT_POLICY,
        "Content-Length": str(warehouse.objects.size(name)),
    }
    return StreamingResponse(chunks(warehouse.objects.open(name)), media_type="text/html", headers=headers)
