"""The work of the reader's thread: one round looks after every tick that waits.

A round asks the broker which logs the topics are now, fetches where the tickets stand, and settles those that are over:
by records, by an error, by silence that was verified. Threads and waiting live in `reader.py`.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from itertools import zip_longest

from kafka import TopicPartition

from mlpipe_dagster.errors import BrokerUnavailable
from mlpipe_dagster.messaging.connection import BrokerAdmin, Connection, is_embedded
from mlpipe_dagster.messaging.forks import keep_untouched, start_over_in_children
from mlpipe_dagster.messaging.log_consumer import Fetched, LogConsumer
from mlpipe_dagster.messaging.records import Record
from mlpipe_dagster.messaging.ticket import Ticket
from mlpipe_dagster.messaging.topics import TopicMissing, TopicState, describe

log = logging.getLogger(__name__)
CHECK_SECONDS = 1.0
SHORT_LOG_SECONDS = 1.0


class Rounds:
    """One consumer for all tickets; `distrusted`, which any thread may set, has it replaced in the next round."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._admin = BrokerAdmin(connection)
        self.start_over()
        start_over_in_children(self)

    def start_over(self) -> None:
        """Forget the consumer (in a forked child)."""
        keep_untouched(getattr(self, "_consumer", None))
        self.distrusted = False
        self._consumer: LogConsumer | None = None
        self._ids: dict[str, str] = {}
        self._checked_at = 0.0
        self._embedded: bool | None = None

    def round(self, tickets: Mapping[str, Ticket]) -> None:
        """Look at the topics, poll once, and settle the tickets that are over. Raises KafkaError and MlpipeError."""
        if self.distrusted:
            self.distrusted = False
            self.reopen()
        now = time.monotonic()
        if now - self._checked_at > CHECK_SECONDS or any(not ticket.located for ticket in tickets.values()):
            self._check(tickets)
            self._checked_at = now
        located = {topic: ticket for topic, ticket in tickets.items() if not ticket.settled}
        if not located:
            return
        consumer = self._placed(located)
        fetched = consumer.poll()
        if consumer.is_deaf():
            log.warning("Kafka at %s leaves fetches unanswered: connecting anew", self._connection.bootstrap_servers)
            self.distrusted = True
        if (fetched.records or fetched.moved) and not self._same_logs(located):
            return
        self._hand_out(located, fetched, consumer)

    def _check(self, tickets: Mapping[str, Ticket]) -> None:
        """Ask the broker for the topics as they are now, and fit the tickets to them."""
        states = describe(self._admin, tickets)
        ids = {topic: state.topic_id for topic, state in states.items()}
        if any(self._ids.get(topic, topic_id) != topic_id for topic, topic_id in ids.items()):
            self.reopen()
        self._ids.update(ids)
        for topic, ticket in tickets.items():
            obstacle = self._obstacle(topic, states.get(topic))
            if obstacle is not None:
                ticket.fail(obstacle)
            else:
                ticket.locate(states[topic], self._committed(ticket, states[topic]))

    def _obstacle(self, topic: str, state: TopicState | None) -> BrokerUnavailable | None:
        servers = self._connection.bootstrap_servers
        if state is None:
            return TopicMissing(f"Kafka at {servers} has no topic {topic}")
        if state.leaderless:
            return BrokerUnavailable(f"Kafka at {servers} has no leader for {topic}, partitions {state.leaderless}")
        return None

    def _committed(self, ticket: Ticket, state: TopicState) -> dict[int, int]:
        group = ticket.group
        if ticket.topic_id is not None or group is None:
            return {}
        partitions = [TopicPartition(ticket.topic, partition) for partition in state.partitions]
        found = self._admin.ask(lambda client: client.list_group_offsets({group: partitions}))[group]
        return {partition.partition: known.offset for partition, known in found.items() if known.offset >= 0}

    def _placed(self, tickets: Mapping[str, Ticket]) -> LogConsumer:
        """The consumer, fetching for these tickets at their positions and for nobody else."""
        if self._consumer is None:
            self._consumer = LogConsumer(self._connection)
            for ticket in tickets.values():
                ticket.placed.clear()
        self._consumer.pause_all_but(tickets)
        for topic, ticket in tickets.items():
            new = ticket.offsets.keys() - ticket.placed
            self._consumer.start({(topic, partition): ticket.offsets[partition] for partition in new})
            ticket.placed |= new
        return self._consumer

    def _same_logs(self, tickets: Mapping[str, Ticket]) -> bool:
        """Whether a fetch came from the logs that the tickets read; else it is dropped and all is asked anew."""
        states = describe(self._admin, tickets)
        same = all(topic in states and states[topic].topic_id == ticket.topic_id for topic, ticket in tickets.items())
        if not same:
            self.reopen()
            self._checked_at = 0.0
        return same

    def _hand_out(self, tickets: Mapping[str, Ticket], fetched: Fetched, consumer: LogConsumer) -> None:
        for moved in fetched.moved:
            if moved.topic in tickets:
                tickets[moved.topic].move(moved)
        for topic, ticket in tickets.items():
            found = _fair([records for (name, _), records in fetched.records.items() if name == topic], ticket.limit)
            if found:
                self._settle(ticket, found, consumer)
            elif not self._restarted_short_log(ticket, consumer) and time.monotonic() >= ticket.deadline:
                self._settle_silent(ticket, consumer)

    def _settle(self, ticket: Ticket, records: list[Record], consumer: LogConsumer) -> None:
        behind = {record.partition: record.offset + 1 for record in records}
        left = [self._left(ticket, consumer, partition, behind.get(partition)) for partition in ticket.offsets]
        ticket.settle(records, None if None in left else sum(it for it in left if it is not None))

    def _settle_silent(self, ticket: Ticket, consumer: LogConsumer) -> None:
        """Believe in silence only when every partition was fetched up to its end; else wait until the tick gives up."""
        if all(self._left(ticket, consumer, partition) == 0 for partition in ticket.offsets):
            self._settle(ticket, [], consumer)

    def _left(self, ticket: Ticket, consumer: LogConsumer, partition: int, behind: int | None = None) -> int | None:
        end = consumer.high_water(ticket.topic, partition)
        return None if end is None else end - (ticket.offsets[partition] if behind is None else behind)

    def _restarted_short_log(self, ticket: Ticket, consumer: LogConsumer) -> bool:
        """Notice a position behind the end of the log, where the embedded broker stays silent.

        Kafka says so itself, and after an election reports for seconds an end that is too low: there we just wait. The
        end may be known from an earlier fetch, hence a new consumer.
        """
        short = {p for p in ticket.offsets if (self._left(ticket, consumer, p) or 0) < 0}
        now = time.monotonic()
        if not short:
            ticket.short_since = None
        elif not self._is_embedded():
            return False
        elif consumer.opened_at < ticket.begun_at:
            self.distrusted = True
        elif ticket.short_since is None:
            ticket.short_since = now
        elif now - ticket.short_since >= SHORT_LOG_SECONDS and self._same_logs({ticket.topic: ticket}):
            for partition in short:
                ticket.move(consumer.restart(ticket.topic, partition, ticket.offsets[partition]))
        return bool(short)

    def _is_embedded(self) -> bool:
        if self._embedded is None:
            self._embedded = is_embedded(self._admin)
        return self._embedded

    def reopen(self) -> None:
        """Drop the consumer; the next round opens another."""
        self._embedded = None
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            consumer.close()

    def close(self) -> None:
        """Close the connections."""
        self.reopen()
        self._admin.close()


def _fair(partitions: Sequence[Sequence[Record]], limit: int) -> list[Record]:
    """At most `limit` records, the first of each partition before the second of any; the rest is fetched again."""
    turns = zip_longest(*partitions)
    return [record for turn in turns for record in turn if record is not None][:limit]
