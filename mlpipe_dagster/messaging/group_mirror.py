"""Shows cursors to lag tools: copies offsets into the consumer group that existing workers use.

Nothing of ours reads them back, except a reader that has no cursor yet. A worker of that group does when it starts:
only what nobody but us acts on may be shown.
"""

from collections.abc import Mapping

from kafka import TopicPartition
from kafka.errors import NoError
from kafka.structs import OffsetAndMetadata

from mlpipe_dagster.messaging.connection import BrokerAdmin, BrokerRefuses, Connection


def mirror(connection: Connection, group: str, topic: str, offsets: Mapping[int, int]) -> bool:
    """Commit `{partition: next offset}` for the group; False where Kafka refuses.

    It does while a member is live, and for a moment after it was started. Raises BrokerUnavailable where it is down.
    """
    if not offsets:
        return True
    admin = BrokerAdmin(connection)
    wanted = {
        TopicPartition(topic, partition): OffsetAndMetadata(offset, "", -1) for partition, offset in offsets.items()
    }
    try:
        answers = admin.ask(lambda client: client.alter_group_offsets(group, wanted))
    except BrokerRefuses:
        return False
    finally:
        admin.close()
    return set(answers) == set(wanted) and all(error is NoError for error in answers.values())
