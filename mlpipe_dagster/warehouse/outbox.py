"""The transactional outbox: events become rows in the transaction that made them true, and leave Kafka-wards after it.

`emit` writes, `flush` publishes what is due, `send_again` finds what a lost broker took with it. When to do so is the
callers' business: hooks, the API and sensors flush after commit; the sweep does the rest.
"""

import json
import uuid
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from sqlalchemy import and_, exists, func, or_, select, update
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session, aliased

from mlpipe_dagster import clock
from mlpipe_dagster.errors import BrokerUnavailable, MlpipeError, TooLarge
from mlpipe_dagster.events import Context, Event, cloud_event_headers, contracts_by_topic
from mlpipe_dagster.messaging.records import Acknowledgement, OutboundMessage
from mlpipe_dagster.messaging.topics import TopicMissing
from mlpipe_dagster.settings import Settings
from mlpipe_dagster.warehouse.catalogue import Catalogue
from mlpipe_dagster.warehouse.schema import Decision, LedgerRow, OutboxRow, Pipeline, ReaderPosition

NAMESPACE = uuid.UUID("5a0d1f0e-6a34-4c7e-9d0a-0f3a4a3b7d11")
NEVER = datetime(1970, 1, 1)
LEASE = timedelta(seconds=30)
HEADROOM_BYTES = 4096  # for key, headers and framing under the topic's limit
IDLE_SECONDS = 30
CLAIM_LOCK = 0x6D6C70697065
"""Key of Postgres's advisory lock for the moment of a claim (SQLite's writers take turns anyway)."""


class Publishes(Protocol):
    """What `flush` needs of Kafka."""

    def publish(self, messages: Sequence[OutboundMessage]) -> list[Acknowledgement | MlpipeError]:
        """One answer for each message, in order."""


@dataclass(frozen=True)
class Owner:
    """Whose event it is: a dataset version (number None: no particular one)."""

    user_id: str
    dataset_id: str
    number: int | None = None


def stable_id(*parts: str) -> str:
    """The same id for the same parts: an effect that is announced twice is announced under one `ce_id`."""
    return str(uuid.uuid5(NAMESPACE, "\x1f".join(parts)))


def emit(
    session: Session,
    settings: Settings,
    event: Event,
    context: Context,
    owner: Owner,
    *,
    ce_id: str | None = None,
    record_key: str | None = None,
) -> str:
    """Write the event into the outbox of the caller's transaction; the same `ce_id` twice is written once.

    An event over the topic's limit goes out without `columns` and `data_types`.
    """
    ce_id = ce_id or str(uuid.uuid4())
    value = event.to_bytes()
    if len(value) > settings.kafka_max_message_bytes - HEADROOM_BYTES:
        value = _without_columns(value)
    values = {
        "ce_id": ce_id,
        "event_type": event.event_type,
        "topic": type(event).topic(settings),
        "record_key": record_key if record_key is not None else event.record_key,
        "value": value.decode(),
        "headers": cloud_event_headers(event, ce_id, context),
        "user_id": owner.user_id,
        "dataset_id": owner.dataset_id,
        "number": owner.number,
        "created_at": clock.now(),
        "leased_until": NEVER,
        "sends": 0,
    }
    insert_once(session, OutboxRow, values)
    return ce_id


def insert_once(session: Session, row: type[Any], values: dict[str, Any]) -> bool:
    """Insert unless a unique constraint says it is there already; True when inserted. Works on SQLite and Postgres."""
    if session.get_bind().dialect.name == "sqlite":
        statement = sqlite_insert(row).values(values).on_conflict_do_nothing()
    else:
        from sqlalchemy.dialects.postgresql import insert as postgres_insert

        statement = postgres_insert(row).values(values).on_conflict_do_nothing()  # type: ignore[assignment]
    return bool(session.execute(statement).rowcount)  # type: ignore[attr-defined]


def _without_columns(value: bytes) -> bytes:
    content = json.loads(value)
    for part in (content.get("dataset"), content.get("metadata")):
        if isinstance(part, dict):
            part.update({name: None for name in ("columns", "data_types") if name in part})
    return json.dumps(content, ensure_ascii=False).encode()


GiveUp = Callable[[Session, OutboxRow], None]


def flush(catalogue: Catalogue, publisher: Publishes, give_up: GiveUp, limit: int = 100) -> None:
    """Publish what is due, in order for each key; what `give_up` writes for a row that can never be delivered, too.

    `give_up` is called for a row over the limit, in the very transaction that marks it undeliverable. A topic that does
    not exist holds up its own rows only.

    Raises
    ------
    BrokerUnavailable
        Kafka cannot be reached, or has no such topic; nothing is lost, the rows stay due.
    """
    missing: dict[str, TopicMissing] = {}
    while rows := _claim(catalogue, limit, missing):
        try:
            answers = publisher.publish([_message(row) for row in rows])
        except BrokerUnavailable:
            _release(catalogue, rows)
            raise
        _record(catalogue, rows, answers, give_up)
        for row, answer in zip(rows, answers, strict=True):
            if isinstance(answer, TopicMissing):
                missing[row.topic] = answer
            elif isinstance(answer, BrokerUnavailable):
                raise answer
    for reason in missing.values():
        raise reason


def _message(row: OutboxRow) -> OutboundMessage:
    headers = tuple((name, str(value).encode()) for name, value in row.headers.items())
    return OutboundMessage(row.topic, row.record_key.encode(), row.value.encode(), headers)


