"""Sends messages and says for each what became of it. Which messages, when and how often is the outbox's business.

The producer is not idempotent (one that outlives an embedded broker times out for ever) and keeps one request in
flight, so order holds for each key; consumers recognise a repetition by its `ce_id`.
"""

import threading
import time
from collections.abc import Iterator, Mapping, Sequence

from kafka import KafkaProducer
from kafka.errors import KafkaError, KafkaTimeoutError, MessageSizeTooLargeError, RecordListTooLargeError
from kafka.producer.future import FutureRecordMetadata
from kafka.serializer import Serializer

from mlpipe_dagster.errors import BrokerUnavailable, MlpipeError, TooLarge
from mlpipe_dagster.messaging.connection import BrokerAdmin, Connection, opened, unavailable
from mlpipe_dagster.messaging.forks import keep_untouched, start_over_in_children
from mlpipe_dagster.messaging.records import Acknowledgement, OutboundMessage
from mlpipe_dagster.messaging.topics import DEAD_LETTER_HEADROOM, TopicMissing, TopicState, describe, record_limit

DELIVERY_SECONDS = 4.0
METADATA_SECONDS = 2.0
WINDOW_BYTES = 4 * 1024 * 1024
WINDOW_MESSAGES = 500

Outcome = Acknowledgement | MlpipeError


class _Null:
    """Stands for a null value: kafka-python refuses a record with neither key nor value, Kafka does not."""


class _ValueSerializer(Serializer):  # type: ignore[misc]  # kafka-python has no types
    def serialize(self, _topic: str, _headers: object, value: bytes | _Null) -> bytes | None:
        return None if isinstance(value, _Null) else value


class Publisher:
    """Publishes from any thread, one batch at a time; survives a fork and the restart of a broker."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._admin = BrokerAdmin(connection)
        self.start_over()
        start_over_in_children(self)

    def start_over(self) -> None:
        """Forget the producer (in a forked child)."""
        keep_untouched(getattr(self, "_producer", None))
        keep_untouched(getattr(self, "_retired", None))
        self._lock = threading.Lock()
        self._producer: KafkaProducer | None = None
        self._retired: list[KafkaProducer] = []
        self._ids: dict[str, str] = {}

    def publish(self, messages: Sequence[OutboundMessage]) -> list[Outcome]:
        """Send in order and wait; for each message its acknowledgement, or the error that it met.

        TooLarge and TopicMissing concern their message alone; after a BrokerUnavailable the rest is not tried. What
        failed may have been stored all the same: a message can arrive twice. Topic ids are read before sending: an id
        that is out of date leads to a repetition, never to a loss. A dead broker costs at most about 8 s.
        Raises BrokerUnavailable where the broker cannot be asked at all.
        """
        if not messages:
            return []
        with self._lock:
            topics = describe(self._admin, {message.topic for message in messages})
            self._renew_if_changed(topics)
            outcomes: list[Outcome] = []
            for window in _windows(messages):
                outcomes += self._send(window, topics)
                lost = _first_lost(outcomes)
                if lost is not None:
                    self._drop_producer()
                    outcomes += [lost] * (len(messages) - len(outcomes))
                    break
            return outcomes

    def close(self) -> None:
        """Close the clients; the next `publish` opens others."""
        with self._lock:
            self._drop_producer()
            self._admin.close()

    def _send(self, window: Sequence[OutboundMessage], topics: Mapping[str, TopicState]) -> list[Outcome]:
        handed: list[FutureRecordMetadata | MlpipeError] = []
        for message in window:
            lost = _first_lost(handed)
            handed.append(lost or self._hand_over(message, topics))
        deadline = time.monotonic() + DELIVERY_SECONDS + 0.5
        return [self._outcome(message, it, topics, deadline) for message, it in zip(window, handed, strict=True)]

    def _hand_over(
        self, message: OutboundMessage, topics: Mapping[str, TopicState]
    ) -> FutureRecordMetadata | MlpipeError:
        if message.topic not in topics:
            return TopicMissing(f"Kafka at {self._connection.bootstrap_servers} has no topic {message.topic}")
        limit = record_limit(self._connection, message.topic)
        if message.size > limit:
            return TooLarge(f"a message of {message.size:,} bytes for {message.topic} is over the limit of {limit:,}")
        try:
            return self._open_producer().send(
                message.topic,
                key=message.key,
                value=_Null() if message.value is None else message.value,
                headers=[(name, value or b"") for name, value in message.headers],
            )
        except KafkaError as error:
            return unavailable(self._connection, error)

    def _outcome(
        self,
        message: OutboundMessage,
        handed: FutureRecordMetadata | MlpipeError,
        topics: Mapping[str, TopicState],
        deadline: float,
    ) -> Outcome:
        if isinstance(handed, MlpipeError):
            return handed
        try:
            stored = handed.get(timeout=max(0.0, deadline - time.monotonic()))
        except (MessageSizeTooLargeError, RecordListTooLargeError) as error:
            return TooLarge(f"Kafka refuses a message of {message.size:,} bytes for {message.topic}: {error}")
        except KafkaError as error:
            return unavailable(self._connection, error)
        return Acknowledgement(topics[message.topic].topic_id, stored.partition, stored.offset, stored.timestamp)

    def _open_producer(self) -> KafkaProducer:
        if self._producer is None:
            self._producer = opened(
                KafkaProducer,
                **self._connection.log_client_options(),
                acks="all",
                enable_idempotence=False,
                max_in_flight_requests_per_connection=1,
                linger_ms=0,
                delivery_timeout_ms=int(DELIVERY_SECONDS * 1000),
                max_block_ms=int(METADATA_SECONDS * 1000),
                max_request_size=self._connection.max_message_bytes + DEAD_LETTER_HEADROOM,
                value_serializer=_ValueSerializer(),
            )
        return self._producer

    def _renew_if_changed(self, topics: Mapping[str, TopicState]) -> None:
        """A topic that was created anew may have other partitions and leaders than the producer remembers."""
        ids = {name: state.topic_id for name, state in topics.items()}
        if any(self._ids.get(name, topic_id) != topic_id for name, topic_id in ids.items()):
            self._drop_producer()
        self._ids.update(ids)

    def _drop_producer(self) -> None:
        if self._producer is not None:
            self._retired.append(self._producer)
            self._producer = None
        self._retired = [producer for producer in self._retired if not _closed(producer)]


def _closed(producer: KafkaProducer) -> bool:
    """Close at once; False while messages that were reported as failed have not timed out inside the client."""
    try:
        producer.close(timeout=0)
    except KafkaTimeoutError:
        return False
    return True


def _windows(messages: Sequence[OutboundMessage]) -> Iterator[Sequence[OutboundMessage]]:
    """Cut into parts that a slow broker acknowledges within the delivery time and that fit into memory."""
    start = size = 0
    for end, message in enumerate(messages):
        if end > start and (size + message.size > WINDOW_BYTES or end - start >= WINDOW_MESSAGES):
            yield messages[start:end]
            start, size = end, 0
        size += message.size
    yield messages[start:]


def _first_lost(results: Sequence[FutureRecordMetadata | Outcome]) -> BrokerUnavailable | None:
    return next((it for it in results if isinstance(it, BrokerUnavailable) and not isinstance(it, TopicMissing)), None)
