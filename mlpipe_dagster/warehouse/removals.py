"""What a deletion leaves outside the catalogue, objects and runs: noted in its transaction, removed after it.

Whoever deletes removes the objects at once; what a crash or an unreachable store left, and the runs, are the sweep's.
"""

import logging
from collections.abc import Iterable

from sqlalchemy import ColumnElement, String, and_, cast, delete, func, or_, select
from sqlalchemy.orm import Session

from mlpipe_dagster import clock
from mlpipe_dagster.warehouse.objects import ObjectsUnavailable
from mlpipe_dagster.warehouse.outbox import insert_once
from mlpipe_dagster.warehouse.schema import LedgerRow, Removal
from mlpipe_dagster.warehouse.warehouse import Warehouse

log = logging.getLogger(__name__)
OBJECT, RUN, WORK = "object", "run", "work"
AT_ONCE = 200


def note_objects(session: Session, names: Iterable[str]) -> None:
    """These objects are nobody's any more."""
    _note(session, [(OBJECT, name) for name in names])


def note_runs(session: Session, rows: Iterable[LedgerRow]) -> None:
    """Nobody may read any more what the runs of these rows have logged: the one that took a row, and all before it."""
    for row in rows:
        _note(session, [(WORK, str(row.id)), *([(RUN, row.run_id)] if row.run_id else [])])


def _note(session: Session, things: Iterable[tuple[str, str]]) -> None:
    """Each once, however often it is deleted."""
    for kind, name in things:
        insert_once(session, Removal, {"kind": kind, "name": name, "noted_at": clock.now()})


def remove_objects(warehouse: Warehouse, names: Iterable[str]) -> int:
    """Remove noted objects; returns how many there were. What cannot be removed now stays noted."""
    removed = 0
    for name in names:
        try:
            removed += warehouse.objects.delete(name)
        except (ObjectsUnavailable, OSError) as error:
            log.warning("%s is removed later: %s", name, error)
            continue
        with warehouse.transaction() as session:
            session.execute(delete(Removal).where(Removal.kind == OBJECT, Removal.name == name))
    return removed


def objects_left(session: Session) -> list[str]:
    """Objects that are still to be removed, the longest waiting first."""
    query = select(Removal.name).where(Removal.kind == OBJECT)
    return list(session.scalars(query.order_by(Removal.id).limit(AT_ONCE)))


def runs_left(session: Session) -> list[Removal]:
    """Runs, and rows whose runs, are still to be removed, the longest waiting first."""
    query = select(Removal).where(Removal.kind.in_((RUN, WORK)))
    return list(session.scalars(query.order_by(Removal.id).limit(AT_ONCE)))


def forget(session: Session, removal: Removal) -> None:
    """It is gone."""
    session.execute(delete(Removal).where(Removal.id == removal.id))


def count_left(session: Session, user_id: str, folders: Iterable[str]) -> int:
    """How much of a person is still to be removed; `folders` is where their objects lie."""
    rows = select(cast(LedgerRow.id, String)).where(LedgerRow.user_id == user_id)
    runs = select(LedgerRow.run_id).where(LedgerRow.user_id == user_id)
    theirs = or_(
        and_(Removal.kind == OBJECT, or_(*(_is_below(folder) for folder in folders))),
        and_(Removal.kind == WORK, Removal.name.in_(rows)),
        and_(Removal.kind == RUN, Removal.name.in_(runs)),
    )
    return session.scalar(select(func.count()).select_from(Removal).where(theirs)) or 0


def _is_below(folder: str) -> ColumnElement[bool]:
    """By the very letters: LIKE does not tell Ann from ann everywhere."""
    return func.substr(Removal.name, 1, len(folder) + 1) == f"{folder}/"
