"""Another try for work whose run died or met a passing trouble: how often, after how long, and the end of it.

Which errors pass stands in trouble.py; who notices a dead run is the sweep.
"""

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from mlpipe_dagster import clock
from mlpipe_dagster.settings import Settings
from mlpipe_dagster.warehouse import audit, failures, ledger
from mlpipe_dagster.warehouse.audit import SWEEP, Actor
from mlpipe_dagster.warehouse.backoff import backoff
from mlpipe_dagster.warehouse.ledger import Claim
from mlpipe_dagster.warehouse.schema import LedgerRow

LONGEST_REASON = 500


def delay(failures_so_far: int, settings: Settings) -> timedelta:
    """How long to wait before the next try."""
    return backoff(failures_so_far, settings.retry_seconds, settings.retry_longest_seconds)


def try_later(
    session: Session,
    settings: Settings,
    row: LedgerRow,
    error_type: str,
    reason: str,
    since: datetime | None = None,
    actor: Actor = SWEEP,
) -> bool:
    """Count a failed try; False when it was the last one and the row has ended for good.

    `since` is when the try failed, by default now. The row's note says why it waits, and for which try.
    """
    row.failures += 1
    reason = " ".join(reason.split())[:LONGEST_REASON].rstrip(".")
    if row.failures >= settings.max_attempts:
        message = (
            f"Tried {row.failures} times in vain, the last time: {reason}. "
            f"When that is mended, try again: mlpipe retry {row.partition_key}"
        )
        failures.fail_row(session, settings, row, error_type, message, row.run_id, actor)
        return False
    now = clock.now()
    row.state, row.retry_at = "expected", min(since or now, now) + delay(row.failures, settings)
    row.note = f"{reason} (try {row.failures + 1} of {settings.max_attempts} from {row.retry_at:%H:%M:%S} UTC)"
    ledger.record(session, "stage.retried", actor, row, error_type=error_type, failures=row.failures)
    return True


def put_back(session: Session, settings: Settings, claim: Claim, error_type: str, reason: str) -> bool:
    """A run gives its row back after a passing trouble; False when it was the last try, or the row is not this run's.

    The row is free for the next run from then on: nothing of this one can be stored any more.
    """
    row = session.get_one(LedgerRow, claim.row_id, with_for_update=True)
    if row.state != "taken" or row.run_id != claim.run_id:
        return False
    return try_later(session, settings, row, error_type, reason, actor=audit.run(claim.run_id))
