"""Mirroring cursors into consumer groups, for lag tools only."""

import time
from uuid import uuid4

import pytest
from kafka import KafkaConsumer, TopicPartition

from mlpipe_dagster.errors import BrokerUnavailable
from mlpipe_dagster.messaging.connection import Connection
from mlpipe_dagster.messaging.embedded import free_port
from mlpipe_dagster.messaging.group_mirror import mirror
from mlpipe_dagster_tests.brokers import living_member


def committed(broker: Connection, group: str, topic: str) -> int | None:
    consumer = KafkaConsumer(**broker.client_options(), group_id=group, enable_auto_commit=False)
    offset: int | None = consumer.committed(TopicPartition(topic, 0), timeout_ms=5000)
    consumer.close()
    return offset


def test_a_broker_that_is_down_is_an_error() -> None:
    nowhere = f"127.0.0.1:{free_port(23092)}"
    with pytest.raises(BrokerUnavailable, match=nowhere):
        mirror(Connection(nowhere), "g", "t", {0: 1})


def test_offsets_appear_in_the_group(broker: Connection, topic: str) -> None:
    group = f"group-{uuid4().hex[:8]}"
    while not mirror(broker, group, topic, {0: 41}):  # a Kafka that was just started has no coordinator yet
        time.sleep(0.1)
    assert committed(broker, group, topic) == 41
    assert mirror(broker, group, topic, {0: 42})
    assert committed(broker, group, topic) == 42


def test_nothing_to_mirror_asks_nobody() -> None:
    assert mirror(Connection("127.0.0.1:1"), "g", "t", {})


def test_a_live_member_keeps_its_group(broker: Connection, topic: str, real_kafka_only: None) -> None:
    group = f"group-{uuid4().hex[:8]}"
    member = living_member(topic, group, broker.client_options())
    assert mirror(broker, group, topic, {0: 5}) is False
    member.close()
    assert committed(broker, group, topic) is None
