"""One tick's wait for the records of a topic: where it reads, what it got, whether it is over.

State only: nothing here speaks to Kafka or waits. `rounds.py` serves the tickets of `reader.py`.
"""

import time
from collections.abc import Mapping, Sequence

from mlpipe_dagster.errors import MlpipeError
from mlpipe_dagster.messaging.log_consumer import Moved
from mlpipe_dagster.messaging.records import Record
from mlpipe_dagster.messaging.topics import TopicState

GRACE_SECONDS = 4.0


class Ticket:
    """One waiting tick. Settled by records, by an error, or by silence that was verified."""

    def __init__(
        self,
        topic: str,
        topic_id: str | None,
        offsets: Mapping[int, int],
        wait_seconds: float,
        limit: int = 200,
        group: str | None = None,
    ) -> None:
        self.topic = topic
        self.topic_id = topic_id
        self.offsets = dict(offsets)
        self.limit = limit
        self.group = group
        self.begun_at = time.monotonic()
        self.deadline = self.begun_at + wait_seconds
        self.give_up_at = self.deadline + GRACE_SECONDS
        self.located = False
        self.placed: set[int] = set()
        self.short_since: float | None = None
        self.records: tuple[Record, ...] | None = None
        self.lag: int | None = None
        self.notes: list[str] = []
        self.error: MlpipeError | None = None
        self._unread: set[int] = set()

    @property
    def settled(self) -> bool:
        """Whether the tick can return."""
        return self.records is not None or self.error is not None

    def locate(self, state: TopicState, committed: Mapping[int, int]) -> None:
        """Fit the position to the topic as it is now: the same log, another one of that name, or more partitions.

        `committed` is where to begin without a cursor; partitions in neither begin at 0.
        """
        if self.topic_id is None:
            self.offsets = dict(committed)
        elif self.topic_id != state.topic_id:
            self.notes.append(f"{self.topic} was created anew: reading from its beginning")
            self.offsets, self.placed = {}, set()
        self.topic_id = state.topic_id
        self._unread |= set(state.partitions) - self.offsets.keys()
        self.offsets = {partition: self.offsets.get(partition, 0) for partition in state.partitions}
        self.located = True

    def move(self, moved: Moved) -> None:
        """Go on elsewhere, and say so unless the partition is read for the first time and just begins later than 0."""
        if not (moved.partition in self._unread and moved.wanted == 0):
            self.notes.append(moved.note)
        self.offsets[moved.partition] = moved.now
        self.short_since = None

    def settle(self, records: Sequence[Record], lag: int | None) -> None:
        """End the wait with these records, or with verified silence."""
        if self.settled:
            return
        for record in records:
            self.offsets[record.partition] = record.offset + 1
        self.lag = lag
        self.records = tuple(records)

    def fail(self, error: MlpipeError) -> None:
        """End the wait with an error, unless it is over."""
        if not self.settled:
            self.error = error