def _claim(catalogue: Catalogue, limit: int, without: Collection[str] = ()) -> list[OutboxRow]:
    """Lease what is due. A row waits while somebody else holds an older unsent row of its topic and key."""
    now = clock.now()
    older = aliased(OutboxRow)
    due = [OutboxRow.acknowledged_at.is_(None), OutboxRow.undeliverable.is_(None), OutboxRow.leased_until < now]
    due.append(OutboxRow.topic.not_in(without))
    held_before = exists().where(
        older.acknowledged_at.is_(None),
        older.undeliverable.is_(None),
        older.topic == OutboxRow.topic,
        older.record_key == OutboxRow.record_key,
        older.id < OutboxRow.id,
        older.leased_until >= now,
    )
    with catalogue.reading() as session:  # nothing due is the usual case: no write lock for it
        if session.scalar(select(OutboxRow.id).where(*due).limit(1)) is None:
            return []
    with catalogue.transaction() as session:
        if session.get_bind().dialect.name == "postgresql":  # else one could not see what another is just leasing
            session.execute(select(func.pg_advisory_xact_lock(CLAIM_LOCK)))
        ids = select(OutboxRow.id).where(*due, ~held_before).order_by(OutboxRow.id).limit(limit)
        ids = ids.with_for_update(skip_locked=True)
        chosen = list(session.scalars(ids))
        session.execute(update(OutboxRow).where(OutboxRow.id.in_(chosen)).values(leased_until=now + LEASE))
        return list(session.scalars(select(OutboxRow).where(OutboxRow.id.in_(chosen)).order_by(OutboxRow.id)))


def _release(catalogue: Catalogue, rows: Sequence[OutboxRow]) -> None:
    with catalogue.transaction() as session:
        ids = [row.id for row in rows]
        session.execute(update(OutboxRow).where(OutboxRow.id.in_(ids)).values(leased_until=NEVER))


def _record(
    catalogue: Catalogue, rows: Sequence[OutboxRow], answers: Sequence[Acknowledgement | MlpipeError], give_up: GiveUp
) -> None:
    with catalogue.transaction() as session:
        for row, answer in zip(rows, answers, strict=True):
            changes: dict[str, Any] = {"leased_until": NEVER}
            if isinstance(answer, Acknowledgement):
                changes |= {
                    "acknowledged_at": clock.now(),
                    "sends": row.sends + 1,
                    "topic_id": answer.topic_id,
                    "partition": answer.partition,
                    "offset": answer.offset,
                }
            elif isinstance(answer, TooLarge):
                changes["undeliverable"] = str(answer)
                give_up(session, row)
            session.execute(update(OutboxRow).where(OutboxRow.id == row.id).values(changes))


def depth(session: Session) -> int:
    """Events that wait to be published."""
    waiting = (OutboxRow.acknowledged_at.is_(None), OutboxRow.undeliverable.is_(None))
    return session.scalar(select(func.count()).select_from(OutboxRow).where(*waiting)) or 0


def send_again(session: Session, settings: Settings, topic_ids: dict[str, str]) -> int:
    """Make due again what was acknowledged and not acted on, where the reader of its topic can no longer meet it.

    Not acted on: a trigger or upload without a ledger row (or decision), a result without a decision. The reader
    cannot meet it when it is past the offset, reads a topic of another id, or has been idle at the log's end. A trigger
    that an open row of a foreign player answers for goes again only to a topic of another id: its broker came back
    empty.
    """
    topics = [topic for topic in contracts_by_topic(settings) if topic in topic_ids]
    _settle(session, topics)
    count = 0
    for topic in topics:
        position = session.get(ReaderPosition, topic)
        for row, waits_for_foreign in session.execute(_unsettled(topic)):
            moved = row.topic_id != topic_ids[topic]
            if moved or (not waits_for_foreign and _out_of_reach(row, position)):
                row.acknowledged_at, row.leased_until = None, NEVER
                count += 1
    return count


_ENTERED = exists().where(LedgerRow.cause == OutboxRow.ce_id)
_FOREIGN_IS_AT_IT = exists().where(
    LedgerRow.cause == OutboxRow.ce_id, LedgerRow.player == "foreign", LedgerRow.state == "expected"
)


def _settle(session: Session, topics: Sequence[str]) -> None:
    """Mark what was acted on, or belongs to a pipeline that has ended badly: only the rest is looked at from now on."""
    decided = exists().where(Decision.cause == OutboxRow.ce_id)
    ended = exists().where(
        Pipeline.user_id == OutboxRow.user_id,
        Pipeline.dataset_id == OutboxRow.dataset_id,
        Pipeline.number == OutboxRow.number,
        # a pipeline is done with its last announcements, which nobody may have read yet
        Pipeline.status.in_(("failed", "cancelled", "superseded")),
    )
    session.execute(
        update(OutboxRow)
        .where(
            OutboxRow.settled.is_(False),
            OutboxRow.topic.in_(topics),
            OutboxRow.acknowledged_at.is_not(None),
            or_(ended, decided, and_(_ENTERED, ~_FOREIGN_IS_AT_IT)),
        )
        .values(settled=True)
        .execution_options(synchronize_session=False)
    )


def _unsettled(topic: str) -> Any:
    return select(OutboxRow, _FOREIGN_IS_AT_IT).where(
        OutboxRow.settled.is_(False), OutboxRow.topic == topic, OutboxRow.acknowledged_at.is_not(None)
    )


def _out_of_reach(row: OutboxRow, position: ReaderPosition | None) -> bool:
    if position is None or position.topic_id != row.topic_id or row.offset is None:
        return False
    next_offset = int(position.offsets.get(str(row.partition), 0))
    if next_offset > row.offset:
        return True
    idle_since = position.idle_since
    acknowledged = row.acknowledged_at or clock.now()
    waited = clock.now() - max(idle_since, acknowledged) if idle_since else timedelta(0)
    return waited > timedelta(seconds=IDLE_SECONDS)
