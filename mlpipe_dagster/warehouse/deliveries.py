"""The outbox of outside channels: which channels a person has, and what was told to each, or still waits to be.

A delivery becomes a row in the transaction that made its notification or question. Who sends it is courier.py.
"""

import hashlib
import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from mlpipe_dagster import clock
from mlpipe_dagster.channels import addresses
from mlpipe_dagster.errors import UnknownThing, UserError
from mlpipe_dagster.settings import Settings, settings
from mlpipe_dagster.vocabulary import DeliveryState
from mlpipe_dagster.warehouse import audit
from mlpipe_dagster.warehouse.backoff import backoff
from mlpipe_dagster.warehouse.catalogue import Catalogue
from mlpipe_dagster.warehouse.outbox import NEVER, Owner, insert_once
from mlpipe_dagster.warehouse.schema import ChannelRow, DeliveryRow

LEASE = timedelta(seconds=120)
"""Longer than a child may take to send one."""
MOST_CHANNELS = 10
PLATFORM = "platform:"
"""How the channel ids begin that the setting MLPIPE_NOTIFY_URLS names."""

Kind = Literal["notification", "question"]


def platform_channels(values: Settings) -> dict[str, str]:
    """The URLs of the platform's own channels by their ids."""
    urls = values.notify_urls.get_secret_value().split()
    return {f"{PLATFORM}{hashlib.sha256(url.encode()).hexdigest()[:16]}": url for url in urls}


def list_channels(session: Session, user_id: str) -> list[ChannelRow]:
    """A person's own channels, oldest first."""
    query = select(ChannelRow).where(ChannelRow.user_id == user_id)
    return list(session.scalars(query.order_by(ChannelRow.created_at, ChannelRow.id)))


def set_channels(session: Session, user_id: str, urls: Sequence[str], keep: Collection[str], by: str) -> None:
    """From now on the person has the channels `keep`, by id, and those of the URLs, which are known to be good.

    Raises
    ------
    UnknownThing, UserError
        A channel to keep is not theirs; there would be too many.
    """
    known = {row.id: row for row in list_channels(session, user_id)}
    strange = sorted(set(keep) - set(known))
    if strange:
        raise UnknownThing(f"{user_id} has no channel {strange[0]}.")
    new = [url for url in dict.fromkeys(urls) if url not in {known[one].url for one in keep}]
    if len(new) + len(set(keep)) > MOST_CHANNELS:
        raise UserError(f"At most {MOST_CHANNELS} channels. Leave some out.")
    gone = [channel for channel in known if channel not in keep]
    session.execute(delete(ChannelRow).where(ChannelRow.id.in_(gone)))
    for url in new:
        session.add(ChannelRow(id=uuid.uuid4().hex, user_id=user_id, url=url, shown=addresses.shown(url)))
    session.flush()
    shown = [row.shown for row in list_channels(session, user_id)]
    audit.record(session, "channels.set", audit.person(by), Owner(user_id, ""), channels=shown)


def enqueue(session: Session, kind: Kind, message: str, owner: Owner, people: Iterable[str], version: int = 0) -> None:
    """Have a new notification, or version of a question, told to the platform's channels and to those of `people`."""
    now = clock.now()
    wanted = {channel: addresses.shown(url) for channel, url in platform_channels(settings()).items()}
    for user_id in dict.fromkeys(people):
        wanted |= {row.id: row.shown for row in list_channels(session, user_id)}
    for channel, shown in wanted.items():
        values = {
            "kind": kind,
            "message": message,
            "version": version,
            "channel": channel,
            "shown": shown,
            "user_id": owner.user_id,
            "dataset_id": owner.dataset_id,
            "number": owner.number,
            "state": "waiting",
            "attempts": 0,
            "due_at": now,
            "leased_until": NEVER,
            "created_at": now,
        }
        insert_once(session, DeliveryRow, values)


def url_of(session: Session, values: Settings, channel: str) -> str | None:
    """Where a channel leads; None for one that is no more."""
    if channel.startswith(PLATFORM):
        return platform_channels(values).get(channel)
    row = session.get(ChannelRow, channel)
    return row.url if row else None


