"""Dead letters as people handle them: list, show, replay once mended, discard. Their records stay in Kafka.

How a record becomes a dead letter stands in messaging/dead_letters.py; when, in intake.py.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import select

from mlpipe_dagster.errors import Conflict, MlpipeError, UnknownThing
from mlpipe_dagster.messaging.connection import Connection
from mlpipe_dagster.messaging.dead_letters import FAILURE_PREFIX, attempts, replayed
from mlpipe_dagster.messaging.reader import Cursor, SharedReader
from mlpipe_dagster.messaging.records import Record
from mlpipe_dagster.messaging.topics import DEAD_LETTER_SUFFIX, pipeline_topics
from mlpipe_dagster.warehouse import audit
from mlpipe_dagster.warehouse.outbox import Publishes
from mlpipe_dagster.warehouse.schema import HandledLetter
from mlpipe_dagster.warehouse.warehouse import Warehouse

READ_SECONDS = 0.5
OPEN = "open"


@dataclass(frozen=True)
class Letter:
    """A dead letter and what was done about it."""

    record: Record
    topic_id: str
    state: str
    """open, replayed, discarded."""

    @property
    def coordinates(self) -> str:
        """`topic.dlq/partition/offset`: what commands take."""
        return self.record.coordinates

    @property
    def reason(self) -> str:
        """Why it could not be used."""
        return self.record.headers.get(f"{FAILURE_PREFIX}exception.message", "")

    @property
    def origin(self) -> str:
        """Where the record lay: `topic/partition/offset`."""
        parts = (self.record.headers.get(FAILURE_PREFIX + name, "?") for name in ("topic", "partition", "offset"))
        return "/".join(parts)

    @property
    def attempts(self) -> int:
        """How often it has failed."""
        return attempts(self.record)


def list_letters(warehouse: Warehouse, connection: Connection) -> list[Letter]:
    """All dead letters that Kafka still keeps, oldest first in each topic; raises BrokerUnavailable."""
    with warehouse.reading() as session:
        handled = {(row.coordinates, row.topic_id): row.state for row in session.scalars(select(HandledLetter))}
    reader = SharedReader(connection)
    try:
        return [
            Letter(record, topic_id, handled.get((record.coordinates, topic_id), OPEN))
            for topic in pipeline_topics()
            for record, topic_id in _records(reader, topic + DEAD_LETTER_SUFFIX)
        ]
    finally:
        reader.close()


def _records(reader: SharedReader, topic: str) -> Iterator[tuple[Record, str]]:
    cursor = Cursor()
    while batch := reader.read(topic, cursor, READ_SECONDS):
        cursor = batch.cursor
        yield from ((record, cursor.topic_id or "") for record in batch.records)
        if not batch.records:
            return


def find_letter(warehouse: Warehouse, connection: Connection, coordinates: str) -> Letter:
    """The dead letter at those coordinates; raises UnknownThing."""
    found = next((each for each in list_letters(warehouse, connection) if each.coordinates == coordinates), None)
    if found is None:
        raise UnknownThing(f"There is no dead letter {coordinates}. `mlpipe dlq list` shows all.")
    return found


def replay(warehouse: Warehouse, connection: Connection, publisher: Publishes, coordinates: str) -> str:
    """Send the record back to its topic, key and headers as they were; returns where it lies now.

    Raises
    ------
    UnknownThing, Conflict
        No such dead letter; it was handled already.
    BrokerUnavailable, TooLarge
        It could not be sent; it stays open.
    """
    letter = _open_letter(warehouse, connection, coordinates)
    message = replayed(letter.record)
    (answer,) = publisher.publish([message])
    if isinstance(answer, MlpipeError):
        raise answer
    _mark(warehouse, letter, "replayed")
    return f"{message.topic}/{answer.partition}/{answer.offset}"


def discard(warehouse: Warehouse, connection: Connection, coordinates: str) -> None:
    """Say that nothing is to be done about it; raises UnknownThing, Conflict."""
    _mark(warehouse, _open_letter(warehouse, connection, coordinates), "discarded")


def _open_letter(warehouse: Warehouse, connection: Connection, coordinates: str) -> Letter:
    letter = find_letter(warehouse, connection, coordinates)
    if letter.state != OPEN:
        raise Conflict(f"The dead letter {coordinates} was {letter.state} already.")
    return letter


def _mark(warehouse: Warehouse, letter: Letter, state: str) -> None:
    with warehouse.transaction() as session:
        session.add(HandledLetter(coordinates=letter.coordinates, topic_id=letter.topic_id, state=state))
        audit.record(session, f"dead_letter.{state}", audit.OPERATOR, coordinates=letter.coordinates)
