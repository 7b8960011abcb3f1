"""Collects the topics' records from outside, all along: an embedded broker that is killed takes its log with it."""

import json
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Self

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from mlpipe_dagster_tests.end_to_end.outside import TOPICS, Seen

LOOK_SECONDS = 0.5
POLL_MILLISECONDS = 200
END_SECONDS = 60.0

Coordinates = tuple[str, str, int, int]
"""Cluster id, topic, partition, offset."""


@dataclass
class Collector:
    """A consumer in a thread of its own, for as long as the context lasts; it starts over with every new log.

    Each record is kept once. Leaving the context raises what went wrong in the thread.
    """

    bootstrap: str
    topic_prefix: str
    found: dict[Coordinates, Seen] = field(default_factory=dict)
    logs: list[str] = field(default_factory=list)
    """Cluster ids in the order in which they answered: an embedded broker's changes with every start."""
    trouble: BaseException | None = None
    _stopping: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run, name="collector")
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stopping.set()
        self._thread.join()
        if self.trouble:
            raise self.trouble

    def records(self) -> list[Seen]:
        """All there were, in the order in which they came in."""
        return list(self.found.values())

    def read_to_the_end(self) -> None:
        """Read the whole log that is there now once more; for a broker that keeps its log."""
        consumer, cluster = self._consumer(), self._cluster()
        assert consumer is not None and cluster is not None
        ends = consumer.end_offsets(list(consumer.assignment()))
        give_up_at = time.monotonic() + END_SECONDS
        while any(consumer.position(place) < end for place, end in ends.items()):
            assert time.monotonic() < give_up_at, "the log could not be read to its end"
            self._keep(cluster, consumer)
        consumer.close()

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                try:
                    self._follow_one_log()
                except KafkaError:
                    self._stopping.wait(LOOK_SECONDS)
        except BaseException as error:  # the end of the thread: `__exit__` raises it again
            self.trouble = error

    def _follow_one_log(self) -> None:
        cluster = self._cluster()
        consumer = self._consumer() if cluster else None
        if cluster is None or consumer is None:
            self._stopping.wait(LOOK_SECONDS)
            return
        if cluster not in self.logs:
            self.logs.append(cluster)
        look_at = time.monotonic() + LOOK_SECONDS
        while not self._stopping.is_set():
            self._keep(cluster, consumer)
            if time.monotonic() > look_at:
                now = self._cluster()
                if now not in (None, cluster):
                    break
                look_at = time.monotonic() + LOOK_SECONDS
        consumer.close()

    def _keep(self, cluster: str, consumer: Any) -> None:
        for batch in consumer.poll(timeout_ms=POLL_MILLISECONDS).values():
            for record in batch:
                coordinates = (cluster, record.topic, record.partition, record.offset)
                self.found.setdefault(coordinates, self._seen(record))

    def _seen(self, record: Any) -> Seen:
        return Seen(
            record.topic.removeprefix(self.topic_prefix),
            (record.key or b"").decode(),
            json.loads(record.value),
            {name: value.decode() for name, value in record.headers},
        )

    def _consumer(self) -> Any:
        """On all partitions of all topics from their beginning; None while a topic is not there."""
        consumer = KafkaConsumer(bootstrap_servers=self.bootstrap, group_id=None, auto_offset_reset="earliest")
        existing = consumer.topics()  # asking for a single one would make it, with partitions of its own choice
        wanted = {self.topic_prefix + topic for topic in TOPICS}
        if not wanted <= set(existing):
            consumer.close()
            return None
        places = [TopicPartition(topic, number) for topic in sorted(wanted) for number in _partitions(consumer, topic)]
        consumer.assign(places)
        consumer.seek_to_beginning(*places)
        return consumer

    def _cluster(self) -> str | None:
        """Which cluster answers; None while nobody does."""
        try:
            client = KafkaAdminClient(bootstrap_servers=self.bootstrap)
        except KafkaError:
            return None
        try:
            return str(client.describe_cluster()["cluster_id"])
        except KafkaError:
            return None
        finally:
            client.close()


def _partitions(consumer: Any, topic: str) -> Iterable[int]:
    return sorted(consumer.partitions_for_topic(topic) or {0})
