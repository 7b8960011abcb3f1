"""Routes of transformation reports: what was changed in a dataset version to mend bias."""

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from mlpipe_dagster import clock
from mlpipe_dagster.api.access import TheCaller
from mlpipe_dagster.api.datasets import Message
from mlpipe_dagster.api.parameters import JsonObject, TheWarehouse
from mlpipe_dagster.events import Id
from mlpipe_dagster.warehouse import reports
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


@router.delete("/{user_id}/{dataset_id}/{version}")
def remove(user_id: Id, dataset_id: Id, version: Id, warehouse: TheWarehouse) -> Message:
    """Remove that report."""
    with warehouse.transaction() as session:
        session.delete(reports.transformation_report_of(session, user_id, dataset_id, version))
    return Message(message=f"The transformation report of the dataset {dataset_id} {version} of {user_id} is deleted.")
