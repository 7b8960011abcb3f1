"""Dead letters: the record byte for byte, why it died in the headers, and the way back."""

import pytest

from mlpipe_dagster.errors import ContractError, UserError
from mlpipe_dagster.messaging.dead_letters import attempts, dead_letter, replayed
from mlpipe_dagster.messaging.publisher import Publisher
from mlpipe_dagster.messaging.reader import Cursor, SharedReader
from mlpipe_dagster.messaging.records import OutboundMessage, Record

BYTES = bytes(range(256))


def record(**changes: object) -> Record:
    values: dict[str, object] = {
        "topic": "automl-events",
        "partition": 3,
        "offset": 77,
        "timestamp": 1760000000000,
        "key": BYTES,
        "value": BYTES,
        "raw_headers": (("ce_id", b"e-1"), ("foreign", b"\xff\xfe"), ("ce_id", b"e-1")),
    }
    return Record(**{**values, **changes})  # type: ignore[arg-type]


def as_record(message: OutboundMessage) -> Record:
    return Record(message.topic, 0, 0, 1760000000001, message.key, message.value, message.headers)


def test_key_value_and_headers_are_kept_byte_for_byte() -> None:
    letter = dead_letter(record(), ContractError("timestamp: missing"), "automl")
    assert (letter.topic, letter.key, letter.value) == ("automl-events.dlq", BYTES, BYTES)
    assert letter.headers[:3] == record().raw_headers


def test_headers_say_where_and_why() -> None:
    letter = dead_letter(record(), ContractError("timestamp: missing, größer"), "automl")
    assert dict(letter.headers[3:]) == {
        "__connect.errors.topic": b"automl-events",
        "__connect.errors.partition": b"3",
        "__connect.errors.offset": b"77",
        "__connect.errors.stage": b"automl",
        "__connect.errors.class.name": b"mlpipe.automl",
        "__connect.errors.exception.class.name": b"mlpipe_dagster.errors.ContractError",
        "__connect.errors.exception.message": "timestamp: missing, größer".encode(),
        "retry_topic-attempts": b"1",
    }


def test_a_very_long_reason_is_cut_so_that_the_letter_fits() -> None:
    letter = as_record(dead_letter(record(), ContractError("x" * 1_000_000), "bias"))
    assert letter.headers["__connect.errors.exception.message"] == "x" * 2000


def test_a_replayed_record_that_fails_again_counts_on_and_names_its_last_failure() -> None:
    first = dead_letter(record(), ContractError("first"), "automl")
    back = replayed(as_record(first))
    assert (back.topic, back.key, back.value) == ("automl-events", BYTES, BYTES)
    assert back.headers == (*record().raw_headers, ("retry_topic-attempts", b"1"))
    second = dead_letter(as_record(back), ContractError("second"), "automl")
    names = [name for name, _ in second.headers]
    assert names.count("__connect.errors.exception.message") == names.count("retry_topic-attempts") == 1
    assert as_record(second).headers["__connect.errors.exception.message"] == "second"
    assert attempts(as_record(second)) == 2


@pytest.mark.parametrize("text", [b"", b"many", b"-1", "²".encode(), b"\x00\x00\x00\x01"])
def test_a_foreign_count_that_is_no_number_counts_as_none(text: bytes) -> None:
    assert attempts(record(raw_headers=(("retry_topic-attempts", text),))) == 0


def test_what_is_no_dead_letter_cannot_be_replayed() -> None:
    with pytest.raises(UserError, match="no dead letter"):
        replayed(record())


@pytest.mark.parametrize(("key", "value"), [(BYTES, BYTES), (None, b"{not json"), (b"tombstone", None), (None, None)])
def test_a_letter_arrives_as_it_was(
    publisher: Publisher, reader: SharedReader, topic: str, key: bytes | None, value: bytes | None
) -> None:
    publisher.publish([OutboundMessage(topic, key, value, (("h", BYTES), ("empty", b"")))])
    (original,) = reader.read(topic, Cursor(), 2).records
    publisher.publish([dead_letter(original, ContractError("bad"), "xai")])
    (letter,) = reader.read(f"{topic}.dlq", Cursor(), 2).records
    assert (letter.key, letter.value, letter.raw_headers[:2]) == (key, value, original.raw_headers)
    assert letter.headers["__connect.errors.offset"] == "0"
    publisher.publish([replayed(letter)])
    again = reader.read(topic, Cursor(), 2).records[1]
    assert (again.key, again.value, again.raw_headers[:2]) == (key, value, original.raw_headers)


def test_the_letter_of_a_record_at_the_limit_is_not_too_large(
    publisher: Publisher, reader: SharedReader, topic: str
) -> None:
    publisher.publish([OutboundMessage(topic, b"k", b"x" * 199_800)])
    (original,) = reader.read(topic, Cursor(), 2).records
    letter = dead_letter(original, ContractError("y" * 5000), "bias")
    assert letter.size > 200_000
    publisher.publish([letter])
    assert [it.value for it in reader.read(f"{topic}.dlq", Cursor(), 2).records] == [original.value]
