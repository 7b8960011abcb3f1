"""The sweep's view of the ledger: which rows need a run, a recheck, an end. Knows nothing of Dagster's runs.

What a run did is told as `RunState`s by the caller (defs/sweep.py).
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum

from sqlalchemy import select
from sqlalchemy.orm import Session

from mlpipe_dagster import clock
from mlpipe_dagster.agentic_core import Notice
from mlpipe_dagster.vocabulary import Role, Stage
from mlpipe_dagster.warehouse import datasets, decisions, failures, inbox, ledger
from mlpipe_dagster.warehouse.ledger import CORE_PREFIX, UnknownForTooLong
from mlpipe_dagster.warehouse.outbox import Owner
from mlpipe_dagster.warehouse.schema import LedgerRow
from mlpipe_dagster.warehouse.warehouse import FOREIGN, OURS, Warehouse, player_of

LAUNCH_GRACE = timedelta(seconds=20)
SETTLE = timedelta(seconds=3)
OVERDUE = "overdue"


class RunState(Enum):
    """What has become of the runs of a row."""

    NONE = "none"
    ALIVE = "alive"
    DIED = "died"
    CANCELED = "canceled"


@dataclass(frozen=True)
class Wanted:
    """A row that needs a run, under a key of its own."""

    row: LedgerRow
    run_key: str


def rows_without_result(session: Session) -> list[LedgerRow]:
    """Rows of ours that a run should be doing: whoever asks Dagster about them does so outside a transaction."""
    query = select(LedgerRow).where(
        LedgerRow.player == OURS,
        LedgerRow.state.in_(("expected", "taken")),
        LedgerRow.requested_at < clock.now() - SETTLE,
    )
    return list(session.scalars(query.order_by(LedgerRow.id)))


def run_again(warehouse: Warehouse, seen: LedgerRow, state: RunState, runs: int) -> Wanted | None:
    """Another attempt for a row whose run never came or died, where it may have one; else the row ends here.

    `state` and `runs` say what became of the runs of the row as it was `seen`, and how many there were; a row that has
    changed since is left alone.
    """
    now = clock.now()
    if state is RunState.ALIVE or (state is RunState.NONE and now - seen.requested_at < LAUNCH_GRACE):
        return None
    with warehouse.transaction() as session:
        row = session.get(LedgerRow, seen.id, with_for_update=True)
        if row is None or _standing(row) != _standing(seen):
            return None
        if state is RunState.CANCELED:
            _cancel(session, row)
        elif runs >= warehouse.settings.max_attempts:
            message = f"The run died {runs} times. Look at its last run, then start it again."
            failures.fail_row(session, warehouse.settings, row, "run_died", message, row.run_id)
        else:
            row.state, row.run_id, row.requested_at = "expected", None, now
            return Wanted(row, f"{row.id}/{runs + 1}")
    return None


def _standing(row: LedgerRow) -> tuple[object, ...]:
    return row.state, row.run_id, row.player, row.requested_at


def _cancel(session: Session, row: LedgerRow) -> None:
    row.state, row.note = "cancelled", "its run was cancelled"
    owner = Owner(row.user_id, row.dataset_id, row.number)
    pipeline = ledger.get_pipeline(session, owner)
    if pipeline and pipeline.status == "running" and row.continue_pipeline:
        pipeline.status = "cancelled"
        notice = Notice(f"{row.dataset_id}: cancelled", f"The run of the stage {row.stage} was cancelled.", "warning")
        inbox.notify(session, owner, notice, f"cancelled:{row.id}")


def recheck_unknown(session: Session, warehouse: Warehouse) -> None:
    """Triggers whose dataset or model was not known: look again, and end those that waited too long."""
    for row in session.scalars(select(LedgerRow).where(LedgerRow.state == "unknown")):
        try:
            ledger.recheck_unknown(session, warehouse.settings, row)
        except UnknownForTooLong as error:
            failures.fail_row(session, warehouse.settings, row, error.kind, str(error))


def end_overdue(session: Session, warehouse: Warehouse) -> None:
    """Foreign workers swallow their errors: what is past its deadline ends with a notice that says what to do."""
    overdue = select(LedgerRow).where(
        LedgerRow.player == FOREIGN, LedgerRow.state == "expected", LedgerRow.deadline < clock.now()
    )
    for row in session.scalars(overdue):
        if player_of(session, _role(row)) == OURS:  # it is being taken over
            continue
        pipeline = ledger.get_pipeline(session, Owner(row.user_id, row.dataset_id, row.number))
        if pipeline and pipeline.status in ("failed", "cancelled"):
            row.state, row.note = "cancelled", f"the pipeline has {pipeline.status} before"
            continue
        what = "sent no trigger" if row.stage.startswith(CORE_PREFIX) else "brought no result"
        stage = Stage(row.stage.removeprefix(CORE_PREFIX))
        message = (
            f"The foreign worker {what} for {failures.STAGE_TITLES[stage]} in time. "
            "Look at its log, or let ours do it: mlpipe role "
            f"{'agentic-core' if row.stage.startswith(CORE_PREFIX) else stage.value} ours"
        )
        failures.fail_row(session, warehouse.settings, row, OVERDUE, message)


def superseded_runs(session: Session) -> list[LedgerRow]:
    """Rows that a newer upload or a deletion closed while their run was at work."""
    query = select(LedgerRow).where(
        LedgerRow.state.in_(("superseded", "cancelled")),
        LedgerRow.run_id.is_not(None),
        LedgerRow.updated_at > clock.now() - timedelta(minutes=10),
    )
    return list(session.scalars(query))


def recently_done(session: Session) -> list[LedgerRow]:
    """Rows whose result was stored a moment ago: their run may have died before it materialized."""
    now = clock.now()
    query = select(LedgerRow).where(
        LedgerRow.state == "done",
        LedgerRow.run_id.is_not(None),
        LedgerRow.updated_at.between(now - timedelta(minutes=10), now - SETTLE),
    )
    return list(session.scalars(query))


def take_over(session: Session, warehouse: Warehouse) -> int:
    """What was asked of a foreign worker whose role is ours now becomes ours, overdue or not; returns how many."""
    overdue = (LedgerRow.state == "failed") & LedgerRow.note.startswith(f"{OVERDUE}:")
    open_or_overdue = select(LedgerRow).where(LedgerRow.player == FOREIGN, (LedgerRow.state == "expected") | overdue)
    count = 0
    for row in session.scalars(open_or_overdue.order_by(LedgerRow.id)):
        if player_of(session, _role(row)) == OURS and not _is_superseded(session, row):
            ledger.reopen_pipeline(session, row)
            if row.stage.startswith(CORE_PREFIX):
                decisions.decide_in_place_of(session, warehouse, row)
            else:
                row.state, row.note, row.player, row.requested_at = "expected", None, OURS, ledger.NEVER_REQUESTED
            count += 1
    return count


def _role(row: LedgerRow) -> Role:
    return Role.AGENTIC_CORE if row.stage.startswith(CORE_PREFIX) else ledger.STAGE_ROLES[Stage(row.stage)]


def _is_superseded(session: Session, row: LedgerRow) -> bool:
    newest = datasets.latest(session, row.user_id, row.dataset_id)
    return newest is None or row.number != newest.number
