"""Watches topics live, for people: the command line, the demo, a test. Stores no cursor and starts no work."""

import logging
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Self

from kafka.errors import KafkaError

from mlpipe_dagster.errors import BrokerUnavailable
from mlpipe_dagster.messaging.connection import BrokerAdmin, Connection, unavailable
from mlpipe_dagster.messaging.log_consumer import LogConsumer, Partition
from mlpipe_dagster.messaging.log_ends import log_ends
from mlpipe_dagster.messaging.records import Record
from mlpipe_dagster.messaging.topics import describe

CHECK_SECONDS = 1.0

log = logging.getLogger(__name__)


class Follower:
    """Records of some topics as they arrive, with a consumer of its own; topics that do not exist yet are awaited.

    `from_now` skips what the topics hold at the first poll; a topic that appears later is read from its beginning.
    Iterate until `stop()`, which any thread may call, or call `poll`.
    """

    def __init__(self, connection: Connection, topics: Iterable[str], from_now: bool = True) -> None:
        self._connection = connection
        self._topics = tuple(topics)
        self._skip_existing = from_now
        self._admin = BrokerAdmin(connection)
        self._consumer: LogConsumer | None = None
        self._ids: dict[str, str] = {}
        self._positions: dict[Partition, int] = {}
        self._checked_at = 0.0
        self._stopped = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Record]:
        while not self._stopped.is_set():
            yield from self.poll(1.0)

    def poll(self, wait_seconds: float) -> list[Record]:
        """Records of the next `wait_seconds`, by timestamp; returns as soon as there are any, or when stopped.

        Raises BrokerUnavailable; a later call goes on where this one stood.
        """
        deadline = time.monotonic() + wait_seconds
        try:
            while True:
                records = self._poll_once()
                if records or self._stopped.is_set() or time.monotonic() >= deadline:
                    return records
        except KafkaError as error:
            self._reopen()
            raise unavailable(self._connection, error) from error
        except BrokerUnavailable:
            self._reopen()
            raise

    def stop(self) -> None:
        """End the iteration, within a moment."""
        self._stopped.set()

    def close(self) -> None:
        """Stop, and close the connections."""
        self.stop()
        self._reopen()
        self._admin.close()

    def _poll_once(self) -> list[Record]:
        if time.monotonic() - self._checked_at > CHECK_SECONDS:
            self._check()
        if self._consumer is None:
            self._consumer = LogConsumer(self._connection)
            self._consumer.start(self._positions)
        fetched = self._consumer.poll()
        for moved in fetched.moved:
            log.warning(moved.note)
            self._positions[moved.topic, moved.partition] = moved.now
        for partition, found in fetched.records.items():
            self._positions[partition] = found[-1].offset + 1
        if self._consumer.is_deaf():
            log.warning("Kafka at %s leaves fetches unanswered: connecting anew", self._connection.bootstrap_servers)
            self._reopen()
        return sorted((it for found in fetched.records.values() for it in found), key=lambda it: it.timestamp)

    def _check(self) -> None:
        """Notice topics and partitions that appeared, and topics that were created anew."""
        states = describe(self._admin, self._topics)
        before = dict(self._positions)
        for topic, state in states.items():
            if self._ids.get(topic, state.topic_id) != state.topic_id:
                log.warning("%s was created anew: reading from its beginning", topic)
                self._positions = {place: offset for place, offset in self._positions.items() if place[0] != topic}
            self._ids[topic] = state.topic_id
            for partition in state.partitions:
                self._positions.setdefault((topic, partition), 0)
        if self._skip_existing:
            self._positions = log_ends(self._connection, self._positions).ends
            self._skip_existing = False
        if self._positions != before:
            self._reopen()
        self._checked_at = time.monotonic()

    def _reopen(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            consumer.close()
