"""Turns a record that cannot be used into its dead letter, and a dead letter back into the record. Sends nothing.

Header names are those of Kafka Connect's error reporter, and Spring's `retry_topic-attempts` (here in decimal digits).
"""

from mlpipe_dagster.errors import UserError
from mlpipe_dagster.messaging.records import Headers, OutboundMessage, Record
from mlpipe_dagster.messaging.topics import DEAD_LETTER_SUFFIX

FAILURE_PREFIX = "__connect.errors."
ATTEMPTS = "retry_topic-attempts"
MESSAGE_CHARACTERS = 2000


def dead_letter(record: Record, error: Exception, stage: str) -> OutboundMessage:
    """The record byte for byte for `<topic>.dlq`, with headers that say where it lay, at which stage it failed and why.

    A record that was replayed and fails again names its latest failure only, and counts its attempts on.
    """
    failure = {
        "topic": record.topic,
        "partition": str(record.partition),
        "offset": str(record.offset),
        "stage": stage,
        "class.name": f"mlpipe.{stage}",
        "exception.class.name": f"{type(error).__module__}.{type(error).__qualname__}",
        "exception.message": str(error)[:MESSAGE_CHARACTERS],
    }
    return OutboundMessage(
        topic=record.topic + DEAD_LETTER_SUFFIX,
        key=record.key,
        value=record.value,
        headers=(
            *_own_headers(record.raw_headers),
            *((FAILURE_PREFIX + name, text.encode("utf-8", "replace")) for name, text in failure.items()),
            (ATTEMPTS, str(attempts(record) + 1).encode()),
        ),
    )


def replayed(letter: Record) -> OutboundMessage:
    """The message that brings a dead letter back to its topic; the count of attempts goes with it.

    Raises UserError for a record that is no dead letter.
    """
    topic = letter.headers.get(FAILURE_PREFIX + "topic")
    if not topic:
        raise UserError(f"{letter.coordinates} is no dead letter: it does not say which topic it came from")
    counted = (ATTEMPTS, str(attempts(letter)).encode())
    return OutboundMessage(topic, letter.key, letter.value, (*_own_headers(letter.raw_headers), counted))


def attempts(record: Record) -> int:
    """How often the record became a dead letter so far; a foreign value that is no number counts as none."""
    text = record.headers.get(ATTEMPTS, "")
    return int(text) if text.isascii() and text.isdigit() else 0


def _own_headers(headers: Headers) -> Headers:
    return tuple((name, value) for name, value in headers if name != ATTEMPTS and not name.startswith(FAILURE_PREFIX))
