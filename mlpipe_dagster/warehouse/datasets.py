"""Datasets: keys, versions, the uploaded file and what is read from it.

An upload starts a pipeline and supersedes the open work of older versions.
"""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.orm import Session

from mlpipe_dagster import clock
from mlpipe_dagster.errors import Conflict, UnknownThing
from mlpipe_dagster.events import Context, DatasetChanged, DatasetUploaded, UploadedDataset
from mlpipe_dagster.settings import Settings
from mlpipe_dagster.tables.profile import Profile
from mlpipe_dagster.warehouse import audit, former, outbox, removals
from mlpipe_dagster.warehouse.listing import containing, of_version, page_of
from mlpipe_dagster.warehouse.objects import PLOTTED_ASSETS, object_name, plot_name
from mlpipe_dagster.warehouse.outbox import Owner
from mlpipe_dagster.warehouse.schema import (
    BiasReportRow,
    DatasetKey,
    DatasetVersion,
    Decision,
    DeliveryRow,
    FormerResult,
    LedgerRow,
    ModelFileRow,
    ModelRow,
    Notification,
    OutboxRow,
    Pipeline,
    Question,
    TransformationReportRow,
    XaiReportRow,
)
from mlpipe_dagster.warehouse.warehouse import Warehouse

OPEN_STATES = ("expected", "taken", "unknown")
LIVE_STATUSES = ("running", "waiting")
_OF_A_VERSION = (
    XaiReportRow,
    BiasReportRow,
    TransformationReportRow,
    FormerResult,
    Pipeline,
    Question,
    Notification,
    DeliveryRow,
)
"""Rows that go with the version they are about."""


@dataclass(frozen=True)
class Upload:
    """A file that has arrived, and what came with it."""

    user_id: str
    dataset_id: str
    name: str
    filename: str
    file: Path
    file_type: str
    file_size: int
    file_hash: str
    given: bool = False
    """Nobody will write to the file any more."""
    description: str | None = None
    tags: tuple[str, ...] = ()
    custom_metadata: dict[str, Any] | None = None
    columns: list[str] | None = None
    row_count: int | None = None
    data_types: dict[str, str] | None = None


def store_upload(warehouse: Warehouse, upload: Upload) -> DatasetVersion:
    """A new version with its pipeline and its event, in one transaction; older versions' open work is superseded."""
    upload_id = uuid.uuid4().hex
    path = object_name("datasets", upload.user_id, upload.dataset_id, upload_id, upload.filename)
    warehouse.objects.put(path, upload.file, given=upload.given)
    with warehouse.storing([path]) as session:
        version = _add_version(session, upload, path)
        supersede_older(session, version)
        session.add(Pipeline(user_id=version.user_id, dataset_id=version.dataset_id, number=version.number))
        event = uploaded_event(version)
        ce_id = outbox.emit(session, warehouse.settings, event, _context(version), owner_of(version))
        audit.record(
            session, "dataset.uploaded", audit.person(version.user_id), owner_of(version), cause=ce_id,
            file_type=version.file_type, file_size=version.file_size, file_hash=version.file_hash,
        )  # fmt: skip
    return version


def add_mitigated(
    session: Session, settings: Settings, source: DatasetVersion, upload: Upload, path: str, done: dict[str, Any]
) -> DatasetVersion:
    """A version with changed rows beside the one it is made of; announced as `dataset.mitigated`, starting nothing."""
    version = _add_version(session, upload, path)
    version.derived_from, version.correlation_id = source.number, source.correlation_id
    _announce_change(session, settings, "dataset.mitigated", version, {"derived_from": source.version, **done})
    return version


def mitigated_of(session: Session, source: DatasetVersion, done: dict[str, Any]) -> DatasetVersion | None:
    """The version that the very same mitigation has made of this one before."""
    query = select(DatasetVersion).where(
        DatasetVersion.user_id == source.user_id,
        DatasetVersion.dataset_id == source.dataset_id,
        DatasetVersion.derived_from == source.number,
    )
    made = session.scalars(query.order_by(DatasetVersion.number.desc()))
    return next((version for version in made if version.custom_metadata.get("mitigation") == done), None)


