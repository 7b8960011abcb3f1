"""Where logs begin and end, learned from fetches: an embedded broker answers no other way reliably.

For people and lag: the doctor, the follower of topics, the metrics. Readers know their own positions.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from kafka.errors import KafkaError

from mlpipe_dagster.errors import BrokerUnavailable
from mlpipe_dagster.messaging.connection import Connection
from mlpipe_dagster.messaging.log_consumer import LogConsumer, Partition

FETCH_SECONDS = 4.0


@dataclass(frozen=True)
class LogEnds:
    """Offset behind the last record of each partition, and the earliest kept where the asked position was not there."""

    ends: dict[Partition, int]
    moved: dict[Partition, int]


def log_ends(connection: Connection, positions: Mapping[Partition, int]) -> LogEnds:
    """Ask with one fetch at each of these positions; raises BrokerUnavailable, within `FETCH_SECONDS` and a moment."""
    try:
        consumer = LogConsumer(connection)
        try:
            return _listen(consumer, connection, positions)
        finally:
            consumer.close()
    except KafkaError as error:
        raise BrokerUnavailable(f"Kafka at {connection.bootstrap_servers} does not answer a fetch: {error}") from error


def _listen(consumer: LogConsumer, connection: Connection, positions: Mapping[Partition, int]) -> LogEnds:
    consumer.start(positions)
    found = LogEnds({}, {})
    give_up_at = time.monotonic() + FETCH_SECONDS
    while len(found.ends) < len(positions):
        if time.monotonic() > give_up_at:
            raise BrokerUnavailable(f"Kafka at {connection.bootstrap_servers} does not answer a fetch")
        fetched = consumer.poll()
        found.moved.update({(each.topic, each.partition): each.now for each in fetched.moved})
        found.ends.update({place: end for place in positions if (end := consumer.high_water(*place)) is not None})
    return found
