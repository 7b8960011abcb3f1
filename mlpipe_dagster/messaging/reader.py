"""Reads topics at cursors: one consumer and one thread of a process serve every tick that waits.

A tick gets records as soon as there are any, silence only when the broker confirmed it, or an error that says what is
wrong. What records mean, and where cursors are stored, is decided elsewhere.
"""

import json
import os
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

from kafka.errors import KafkaError

from mlpipe_dagster.errors import BrokerUnavailable, MlpipeError
from mlpipe_dagster.messaging.connection import Connection, unavailable
from mlpipe_dagster.messaging.forks import start_over_in_children
from mlpipe_dagster.messaging.records import Record
from mlpipe_dagster.messaging.rounds import Rounds
from mlpipe_dagster.messaging.ticket import Ticket

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 1.0
# all that a round asks of Kafka has time limits far below; kafka-python 3.0.12 waits without one for its own thread
STUCK_SECONDS = 20.0


@dataclass(frozen=True)
class Cursor:
    """Which log was read, by its topic id, and the next offset of each partition; a None id: nothing was read yet."""

    topic_id: str | None = None
    offsets: dict[int, int] = field(default_factory=dict)

    def to_json(self) -> str:
        """Text that `from_json` reads back."""
        return json.dumps({"topic_id": self.topic_id, "offsets": {str(p): o for p, o in sorted(self.offsets.items())}})

    @classmethod
    def from_json(cls, text: str | None) -> Self:
        """The cursor of a text; None or empty: no cursor yet. Raises MlpipeError for anything else."""
        if not text:
            return cls()
        try:
            known = json.loads(text)
            return cls(known["topic_id"], {int(partition): int(o) for partition, o in known["offsets"].items()})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise MlpipeError(f"this is no cursor of a topic: {text[:200]}") from error


@dataclass(frozen=True)
class Batch:
    """Records in the order of their partitions, the cursor behind them, what a person should know, and what is left.

    `lag` counts the records in the log behind the cursor; None where the broker did not say.
    """

    records: tuple[Record, ...]
    cursor: Cursor
    notes: tuple[str, ...] = ()
    lag: int | None = None


class TakenOver(MlpipeError):  # noqa: N818 - reads as what it says where it is raised
    """A newer tick reads the topic: the older one, perhaps left behind by a dead daemon, ends without a batch."""

    error_type = "taken_over"


