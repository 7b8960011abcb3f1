"""All that is kept of one person: where it lies, to be given to them or erased.

Every table that names a user is in one of the lists here; a test holds the schema to that.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, inspect, select, update
from sqlalchemy.orm import Session

from mlpipe_dagster import clock
from mlpipe_dagster.errors import UnknownThing
from mlpipe_dagster.warehouse import audit, datasets, former, models, removals
from mlpipe_dagster.warehouse.audit_rows import AuditRow
from mlpipe_dagster.warehouse.objects import personal_folders
from mlpipe_dagster.warehouse.outbox import Owner
from mlpipe_dagster.warehouse.schema import (
    ApiKeyRow,
    BiasReportRow,
    ChannelRow,
    DatasetKey,
    DatasetVersion,
    Decision,
    DeliveryRow,
    FormerResult,
    LedgerRow,
    LoginSession,
    ModelFileRow,
    ModelKey,
    ModelRow,
    Notification,
    OutboxRow,
    Pipeline,
    Question,
    Respondent,
    Row,
    TransformationReportRow,
    UserPolicy,
    UserRow,
    XaiReportRow,
)
from mlpipe_dagster.warehouse.warehouse import Warehouse

ERASED: Mapping[str, Any] = {
    "record": UserRow,
    "policy": UserPolicy,
    "keys": ApiKeyRow,
    "datasets": DatasetVersion,
    "pipelines": Pipeline,
    "bias_reports": BiasReportRow,
    "transformation_reports": TransformationReportRow,
    "models": ModelRow,
    "explanations": XaiReportRow,
    "history": FormerResult,
    "questions": Question,
    "respondent_of": Respondent,
    "notifications": Notification,
    "channels": ChannelRow,
    "deliveries": DeliveryRow,
    "events": OutboxRow,
    "model_numbers": ModelKey,
}
"""Rows that are gone after an erasure."""
EMPTIED: Mapping[str, Any] = {"stages": LedgerRow, "decisions": Decision}
"""Rows that stay without their content: a cause that Kafka delivers once more must be known again."""
KEPT: Mapping[str, Any] = {"dataset_keys": DatasetKey, "audit": AuditRow}
"""Rows that stay: ids, and who did what."""
NOTHING = "Nothing is kept of the user {}."
SECRET = frozenset({"url", "secret_hash", "file_path", "parquet_path", "primary_file_path"})

REMAINS = (
    {
        "what": "records on the Kafka topics",
        "why": "A log cannot lose a single record; Kafka drops them when the retention of the topic is over.",
    },
    {
        "what": "entries of the audit trail: ids, actors, times, causes",
        "why": "The trail is append-only, to prove who decided what; it holds no rows of tables.",
    },
    {
        "what": "the ids of datasets: as Dagster's partition keys with the events of their materializations, and as "
        "rows of the ledger without content",
        "why": "An id that was used is never given to anybody else; a record that Kafka delivers again must be known.",
    },
    {
        "what": "the id where others have named it: as who may answer their questions, and who has answered one",
        "why": "These are other persons' records, which say who decided about their data.",
    },
    {
        "what": "messages that outside channels were sent: subjects and links",
        "why": "They are where they were delivered: delete them there. They hold no rows of tables.",
    },
    {"what": "backups", "why": "They are outside the platform: erase them where they are kept."},
)


@dataclass(frozen=True)
class Holdings:
    """What is given to a person: documents by name, and the objects with the file names they get."""

    documents: dict[str, Any] = field(default_factory=dict)
    files: list[tuple[str, str]] = field(default_factory=list)


def holdings(session: Session, user_id: str) -> Holdings:
    """All that is kept of the person; raises UnknownThing where that is nothing."""
    documents = {
        name: [_content(row) for row in session.scalars(select(kind).where(kind.user_id == user_id))]
        for name, kind in {**ERASED, **EMPTIED, **KEPT}.items()
    }
    if not any(documents.values()):
        raise UnknownThing(NOTHING.format(user_id))
    return Holdings(documents, list(_files(session, user_id).items()))


def _content(row: Row) -> dict[str, Any]:
    values = {column.key: getattr(row, column.key) for column in inspect(type(row)).columns}
    return {
        name: clock.iso(value) if isinstance(value, datetime) else value
        for name, value in values.items()
        if name not in SECRET
    }


def _files(session: Session, user_id: str) -> dict[str, str]:
    """Object names by the file names they get: uploads, model files, explanations, and the pages of the history."""
    found: dict[str, str] = {}
    for version in session.scalars(select(DatasetVersion).where(DatasetVersion.user_id == user_id)):
        found[f"datasets/{version.dataset_id}/{version.version}/{version.original_filename}"] = version.file_path
    for model in session.scalars(select(ModelRow).where(ModelRow.user_id == user_id)):
        for file in models.model_files(session, model):
            found[f"models/{model.model_id}/{model.version}/{file.filename}"] = file.file_path
    for page in session.scalars(select(XaiReportRow).where(XaiReportRow.user_id == user_id)):
        name = f"{page.report_type}-{page.level}.html"
        found[f"explanations/{page.dataset_id}/{page.model_id}/{name}"] = page.file_path
    for row in session.scalars(select(FormerResult).where(FormerResult.user_id == user_id)):
        if "file_path" in row.about:
            found[f"history/{row.dataset_id}/{row.id}.html"] = row.about["file_path"]
    return found


@dataclass(frozen=True)
class Receipt:
    """What was erased, and what remains and why; `open_runs` were at work and are to be ended."""

    user_id: str
    erased_at: datetime
    erased: dict[str, int]
    to_be_removed: int
    """Objects and runs of this person that the sweep removes in the next moments."""
    open_runs: tuple[str, ...]


def erase(warehouse: Warehouse, user_id: str) -> Receipt:
    """Cancel what is in flight, and erase all that is kept of the person; raises UnknownThing where that is nothing.

    Each dataset goes in its own transaction; broken off, the same call goes on where it stopped.
    """
    with warehouse.reading() as session:
        counts = {name: _count(session, kind, user_id) for name, kind in {**ERASED, **EMPTIED, **KEPT}.items()}
        ids = list(session.scalars(select(DatasetVersion.dataset_id).where(_of(DatasetVersion, user_id)).distinct()))
    if not any(counts.values()):
        raise UnknownThing(NOTHING.format(user_id))
    deleted = [datasets.delete_dataset(warehouse, user_id, dataset_id) for dataset_id in ids]
    with warehouse.transaction() as session:
        files = _erase_rows(session, user_id)
        removals.note_objects(session, files)
        erased = {name: counts[name] for name in ERASED}
        audit.record(session, "user.erased", audit.person(user_id), Owner(user_id, ""), erased=dict(erased))
    removed = removals.remove_objects(warehouse, files)
    removed += _remove_orphans(warehouse, user_id)
    with warehouse.reading() as session:
        left = removals.count_left(session, user_id, personal_folders(user_id))
    erased["files"] = removed + sum(one.files for one in deleted)
    return Receipt(user_id, clock.now(), erased, left, tuple(run for one in deleted for run in one.open_runs))


def _count(session: Session, kind: Any, user_id: str) -> int:
    return session.scalar(select(func.count()).select_from(kind).where(_of(kind, user_id))) or 0


def _of(kind: Any, user_id: str) -> Any:
    return kind.user_id == user_id


def _erase_rows(session: Session, user_id: str) -> list[str]:
    """What deleting the datasets has left: models without one, foreign results, the record, keys, messages."""
    rows = list(session.scalars(select(ModelRow.id).where(_of(ModelRow, user_id))))
    files = list(session.scalars(select(ModelFileRow.file_path).where(ModelFileRow.model_row.in_(rows))))
    files += session.scalars(select(XaiReportRow.file_path).where(_of(XaiReportRow, user_id)))
    files += former.files_of_user(session, user_id)
    keys = select(ApiKeyRow.id).where(_of(ApiKeyRow, user_id))
    session.execute(delete(LoginSession).where(LoginSession.key_id.in_(keys)))
    session.execute(delete(ModelFileRow).where(ModelFileRow.model_row.in_(rows)))
    work = list(session.scalars(select(LedgerRow).where(_of(LedgerRow, user_id))))
    removals.note_runs(session, work)
    unsent = (OutboxRow.event_type == "dataset.deleted") & OutboxRow.acknowledged_at.is_(None)
    for kind in ERASED.values():
        query = delete(kind).where(_of(kind, user_id))
        session.execute(query.where(~unsent) if kind is OutboxRow else query)
    session.execute(update(LedgerRow).where(_of(LedgerRow, user_id)).values(payload={}, note=None))
    open_rows = (_of(LedgerRow, user_id), LedgerRow.state.in_(datasets.OPEN_STATES))
    session.execute(update(LedgerRow).where(*open_rows).values(state="cancelled"))
    session.execute(update(Decision).where(_of(Decision, user_id)).values(detail=""))
    return files


def _remove_orphans(warehouse: Warehouse, user_id: str) -> int:
    """Objects that no row names: of work that was killed before it could record or remove them."""
    folders = personal_folders(user_id)
    return sum(
        warehouse.objects.delete(name) for folder in folders for name, _ in list(warehouse.objects.stored(folder))
    )
