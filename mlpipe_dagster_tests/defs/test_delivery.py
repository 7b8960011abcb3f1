"""Delivery through real ticks over a real broker: cursors, logs that change, poison, repetition, wrong order.

What the reader alone must do stands in messaging/test_reader.py; what a killed process leaves, in
test_stopped_at_a_line.py.
"""

import json
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from kafka import KafkaAdminClient, KafkaProducer, TopicPartition

from mlpipe_dagster.messaging.connection import Connection
from mlpipe_dagster.messaging.reader import Cursor, SharedReader
from mlpipe_dagster.messaging.records import Record
from mlpipe_dagster.messaging.topics import create_topics, topic_ids
from mlpipe_dagster.settings import settings
from mlpipe_dagster.vocabulary import Role
from mlpipe_dagster.warehouse.schema import BiasReportRow, LedgerRow, ModelRow, Notification, OutboxRow, XaiReportRow
from mlpipe_dagster.warehouse.warehouse import set_player
from mlpipe_dagster_tests.brokers import called, real_kafka
from mlpipe_dagster_tests.defs.flow import Flow, bias_trigger, deliver_again, records

WHEN = "2026-01-01T00:00:00.000000"
TRIGGERS = "bias-trigger-events"
TOPIC_OF = {
    "dataset_events": "dataset-events",
    "bias_trigger_events": "bias-trigger-events",
    "bias_events": "bias-events",
    "automl_trigger_events": "automl-trigger-events",
    "automl_events": "automl-events",
    "xai_trigger_events": "xai-trigger-events",
    "xai_events": "xai-events",
}
"""In the order of a pipeline, by the sensor that watches."""
HOUR_MS = 3_600_000


def automl_trigger(dataset_id: str) -> dict[str, Any]:
    return {
        "event_type": "automl-trigger.reported", "dataset_id": dataset_id, "user_id": "ada", "timestamp": WHEN,
        "target_column_name": None, "task_type": None, "time_budget": "20",
    }  # fmt: skip


def xai_trigger(dataset_id: str) -> dict[str, Any]:
    return {
        "event_type": "xai-trigger.reported", "user_id": "ada", "dataset_id": dataset_id, "timestamp": WHEN,
        "model_id": f"automl_{dataset_id}", "level": "beginner",
    }  # fmt: skip


@pytest.fixture
def read(quick_flow: Flow, small_table: Path) -> Flow:
    """A dataset that was read; our core has sent its first bias trigger."""
    quick_flow.upload(small_table, "small")
    quick_flow.tick("dataset_events")
    return quick_flow


def rows(flow: Flow, stage: str) -> dict[str, tuple[str, int]]:
    """State and attempts of a stage's rows, by their cause."""
    with flow.warehouse.reading() as session:
        return {row.cause: (row.state, row.attempt) for row in session.query(LedgerRow).filter_by(stage=stage)}


def stored(flow: Flow) -> dict[str, int]:
    with flow.warehouse.reading() as session:
        kinds = {"reports": BiasReportRow, "models": ModelRow, "explanations": XaiReportRow}
        return {name: session.query(kind).count() for name, kind in kinds.items()}


def offsets(flow: Flow, sensor: str) -> dict[int, int]:
    return Cursor.from_json(flow.cursors.get(sensor)).offsets


def trigger(flow: Flow, *causes: str) -> None:
    for cause in causes:
        flow.publish(TRIGGERS, bias_trigger("small"), headers={"ce_id": cause})


# cursors and run keys


def test_the_cursor_names_the_log_and_the_run_key_the_record(quick_flow: Flow, small_table: Path) -> None:
    quick_flow.upload(small_table, "small")
    (record,) = records("dataset-events")
    result = quick_flow.tick("dataset_events")
    assert isinstance(result, dg.SensorResult)
    ids = topic_ids(Connection.from_settings())
    assert Cursor.from_json(result.cursor) == Cursor(ids[called("dataset-events")], {0: 1})
    assert [request.run_key for request in result.run_requests or []] == [f"{record.topic}/0/0/{record.timestamp}"]


@pytest.mark.parametrize("offset", [None, 0, 500], ids=["lost", "rewound", "behind the end"])
def test_a_cursor_that_does_not_fit_reads_again_and_repeats_nothing(read: Flow, offset: int | None) -> None:
    trigger(read, "one", "two")
    read.tick("bias_trigger_events")
    before = stored(read), len(read.runs), len(records("bias-events"))
    topic_id = topic_ids(Connection.from_settings())[called(TRIGGERS)]
    read.cursors["bias_trigger_events"] = None if offset is None else Cursor(topic_id, {0: offset}).to_json()
    read.requested.clear()  # Dagster's memory of run keys is not what keeps work single
    trigger(read, "three")
    read.tick("bias_trigger_events")
    assert set(rows(read, "bias").values()) == {("done", 1)}
    assert rows(read, "bias").keys() >= {"one", "two", "three"}
    assert (len(read.runs), len(records("bias-events"))) == (before[1] + 1, before[2] + 1)
    assert offsets(read, "bias_trigger_events") == {0: 4}


