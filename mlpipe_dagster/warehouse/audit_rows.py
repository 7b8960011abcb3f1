"""The tables of the audit trail: entries, the seals that chain them, and the queue of those that wait for a seal.

Databases refuse to change or remove what is in the first two. What is recorded, sealed and verified: audit.py.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import DDL, ForeignKey, Index, Table, event
from sqlalchemy.orm import Mapped, mapped_column

from mlpipe_dagster.warehouse.schema import Row


class AuditRow(Row):
    """One change of state: what, by whom, when, of what, and caused by what."""

    __tablename__ = "audit"
    __table_args__ = (
        Index("ix_audit_owner", "user_id", "dataset_id", "id"),
        Index("ix_audit_dataset", "dataset_id", "id"),
        Index("ix_audit_what", "what", "id"),
        Index("ix_audit_at", "at"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    actor_kind: Mapped[str]
    """user, service, core, sensor, sweep, courier, run, operator."""
    actor: Mapped[str | None]
    """Which one: a user id, the name of a service, a run id."""
    user_id: Mapped[str | None]
    """Whose dataset, model, key … it is."""
    dataset_id: Mapped[str | None]
    number: Mapped[int | None]
    """Dataset version."""
    what: Mapped[str]
    cause: Mapped[str | None]
    """The `ce_id` (or question, request …) that it follows from."""
    coordinates: Mapped[str | None]
    """`topic/partition/offset` of the event that it follows from."""
    run_id: Mapped[str | None]
    detail: Mapped[dict[str, Any]]


class AuditSeal(Row):
    """The place of an entry in the chain: numbers have no gaps, each hash covers the one before."""

    __tablename__ = "audit_seals"
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    audit_id: Mapped[int] = mapped_column(ForeignKey("audit.id"), unique=True)
    sealed_at: Mapped[datetime]
    previous: Mapped[str]
    hash: Mapped[str]


class AuditPending(Row):
    """An entry that waits for its seal."""

    __tablename__ = "audit_pending"
    audit_id: Mapped[int] = mapped_column(ForeignKey("audit.id"), primary_key=True, autoincrement=False)


REFUSAL = "the audit trail is append-only"

POSTGRES_FUNCTION = f"""
CREATE OR REPLACE FUNCTION mlpipe_append_only() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION '{REFUSAL}'; END $$
"""


def _refuse_changes(table: Table) -> None:
    """Triggers that come with the table; whoever may drop them is found by `mlpipe audit verify`."""
    for action in ("UPDATE", "DELETE"):
        name = f"{table.name}_refuses_{action.lower()}"
        body = f"BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"
        _with_table(table, "sqlite", f"CREATE TRIGGER {name} BEFORE {action} ON {table.name} {body}")
    _with_table(table, "postgresql", POSTGRES_FUNCTION)
    trigger = f"CREATE TRIGGER {table.name}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table.name}"
    _with_table(table, "postgresql", f"{trigger} FOR EACH STATEMENT EXECUTE FUNCTION mlpipe_append_only()")


def _with_table(table: Table, dialect: str, statement: str) -> None:
    ddl = DDL(statement).execute_if(dialect=dialect)  # type: ignore[no-untyped-call]
    event.listen(table, "after_create", ddl)


for name in (AuditRow.__tablename__, AuditSeal.__tablename__):
    _refuse_changes(Row.metadata.tables[name])
