"""Shows cursors to lag tools: copies offsets into the consumer group that existing workers use.

Nothing reads them back, except a reader that has no cursor yet.
"""

from collections.abc import Mapping

from kafka import TopicPartition
from kafka.errors import NoError
from kafka.structs import OffsetAndMetadata

from mlpipe_dagster.messaging.connection import BrokerAdmin, Connection


def mirror(connection: Connection, group: str, topic: str, offsets: Mapping[int, int]) -> bool:
    """Commit `{partition: next offset}` for the group; False where Kafka refuses, as it does while a member is live.

    Raises BrokerUnavailable where the broker or the group's coordinator does not answer.
    """
    if not offsets:
        return True
    admin = BrokerAdmin(connection)
    wanted = {
        TopicPartition(topic, partition): OffsetAndMetadata(offset, "", -1) for partition, offset in offsets.items()
    }
    try:
        answers = admin.ask(lambda client: client.alter_group_offsets(group, wanted))
    finally:
        admin.close()
    return set(answers) == set(wanted) and all(error is NoError for error in answers.values())