# logs that change


def test_a_topic_that_was_created_anew_is_read_from_its_beginning(read: Flow) -> None:
    trigger(read, "old")
    read.tick("bias_trigger_events")
    recreate(called(TRIGGERS))
    trigger(read, "new")
    for _ in range(2):  # the first may meet the moment without the topic
        read.tick("bias_trigger_events")
    assert rows(read, "bias")["new"] == ("done", 1)
    assert offsets(read, "bias_trigger_events") == {0: 1}


def recreate(topic: str) -> None:
    connection = Connection.from_settings()
    with closing(KafkaAdminClient(**connection.client_options())) as admin:
        admin.delete_topics([topic])
    while topic in topic_ids(connection):
        time.sleep(0.05)
    create_topics(connection)


def test_every_partition_is_read_those_added_later_too(read: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cursor that knows partition 0 only, on a topic that has three."""
    monkeypatch.setenv("MLPIPE_KAFKA_PARTITIONS", "3")
    settings.cache_clear()
    recreate(called(TRIGGERS))
    topic_id = topic_ids(Connection.from_settings())[called(TRIGGERS)]
    read.cursors["bias_trigger_events"] = Cursor(topic_id, {0: 0}).to_json()
    for number in range(8):
        read.publish(TRIGGERS, bias_trigger("small"), key=f"key {number}", headers={"ce_id": f"t{number}"})
    for _ in range(3):
        read.tick("bias_trigger_events")
    assert rows(read, "bias").keys() >= {f"t{number}" for number in range(8)}
    assert offsets(read, "bias_trigger_events").keys() == {0, 1, 2}
    assert sum(offsets(read, "bias_trigger_events").values()) == 8


@pytest.mark.skipif(not real_kafka(), reason="the embedded broker cannot delete records")
def test_what_expired_unread_does_not_hold_up_the_rest(read: Flow) -> None:
    """That it is said stands in messaging/test_reader.py."""
    read.tick("bias_trigger_events")
    trigger(read, "expired", "kept")
    with closing(KafkaAdminClient(**Connection.from_settings().client_options())) as admin:
        admin.delete_records({TopicPartition(called(TRIGGERS), 0): 2})
    read.tick("bias_trigger_events")
    assert rows(read, "bias")["kept"] == ("done", 1)
    assert "expired" not in rows(read, "bias")


# poison

POISON = {
    "empty": b"",
    "not JSON": b"{not json",
    "half a value": b'{"event_type": "bias',
    "bad UTF-8": b"\xff\xfe\x00",
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "no object": b"[1, 2]",
    "a number": b"7",
    "null": b"null",
    "wrong event": b'{"event_type": "something.else"}',
    "wrong schema": b'{"event_type": 5, "dataset_id": {}}',
    "deep": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "deep list": b"[" * 100_000 + b"]" * 100_000,
    "long number": b"9" * 10_000,
    "half a character": b'{"event_type": "\\ud800"}',
    "null character": b'{"event_type": "\\u0000"}',
    "no value": None,
}


@pytest.mark.parametrize(("sensor", "topic"), TOPIC_OF.items(), ids=TOPIC_OF.values())
def test_poison_is_buried_byte_for_byte_and_the_cursor_goes_on(quick_flow: Flow, sensor: str, topic: str) -> None:
    values = list(POISON.values())
    produce(topic, *((value, {"key": b"k\xff", "headers": [("x", b"\xff")]}) for value in values))
    tick_through(quick_flow, sensor, len(values))
    assert quick_flow.runs == []
    letters = read_until(f"{topic}.dlq", len(values))
    assert [(letter.key, letter.value, letter.raw_headers[0]) for letter in letters] == [
        (b"k\xff", value, ("x", b"\xff")) for value in values
    ]
    assert [letter.headers["__connect.errors.offset"] for letter in letters] == [str(n) for n in range(len(values))]
    assert offsets(quick_flow, sensor) == {0: len(values)}


def tick_through(flow: Flow, sensor: str, total: int) -> None:
    """Ticks until the whole log was read; one takes what a fetch brings."""
    for _ in range(total):
        flow.tick(sensor)
        if sum(offsets(flow, sensor).values()) == total:
            return


def read_until(topic: str, total: int) -> list[Record]:
    """The first records of a topic, which may lie in several fetches."""
    found: list[Record] = []
    with closing(SharedReader(Connection.from_settings())) as reader:
        cursor = Cursor()
        while len(found) < total:
            batch = reader.read(called(topic), cursor, 5)
            assert batch.records, f"only {len(found)} of {total}"
            found, cursor = found + list(batch.records), batch.cursor
    return found


def produce(topic: str, *what: tuple[bytes | None, dict[str, Any]]) -> None:
    """As a foreign producer with options of its own: headers, keys, timestamps."""
    options = Connection.from_settings().log_client_options()
    with closing(KafkaProducer(**options, enable_idempotence=False, max_request_size=8_000_000)) as producer:
        for value, more in what:
            producer.send(called(topic), value=value, **({"key": b"k"} | more)).get(timeout=10)


def test_good_records_between_poison_are_served(read: Flow) -> None:
    produce(TRIGGERS, *((value, {}) for value in POISON.values()))
    trigger(read, "good")
    produce(TRIGGERS, (b"{", {}))
    tick_through(read, "bias_trigger_events", 1 + len(POISON) + 2)
    assert rows(read, "bias")["good"] == ("done", 1)
    assert len(read_until(f"{TRIGGERS}.dlq", len(POISON) + 1)) == len(POISON) + 1


def test_a_dead_letter_that_cannot_be_stored_holds_the_cursor(read: Flow) -> None:
    read.tick("bias_trigger_events")
    before = read.cursors["bias_trigger_events"]
    connection, letters = Connection.from_settings(), called(f"{TRIGGERS}.dlq")
    with closing(KafkaAdminClient(**connection.client_options())) as admin:
        admin.delete_topics([letters])
    while letters in topic_ids(connection):
        time.sleep(0.05)
    produce(TRIGGERS, (b"{poison", {}))
    trigger(read, "behind it")
    for _ in range(2):
        assert isinstance(read.tick("bias_trigger_events"), dg.SkipReason)
        assert letters in read.messages[-1]
    assert read.cursors["bias_trigger_events"] == before
    create_topics(connection)
    read.tick("bias_trigger_events")
    assert [letter.value for letter in records(f"{TRIGGERS}.dlq")] == [b"{poison"]
    assert rows(read, "bias")["behind it"] == ("done", 1)


def test_records_of_several_megabytes_are_served_or_buried(read: Flow) -> None:
    large = bias_trigger("small", metadata={"note": "x" * 3_000_000})
    produce(TRIGGERS, (b"x" * 3_000_000, {}), (json.dumps(large).encode(), {"headers": [("ce_id", b"large")]}))
    tick_through(read, "bias_trigger_events", 3)  # a record larger than a fetch comes alone
    assert rows(read, "bias")["large"] == ("done", 1)
    assert [len(letter.value or b"") for letter in records(f"{TRIGGERS}.dlq")] == [3_000_000]


# order and clocks


def test_an_explanation_asked_for_before_its_model_waits_for_it(read: Flow) -> None:
    read.publish("xai-trigger-events", xai_trigger("small"), headers={"ce_id": "early"})
    read.tick("xai_trigger_events")
    assert rows(read, "xai") == {"early": ("unknown", 0)}
    read.turn(3)
    assert rows(read, "xai")["early"] == ("done", 1)
    assert set(rows(read, "xai").values()) == {("done", 1)}, "and so is the one that our core asked for"
    assert stored(read) == {"reports": 1, "models": 1, "explanations": 2}


@pytest.mark.long
def test_a_model_asked_for_before_the_bias_report_is_trained(read: Flow) -> None:
    read.publish("automl-trigger-events", automl_trigger("small"), headers={"ce_id": "early"})
    read.tick("automl_trigger_events")
    assert rows(read, "automl") == {"early": ("done", 1)}
    read.turn(2)
    assert set(rows(read, "automl").values()) == {("done", 1)}
    assert stored(read)["models"] == 2, "the pipeline's own trigger came later, with another cause"


@pytest.mark.long
def test_results_announced_in_the_wrong_order_lead_to_the_same_end(read: Flow) -> None:
    for sensor in reversed(TOPIC_OF):
        read.tick(sensor)
    for _ in TOPIC_OF:
        for sensor in reversed(TOPIC_OF):
            read.tick(sensor)
    assert stored(read) == {"reports": 1, "models": 1, "explanations": 2}


def now_ms() -> int:
    return int(time.time() * 1000)


TIMESTAMPS = {
    "zero": 0,
    "none": -1,
    "ten hours ago": now_ms() - 10 * HOUR_MS,
    "fifty minutes ahead": now_ms() + HOUR_MS * 5 // 6,
}
if not real_kafka():  # which refuses them by default
    TIMESTAMPS |= {"ten hours ahead": now_ms() + 10 * HOUR_MS, "no calendar knows": 2**62}


@pytest.mark.long
@pytest.mark.parametrize("timestamp", TIMESTAMPS.values(), ids=TIMESTAMPS.keys())
def test_clocks_of_producers_do_not_matter(read: Flow, timestamp: int) -> None:
    value = json.dumps(bias_trigger("small")).encode()
    produce(TRIGGERS, (value, {"timestamp_ms": timestamp, "headers": [("ce_id", b"skewed")]}))
    read.tick("bias_trigger_events")
    assert rows(read, "bias")["skewed"] == ("done", 1)
    with read.warehouse.reading() as session:
        row = session.query(LedgerRow).filter_by(cause="skewed").one()
        assert abs((row.deadline - row.requested_at).total_seconds() - settings().bias_deadline_seconds) < 60


# repetition


def every_event_once() -> dict[str, int]:
    """How often each event was announced, whatever number of times its record lies in the log: by `ce_id`."""
    return {topic: len({record.headers.get("ce_id") for record in records(topic)}) for topic in TOPIC_OF.values()}


EACH_ONCE = dict.fromkeys(TOPIC_OF.values(), 1) | {"xai-events": 2}


def test_everything_delivered_five_times_has_its_effect_once(quick_flow: Flow, small_table: Path) -> None:
    quick_flow.upload(small_table, "small")
    for sensor, topic in TOPIC_OF.items():
        deliver_again(topic, 4)
        quick_flow.tick(sensor)
        deliver_again(topic, 1)  # and once more when all is done
        quick_flow.tick(sensor)
    quick_flow.turn()
    assert stored(quick_flow) == {"reports": 1, "models": 1, "explanations": 2}
    assert every_event_once() == EACH_ONCE
    assert [len(rows(quick_flow, stage)) for stage in ("dataset", "bias", "automl", "xai")] == [1, 1, 1, 1]
    assert len(quick_flow.runs) == 4
    with quick_flow.warehouse.reading() as session:
        told = Counter(note.subject for note in session.query(Notification))
    assert set(told.values()) == {1}, told


def test_without_an_event_id_the_same_record_is_the_same_cause(quick_flow: Flow, small_table: Path) -> None:
    """As existing producers send: no headers at all; key and value make the cause."""
    with quick_flow.warehouse.transaction() as session:
        set_player(session, Role.AGENTIC_CORE, "foreign")
    quick_flow.upload(small_table, "small")
    quick_flow.tick("dataset_events")
    for topic, value, sensor in (
        ("bias-trigger-events", bias_trigger("small", target_column_name="target"), "bias_trigger_events"),
        ("automl-trigger-events", automl_trigger("small"), "automl_trigger_events"),
        ("xai-trigger-events", xai_trigger("small"), "xai_trigger_events"),
    ):
        for _ in range(3):
            quick_flow.publish(topic, value)
        quick_flow.tick(sensor)
        for _ in range(2):
            quick_flow.publish(topic, value)
        quick_flow.tick(sensor)
    assert stored(quick_flow) == {"reports": 1, "models": 1, "explanations": 2}
    answers = ("bias-events", "automl-events", "xai-events")
    assert {topic: len(records(topic)) for topic in answers} == {"bias-events": 1, "automl-events": 1, "xai-events": 2}


@pytest.mark.long
def test_another_key_or_value_is_another_cause(read: Flow) -> None:
    for key, level in (("a", "Binary"), ("a", "binary"), ("b", "binary"), ("b", "binary")):
        read.publish(TRIGGERS, bias_trigger("small", task_type=level), key=key)
    read.tick("bias_trigger_events")
    assert len(rows(read, "bias")) == 1 + 3, "our core's, and three that differ"


def test_announcements_of_another_warehouse_five_times_are_decided_once(read: Flow) -> None:
    """Events without `ce_id` on the topics that the warehouse writes to."""
    read.turn(2)
    before = every_event_once()
    read.requested.clear()
    for sensor, topic in TOPIC_OF.items():
        if topic in ("bias-events", "automl-events"):
            deliver_again(topic, 5, with_headers=False)
            read.tick(sensor)
            read.tick(sensor)
    more = {topic: len({it.cause for it in records(topic)}) - before[topic] for topic in before}
    assert more["automl-trigger-events"] == 1, "one step for the one announcement that nobody knew"
    assert more["xai-trigger-events"] == 1
    assert len([it for it in outbox(read) if it == "automl-trigger.reported"]) == 2


def outbox(flow: Flow) -> list[str]:
    with flow.warehouse.reading() as session:
        return [row.event_type for row in session.query(OutboxRow)]
