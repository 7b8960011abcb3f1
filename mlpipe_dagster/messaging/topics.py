"""The table of topics, and what the broker knows of them: identity, partitions, existence. Creates what is missing.

A topic's id tells a log from another one of the same name: an embedded broker that restarts always has new ids.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from kafka import KafkaAdminClient
from kafka.errors import NoError, TopicAlreadyExistsError, for_code

from mlpipe_dagster.errors import BrokerUnavailable, MlpipeError
from mlpipe_dagster.messaging.connection import BrokerAdmin, Connection
from mlpipe_dagster.settings import settings

DEAD_LETTER_SUFFIX = ".dlq"
DEAD_LETTER_HEADROOM = 64 * 1024
CREATION_SECONDS = 15.0


class TopicMissing(BrokerUnavailable):
    """The broker answers but has no such topic (yet): to be tried again, like a broker that is down."""

    error_type = "no_topic"


class TopicKind(StrEnum):
    """What a topic is for."""

    PIPELINE = "pipeline"
    NOTICE = "notice"
    DEAD_LETTERS = "dead letters"


@dataclass(frozen=True)
class Topic:
    """A topic of ours; `group` is the consumer group existing workers read it with."""

    name: str
    kind: TopicKind
    group: str | None = None


@dataclass(frozen=True)
class TopicState:
    """What the broker says of a topic now; `leaderless` partitions can be neither read nor written."""

    topic_id: str
    partitions: tuple[int, ...]
    leaderless: tuple[int, ...]


def topic_table() -> tuple[Topic, ...]:
    """All topics in the order of the pipeline: the seven, our two notices, dead letters for each of the seven."""
    known = settings()
    pipeline = {
        known.kafka_dataset_topic: known.kafka_dataset_group,
        known.kafka_bias_trigger_topic: known.kafka_bias_trigger_group,
        known.kafka_bias_topic: known.kafka_bias_group,
        known.kafka_automl_trigger_topic: known.kafka_automl_trigger_group,
        known.kafka_automl_topic: known.kafka_automl_group,
        known.kafka_xai_trigger_topic: known.kafka_xai_trigger_group,
        known.kafka_xai_topic: known.kafka_xai_group,
    }
    notices = (known.kafka_dataset_change_topic, known.kafka_failed_topic)
    return (
        *(Topic(name, TopicKind.PIPELINE, group) for name, group in pipeline.items()),
        *(Topic(name, TopicKind.NOTICE) for name in notices),
        *(Topic(name + DEAD_LETTER_SUFFIX, TopicKind.DEAD_LETTERS) for name in pipeline),
    )


def pipeline_topics() -> tuple[str, ...]:
    """Names of the seven topics of the pipeline, in its order."""
    return tuple(topic.name for topic in topic_table() if topic.kind is TopicKind.PIPELINE)


def all_topics() -> tuple[str, ...]:
    """Names of all topics mlpipe writes to."""
    return tuple(topic.name for topic in topic_table())


def record_limit(connection: Connection, topic: str) -> int:
    """Largest record of a topic in bytes; a dead letter carries more headers than the record it holds."""
    headroom = DEAD_LETTER_HEADROOM if topic.endswith(DEAD_LETTER_SUFFIX) else 0
    return connection.max_message_bytes + headroom


def describe(admin: BrokerAdmin, names: Iterable[str] | None = None) -> dict[str, TopicState]:
    """State of the topics that exist, of those named or of all; never creates one. Raises BrokerUnavailable."""
    wanted = None if names is None else sorted(names)
    found = admin.ask(lambda client: client.describe_topics(wanted))
    return {
        topic["name"]: TopicState(
            topic_id=str(topic["topic_id"]),
            partitions=tuple(sorted(p["partition_index"] for p in topic["partitions"])),
            leaderless=tuple(sorted(p["partition_index"] for p in topic["partitions"] if p["leader_id"] < 0)),
        )
        for topic in found
        if not topic["error_code"] and not topic["is_internal"]
    }


def topic_ids(connection: Connection) -> dict[str, str]:
    """Id of every topic, asked of the broker each time; raises BrokerUnavailable, naming the address."""
    admin = BrokerAdmin(connection)
    try:
        return {name: state.topic_id for name, state in describe(admin).items()}
    finally:
        admin.close()


def create_topics(connection: Connection, names: Iterable[str] | None = None) -> None:
    """Create the topics (default: all of ours) that are missing, and wait until they can be written to.

    Existing topics are left as they are; another process may create them at the same time. Raises BrokerUnavailable,
    or MlpipeError where Kafka refuses a topic, for instance for more replicas than brokers.
    """
    admin = BrokerAdmin(connection, request_seconds=CREATION_SECONDS)
    try:
        wanted = list(all_topics() if names is None else names)
        existing = describe(admin, wanted)
        missing = [name for name in wanted if name not in existing]
        if missing:
            admin.ask(lambda client: _create(client, connection, missing))
    finally:
        admin.close()


def _create(client: KafkaAdminClient, connection: Connection, names: list[str]) -> None:
    wishes = {
        name: {
            "num_partitions": settings().kafka_partitions,
            "replication_factor": settings().kafka_replication,
            "configs": {"max.message.bytes": str(record_limit(connection, name))},
        }
        for name in names
    }
    for answer in client.create_topics(wishes, raise_errors=False)["topics"]:
        error = for_code(answer["error_code"])
        if error not in (NoError, TopicAlreadyExistsError):
            reason = answer["error_message"] or error.__name__
            raise MlpipeError(
                f"Kafka at {connection.bootstrap_servers} did not create the topic {answer['name']}: {reason}"
            )
    client.wait_for_topics(names, timeout_ms=int(CREATION_SECONDS * 1000))