def _add_version(session: Session, upload: Upload, path: str) -> DatasetVersion:
    key = session.get(DatasetKey, (upload.user_id, upload.dataset_id), with_for_update=True)
    if key is None:
        key = _new_key(session, upload.user_id, upload.dataset_id)
    key.last_version += 1
    now = clock.now()
    version = DatasetVersion(
        user_id=upload.user_id,
        dataset_id=upload.dataset_id,
        number=key.last_version,
        partition_key=key.partition_key,
        name=upload.name,
        description=upload.description,
        file_type=upload.file_type,
        file_size=upload.file_size,
        original_filename=upload.filename,
        file_path=path,
        file_hash=upload.file_hash,
        columns=upload.columns,
        row_count=upload.row_count,
        data_types=upload.data_types,
        tags=list(upload.tags),
        custom_metadata=upload.custom_metadata or {},
        created_at=now,
        updated_at=now,
        correlation_id=str(uuid.uuid4()),
    )
    session.add(version)
    session.flush()
    return version


def _new_key(session: Session, user_id: str, dataset_id: str) -> DatasetKey:
    partition_key = _partition_safe(dataset_id)
    if session.scalar(select(DatasetKey.user_id).where(DatasetKey.partition_key == partition_key)):
        partition_key = _partition_safe(f"{dataset_id}~{user_id}")
    key = DatasetKey(user_id=user_id, dataset_id=dataset_id, partition_key=partition_key, last_version=0)
    session.add(key)
    return key


def _partition_safe(key: str) -> str:
    """Dagster refuses three dots in a partition key; ids hold no tilde, so this keeps keys apart."""
    while "..." in key:
        key = key.replace("...", ".~.")
    return key


def supersede_older(session: Session, version: DatasetVersion) -> None:
    """Close open rows, questions and pipelines of this dataset's older versions: their saves will store nothing."""
    newer, changed = f"superseded by {version.version}", {}
    for row, states, values in (
        (LedgerRow, LedgerRow.state.in_(OPEN_STATES), {"state": "superseded", "note": newer}),
        (Pipeline, Pipeline.status.in_(LIVE_STATUSES), {"status": "superseded"}),
        (Question, Question.status == "open", {"status": "closed"}),
    ):
        older = (row.user_id == version.user_id, row.dataset_id == version.dataset_id, row.number < version.number)
        done = session.execute(update(row).where(*older, states).values(values))
        changed[row.__tablename__] = done.rowcount  # type: ignore[attr-defined]
    if any(changed.values()):
        actor, owner = audit.person(version.user_id), owner_of(version)
        audit.record(session, "pipeline.superseded", actor, owner, older_than=version.version, **changed)


def uploaded_event(version: DatasetVersion) -> DatasetUploaded:
    """What says that this version was uploaded."""
    content = {name: dataset_object(version)[name] for name in UploadedDataset.model_fields}
    return DatasetUploaded(
        event_id=clock.new_event_id("dataset.uploaded", version.dataset_id),
        timestamp=clock.iso(clock.now()),
        dataset=UploadedDataset.model_validate(content),
    )


def _context(version: DatasetVersion) -> Context:
    return Context(dataset_version=version.version, correlation_id=version.correlation_id)


def owner_of(version: DatasetVersion) -> Owner:
    """Whose version it is."""
    return Owner(version.user_id, version.dataset_id, version.number)


def dataset_object(version: DatasetVersion) -> dict[str, Any]:
    """The dataset as the REST API answers it."""
    return {
        "dataset_id": version.dataset_id,
        "user_id": version.user_id,
        "name": version.name,
        "description": version.description,
        "version": version.version,
        "file_type": version.file_type,
        "file_size": version.file_size,
        "file_path": version.file_path,
        "original_filename": version.original_filename,
        "columns": version.columns,
        "row_count": version.row_count,
        "data_types": version.data_types,
        "tags": version.tags,
        "custom_metadata": version.custom_metadata,
        "created_at": clock.iso(version.created_at),
        "updated_at": clock.iso(version.updated_at),
        "file_hash": version.file_hash,
    }


def latest(session: Session, user_id: str, dataset_id: str) -> DatasetVersion | None:
    """The newest version that was uploaded: one that a mitigation made is no newer one."""
    query = select(DatasetVersion).where(
        DatasetVersion.user_id == user_id,
        DatasetVersion.dataset_id == dataset_id,
        DatasetVersion.derived_from.is_(None),
    )
    return session.scalar(query.order_by(DatasetVersion.number.desc()).limit(1))


def get_version(session: Session, user_id: str, dataset_id: str, version: str | int | None = None) -> DatasetVersion:
    """That version, `v2` or its number; the latest for None.

    Raises
    ------
    UnknownThing
        There is no such dataset or version.
    """
    found = latest(session, user_id, dataset_id) if version is None else numbered(session, user_id, dataset_id, version)
    if found is None:
        which = "" if version is None else f" version {version}"
        raise UnknownThing(f"There is no dataset {dataset_id}{which} of {user_id}.")
    return found


