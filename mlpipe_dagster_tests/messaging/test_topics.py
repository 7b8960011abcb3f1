"""Topics: the table of names, creating what is missing, and ids that tell one log from another."""

import threading
import time
from collections.abc import Callable
from uuid import UUID, uuid4

import pytest

from mlpipe_dagster.errors import BrokerUnavailable, MlpipeError
from mlpipe_dagster.messaging.connection import BrokerAdmin, Connection, reachable
from mlpipe_dagster.messaging.embedded import EmbeddedBroker, free_port
from mlpipe_dagster.messaging.publisher import Publisher
from mlpipe_dagster.messaging.reader import Cursor, SharedReader
from mlpipe_dagster.messaging.records import OutboundMessage
from mlpipe_dagster.messaging.topics import (
    TopicMissing,
    all_topics,
    create_topics,
    describe,
    pipeline_topics,
    topic_ids,
    topic_table,
)
from mlpipe_dagster.settings import settings
from mlpipe_dagster_tests.messaging.conftest import publish


def test_nobody_listening_is_said_with_the_address() -> None:
    nowhere = f"127.0.0.1:{free_port(23092)}"
    with pytest.raises(BrokerUnavailable, match=f"Kafka unreachable at {nowhere}"):
        topic_ids(Connection(nowhere))
    assert not reachable(Connection(nowhere), timeout=0.3)


def test_an_unknown_host_is_unreachable() -> None:
    assert not reachable(Connection("no-such-host.invalid:9092"), timeout=0.3)


def test_a_broker_answers(broker: Connection) -> None:
    assert reachable(broker)


def test_names_of_the_topics(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KAFKA_DATASET_TOPIC", "KAFKA_BIAS_TOPIC", "KAFKA_AUTOML_TOPIC", "KAFKA_XAI_TOPIC"):
        monkeypatch.delenv(name, raising=False)
    settings.cache_clear()
    seven = (
        "dataset-events",
        "bias-trigger-events",
        "bias-events",
        "automl-trigger-events",
        "automl-events",
        "xai-trigger-events",
        "xai-events",
    )
    assert pipeline_topics() == seven
    assert all_topics() == (*seven, "dataset-change-events", "pipeline-failed-events", *(f"{it}.dlq" for it in seven))
    assert {it.name: it.group for it in topic_table()}["bias-trigger-events"] == "bias-trigger-consumer"


def test_a_renamed_topic_takes_its_dead_letters_along(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BIAS_TOPIC", "acme.bias")
    settings.cache_clear()
    assert {"acme.bias", "acme.bias.dlq"} <= set(all_topics())
    monkeypatch.undo()
    settings.cache_clear()


def test_existing_topics_are_left_alone(broker: Connection, new_topic: Callable[..., str]) -> None:
    name, other = new_topic(partitions=3), f"test-{uuid4().hex[:12]}"
    before = topic_ids(broker)[name]
    create_topics(broker, [name, other])
    create_topics(broker, [name, other])
    admin = BrokerAdmin(broker)
    state = describe(admin, [name])[name]
    admin.close()
    assert (state.topic_id, state.partitions, state.leaderless) == (before, (0, 1, 2), ())
    assert str(UUID(topic_ids(broker)[other])) == topic_ids(broker)[other]


def test_two_processes_may_create_at_once(broker: Connection) -> None:
    name, errors = f"test-{uuid4().hex[:12]}", []

    def create() -> None:
        try:
            create_topics(broker, [name])
        except MlpipeError as error:
            errors.append(error)

    threads = [threading.Thread(target=create) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert name in topic_ids(broker)


def test_asking_for_a_topic_does_not_create_it(broker: Connection) -> None:
    admin, name = BrokerAdmin(broker), f"test-{uuid4().hex[:12]}"
    assert describe(admin, [name]) == {}
    assert describe(admin, [name]) == {}
    admin.close()


def test_a_topic_kafka_refuses_is_named(broker: Connection, real_kafka_only: None) -> None:
    with pytest.raises(MlpipeError, match=r"did not create the topic bad name"):
        create_topics(broker, ["bad name"])


def test_ids_change_when_the_embedded_broker_restarts(own_broker: EmbeddedBroker) -> None:
    connection = Connection(own_broker.address)
    create_topics(connection)
    before = topic_ids(connection)
    own_broker.stop()
    own_broker.start()
    create_topics(connection)
    after = topic_ids(connection)
    assert set(before) == set(after) == set(all_topics())
    assert not set(before.values()) & set(after.values())


def test_clients_that_outlive_a_broker_do_not_create_topics_on_the_next(own_broker: EmbeddedBroker) -> None:
    """A client asks for its topics again in the background; an empty broker would create them its own way."""
    connection = Connection(own_broker.address)
    create_topics(connection, ["t"])
    publisher, reader = Publisher(connection), SharedReader(connection)
    publish(publisher, "t", "1")
    cursor = reader.read("t", Cursor(), 1).cursor
    own_broker.stop()
    own_broker.start()
    for _ in range(10):
        assert isinstance(publisher.publish([OutboundMessage("t", b"k", b"2")])[0], TopicMissing)
        with pytest.raises(TopicMissing):
            reader.read("t", cursor, 0.1)
        time.sleep(0.15)
    assert topic_ids(connection) == {}
    publisher.close()
    reader.close()
