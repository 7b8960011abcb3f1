"""Which Kafka the tests speak to: embedded brokers of their own, or a real one that all of them share.

MLPIPE_TEST_KAFKA=host:port names the real one (`make test-kafka` starts it). There, whoever uses the platform's topics
gives them, and the consumer groups, a prefix of its own, so that no test reads another's records.
"""

import os
import random
import time
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from kafka import KafkaConsumer

from mlpipe_dagster.messaging.embedded import free_port
from mlpipe_dagster.settings import Settings, settings

REAL_KAFKA = "MLPIPE_TEST_KAFKA"
MOST_MEMBERS = 4
MEMBER_SECONDS = 30.0


def real_kafka() -> str | None:
    """Address of the real Kafka; None where the tests use embedded brokers."""
    return os.environ.get(REAL_KAFKA) or None


def new_prefix(kafka: str | None) -> str:
    """What the names of one test's topics begin with: nothing where an embedded broker is its own."""
    return f"test-{uuid4().hex[:8]}." if kafka else ""


def topic_variables(prefix: str) -> dict[str, str]:
    """Environment variables that put the prefix before the usual name of every topic and consumer group."""
    named = [field for name, field in Settings.model_fields.items() if name.endswith(("_topic", "_group"))]
    return {str(field.alias): prefix + str(field.default) for field in named}


def called(usual: str) -> str:
    """What the topic or group of that usual name is called in this test."""
    return settings().kafka_dataset_topic.removesuffix("dataset-events") + usual


def some_port() -> int:
    """A free port below those that the system hands out, so that a broker started again finds it free again."""
    return free_port(random.randrange(12000, 30000))


def living_member(topic: str, group: str, options: Mapping[str, Any]) -> KafkaConsumer:
    """A consumer that is a member of the group, with partitions of its own: close it.

    kafka-python 3.0.12 now and then asks for its group for ever and is not answered; another consumer is.
    """
    for _ in range(MOST_MEMBERS):
        member = KafkaConsumer(topic, **options, group_id=group, enable_auto_commit=False)
        give_up_at = time.monotonic() + MEMBER_SECONDS
        while time.monotonic() < give_up_at:
            member.poll(timeout_ms=2000)
            if member.assignment():
                return member
        member.close()
    raise AssertionError(f"no consumer became a member of {group}")
