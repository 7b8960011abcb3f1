"""Three brokers, and leaders killed while records come and go: nothing is lost, order is kept, nobody has to help."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from kafka import KafkaAdminClient

from mlpipe_dagster.errors import BrokerUnavailable
from mlpipe_dagster.messaging.connection import Connection
from mlpipe_dagster.messaging.publisher import Publisher
from mlpipe_dagster.messaging.reader import Cursor, SharedReader
from mlpipe_dagster.messaging.records import Acknowledgement, OutboundMessage
from mlpipe_dagster.messaging.topics import create_topics
from mlpipe_dagster.settings import settings
from mlpipe_dagster_tests.tools.apache_kafka.kafka import Cluster, Node

KEYS = 6
TOPIC = "events"
GIVE_UP_SECONDS = 120


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jars: None) -> Iterator[Cluster]:
    """Three nodes, and a topic of three partitions on all of them; two must have a record for an acknowledgement."""
    monkeypatch.setenv("MLPIPE_KAFKA_PARTITIONS", "3")
    monkeypatch.setenv("MLPIPE_KAFKA_REPLICATION", "3")
    settings.cache_clear()
    # a dead node is noticed after 2 s instead of 9
    with Cluster(tmp_path / "kafka", 3, properties={"broker.session.timeout.ms": "2000"}) as running:
        create_topics(Connection(running.bootstrap_servers), [TOPIC])
        yield running
    settings.cache_clear()


@dataclass
class Traffic:
    """A publisher that sends what was not acknowledged again, as the outbox does, and a reader with a cursor."""

    connection: Connection
    acknowledged: list[tuple[bytes, int]] = field(default_factory=list)
    read: list[tuple[bytes, int]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    last_trouble: str = ""
    died_of: list[BaseException] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)
    all_sent: threading.Event = field(default_factory=threading.Event)

    def publish(self) -> None:
        publisher, number = Publisher(self.connection), 0
        with self._watched():
            while not self.stop.is_set():
                waiting = [(f"key {n % KEYS}".encode(), n) for n in range(number, number + 30)]
                number += 30
                while waiting:
                    waiting = self._send(publisher, waiting)
                self.stop.wait(0.05)
        self.all_sent.set()
        publisher.close()

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """A thread that dies says of what: else its silence looks like a broker's."""
        try:
            yield
        except BaseException as error:
            self.died_of.append(error)
            raise

    def _send(self, publisher: Publisher, waiting: list[tuple[bytes, int]]) -> list[tuple[bytes, int]]:
        """What is left, each key's later messages with the first that failed."""
        try:
            outcomes = publisher.publish([OutboundMessage(TOPIC, key, str(n).encode()) for key, n in waiting])
        except BrokerUnavailable:
            return waiting
        stored = [it for it, outcome in zip(waiting, outcomes, strict=True) if isinstance(outcome, Acknowledgement)]
        self.acknowledged += stored
        return [it for it in waiting if it not in stored]

    def consume(self) -> None:
        reader, cursor = SharedReader(self.connection), Cursor()
        with self._watched():
            while not self.all_sent.is_set() or set(self.acknowledged) - set(self.read):
                try:
                    batch = reader.read(TOPIC, cursor, 0.5)
                except BrokerUnavailable as error:
                    self.last_trouble = str(error)
                    continue
                self.notes += batch.notes
                cursor = batch.cursor
                self.read += [(record.key or b"", int(record.value or b"")) for record in batch.records]
        reader.close()

    def wait_for(self, more: int) -> None:
        """Until so many further records were both acknowledged and read."""
        goal, deadline = min(len(self.acknowledged), len(self.read)) + more, time.monotonic() + GIVE_UP_SECONDS
        while min(len(self.acknowledged), len(self.read)) < goal:
            stuck = f"stuck at {len(self.acknowledged)} sent, {len(self.read)} read; reader: {self.last_trouble}"
            assert time.monotonic() < deadline and not self.died_of, f"{stuck}; died of {self.died_of}"
            time.sleep(0.1)


def leader(cluster: Cluster) -> Node:
    """The node that leads the first partition."""
    client = KafkaAdminClient(**Connection(cluster.bootstrap_servers).client_options())
    partitions = client.describe_topics([TOPIC])[0]["partitions"]
    client.close()
    first = next(partition for partition in partitions if partition["partition_index"] == 0)
    return next(node for node in cluster.nodes if node.node_id == first["leader_id"])


def test_leaders_killed_while_records_come_and_go(cluster: Cluster) -> None:
    traffic = Traffic(Connection(cluster.bootstrap_servers))
    threads = [threading.Thread(target=traffic.publish), threading.Thread(target=traffic.consume)]
    for thread in threads:
        thread.start()
    try:
        traffic.wait_for(100)
        for _ in range(2):
            killed = leader(cluster)
            killed.kill()
            traffic.wait_for(200)
            killed.launch()
            killed.wait(3)
            traffic.wait_for(100)
    finally:
        traffic.stop.set()
        for thread in threads:
            thread.join(GIVE_UP_SECONDS)
    assert not any(thread.is_alive() for thread in threads)
    assert traffic.notes == [], "no position was given up"
    assert set(traffic.acknowledged) <= set(traffic.read), "nothing acknowledged is lost"
    for number in range(KEYS):
        key = f"key {number}".encode()
        first_seen = list(dict.fromkeys(n for seen, n in traffic.read if seen == key))
        assert first_seen == sorted(first_seen), f"{key!r} keeps its order"
