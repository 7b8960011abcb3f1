"""Which row of the ledger a foreign worker's result answers: foreign workers forward no headers and name no row.

Reads the stored results and the ledger; results.py stores the results, ledger.py has all other states.
"""

from typing import Any

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from mlpipe_dagster import clock
from mlpipe_dagster.vocabulary import Stage
from mlpipe_dagster.warehouse import audit
from mlpipe_dagster.warehouse.listing import of_version
from mlpipe_dagster.warehouse.outbox import Owner
from mlpipe_dagster.warehouse.schema import BiasReportRow, LedgerRow, ModelRow, Pipeline, XaiReportRow

PERSONS_CAUSE = "run:"
"""How the cause of a run begins that a person started in the Dagster UI."""
OVERDUE = "overdue"
"""The `error_type` of work that did not end in time."""


def overdue() -> ColumnElement[bool]:
    """Rows that ended because their time was up; what comes late still counts."""
    return (LedgerRow.state == "failed") & LedgerRow.note.startswith(f"{OVERDUE}:")


def answered_since(session: Session, row: LedgerRow) -> bool:
    """A foreign result stored after the trigger answers it: same version; for explanations same model and level."""
    if row.stage == Stage.BIAS.value:
        query: Any = select(BiasReportRow.id).where(*of_version(BiasReportRow, row))
        query = query.where(BiasReportRow.run_id.is_(None), BiasReportRow.updated_at > row.triggered_at)
    elif row.stage == Stage.AUTOML.value:
        query = select(ModelRow.id).where(*_same_dataset(ModelRow, row), ModelRow.dataset_number == row.number)
        query = query.where(ModelRow.run_id.is_(None), ModelRow.created_at > row.triggered_at)
    elif row.stage == Stage.XAI.value:
        return explained_by_others(session, row)
    else:
        return False
    return session.scalar(query.limit(1)) is not None


def _same_dataset(kind: Any, row: LedgerRow) -> tuple[Any, ...]:
    return kind.user_id == row.user_id, kind.dataset_id == row.dataset_id


def explained_by_others(session: Session, row: LedgerRow) -> bool:
    """Both foreign explanations at the row's level were stored after its trigger."""
    types = session.scalars(
        select(XaiReportRow.report_type).where(
            XaiReportRow.user_id == row.user_id,
            XaiReportRow.dataset_id == row.dataset_id,
            XaiReportRow.model_id == row.payload.get("model_id"),
            XaiReportRow.level == row.payload.get("level"),
            XaiReportRow.foreign.is_(True),
            XaiReportRow.updated_at > row.triggered_at,
        )
    )
    return len(set(types)) == 2


def oldest_unanswered(
    session: Session, stage: Stage, user_id: str, dataset_id: str, **payload: str
) -> LedgerRow | None:
    """The row that a foreign result without a version answers; `payload` is what its trigger must have said.

    Superseded rows are included until their deadline: their worker knows nothing of the newer version; overdue ones
    where no other row waits: a late result is a result. A run that a person started asked no worker.
    """
    late = (LedgerRow.state == "superseded") & (LedgerRow.deadline > clock.now())
    rows = session.scalars(
        select(LedgerRow)
        .where(
            LedgerRow.stage == stage.value,
            LedgerRow.user_id == user_id,
            LedgerRow.dataset_id == dataset_id,
            LedgerRow.state.in_(("expected", "taken")) | late | overdue(),
            ~LedgerRow.cause.startswith(PERSONS_CAUSE),
        )
        .order_by(overdue(), LedgerRow.id)
    )
    asked = (row for row in rows if all(row.payload.get(name) == said for name, said in payload.items()))
    return next((row for row in asked if row.state != "failed" or not asked_again(session, row)), None)


def asked_again(session: Session, row: LedgerRow) -> bool:
    """A later trigger asked for the same stage of this dataset: the row is history."""
    later = select(LedgerRow.id).where(
        LedgerRow.stage == row.stage,
        *_same_dataset(LedgerRow, row),
        LedgerRow.id > row.id,
        ~LedgerRow.cause.startswith(PERSONS_CAUSE),
    )
    return session.scalar(later.limit(1)) is not None


def answer(session: Session, row: LedgerRow) -> None:
    """A foreign result has answered the row. A superseded pipeline stays so; one that had failed over it goes on."""
    if row.stage == Stage.XAI.value and not explained_by_others(session, row):
        return
    if row.state == "failed":
        _go_on(session, row)
    row.state, row.note = "answered", "answered by a foreign result"
    owner, actor = Owner(row.user_id, row.dataset_id, row.number), audit.service(row.stage)
    audit.record(session, "stage.answered", actor, owner, cause=row.cause, coordinates=row.coordinates, stage=row.stage)


def _go_on(session: Session, row: LedgerRow) -> None:
    pipeline = session.scalar(select(Pipeline).where(*of_version(Pipeline, row)))
    if pipeline and pipeline.status == "failed":
        pipeline.status = "running"
