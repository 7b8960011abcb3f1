"""The audit trail: who changed what, when and why; append-only, and chained by hashes so that tampering shows.

`record` is called in the transaction that makes the change: entry and change become true together, or not at all. It
only inserts, so writers never wait for each other. `seal` chains what was committed: it alone gives out numbers, one
sealer at a time (SQLite's write lock, Postgres's advisory lock), and the number is the primary key, so that a chain
cannot fork. Each seal is the SHA-256 of the entry as canonical JSON, its number, its time and the hash before. Until
its seal, a moment after the commit, an entry waits in `audit_pending`. What is wrong with a chain: audit_chain.py.

Detail holds names, counts and settings, never rows of a table or secrets.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, delete, func, insert, select, text
from sqlalchemy.orm import Session

from mlpipe_dagster import clock
from mlpipe_dagster.warehouse.audit_rows import AuditPending, AuditRow, AuditSeal
from mlpipe_dagster.warehouse.catalogue import Catalogue
from mlpipe_dagster.warehouse.outbox import Owner

SEALING_LOCK = 0x6D6C61756469
"""Key of Postgres's advisory lock for the moment of sealing (SQLite's writers take turns anyway)."""
SEALED_AT_ONCE = 500
FIRST_PREVIOUS = "0" * 64
NOBODYS = Owner("", "")


@dataclass(frozen=True)
class Actor:
    """Who did it: a kind (user, service, core, sensor, sweep, courier, run, operator) and which one."""

    kind: str
    name: str | None = None


CORE = Actor("core")
SWEEP = Actor("sweep")
SENSOR = Actor("sensor")
COURIER = Actor("courier")
OPERATOR = Actor("operator")
"""Whoever has the command line on the platform's own machine."""

_acting: ContextVar[Actor | None] = ContextVar("mlpipe_actor", default=None)


@contextmanager
def acting(actor: Actor | None) -> Iterator[None]:
    """Inside, `person` and `service` are this actor: set once where a request is authenticated."""
    token = _acting.set(actor)
    try:
        yield
    finally:
        _acting.reset(token)


def person(user_id: str | None) -> Actor:
    """Who asks for something: the authenticated actor of this request, else whom the request names."""
    return _acting.get() or Actor("user", user_id)


def service(name: str) -> Actor:
    """A program of somebody else's: a foreign worker."""
    return _acting.get() or Actor("service", name)


def run(run_id: str | None) -> Actor:
    """A run of ours."""
    return Actor("run", run_id)


def record(
    session: Session,
    what: str,
    actor: Actor,
    owner: Owner = NOBODYS,
    *,
    cause: str | None = None,
    coordinates: str | None = None,
    run_id: str | None = None,
    **detail: Any,
) -> None:
    """Enter a change in the transaction that makes it.

    `what` is `noun.verb` (`dataset.uploaded`, `stage.taken`); `detail` is small JSON without personal rows.
    """
    values = {
        "at": clock.now(),
        "actor_kind": actor.kind,
        "actor": actor.name,
        "user_id": owner.user_id or None,
        "dataset_id": owner.dataset_id or None,
        "number": owner.number,
        "what": what,
        "cause": cause,
        "coordinates": coordinates,
        "run_id": run_id or (actor.name if actor.kind == "run" else None),
        "detail": {name: value for name, value in detail.items() if value is not None},
    }
    connection = session.connection()  # not through the session: what is half made there must not be flushed now
    row_id = connection.scalar(insert(AuditRow).values(values).returning(AuditRow.id))
    connection.execute(insert(AuditPending), {"audit_id": row_id})


def seal(catalogue: Catalogue) -> int:
    """Chain the entries that wait, oldest first; returns how many. Any process may call it at any time."""
    sealed = 0
    while _anything_waits(catalogue):
        with catalogue.transaction() as session:
            sealed += _seal_some(session)
    return sealed


def _anything_waits(catalogue: Catalogue) -> bool:
    with catalogue.reading() as session:
        return session.scalar(select(AuditPending.audit_id).limit(1)) is not None


def _seal_some(session: Session) -> int:
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": SEALING_LOCK})
    query = select(AuditRow).join(AuditPending, AuditPending.audit_id == AuditRow.id)
    rows = list(session.scalars(query.order_by(AuditRow.id).limit(SEALED_AT_ONCE)))
    last = session.scalar(select(AuditSeal).order_by(AuditSeal.number.desc()).limit(1))
    number, previous = (last.number, last.hash) if last else (0, FIRST_PREVIOUS)
    now = clock.now()
    for row in rows:
        number += 1
        digest = hash_of(row, number, now, previous)
        session.add(AuditSeal(number=number, audit_id=row.id, sealed_at=now, previous=previous, hash=digest))
        previous = digest
    session.execute(delete(AuditPending).where(AuditPending.audit_id.in_([row.id for row in rows])))
    return len(rows)


def hash_of(row: AuditRow, number: int, sealed_at: datetime, previous: str) -> str:
    """SHA-256 in hex over the entry as canonical JSON, its place in the chain and the hash before."""
    content = [number, clock.iso(sealed_at), previous, row.id, audit_object(row)]
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def audit_object(row: AuditRow) -> dict[str, Any]:
    """The entry as the REST API answers it, but for its seal."""
    return {
        "id": row.id,
        "at": clock.iso(row.at),
        "actor_kind": row.actor_kind,
        "actor": row.actor,
        "user_id": row.user_id,
        "dataset_id": row.dataset_id,
        "version": f"v{row.number}" if row.number else None,
        "what": row.what,
        "cause": row.cause,
        "coordinates": row.coordinates,
        "run_id": row.run_id,
        "detail": row.detail,
    }


@dataclass(frozen=True)
class AuditFilter:
    """Which entries are meant; what is None does not matter."""

    user_id: str | None = None
    dataset_id: str | None = None
    number: int | None = None
    what: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def list_audit(session: Session, wanted: AuditFilter, after: int, limit: int) -> list[AuditRow]:
    """Entries whose id is beyond `after`, oldest first."""
    query = _matching(wanted).where(AuditRow.id > after)
    return list(session.scalars(query.order_by(AuditRow.id).limit(limit)))


def latest_audit(session: Session, wanted: AuditFilter, limit: int) -> list[AuditRow]:
    """The last entries, newest first."""
    return list(session.scalars(_matching(wanted).order_by(AuditRow.id.desc()).limit(limit)))


def _matching(wanted: AuditFilter) -> Select[AuditRow]:
    query = select(AuditRow)
    for column, value in (
        (AuditRow.user_id, wanted.user_id),
        (AuditRow.dataset_id, wanted.dataset_id),
        (AuditRow.number, wanted.number),
        (AuditRow.what, wanted.what),
    ):
        if value is not None:
            query = query.where(column == value)
    if wanted.since:
        query = query.where(AuditRow.at >= wanted.since)
    if wanted.until:
        query = query.where(AuditRow.at < wanted.until)
    return query


def waiting(session: Session) -> int:
    """How many entries wait for their seal."""
    return session.scalar(select(func.count()).select_from(AuditPending)) or 0
