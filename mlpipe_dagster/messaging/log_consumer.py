"""One Kafka consumer over chosen partitions, at positions its user keeps: no group, no commits, no automatic resets.

Says where the log no longer has a position. Used by one thread at a time; who waits for what is the reader's business.
"""

import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import LogTruncationError, OffsetOutOfRangeError

from mlpipe_dagster.messaging.connection import REQUEST_SECONDS, Connection, opened
from mlpipe_dagster.messaging.records import Record

POLL_SECONDS = 0.05  # an embedded broker does not wake a waiting fetch; a longer one would delay newcomers too
DEAF_SECONDS = 5.0
PARTITION_BYTES = 256 * 1024  # of one fetch; a larger record comes alone
# kafka-python 3.0.12 may never again fetch from a partition that is paused while part of its fetch is undelivered:
# every poll must take all that was fetched
EVERYTHING = 1_000_000

Partition = tuple[str, int]


@dataclass(frozen=True)
class Moved:
    """A position the log does not have: `wanted` became `now`, the earliest offset kept."""

    topic: str
    partition: int
    wanted: int
    now: int

    @property
    def note(self) -> str:
        """What happened, for a person."""
        place = f"{self.topic}/{self.partition}"
        if self.now > self.wanted:
            return f"{place}: offsets {self.wanted} to {self.now - 1} have expired unread: reading on at {self.now}"
        return (
            f"{place}: the log ends before offset {self.wanted}, it was cut or restored: reading again from {self.now}"
        )


@dataclass(frozen=True)
class Fetched:
    """What one poll brought."""

    records: dict[Partition, list[Record]]
    moved: tuple[Moved, ...] = ()


class LogConsumer:
    """A consumer whose partitions are paused until they are started at a position."""

    def __init__(self, connection: Connection) -> None:
        self.opened_at = time.monotonic()
        self._assigned: set[TopicPartition] = set()
        self._running: set[TopicPartition] = set()
        self._ends: dict[TopicPartition, int] = {}
        self._heard_at: dict[TopicPartition, float] = {}
        self._kafka = opened(
            KafkaConsumer,
            **connection.log_client_options(),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="none",
            fetch_max_wait_ms=int(POLL_SECONDS * 1000),
            enable_incremental_fetch_sessions=False,  # else an answer says nothing of a partition without news
            max_partition_fetch_bytes=PARTITION_BYTES,
        )

    def start(self, positions: Mapping[Partition, int]) -> None:
        """Read these partitions from these offsets; what was known of their ends is forgotten."""
        wanted = {TopicPartition(*partition): offset for partition, offset in positions.items()}
        self._assign(wanted)
        self._drop_answers(wanted)
        for partition, offset in wanted.items():
            self._kafka.seek(partition, offset)
            self._kafka.resume(partition)
            self._take_end(partition)
            self._ends.pop(partition, None)
            self._heard_at[partition] = time.monotonic()
        self._running |= wanted.keys()

    def pause_all_but(self, topics: Iterable[str]) -> None:
        """Stop fetching what nobody waits for."""
        idle = {partition for partition in self._running if partition.topic not in topics}
        if idle:
            self._kafka.pause(*idle)
            self._running -= idle

    def poll(self) -> Fetched:
        """Wait a moment for records. Raises KafkaError, but is just empty while a broker is down."""
        try:
            fetched = self._kafka.poll(timeout_ms=int(POLL_SECONDS * 1000), max_records=EVERYTHING)
        except OffsetOutOfRangeError as error:
            return Fetched({}, tuple(self._moved(partition, offset) for partition, offset in error.args[0].items()))
        except LogTruncationError as error:
            return Fetched({}, tuple(self._truncated(partition, safe) for partition, safe in divergence(error).items()))
        self._listen()
        return Fetched({tuple(partition): [_record(it) for it in found] for partition, found in fetched.items()})

    def is_deaf(self) -> bool:
        """Whether the broker has answered no fetch of some partition for `DEAF_SECONDS`.

        kafka-python 3.0.12 asks only brokers it has met: where all those are gone, it never finds another leader.
        """
        now = time.monotonic()
        return any(now - self._heard_at[partition] > DEAF_SECONDS for partition in self._running)

    def _listen(self) -> None:
        """Note the ends that fetches brought since the last time; each answer names those of all its partitions."""
        for partition in self._running:
            end = self._take_end(partition)
            if end is not None:
                self._ends[partition], self._heard_at[partition] = end, time.monotonic()

    def _take_end(self, partition: TopicPartition) -> int | None:
        """What the client knows of the end; it keeps it for ever, and an end that was true once passes for silence."""
        state = self._kafka._subscription.assignment[partition]
        end: int | None = state.highwater
        state.highwater = None
        return end

    def _drop_answers(self, partitions: Collection[TopicPartition]) -> None:
        """Forget what was fetched ahead: the client asks again behind records, and its answer may be from long ago."""
        fetcher = self._kafka._fetcher
        answers = fetcher._completed_fetches
        for _ in range(len(answers)):  # the client's thread may append meanwhile
            answer = answers.popleft()
            if answer.topic_partition not in partitions:
                answers.append(answer)
        for partition in partitions:
            fetcher._paused_completed_fetches.pop(partition, None)

    def restart(self, topic: str, partition: int, wanted: int) -> Moved:
        """Go to the earliest offset that is kept, because the log does not have `wanted`."""
        return self._moved(TopicPartition(topic, partition), wanted)

    def high_water(self, topic: str, partition: int) -> int | None:
        """Offset behind the last record as of the last fetch; None before the first since its `start`."""
        return self._ends.get(TopicPartition(topic, partition))

    def close(self) -> None:
        """Close the connection; quick."""
        self._kafka.close(timeout_ms=200)

    def _assign(self, wanted: Iterable[TopicPartition]) -> None:
        new = set(wanted) - self._assigned
        if new:
            self._assigned |= new
            self._kafka.assign(sorted(self._assigned))
            self._kafka.pause(*new)

    def _moved(self, partition: TopicPartition, wanted: int) -> Moved:
        """Go to the earliest offset kept; behind the end of the log too, where offsets may mean other records now."""
        earliest = self._kafka.beginning_offsets([partition], timeout_ms=int(REQUEST_SECONDS * 1000))[partition]
        self._kafka.seek(partition, earliest)
        return Moved(partition.topic, partition.partition, wanted, earliest)

    def _truncated(self, partition: TopicPartition, safe: int | None) -> Moved:
        wanted = self._kafka.position(partition, timeout_ms=int(REQUEST_SECONDS * 1000))
        if safe is None:
            return self._moved(partition, wanted)
        self._kafka.seek(partition, safe)
        return Moved(partition.topic, partition.partition, wanted, safe)


def divergence(error: LogTruncationError) -> dict[TopicPartition, int | None]:
    """For each partition that lost its tail: the offset up to which it is the log that was read; None: unknown."""
    return {tp: None if safe is None else safe.offset for tp, safe in error.divergent_offsets.items()}


def _record(found: ConsumerRecord) -> Record:
    return Record(
        topic=found.topic,
        partition=found.partition,
        offset=found.offset,
        timestamp=found.timestamp,
        key=found.key,
        value=found.value,
        raw_headers=tuple(found.headers),
    )
