"""What was made before and has been replaced since: kept as it was, so that a pipeline's history stays readable.

Models and datasets need none of this: they have versions of their own.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from mlpipe_dagster import clock
from mlpipe_dagster.errors import UnknownThing
from mlpipe_dagster.warehouse.listing import of_version
from mlpipe_dagster.warehouse.outbox import Owner
from mlpipe_dagster.warehouse.schema import BiasReportRow, FormerResult, XaiReportRow

LONG = frozenset({"report", "file_path"})
"""What a list of the history leaves out."""


def keep_choices(session: Session, owner: Owner, choices: Mapping[str, Any], made_at: datetime, **more: Any) -> None:
    """Remember the choices that others are about to replace; `more` says by whom and from which stage on."""
    _keep(session, owner, "choices", {"choices": dict(choices), **more}, made_at)


def keep_bias_report(session: Session, row: BiasReportRow) -> None:
    """Remember the report that another is about to replace."""
    about = {"report": row.report, "target_column_name": row.target_column_name, "task_type": row.task_type}
    owner = Owner(row.user_id, row.dataset_id, row.number)
    _keep(session, owner, "bias_report", about | {"run_id": row.run_id}, row.updated_at)


def keep_explanation(session: Session, row: XaiReportRow) -> None:
    """Remember the page that another is about to replace."""
    names = ("model_id", "model_number", "report_type", "level", "file_path", "foreign", "run_id")
    owner = Owner(row.user_id, row.dataset_id, row.number)
    _keep(session, owner, "explanation", {name: getattr(row, name) for name in names}, row.updated_at)


def _keep(session: Session, owner: Owner, kind: str, about: dict[str, Any], made_at: datetime) -> None:
    session.add(
        FormerResult(
            user_id=owner.user_id,
            dataset_id=owner.dataset_id,
            number=owner.number,
            kind=kind,
            about=about,
            made_at=made_at,
        )
    )


def list_former(session: Session, owner: Owner) -> list[FormerResult]:
    """All that was replaced in a dataset version's pipeline, oldest first."""
    query = select(FormerResult).where(*of_version(FormerResult, owner))
    return list(session.scalars(query.order_by(FormerResult.id)))


def get_former(session: Session, user_id: str, dataset_id: str, entry: int) -> FormerResult:
    """One of them, of any version; raises UnknownThing also where it is of another dataset."""
    row = session.get(FormerResult, entry)
    if row is None or (row.user_id, row.dataset_id) != (user_id, dataset_id):
        raise UnknownThing(f"The history of {dataset_id} has no entry {entry}.")
    return row


def files_of(session: Session, user_id: str, dataset_id: str, number: int) -> list[str]:
    """Objects that only the history names."""
    return _files(list_former(session, Owner(user_id, dataset_id, number)))


def files_of_user(session: Session, user_id: str) -> list[str]:
    """The same of all that a person has."""
    return _files(session.scalars(select(FormerResult).where(FormerResult.user_id == user_id)))


def _files(rows: Iterable[FormerResult]) -> list[str]:
    return [row.about["file_path"] for row in rows if "file_path" in row.about]


def former_object(row: FormerResult, link: str) -> dict[str, Any]:
    """The entry as the REST API lists it: without the report itself, which `link` leads to."""
    return {
        "id": row.id,
        "kind": row.kind,
        "made_at": clock.iso(row.made_at),
        "replaced_at": clock.iso(row.replaced_at),
        **{name: value for name, value in row.about.items() if name not in LONG},
        "link": link,
    }
