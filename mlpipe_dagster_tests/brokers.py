"""Which Kafka the tests speak to: embedded brokers of their own, or a real one that all of them share.

MLPIPE_TEST_KAFKA=host:port names the real one (`make test-kafka` starts it). There, whoever uses the platform's topics
gives them, and the consumer groups, a prefix of its own, so that no test reads another's records.
"""

import os
import random
from uuid import uuid4

from mlpipe_dagster.messaging.embedded import free_port
from mlpipe_dagster.settings import Settings, settings

REAL_KAFKA = "MLPIPE_TEST_KAFKA"


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
