"""The sweep's view of the ledger: which rows need a run, a recheck, an end. Knows nothing of Dagster's runs.

What a run did is told as `RunSeen` by the caller (defs/sweep.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from sqlalchemy import select
from sqlalchemy.orm import Session

from mlpipe_dagster import clock
from mlpipe_dagster.agentic_core import Notice
from mlpipe_dagster.vocabulary import Role, Stage
from mlpipe_dagster.warehouse import answers, audit, datasets, deadlines, decisions, failures, inbox, ledger, retries
from mlpipe_dagster.warehouse.answers import OVERDUE
from mlpipe_dagster.warehouse.ledger import CORE_PREFIX, UnknownForTooLong
from mlpipe_dagster.warehouse.outbox import Owner
from mlpipe_dagster.warehouse.schema import LedgerRow
from mlpipe_dagster.warehouse.warehouse import FOREIGN, OURS, Warehouse, player_of

LAUNCH_GRACE = timedelta(seconds=20)
MOST_GRACE_DOUBLINGS = 4
SETTLE = timedelta(seconds=3)
RECENTLY = timedelta(minutes=10)


class RunState(Enum):
    """What has become of the run that should be doing a row."""

    NONE = "none"
    ALIVE = "alive"
    DIED = "died"
    CANCELED = "canceled"


@dataclass(frozen=True)
class RunSeen:
    """What Dagster says of that run; of one that died also why, and when."""

    state: RunState
    reason: str = ""
    ended_at: datetime | None = None


@dataclass(frozen=True)
class Wanted:
    """A row that needs a run, under a key of its own."""

    row: LedgerRow
    run_key: str


def rows_without_result(session: Session) -> list[LedgerRow]:
    """Rows of ours that a run should be doing, and those whose next try is due.

    Whoever asks Dagster about them does so outside a transaction.
    """
    now = clock.now()
    unsure = LedgerRow.retry_at.is_(None) & (LedgerRow.requested_at < now - SETTLE)
    query = select(LedgerRow).where(
        LedgerRow.player == OURS,
        LedgerRow.state.in_(("expected", "taken")),
        unsure | (LedgerRow.retry_at <= now),
    )
    return list(session.scalars(query.order_by(LedgerRow.id)))


def run_again(warehouse: Warehouse, seen: LedgerRow, run: RunSeen) -> Wanted | None:
    """Another try for a row whose run never came or died, when it is due and it may have one; else the row ends here.

    `run` says what became of the run of the row as it was `seen`; a row that has changed since is left alone. The run
    of a row that waits for its next try is known to have failed: it is not looked at.
    """
    put_off = seen.retry_at is not None
    if not put_off and (run.state is RunState.ALIVE or (run.state is RunState.NONE and _may_still_come(seen))):
        return None
    with warehouse.transaction() as session:
        row = session.get(LedgerRow, seen.id, with_for_update=True)
        if row is None or _standing(row) != _standing(seen):
            return None
        if put_off:
            return _ask(row)
        match run.state:
            case RunState.CANCELED:
                _cancel(session, row)
            case RunState.DIED:
                goes_on = retries.try_later(session, warehouse.settings, row, RUN_DIED, run.reason, run.ended_at)
                return _ask(row) if goes_on and row.retry_at and row.retry_at <= clock.now() else None
            case _ if row.requests >= warehouse.settings.max_attempts and row.deadline < clock.now():
                message = f"No run could be started. See Dagster's daemon, then: mlpipe retry {row.partition_key}"
                failures.fail_row(session, warehouse.settings, row, "not_started", message)
            case _:
                return _ask(row)
    return None


RUN_DIED = "run_died"


def _may_still_come(row: LedgerRow) -> bool:
    """A run that was asked for may not be created yet: the more often it was asked for, the longer it may take."""
    doublings = min(max(row.requests - 1, 0), MOST_GRACE_DOUBLINGS)
    return clock.now() - row.requested_at < LAUNCH_GRACE * float(2**doublings)


def _ask(row: LedgerRow) -> Wanted:
    row.state, row.run_id, row.retry_at, row.requested_at = "expected", None, None, clock.now()
    row.requests += 1
    return Wanted(row, f"{row.id}/{row.requests}")


def _standing(row: LedgerRow) -> tuple[object, ...]:
    return row.state, row.run_id, row.player, row.requested_at, row.retry_at


def _cancel(session: Session, row: LedgerRow) -> None:
    row.state, row.note = "cancelled", "its run was cancelled"
    ledger.record(session, "stage.cancelled", audit.SWEEP, row)
    owner = Owner(row.user_id, row.dataset_id, row.number)
    pipeline = ledger.get_pipeline(session, owner)
    if pipeline and pipeline.status == "running" and row.continue_pipeline:
        pipeline.status = "cancelled"
        audit.record(session, "pipeline.cancelled", audit.SWEEP, owner, run_id=row.run_id)
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
            ledger.record(session, "stage.cancelled", audit.SWEEP, row)
            continue
        what = "sent no trigger" if row.stage.startswith(CORE_PREFIX) else "brought no result"
        stage = Stage(row.stage.removeprefix(CORE_PREFIX))
        message = (
            f"The foreign worker {what} for {failures.STAGE_TITLES[stage]} in time. "
            "Look at its log, or let ours do it: mlpipe role "
            f"{'agentic-core' if row.stage.startswith(CORE_PREFIX) else stage.value} ours"
        )
        failures.fail_row(session, warehouse.settings, row, OVERDUE, message)


def overdue_rows(session: Session) -> list[LedgerRow]:
    """Rows of ours whose run took them and did not end in time; waiting for a turn does not count."""
    query = select(LedgerRow).where(
        LedgerRow.player == OURS,
        LedgerRow.state == "taken",
        LedgerRow.taken_at.is_not(None),
        LedgerRow.deadline < clock.now(),
    )
    return list(session.scalars(query))


def end_late_run(warehouse: Warehouse, seen: LedgerRow) -> None:
    """End a row whose run is at work beyond its deadline: from here on that run can store nothing."""
    with warehouse.transaction() as session:
        row = session.get(LedgerRow, seen.id, with_for_update=True)
        if row is None or _standing(row) != _standing(seen) or row.taken_at is None:
            return
        message = deadlines.too_late(Stage(row.stage), row.deadline - row.taken_at, row.partition_key)
        failures.fail_row(session, warehouse.settings, row, OVERDUE, message, row.run_id)


def unwanted_rows(session: Session) -> list[LedgerRow]:
    """Rows that somebody or something closed a while ago, perhaps while a run was at work or on its way."""
    query = select(LedgerRow).where(
        LedgerRow.state.in_(("superseded", "cancelled")) | answers.overdue(),
        LedgerRow.updated_at > clock.now() - RECENTLY,
    )
    return list(session.scalars(query))


def done_by(session: Session, run_ids: Sequence[str]) -> list[LedgerRow]:
    """Rows whose result these runs have stored; they may have died before they could say so."""
    query = select(LedgerRow).where(
        LedgerRow.state == "done",
        LedgerRow.run_id.in_(run_ids),
        LedgerRow.updated_at < clock.now() - SETTLE,
    )
    return list(session.scalars(query)) if run_ids else []


def take_over(session: Session, warehouse: Warehouse) -> int:
    """What was asked of a foreign worker whose role is ours now becomes ours, overdue or not; returns how many."""
    open_or_overdue = (LedgerRow.state == "expected") | answers.overdue()
    rows = select(LedgerRow).where(LedgerRow.player == FOREIGN, open_or_overdue).order_by(LedgerRow.id)
    count = 0
    for row in session.scalars(rows):
        if player_of(session, _role(row)) == OURS and not _is_history(session, row):
            ledger.reopen_pipeline(session, row)
            if row.stage.startswith(CORE_PREFIX):
                decisions.decide_in_place_of(session, warehouse, row)
            else:
                row.state, row.note, row.player, row.requested_at = "expected", None, OURS, ledger.NEVER_REQUESTED
            ledger.record(session, "stage.taken_over", audit.SWEEP, row)
            count += 1
    return count


def _role(row: LedgerRow) -> Role:
    return Role.AGENTIC_CORE if row.stage.startswith(CORE_PREFIX) else ledger.STAGE_ROLES[Stage(row.stage)]


def _is_history(session: Session, row: LedgerRow) -> bool:
    """Superseded, or overdue and asked for again since: doing it now would do it twice."""
    newest = datasets.latest(session, row.user_id, row.dataset_id)
    if newest is None or row.number != newest.number:
        return True
    return row.state == "failed" and answers.asked_again(session, row)
