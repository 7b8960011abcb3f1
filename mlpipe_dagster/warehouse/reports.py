"""Stored reports: read, listed, replaced, deleted. Results with their announcements are in results.py."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from mlpipe_dagster import clock
from mlpipe_dagster.errors import UnknownThing
from mlpipe_dagster.warehouse import audit, datasets, removals
from mlpipe_dagster.warehouse.listing import of_version
from mlpipe_dagster.warehouse.outbox import Owner
from mlpipe_dagster.warehouse.schema import BiasReportRow, TransformationReportRow, XaiReportRow
from mlpipe_dagster.warehouse.warehouse import Warehouse


def get_bias_report(session: Session, owner: Owner) -> BiasReportRow | None:
    """The bias report of a dataset version."""
    return session.scalar(select(BiasReportRow).where(*of_version(BiasReportRow, owner)))


def bias_report_of(session: Session, user_id: str, dataset_id: str, version: str | None = None) -> BiasReportRow:
    """The bias report of that dataset version; of the latest version that has one for None. Raises UnknownThing."""
    query = select(BiasReportRow).where(BiasReportRow.user_id == user_id, BiasReportRow.dataset_id == dataset_id)
    if version is not None:
        query = query.where(BiasReportRow.number == datasets.version_number(version))
    found = session.scalar(query.order_by(BiasReportRow.number.desc()).limit(1))
    if found is None:
        which = f" version {version}" if version else ""
        raise UnknownThing(f"There is no bias report of the dataset {dataset_id}{which} of {user_id}.")
    return found


def transformation_report_of(session: Session, user_id: str, dataset_id: str, version: str) -> TransformationReportRow:
    """The transformation report of that dataset version; raises UnknownThing."""
    number = datasets.version_number(version)
    found = get_transformation_report(session, Owner(user_id, dataset_id, number))
    if found is None:
        raise UnknownThing(
            f"There is no transformation report of the dataset {dataset_id} version {version} of {user_id}."
        )
    return found


def get_transformation_report(session: Session, owner: Owner) -> TransformationReportRow | None:
    """The transformation report of a dataset version."""
    return session.scalar(select(TransformationReportRow).where(*of_version(TransformationReportRow, owner)))


def store_transformation_report(
    warehouse: Warehouse, user_id: str, dataset_id: str, version: str, report: dict[str, Any]
) -> TransformationReportRow:
    """Store or replace what was changed in a dataset version; raises UnknownThing for an unknown one."""
    with warehouse.transaction() as session:
        owner = datasets.owner_of(datasets.get_version(session, user_id, dataset_id, version))
        return put_transformation_report(session, owner, report, audit.person(user_id))


def is_ours(row: TransformationReportRow) -> bool:
    """Whether our bias stage wrote it; another detector's has a shape of its own."""
    return isinstance(row.report, dict) and {"schema_version", "before_after"} <= row.report.keys()


def put_transformation_report(
    session: Session, owner: Owner, report: dict[str, Any], actor: audit.Actor
) -> TransformationReportRow:
    """Store or replace it within a transaction."""
    row, now = get_transformation_report(session, owner), clock.now()
    if row is None:
        row = TransformationReportRow(user_id=owner.user_id, dataset_id=owner.dataset_id, number=owner.number)
        row.created_at = now
        session.add(row)
    row.report, row.updated_at = report, now
    audit.record(session, "transformation_report.stored", actor, owner)
    return row


def explanations_of(session: Session, user_id: str, dataset_id: str, model_id: str) -> list[XaiReportRow]:
    """All explanations of a model, by type and level."""
    query = select(XaiReportRow).where(
        XaiReportRow.user_id == user_id, XaiReportRow.dataset_id == dataset_id, XaiReportRow.model_id == model_id
    )
    return list(session.scalars(query.order_by(XaiReportRow.report_type, XaiReportRow.level)))


def get_explanation(
    session: Session, user_id: str, dataset_id: str, model_id: str, report_type: str, level: str
) -> XaiReportRow | None:
    """One explanation page."""
    return session.scalar(
        select(XaiReportRow).where(
            XaiReportRow.user_id == user_id,
            XaiReportRow.dataset_id == dataset_id,
            XaiReportRow.model_id == model_id,
            XaiReportRow.report_type == str(report_type),
            XaiReportRow.level == str(level),
        )
    )


def explanation_of(
    session: Session, user_id: str, dataset_id: str, model_id: str, report_type: str, level: str
) -> XaiReportRow:
    """One explanation; raises UnknownThing."""
    found = get_explanation(session, user_id, dataset_id, model_id, report_type, level)
    if found is None:
        raise UnknownThing(f"There is no {report_type} of {model_id} for the level {level}.")
    return found


def delete_explanation(
    warehouse: Warehouse, user_id: str, dataset_id: str, model_id: str, report_type: str, level: str
) -> None:
    """Remove one explanation and its page; raises UnknownThing."""
    with warehouse.transaction() as session:
        row = explanation_of(session, user_id, dataset_id, model_id, report_type, level)
        session.delete(row)
        owner, actor = Owner(user_id, dataset_id, row.number), audit.person(user_id)
        audit.record(session, "xai_report.deleted", actor, owner, model=model_id, type=report_type, level=level)
        removals.note_objects(session, [row.file_path])
    removals.remove_objects(warehouse, [row.file_path])
