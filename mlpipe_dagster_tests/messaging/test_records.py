"""Records: coordinates, run keys and causes are what ledgers and run keys are made of."""

import hashlib

from mlpipe_dagster.messaging.records import OutboundMessage, Record


def record(**changes: object) -> Record:
    values: dict[str, object] = {
        "topic": "bias-events",
        "partition": 2,
        "offset": 41,
        "timestamp": 1760000000123,
        "key": b"d1",
        "value": b"{}",
    }
    return Record(**{**values, **changes})  # type: ignore[arg-type]


def test_coordinates_and_run_key_are_spelled_out() -> None:
    assert record().coordinates == "bias-events/2/41"
    assert record().run_key == "bias-events/2/41/1760000000123"


def test_cause_is_the_event_id_where_there_is_one() -> None:
    assert record(raw_headers=(("ce_id", b"e-1"),)).cause == "e-1"


def test_cause_without_an_id_is_the_content_wherever_it_lies() -> None:
    assert record().cause == record(partition=0, offset=0, timestamp=0).cause
    assert record().cause == hashlib.sha256(b"11:bias-events2:d12:{}").hexdigest()


def test_cause_tells_null_from_empty_and_key_from_value() -> None:
    causes = {
        record(key=None, value=None).cause,
        record(key=b"", value=None).cause,
        record(key=None, value=b"").cause,
        record(key=b"a", value=b"bc").cause,
        record(key=b"ab", value=b"c").cause,
    }
    assert len(causes) == 5


def test_an_empty_event_id_is_no_id() -> None:
    assert record(raw_headers=(("ce_id", b""),)).cause == record().cause


def test_headers_as_text_leave_out_nulls_and_survive_foreign_bytes() -> None:
    headers = record(raw_headers=(("a", b"1"), ("a", b"2"), ("none", None), ("foreign", b"\xff"))).headers
    assert headers == {"a": "2", "foreign": "�"}


def test_size_counts_key_value_and_headers() -> None:
    message = OutboundMessage("t", b"12", b"345", (("name", b"value"), ("null", None)))
    assert message.size == 100 + 2 * 10 + 2 + 3 + 4 + 5 + 4
