"""Time as the contracts write it: naive UTC with microseconds. Nothing else reads the clock for stored times."""

import secrets
from datetime import UTC, datetime


def now() -> datetime:
    """The present in UTC, naive, as stored in the catalogue."""
    return datetime.now(UTC).replace(tzinfo=None)


def iso(moment: datetime) -> str:
    """`2025-10-10T12:00:00.000000`, the form of timestamps in values."""
    return moment.isoformat(timespec="microseconds")


def iso_or_none(moment: datetime | None) -> str | None:
    """The same of a time that may be missing."""
    return iso(moment) if moment else None


def new_event_id(what: str, identifier: str) -> str:
    """`{what}_{id}_{unix seconds}_{8 hex}`: unique even when two are made in one second."""
    return f"{what}_{identifier}_{int(datetime.now(UTC).timestamp())}_{secrets.token_hex(4)}"
