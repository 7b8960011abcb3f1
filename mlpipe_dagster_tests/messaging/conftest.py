"""A broker for the tests, embedded or real (brokers.py), and topics of their own on it."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from mlpipe_dagster.messaging.connection import Connection, reachable
from mlpipe_dagster.messaging.embedded import EmbeddedBroker
from mlpipe_dagster.messaging.publisher import Publisher
from mlpipe_dagster.messaging.reader import SharedReader
from mlpipe_dagster.messaging.records import Acknowledgement, OutboundMessage
from mlpipe_dagster.messaging.topics import create_topics
from mlpipe_dagster.settings import settings
from mlpipe_dagster_tests.brokers import REAL_KAFKA, real_kafka, some_port
from mlpipe_dagster_tests.tools.apache_kafka.jars import why_not

SMALL_LIMIT = 200_000


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    """A broker that stays up for the whole session; its records are limited to 200,000 bytes."""
    real = real_kafka()
    if real:
        assert reachable(Connection(real)), f"{REAL_KAFKA}={real} does not answer"
        yield Connection(real, SMALL_LIMIT)
        return
    with EmbeddedBroker(some_port(), tmp_path_factory.mktemp("broker") / "broker.log") as embedded:
        yield Connection(embedded.address, SMALL_LIMIT)


@pytest.fixture(scope="session")
def real_kafka_only() -> None:
    """Skips what the embedded broker cannot do: delete records, refuse a topic."""
    if not real_kafka():
        pytest.skip(f"the embedded broker cannot do this; needs {REAL_KAFKA}=host:port")


@pytest.fixture(scope="session")
def jars(real_kafka_only: None) -> None:
    """Skips where no Apache Kafka of a test's own can be started."""
    obstacle = why_not()
    if obstacle:
        pytest.skip(obstacle)


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[EmbeddedBroker]:
    """An embedded broker that a test may kill and start again."""
    with EmbeddedBroker(some_port(), tmp_path / "broker.log") as embedded:
        yield embedded


@pytest.fixture
def new_topic(broker: Connection, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """Makes topics under names that no other test uses."""

    def make(partitions: int = 1) -> str:
        name = f"test-{uuid4().hex[:12]}"
        monkeypatch.setenv("MLPIPE_KAFKA_PARTITIONS", str(partitions))
        settings.cache_clear()
        create_topics(broker, [name, f"{name}.dlq"])
        return name

    yield make
    settings.cache_clear()


@pytest.fixture
def topic(new_topic: Callable[..., str]) -> str:
    """A topic of one partition."""
    return new_topic()


@pytest.fixture
def publisher(broker: Connection) -> Iterator[Publisher]:
    """A publisher to the session's broker."""
    publisher = Publisher(broker)
    yield publisher
    publisher.close()


@pytest.fixture
def reader(broker: Connection) -> Iterator[SharedReader]:
    """A reader of the session's broker."""
    reader = SharedReader(broker)
    yield reader
    reader.close()


@contextmanager
def frozen(broker: EmbeddedBroker) -> Iterator[None]:
    """The broker's process stands still, every thread of it: the signal alone returns earlier than that."""
    broker.process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, broker.process.pid, os.WSTOPPED)
    try:
        yield
    finally:
        broker.process.send_signal(signal.SIGCONT)


def messages(topic: str, *values: str) -> list[OutboundMessage]:
    """Messages with key `k` and these values."""
    return [OutboundMessage(topic, b"k", value.encode()) for value in values]


def publish(publisher: Publisher, topic: str, *values: str) -> list[Acknowledgement]:
    """Publish these values; every one must be acknowledged."""
    outcomes = publisher.publish(messages(topic, *values))
    for outcome in outcomes:
        assert isinstance(outcome, Acknowledgement), outcome
    return [outcome for outcome in outcomes if isinstance(outcome, Acknowledgement)]