def claim(catalogue: Catalogue, limit: int) -> list[DeliveryRow]:
    """Lease what is due, oldest first: of two processes one gets a row."""
    now = clock.now()
    due = (DeliveryRow.state == "waiting", DeliveryRow.due_at <= now, DeliveryRow.leased_until < now)
    with catalogue.reading() as session:  # nothing due is the usual case: no write lock for it
        if session.scalar(select(DeliveryRow.id).where(*due).limit(1)) is None:
            return []
    with catalogue.transaction() as session:
        ids = select(DeliveryRow.id).where(*due).order_by(DeliveryRow.id).limit(limit)
        chosen = list(session.scalars(ids.with_for_update(skip_locked=True)))
        session.execute(update(DeliveryRow).where(DeliveryRow.id.in_(chosen)).values(leased_until=now + LEASE))
        return list(session.scalars(select(DeliveryRow).where(DeliveryRow.id.in_(chosen)).order_by(DeliveryRow.id)))


def note_delivered(session: Session, row: DeliveryRow) -> None:
    """The channel took it."""
    _end(session, row, "delivered", None, row.attempts + 1)


def note_dropped(session: Session, row: DeliveryRow, why: str) -> None:
    """Nobody need be told any more."""
    _end(session, row, "dropped", why, row.attempts)


def note_failed(session: Session, values: Settings, row: DeliveryRow, trouble: str, lasting: bool) -> None:
    """The channel did not take it: another try later, unless this was the last or none can help."""
    attempts = row.attempts + 1
    if lasting or attempts >= values.notify_attempts:
        _end(session, row, "failed", trouble, attempts)
        return
    wait = backoff(attempts, values.notify_retry_seconds, values.notify_retry_longest_seconds)
    _change(session, row, attempts=attempts, trouble=trouble, due_at=clock.now() + wait)


def _end(session: Session, row: DeliveryRow, state: DeliveryState, trouble: str | None, attempts: int) -> None:
    ended = _change(session, row, state=state, trouble=trouble, attempts=attempts, ended_at=clock.now())
    if ended and state == "failed":
        owner = Owner(row.user_id, row.dataset_id, row.number)
        audit.record(
            session, "delivery.failed", audit.COURIER, owner, message=row.message, channel=row.shown,
            attempts=attempts,
        )  # fmt: skip


def _change(session: Session, row: DeliveryRow, **values: Any) -> bool:
    """Only while the lease is ours: a process that hung may find that another has told it meanwhile."""
    ours = (DeliveryRow.id == row.id, DeliveryRow.state == "waiting", DeliveryRow.leased_until == row.leased_until)
    changed = session.execute(update(DeliveryRow).where(*ours).values(**values, leased_until=NEVER))
    return bool(changed.rowcount)  # type: ignore[attr-defined]


def of_messages(session: Session, messages: Collection[str]) -> dict[str, list[dict[str, Any]]]:
    """The deliveries of notifications or questions, by their ids, as the REST API answers them."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    query = select(DeliveryRow).where(DeliveryRow.message.in_(messages)).order_by(DeliveryRow.id)
    for row in session.scalars(query) if messages else ():
        found[row.message].append(delivery_object(row))
    return found


def beside(session: Session, objects: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Notifications or questions as the REST API answers them, with their deliveries."""
    told = of_messages(session, [one["id"] for one in objects])
    return [{**one, "deliveries": told.get(one["id"], [])} for one in objects]


def failed_since(session: Session, since: datetime) -> list[DeliveryRow]:
    """Deliveries that ended undelivered since then, newest first."""
    query = select(DeliveryRow).where(DeliveryRow.state == "failed", DeliveryRow.ended_at >= since)
    return list(session.scalars(query.order_by(DeliveryRow.ended_at.desc()).limit(1000)))


def waiting_since(session: Session, since: datetime) -> list[DeliveryRow]:
    """Deliveries that were due before and wait still, newest first."""
    query = select(DeliveryRow).where(DeliveryRow.state == "waiting", DeliveryRow.created_at < since)
    return list(session.scalars(query.order_by(DeliveryRow.created_at.desc()).limit(1000)))


def delivery_object(row: DeliveryRow) -> dict[str, Any]:
    """The delivery as the REST API answers it."""
    return {
        "channel": row.shown,
        "state": row.state,
        "attempts": row.attempts,
        "trouble": row.trouble,
        "next_try_at": clock.iso(row.due_at) if row.state == "waiting" else None,
        "ended_at": clock.iso_or_none(row.ended_at),
    }
