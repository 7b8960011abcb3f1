"""Checks the chain of the audit trail from its beginning: what was changed, is missing, was put in or cut off.

Reads only. How entries are recorded and sealed stands in audit.py.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from mlpipe_dagster.warehouse import audit
from mlpipe_dagster.warehouse.audit_rows import AuditPending, AuditRow, AuditSeal
from mlpipe_dagster.warehouse.catalogue import Catalogue

READ_AT_ONCE = 1000
LATE = timedelta(minutes=10)


@dataclass(frozen=True)
class Chain:
    """What was found: the chain's length and last hash, and what is wrong with it."""

    length: int
    head: str
    waiting: int
    faults: tuple[str, ...]
    late: int
    """Entries sealed more than ten minutes after they say they were written."""


def verify(catalogue: Catalogue, head: str | None = None) -> Chain:
    """Compute every hash again. `head`, kept elsewhere from an earlier time, must be in the chain."""
    with catalogue.reading() as session:
        link = _Links(head)
        for seal, row in _seals(session):
            link.check(seal, row)
        faults = [*link.faults, *_unsealed(session)]
        if not link.head_seen:
            faults.append(f"the head {head} is not in the chain: its end was cut off, or the chain was written anew")
        return Chain(link.number, link.previous, audit.waiting(session), tuple(faults), link.late)


class _Links:
    """Goes along the chain, one seal after the other."""

    def __init__(self, head: str | None) -> None:
        self.number, self.previous = 0, audit.FIRST_PREVIOUS
        self.faults: list[str] = []
        self.late = 0
        self._head = head
        self.head_seen = head in (None, audit.FIRST_PREVIOUS)

    def check(self, seal: AuditSeal, row: AuditRow | None) -> None:
        """The seal follows the one before, and its entry is as it was when it was sealed."""
        expected = self.number + 1
        if seal.number > expected:
            which = f"{expected}" if seal.number == expected + 1 else f"{expected} to {seal.number - 1}"
            self.faults.append(f"missing: seal {which}")
        elif seal.previous != self.previous:
            self.faults.append(f"seal {seal.number} does not follow seal {self.number}: one of them was changed")
        if row is None:
            self.faults.append(f"missing: entry {seal.audit_id} (seal {seal.number})")
        elif audit.hash_of(row, seal.number, seal.sealed_at, seal.previous) != seal.hash:
            self.faults.append(f"changed: entry {row.id} ({row.what}, seal {seal.number})")
        self.late += row is not None and seal.sealed_at - row.at > LATE
        self.head_seen = self.head_seen or seal.hash == self._head
        self.number, self.previous = seal.number, seal.hash


def _seals(session: Session) -> Iterator[tuple[AuditSeal, AuditRow | None]]:
    query = select(AuditSeal, AuditRow).outerjoin(AuditRow, AuditRow.id == AuditSeal.audit_id)
    rows = session.execute(query.order_by(AuditSeal.number).execution_options(yield_per=READ_AT_ONCE))
    yield from ((seal, row) for seal, row in rows)


def _unsealed(session: Session) -> Iterator[str]:
    """Entries that have no seal and wait for none were not written by us; what waits must be there."""
    query = (
        select(AuditRow.id, AuditRow.what)
        .outerjoin(AuditSeal, AuditSeal.audit_id == AuditRow.id)
        .outerjoin(AuditPending, AuditPending.audit_id == AuditRow.id)
        .where(AuditSeal.number.is_(None), AuditPending.audit_id.is_(None))
    )
    for number, what in session.execute(query.order_by(AuditRow.id)):
        yield f"put in: entry {number} ({what}) was never sealed, or its seal was cut off"
    lost = select(func.count()).select_from(AuditPending).outerjoin(AuditRow, AuditRow.id == AuditPending.audit_id)
    count = session.scalar(lost.where(AuditRow.id.is_(None)))
    if count:
        yield f"missing: {count} entries that waited for their seal"
