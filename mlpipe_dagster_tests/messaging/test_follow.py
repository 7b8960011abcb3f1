"""Following topics live, across restarts of the broker, until told to stop."""

import threading
from collections.abc import Callable

import pytest

from mlpipe_dagster.errors import BrokerUnavailable
from mlpipe_dagster.messaging.connection import Connection
from mlpipe_dagster.messaging.embedded import EmbeddedBroker, free_port
from mlpipe_dagster.messaging.follow import Follower
from mlpipe_dagster.messaging.publisher import Publisher
from mlpipe_dagster.messaging.topics import create_topics
from mlpipe_dagster_tests.messaging.conftest import publish


def test_nobody_listening_is_said_with_the_address() -> None:
    nowhere = f"127.0.0.1:{free_port(23092)}"
    with Follower(Connection(nowhere), ["t"]) as follower, pytest.raises(BrokerUnavailable, match=nowhere):
        follower.poll(0.1)


def test_from_now_skips_what_is_there(broker: Connection, publisher: Publisher, new_topic: Callable[..., str]) -> None:
    topics = [new_topic(), new_topic(partitions=2)]
    for topic in topics:
        publish(publisher, topic, "old")
    with Follower(broker, topics, from_now=True) as follower:
        assert follower.poll(0.2) == []
        publish(publisher, topics[1], "new")
        assert [(it.topic, it.value) for it in follower.poll(10)] == [(topics[1], b"new")]


def test_from_the_beginning_until_stopped(
    broker: Connection, publisher: Publisher, new_topic: Callable[..., str]
) -> None:
    topics = [new_topic() for _ in range(7)]
    for topic in topics:
        publish(publisher, topic, f"old {topic}")
    seen: list[bytes | None] = []
    with Follower(broker, topics, from_now=False) as follower:

        def watch() -> None:
            seen.extend(record.value for record in follower)

        thread = threading.Thread(target=watch)
        thread.start()
        publish(publisher, topics[0], "new")
        while len(seen) < 8 and thread.is_alive():
            thread.join(0.02)
        follower.stop()
        thread.join(10)
        assert not thread.is_alive()
    assert sorted(it for it in seen if it) == sorted([b"new", *(f"old {topic}".encode() for topic in topics)])


def test_a_restart_of_the_broker_and_topics_that_appear_later(own_broker: EmbeddedBroker) -> None:
    connection = Connection(own_broker.address)
    create_topics(connection, ["first"])
    publisher = Publisher(connection)
    publish(publisher, "first", "1")
    with Follower(connection, ["first", "later"], from_now=True) as follower:
        assert follower.poll(0.2) == []
        own_broker.stop()
        with pytest.raises(BrokerUnavailable, match=own_broker.address):
            follower.poll(5)
        own_broker.start()
        create_topics(connection, ["first", "later"])
        publish(publisher, "first", "2")
        publish(publisher, "later", "3")
        seen: list[bytes | None] = []
        while len(seen) < 2:
            seen += [record.value for record in follower.poll(5)]
        assert sorted(it for it in seen if it) == [b"2", b"3"]
    publisher.close()
