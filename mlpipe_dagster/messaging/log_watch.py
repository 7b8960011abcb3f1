"""Where the logs of our topics end, kept fresh for the metrics in one thread: who asks never waits for Kafka.

A broker that does not answer is an observation too. What the ends mean for lag is the caller's business.
"""

import logging
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from mlpipe_dagster.errors import BrokerUnavailable, MlpipeError
from mlpipe_dagster.messaging.connection import BrokerAdmin, Connection
from mlpipe_dagster.messaging.log_consumer import Partition
from mlpipe_dagster.messaging.log_ends import log_ends
from mlpipe_dagster.messaging.topics import DEAD_LETTER_SUFFIX, all_topics, describe

FRESH_SECONDS = 5.0
STALE_SECONDS = 30.0
PATIENCE_SECONDS = 0.5

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LogView:
    """What the broker said: ids of topics, begin and end of each partition. Empty where it did not answer."""

    reachable: bool = False
    topic_ids: Mapping[str, str] = field(default_factory=dict)
    begins: Mapping[Partition, int] = field(default_factory=dict)
    """Of the topics of dead letters only."""
    ends: Mapping[Partition, int] = field(default_factory=dict)


class LogWatch:
    """Looks again when what it knows is older than `FRESH_SECONDS` and somebody asks."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._admin = BrokerAdmin(connection)
        self._lock = threading.Lock()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="log-watch")
        self._looking: Future[LogView] | None = None
        self._view, self._seen_at = LogView(), float("-inf")

    def view(self) -> LogView:
        """The latest view; waits `PATIENCE_SECONDS` at most for a newer one, and gives up one that is too old."""
        with self._lock:
            if time.monotonic() - self._seen_at > FRESH_SECONDS and self._looking is None:
                self._looking = self._worker.submit(self._look)
            looking = self._looking
        if looking is not None:
            wait([looking], PATIENCE_SECONDS)
        with self._lock:
            return self._view if time.monotonic() - self._seen_at < STALE_SECONDS else LogView()

    def close(self) -> None:
        """Close the connections, and end the thread with what it is asking just now; does not wait for it."""
        self._worker.submit(self._admin.close)
        self._worker.shutdown(wait=False)

    def _look(self) -> LogView:
        try:
            view = self._ask(self._view)
        except BrokerUnavailable:
            view = LogView()
        except MlpipeError as error:  # for instance certificates that cannot be read
            log.warning("the metrics cannot see Kafka: %s", error)
            view = LogView()
        with self._lock:
            self._view, self._seen_at, self._looking = view, time.monotonic(), None
        return view

    def _ask(self, before: LogView) -> LogView:
        """Ask at the last known ends, so that hardly a record has to travel; for dead letters where they begin."""
        states = describe(self._admin, all_topics())
        ids = {name: state.topic_id for name, state in states.items()}
        positions: dict[Partition, int] = {}
        for name, state in states.items():
            known = before.begins if name.endswith(DEAD_LETTER_SUFFIX) else before.ends
            same_log = before.topic_ids.get(name) == state.topic_id
            for number in set(state.partitions) - set(state.leaderless):
                positions[name, number] = known.get((name, number), 0) if same_log else 0
        found = log_ends(self._connection, positions)
        begins = {place: offset for place, offset in positions.items() if place[0].endswith(DEAD_LETTER_SUFFIX)}
        return LogView(True, ids, begins | found.moved, found.ends)
