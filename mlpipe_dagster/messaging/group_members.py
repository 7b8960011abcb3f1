"""Who reads a topic in a consumer group: how many members a group has now. Joins none and commits nothing."""

from collections import defaultdict
from collections.abc import Collection, Mapping

from kafka import KafkaAdminClient
from kafka.errors import for_code
from kafka.protocol.admin import DescribeGroupsRequest

from mlpipe_dagster.messaging.connection import BrokerAdmin


def count_members(admin: BrokerAdmin, groups: Collection[str]) -> Mapping[str, int]:
    """Live members of each group; a group that nobody ever joined has none. Raises BrokerUnavailable."""
    return admin.ask(lambda client: _describe(client, groups))


def _describe(client: KafkaAdminClient, groups: Collection[str]) -> dict[str, int]:
    """The client's own `describe_groups` insists on the allowed operations, which the embedded broker answers wrong."""

    async def ask() -> dict[str, int]:
        coordinators: dict[int, list[str]] = defaultdict(list)
        for group, node in (await client._find_coordinator_ids(groups)).items():
            coordinators[node].append(group)
        members = {}
        for node, theirs in coordinators.items():
            request = DescribeGroupsRequest(groups=theirs, include_authorized_operations=False)
            answer = await client._manager.send(request, node_id=node)
            for group in answer.groups:
                members[group.group_id] = _members(group)
        return members

    found: dict[str, int] = client._manager.run(ask)
    return found


GROUP_ID_NOT_FOUND = 69


def _members(group: DescribeGroupsRequest) -> int:
    if group.error_code not in (0, GROUP_ID_NOT_FOUND):
        raise for_code(group.error_code)(f"the group {group.group_id} cannot be described")
    return len(group.members)