class SharedReader:
    """Serves ticks of any number of topics and threads; one tick a topic. Survives forks and restarts of the broker."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._rounds = Rounds(connection)
        self.start_over()
        start_over_in_children(self)

    def start_over(self) -> None:
        """Forget thread and waiting ticks (in a forked child)."""
        self._turn = threading.Condition()
        self._tickets: dict[str, Ticket] = {}
        self._thread: threading.Thread | None = None
        self._round_begun_at: float | None = None
        self._closing = False

    def read(
        self, topic: str, cursor: Cursor, wait_seconds: float, limit: int = 200, group: str | None = None
    ) -> Batch:
        """Wait up to `wait_seconds` for records behind the cursor; at most `limit`, returned as soon as there are any.

        Without a topic id in the cursor: from the offsets committed by `group`, else from the beginning. A topic that
        was created anew is read from its beginning. Expired offsets: on at the earliest kept. A log that ends before
        the cursor (cut or restored): again from its earliest record, since offsets may mean other records now; what
        was handled is recognised by its cause. All of this is said in the notes. An empty batch means that the broker
        answered and has nothing new.

        Raises BrokerUnavailable (TopicMissing where Kafka has no such topic) within about 4 s beyond the wait at worst,
        TakenOver when a newer tick reads the topic.
        """
        ticket = Ticket(topic, cursor.topic_id, cursor.offsets, wait_seconds, limit, group)
        with self._turn:
            self._enter(ticket)
            while not ticket.settled and (left := ticket.give_up_at - time.monotonic()) > 0:
                self._turn.wait(left)
            if self._tickets.get(topic) is ticket:
                del self._tickets[topic]
            if not ticket.settled:
                self._distrust()
        if ticket.records is not None:
            return Batch(ticket.records, Cursor(ticket.topic_id, ticket.offsets), tuple(ticket.notes), ticket.lag)
        if ticket.error is not None:
            raise ticket.error
        raise BrokerUnavailable(f"Kafka unreachable at {self._connection.bootstrap_servers}: no answer for {topic}")

    def close(self) -> None:
        """End the thread and the connections for good; waiting ticks fail."""
        with self._turn:
            self._closing = True
            self._fail(self._tickets.values(), MlpipeError("the reader was closed"))
            thread = self._thread
        if thread is not None:
            thread.join(STUCK_SECONDS)

    def _distrust(self) -> None:
        """Nobody answered: the consumer is replaced, and so is a thread that has not come back from Kafka for long.

        What that one still served is asked again by the next ticks; should it ever come back, it finds itself replaced.
        """
        self._rounds.distrusted = True
        if self._round_begun_at is None or time.monotonic() - self._round_begun_at < STUCK_SECONDS:
            return
        servers = self._connection.bootstrap_servers
        self._fail(self._tickets.values(), BrokerUnavailable(f"Kafka at {servers} has left a question unanswered"))
        self._rounds, self._thread, self._round_begun_at = Rounds(self._connection), None, None

    def _enter(self, ticket: Ticket) -> None:
        if self._closing:
            raise MlpipeError("the reader was closed")
        older = self._tickets.get(ticket.topic)
        if older is not None:
            older.fail(TakenOver(f"a newer tick reads {ticket.topic}"))
        self._tickets[ticket.topic] = ticket
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, args=(self._rounds,), name="mlpipe-reader", daemon=True)
            self._thread.start()
        self._turn.notify_all()

    def _fail(self, tickets: Iterable[Ticket], error: MlpipeError) -> None:
        with self._turn:
            for ticket in tickets:
                ticket.fail(error)
            self._turn.notify_all()

    def _serve(self, rounds: Rounds) -> None:
        """The reader's thread."""
        pause = FIRST_PAUSE_SECONDS
        while tickets := self._wait_for_tickets(rounds):
            try:
                rounds.round(tickets)
                pause = FIRST_PAUSE_SECONDS
            except Exception as error:  # the end of this thread's stack: the waiting ticks raise it
                rounds.reopen()
                self._fail(tickets.values(), self._explained(error))
                time.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            if any(ticket.settled for ticket in tickets.values()):
                with self._turn:
                    self._turn.notify_all()
        rounds.close()

    def _wait_for_tickets(self, rounds: Rounds) -> dict[str, Ticket]:
        with self._turn:
            while not self._closing and self._rounds is rounds:
                waiting = {topic: ticket for topic, ticket in self._tickets.items() if not ticket.settled}
                self._round_begun_at = time.monotonic() if waiting else None
                if waiting:
                    return waiting
                self._turn.wait()
            return {}

    def _explained(self, error: Exception) -> MlpipeError:
        if isinstance(error, KafkaError):
            return unavailable(self._connection, error)
        if isinstance(error, MlpipeError):
            return error
        explained = MlpipeError(f"reading from Kafka failed: {error!r}")
        explained.__cause__ = error
        return explained


_readers: dict[tuple[int, Connection], SharedReader] = {}
_readers_lock = threading.Lock()


def process_reader() -> SharedReader:
    """The reader of this process for the brokers it is configured for."""
    connection = Connection.from_settings()
    with _readers_lock:
        key = (os.getpid(), connection)
        if key not in _readers:
            _readers[key] = SharedReader(connection)
        return _readers[key]


def close_process_readers() -> None:
    """Close what `process_reader` has opened in this process; the next call opens another."""
    with _readers_lock:
        mine = [_readers.pop(key) for key in list(_readers) if key[0] == os.getpid()]
    for reader in mine:
        reader.close()


def _forget_readers_lock() -> None:
    global _readers_lock  # noqa: PLW0603 - another thread may have held it while the process forked
    _readers_lock = threading.Lock()


os.register_at_fork(after_in_child=_forget_readers_lock)