def numbered(session: Session, user_id: str, dataset_id: str, version: str | int) -> DatasetVersion | None:
    """That version, where it is stored."""
    number = version_number(version)
    return session.scalar(
        select(DatasetVersion).where(
            DatasetVersion.user_id == user_id, DatasetVersion.dataset_id == dataset_id, DatasetVersion.number == number
        )
    )


def version_number(version: str | int | None) -> int | None:
    """2 for `v2`; None for what is not a version."""
    if isinstance(version, int):
        return version
    digits = (version or "").removeprefix("v")
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 10 else None


def list_versions(session: Session, user_id: str, dataset_id: str) -> list[DatasetVersion]:
    """All versions, newest first."""
    query = select(DatasetVersion).where(DatasetVersion.user_id == user_id, DatasetVersion.dataset_id == dataset_id)
    return list(session.scalars(query.order_by(DatasetVersion.number.desc())))


def list_datasets(session: Session, user_id: str, skip: int, limit: int) -> list[DatasetVersion]:
    """A user's datasets in their latest versions, newest first."""
    query = _latest_of(user_id).order_by(DatasetVersion.created_at.desc(), DatasetVersion.id.desc())
    return list(session.scalars(query.offset(skip).limit(limit)))


def _latest_of(user_id: str) -> Any:
    newest = (
        select(DatasetVersion.dataset_id, func.max(DatasetVersion.number).label("number"))
        .where(DatasetVersion.user_id == user_id, DatasetVersion.derived_from.is_(None))
        .group_by(DatasetVersion.dataset_id)
        .subquery()
    )
    joined = (newest.c.dataset_id == DatasetVersion.dataset_id) & (newest.c.number == DatasetVersion.number)
    return select(DatasetVersion).join(newest, joined).where(DatasetVersion.user_id == user_id)


def search_datasets(
    session: Session,
    user_id: str,
    text: str | None,
    tags: tuple[str, ...],
    file_type: str | None,
    skip: int,
    limit: int,
) -> list[DatasetVersion]:
    """Latest versions whose name, description or id contains `text`, with any of the tags and the file type."""
    query = _latest_of(user_id)
    if text:
        fields = (DatasetVersion.name, DatasetVersion.description, DatasetVersion.dataset_id)
        query = query.where(or_(*(containing(column, text) for column in fields)))
    if file_type:
        query = query.where(DatasetVersion.file_type == file_type)
    newest_first = query.order_by(DatasetVersion.created_at.desc(), DatasetVersion.id.desc())
    return page_of(session, newest_first, tags, skip, limit)


def update_dataset(warehouse: Warehouse, user_id: str, dataset_id: str, changes: dict[str, Any]) -> DatasetVersion:
    """Change name, description, tags or custom metadata of the latest version; announces `dataset.updated`."""
    with warehouse.transaction() as session:
        version = get_version(session, user_id, dataset_id)
        for name, value in changes.items():
            setattr(version, name, value)
        version.updated_at = clock.now()
        _announce_change(session, warehouse.settings, "dataset.updated", version, changes)
        actor = audit.person(user_id)
        audit.record(session, "dataset.updated", actor, owner_of(version), changed=sorted(changes))
        return version


def _announce_change(
    session: Session, settings: Settings, event_type: Any, version: DatasetVersion, changes: dict[str, Any]
) -> None:
    event = DatasetChanged(
        event_type=event_type,
        event_id=clock.new_event_id(event_type, version.dataset_id),
        timestamp=clock.iso(clock.now()),
        user_id=version.user_id,
        dataset_id=version.dataset_id,
        version=version.version,
        changes=changes,
    )
    outbox.emit(session, settings, event, _context(version), owner_of(version))


@dataclass(frozen=True)
class Deleted:
    """What a deletion removed."""

    versions: int
    files: int
    files_failed: int
    open_runs: tuple[str, ...]
    """Runs that were at work: to be ended."""


