"""Where logs begin and end, as fetches tell it; and a watch that goes on through silence, loss and a new broker."""

from collections.abc import Callable, Iterator

import pytest
from kafka import KafkaAdminClient, TopicPartition

from mlpipe_dagster.messaging import log_watch
from mlpipe_dagster.messaging.connection import Connection
from mlpipe_dagster.messaging.embedded import EmbeddedBroker
from mlpipe_dagster.messaging.log_ends import log_ends
from mlpipe_dagster.messaging.log_watch import LogView, LogWatch
from mlpipe_dagster.messaging.publisher import Publisher
from mlpipe_dagster.messaging.topics import create_topics
from mlpipe_dagster_tests.messaging.conftest import publish


@pytest.fixture
def watching(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., LogWatch]]:
    """Watches over chosen topics that look anew each time and wait for the answer."""
    monkeypatch.setattr(log_watch, "FRESH_SECONDS", 0)
    monkeypatch.setattr(log_watch, "PATIENCE_SECONDS", 60)
    made: list[LogWatch] = []

    def watch(connection: Connection, *topics: str) -> LogWatch:
        monkeypatch.setattr(log_watch, "all_topics", lambda: topics)
        made.append(LogWatch(connection))
        return made[-1]

    yield watch
    for each in made:
        each.close()


def test_ends_of_several_partitions(broker: Connection, publisher: Publisher, new_topic: Callable[..., str]) -> None:
    topic, empty = new_topic(), new_topic(2)
    publish(publisher, topic, "a", "b", "c")
    positions = {(topic, 0): 1, (empty, 0): 0, (empty, 1): 0}
    found = log_ends(broker, positions)
    assert (found.ends, found.moved) == ({(topic, 0): 3, (empty, 0): 0, (empty, 1): 0}, {})


def test_a_watch_sees_what_is_new(
    broker: Connection, publisher: Publisher, topic: str, watching: Callable[..., LogWatch]
) -> None:
    watch = watching(broker, topic, f"{topic}.dlq", "no-such-topic")
    first = watch.view()
    assert first.reachable
    assert set(first.topic_ids) == {topic, f"{topic}.dlq"}
    assert first.ends == {(topic, 0): 0, (f"{topic}.dlq", 0): 0}
    publish(publisher, topic, "a", "b")
    publish(publisher, f"{topic}.dlq", "x")
    second = watch.view()
    assert second.ends == {(topic, 0): 2, (f"{topic}.dlq", 0): 1}
    assert second.begins == {(f"{topic}.dlq", 0): 0}


def test_dead_letters_that_have_expired_are_not_there(
    real_kafka_only: None, broker: Connection, publisher: Publisher, topic: str, watching: Callable[..., LogWatch]
) -> None:
    dlq = f"{topic}.dlq"
    publish(publisher, dlq, "a", "b", "c")
    watch = watching(broker, topic, dlq)
    assert watch.view().begins == {(dlq, 0): 0}
    admin = KafkaAdminClient(**broker.client_options())
    admin.delete_records({TopicPartition(dlq, 0): 2})
    admin.close()
    view = watch.view()
    assert (view.begins, view.ends[dlq, 0]) == ({(dlq, 0): 2}, 3)


def test_a_broker_that_dies_and_one_that_comes_back_empty(
    own_broker: EmbeddedBroker, watching: Callable[..., LogWatch]
) -> None:
    connection = Connection(own_broker.address)
    create_topics(connection, ["t"])
    publisher = Publisher(connection)
    publish(publisher, "t", "a", "b")
    publisher.close()
    watch = watching(connection, "t")
    before = watch.view()
    assert before.ends == {("t", 0): 2}
    own_broker.stop()
    assert watch.view() == LogView()
    own_broker.start()
    create_topics(connection, ["t"])
    after = watch.view()
    assert after.ends == {("t", 0): 0}
    assert after.topic_ids["t"] != before.topic_ids["t"]
