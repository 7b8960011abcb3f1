"""Stored models: read, listed, searched, changed, deleted. New versions are stored in results.py."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, delete, func, or_, select
from sqlalchemy.orm import Session

from mlpipe_dagster import clock
from mlpipe_dagster.errors import Conflict, UnknownThing
from mlpipe_dagster.warehouse import audit, datasets, removals
from mlpipe_dagster.warehouse.listing import containing, page_of
from mlpipe_dagster.warehouse.outbox import Owner
from mlpipe_dagster.warehouse.schema import ModelFileRow, ModelRow
from mlpipe_dagster.warehouse.warehouse import Warehouse


@dataclass(frozen=True)
class ModelFilter:
    """What a list is narrowed to; None and () mean anything."""

    text: str | None = None
    framework: str | None = None
    model_type: str | None = None
    tags: tuple[str, ...] = ()


def list_models(session: Session, user_id: str, wanted: ModelFilter, skip: int, limit: int) -> list[ModelRow]:
    """A user's models in their latest versions, newest first; the text may stand in name, description or id."""
    query = _latest_of(user_id)
    if wanted.text:
        fields = (ModelRow.name, ModelRow.description, ModelRow.model_id)
        query = query.where(or_(*(containing(column, wanted.text) for column in fields)))
    if wanted.framework:
        query = query.where(ModelRow.framework == wanted.framework)
    if wanted.model_type:
        query = query.where(ModelRow.model_type == wanted.model_type)
    newest_first = query.order_by(ModelRow.created_at.desc(), ModelRow.id.desc())
    return page_of(session, newest_first, wanted.tags, skip, limit)


def _latest_of(user_id: str) -> Select[ModelRow]:
    newest = (
        select(ModelRow.model_id, func.max(ModelRow.number).label("number"))
        .where(ModelRow.user_id == user_id)
        .group_by(ModelRow.model_id)
        .subquery()
    )
    joined = (newest.c.model_id == ModelRow.model_id) & (newest.c.number == ModelRow.number)
    return select(ModelRow).join(newest, joined).where(ModelRow.user_id == user_id)


def get_model(session: Session, user_id: str, model_id: str, version: str | int | None = None) -> ModelRow | None:
    """That version of a model; the latest for None."""
    query = select(ModelRow).where(ModelRow.user_id == user_id, ModelRow.model_id == model_id)
    if version is not None:
        query = query.where(ModelRow.number == datasets.version_number(version))
    return session.scalar(query.order_by(ModelRow.number.desc()).limit(1))


def model_files(session: Session, model: ModelRow) -> list[ModelFileRow]:
    """The files of a model version, the primary one first."""
    query = select(ModelFileRow).where(ModelFileRow.model_row == model.id)
    return list(session.scalars(query.order_by(ModelFileRow.is_primary.desc(), ModelFileRow.filename)))


def model_of(session: Session, user_id: str, model_id: str, version: str | None = None) -> ModelRow:
    """That version, the latest for None; raises UnknownThing."""
    found = get_model(session, user_id, model_id, version)
    if found is None:
        which = f" version {version}" if version else ""
        raise UnknownThing(f"There is no model {model_id}{which} of {user_id}.")
    return found


def any_trained_here(session: Session) -> bool:
    """Whether there is a model that did not come from outside."""
    return session.scalar(select(ModelRow.id).where(ModelRow.run_id.is_not(None)).limit(1)) is not None


def _only_version(session: Session, user_id: str, model_id: str, version: str | None) -> ModelRow:
    """The version that a change means; raises Conflict where none is named and there are several."""
    found = model_of(session, user_id, model_id, version)
    if version is None:
        count = select(func.count()).where(ModelRow.user_id == user_id, ModelRow.model_id == model_id)
        if (session.scalar(count) or 0) > 1:
            raise Conflict(f"The model {model_id} has several versions. Say which with ?version=, such as ?version=v1.")
    return found


def update_model(
    warehouse: Warehouse, user_id: str, model_id: str, version: str | None, changes: dict[str, Any]
) -> ModelRow:
    """Change what is said about a model version.

    Raises
    ------
    UnknownThing, Conflict
        There is none; there are several and no version is named.
    """
    with warehouse.transaction() as session:
        row = _only_version(session, user_id, model_id, version)
        for name, value in changes.items():
            setattr(row, name, value)
        row.updated_at = clock.now()
        _record(session, "model.updated", row, changed=sorted(changes))
    return row


def delete_model(warehouse: Warehouse, user_id: str, model_id: str, version: str | None) -> ModelRow:
    """Remove a model version with its files; its number is never used again. Raises as `update_model`."""
    with warehouse.transaction() as session:
        row = _only_version(session, user_id, model_id, version)
        names = [file.file_path for file in model_files(session, row)]
        session.execute(delete(ModelFileRow).where(ModelFileRow.model_row == row.id))
        session.delete(row)
        _record(session, "model.deleted", row)
        removals.note_objects(session, names)
    removals.remove_objects(warehouse, names)
    return row


def _record(session: Session, what: str, row: ModelRow, **detail: Any) -> None:
    owner, actor = Owner(row.user_id, row.dataset_id or "", row.dataset_number), audit.person(row.user_id)
    audit.record(session, what, actor, owner, model=row.model_id, model_version=row.version, **detail)