def delete_dataset(warehouse: Warehouse, user_id: str, dataset_id: str, version: str | None = None) -> Deleted:
    """Remove a dataset, or one version, with all that was made of it; announces `dataset.deleted`."""
    with warehouse.transaction() as session:
        chosen = get_version(session, user_id, dataset_id, version)
        versions = list_versions(session, user_id, dataset_id)
        if version:
            versions = [one for one in versions if chosen.number in (one.number, one.derived_from)]
        _announce_change(session, warehouse.settings, "dataset.deleted", chosen, {})
        files: list[str] = []
        plots: list[str] = []
        rows: list[LedgerRow] = []
        for one in versions:
            rows += session.scalars(select(LedgerRow).where(*of_version(LedgerRow, one)))
            files += _delete_records(session, one)
            plots += [plot_name(asset, one.user_id, one.dataset_id, one.version) for asset in PLOTTED_ASSETS]
            audit.record(session, "dataset.deleted", audit.person(user_id), owner_of(one))
        removals.note_objects(session, files + plots)
        removals.note_runs(session, rows)
        at_work = tuple(row.run_id for row in rows if row.state == "taken" and row.run_id)
        _empty(rows)
    removed = removals.remove_objects(warehouse, files)
    removals.remove_objects(warehouse, plots)  # not every version has each: not counted
    return Deleted(len(versions), removed, len(files) - removed, at_work)


def _delete_records(session: Session, version: DatasetVersion) -> list[str]:
    models = list(
        session.scalars(
            select(ModelRow).where(
                ModelRow.user_id == version.user_id,
                ModelRow.dataset_id == version.dataset_id,
                ModelRow.dataset_number == version.number,
            )
        )
    )
    model_rows = [model.id for model in models]
    files = [version.file_path] + ([version.parquet_path] if version.parquet_path else [])
    files += session.scalars(select(ModelFileRow.file_path).where(ModelFileRow.model_row.in_(model_rows)))
    session.execute(delete(ModelFileRow).where(ModelFileRow.model_row.in_(model_rows)))
    session.execute(delete(ModelRow).where(ModelRow.id.in_(model_rows)))
    files += session.scalars(select(XaiReportRow.file_path).where(*of_version(XaiReportRow, version)))
    files += former.files_of(session, version.user_id, version.dataset_id, version.number)
    for row in _OF_A_VERSION:
        session.execute(delete(row).where(*of_version(row, version)))
    session.execute(update(Decision).where(*of_version(Decision, version)).values(detail=""))
    about = OutboxRow.event_type != "dataset.deleted"
    session.execute(delete(OutboxRow).where(*of_version(OutboxRow, version), about))
    session.delete(version)
    return files


def _empty(rows: Iterable[LedgerRow]) -> None:
    """They stay, without content: a cause that is delivered again must be known again."""
    for row in rows:
        row.payload = {}
        if row.state in (*OPEN_STATES, "superseded"):  # a late foreign result must not be given to what is gone
            row.state, row.note = "cancelled", "the dataset was deleted"


def find_key(session: Session, dataset_id: str, user_id: str | None = None) -> DatasetKey:
    """The dataset that a path or command means: a dataset_id, perhaps with its user, or a partition key.

    Raises
    ------
    UnknownThing
        There is none.
    Conflict
        Several users have a dataset of that id and no user is named.
    """
    by_name = or_(DatasetKey.dataset_id == dataset_id, DatasetKey.partition_key == dataset_id)
    found = list(session.scalars(select(DatasetKey).where(by_name)))
    if user_id is not None:
        found = [key for key in found if key.user_id == user_id]
    if not found:
        owner = f" of {user_id}" if user_id else ""
        raise UnknownThing(f"There is no dataset {dataset_id}{owner}.")
    if len(found) > 1:
        users = ", ".join(sorted(key.user_id for key in found))
        raise Conflict(f"Several users have a dataset {dataset_id} ({users}). Say whose with user_id.")
    return found[0]


def partition_key_of(session: Session, user_id: str, dataset_id: str) -> str | None:
    """The Dagster partition of a dataset; None for one never uploaded."""
    key = session.get(DatasetKey, (user_id, dataset_id))
    return key.partition_key if key else None


def store_profile(session: Session, version_id: int, parquet_path: str, profile: Profile) -> DatasetVersion:
    """What the dataset stage read: Parquet, profile, and the counts where the upload could not tell them."""
    version = session.get_one(DatasetVersion, version_id)
    version.parquet_path = parquet_path
    version.profile = profile.model_dump(mode="json")
    version.row_count = profile.row_count
    version.columns = profile.names
    version.data_types = {column.name: column.data_type for column in profile.columns}
    return version


def profile_of(version: DatasetVersion) -> Profile | None:
    """The profile that the dataset stage stored."""
    return Profile.model_validate(version.profile) if version.profile else None
