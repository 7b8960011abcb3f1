"""Reading at cursors: records as soon as there are any, verified silence, or an error; nothing lost without a word."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from uuid import uuid4

import pytest
from kafka import KafkaAdminClient, TopicPartition
from kafka.errors import KafkaError, LogTruncationError
from kafka.structs import OffsetAndMetadata

from mlpipe_dagster.errors import BrokerUnavailable, MlpipeError
from mlpipe_dagster.messaging.connection import Connection
from mlpipe_dagster.messaging.embedded import EmbeddedBroker, free_port
from mlpipe_dagster.messaging.group_mirror import mirror
from mlpipe_dagster.messaging.log_consumer import Moved, divergence
from mlpipe_dagster.messaging.publisher import Publisher
from mlpipe_dagster.messaging.reader import Batch, Cursor, SharedReader, TakenOver, process_reader
from mlpipe_dagster.messaging.records import OutboundMessage
from mlpipe_dagster.messaging.topics import TopicMissing, create_topics, topic_ids
from mlpipe_dagster.settings import settings
from mlpipe_dagster_tests.messaging.conftest import frozen, publish


def values(batch: Batch) -> list[bytes | None]:
    return [record.value for record in batch.records]


class Tick(threading.Thread):
    """One read in a thread of its own; `result` is its batch or its error."""

    def __init__(self, reader: SharedReader, topic: str, cursor: Cursor, wait_seconds: float) -> None:
        super().__init__()
        self.result: Batch | MlpipeError | None = None
        self._read = lambda: reader.read(topic, cursor, wait_seconds)
        self.start()

    def run(self) -> None:
        try:
            self.result = self._read()
        except MlpipeError as error:
            self.result = error

    def outcome(self) -> Batch | MlpipeError | None:
        self.join(20)
        return self.result


def test_nobody_listening_is_an_error_and_no_silence() -> None:
    nowhere = f"127.0.0.1:{free_port(23092)}"
    reader = SharedReader(Connection(nowhere))
    with pytest.raises(BrokerUnavailable, match=f"Kafka unreachable at {nowhere}"):
        reader.read("t", Cursor(), 0.1)
    with pytest.raises(BrokerUnavailable, match=f"Kafka unreachable at {nowhere}"):
        reader.read("t", Cursor(), 0.1)
    reader.close()


def test_a_missing_topic_is_named_and_does_not_disturb_others(
    reader: SharedReader, publisher: Publisher, topic: str
) -> None:
    missing = f"test-{uuid4().hex[:12]}"
    waiting = Tick(reader, topic, Cursor(), 5)
    with pytest.raises(TopicMissing, match=missing):
        reader.read(missing, Cursor(), 1)
    publish(publisher, topic, "1")
    outcome = waiting.outcome()
    assert isinstance(outcome, Batch)
    assert values(outcome) == [b"1"]


def test_a_frozen_broker_is_an_error_and_no_silence(own_broker: EmbeddedBroker) -> None:
    connection = Connection(own_broker.address)
    create_topics(connection, ["t"])
    reader = SharedReader(connection)
    cursor = reader.read("t", Cursor(), 0.1).cursor
    with frozen(own_broker), pytest.raises(BrokerUnavailable, match=own_broker.address):
        reader.read("t", cursor, 0.1)
    assert reader.read("t", cursor, 0.1).records == ()
    reader.close()


def test_records_come_back_as_they_were_sent(
    broker: Connection, reader: SharedReader, publisher: Publisher, topic: str
) -> None:
    headers = (("ce_id", b"e-1"), ("ce_source", "/mlpipe/wärehouse".encode()), ("empty", b""), ("ce_id", b"e-2"))
    publisher.publish(
        [
            OutboundMessage(topic, "schlüssel".encode(), b"\x00\xff", headers),
            OutboundMessage(topic, None, b"no key"),
            OutboundMessage(topic, b"no value", None),
        ]
    )
    batch = reader.read(topic, Cursor(), 2)
    first, second, third = batch.records
    assert (first.key, first.value, first.raw_headers) == ("schlüssel".encode(), b"\x00\xff", headers)
    assert first.headers == {"ce_id": "e-2", "ce_source": "/mlpipe/wärehouse", "empty": ""}
    assert (second.key, second.value, second.raw_headers) == (None, b"no key", ())
    assert (third.key, third.value) == (b"no value", None)
    assert third.coordinates == f"{topic}/0/2"
    assert batch.cursor == Cursor(topic_ids(broker)[topic], {0: 3})
    assert (batch.notes, batch.lag) == ((), 0)


def test_a_limit_leaves_the_rest_for_the_next_tick(reader: SharedReader, publisher: Publisher, topic: str) -> None:
    publish(publisher, topic, "1", "2", "3", "4", "5")
    first = reader.read(topic, Cursor(), 1, limit=2)
    second = reader.read(topic, first.cursor, 1, limit=200)
    assert (values(first), first.lag) == ([b"1", b"2"], 3)
    assert (values(second), second.lag) == ([b"3", b"4", b"5"], 0)
    again = reader.read(topic, first.cursor, 1)
    assert values(again) == [b"3", b"4", b"5"]


def test_waiting_in_vain_is_an_empty_batch_with_an_unchanged_place(
    reader: SharedReader, publisher: Publisher, topic: str
) -> None:
    publish(publisher, topic, "1")
    cursor = reader.read(topic, Cursor(), 1).cursor
    silent = reader.read(topic, cursor, 0)
    assert (silent.records, silent.cursor, silent.lag, silent.notes) == ((), cursor, 0, ())


def test_a_tick_without_patience_still_gets_what_lies_there(
    reader: SharedReader, publisher: Publisher, topic: str
) -> None:
    publish(publisher, topic, "1")
    assert values(reader.read(topic, Cursor(), 0)) == [b"1"]


def test_a_long_poll_wakes_when_a_record_comes(reader: SharedReader, publisher: Publisher, topic: str) -> None:
    cursor = reader.read(topic, Cursor(), 0).cursor
    waiting = Tick(reader, topic, cursor, 60)
    waiting.join(0.3)
    assert waiting.is_alive()
    publish(publisher, topic, "now")
    outcome = waiting.outcome()
    assert isinstance(outcome, Batch)
    assert values(outcome) == [b"now"]


def test_seven_topics_are_read_at_once(
    reader: SharedReader, publisher: Publisher, new_topic: Callable[..., str]
) -> None:
    others = set(threading.enumerate())
    topics = [new_topic() for _ in range(7)]
    seen: dict[str, list[bytes | None]] = {topic: [] for topic in topics}

    def follow(topic: str) -> None:
        cursor = Cursor()
        while len(seen[topic]) < 30:
            batch = reader.read(topic, cursor, 10, limit=7)
            cursor = Cursor.from_json(batch.cursor.to_json())
            seen[topic] += values(batch)

    threads = [threading.Thread(target=follow, args=(topic,)) for topic in topics]
    for thread in threads:
        thread.start()
    for number in range(30):
        publisher.publish([OutboundMessage(topic, b"k", f"{topic}:{number}".encode()) for topic in topics])
    for thread in threads:
        thread.join(30)
    assert seen == {topic: [f"{topic}:{number}".encode() for number in range(30)] for topic in topics}
    assert len([one for one in set(threading.enumerate()) - others if one.name == "mlpipe-reader"]) == 1


def test_a_newer_tick_takes_over(reader: SharedReader, publisher: Publisher, topic: str) -> None:
    cursor = reader.read(topic, Cursor(), 0).cursor
    older = Tick(reader, topic, cursor, 60)
    older.join(0.2)
    newer = Tick(reader, topic, cursor, 60)
    assert isinstance(older.outcome(), TakenOver)
    publish(publisher, topic, "1")
    outcome = newer.outcome()
    assert isinstance(outcome, Batch)
    assert values(outcome) == [b"1"]


def test_another_process_may_have_read_on_in_between(
    broker: Connection, reader: SharedReader, publisher: Publisher, topic: str
) -> None:
    """The end that the first reader remembers lies before the cursor: no reason to believe that the log was cut."""
    publish(publisher, topic, "1")
    reader.read(topic, Cursor(), 1)
    publish(publisher, topic, *"23456")
    other = SharedReader(broker)
    cursor = other.read(topic, Cursor(), 1).cursor
    other.close()
    silent = reader.read(topic, cursor, 0.1)
    assert (silent.records, silent.notes, silent.cursor.offsets) == ((), (), {0: 6})


def test_a_cursor_behind_the_end_reads_again_and_says_so(
    broker: Connection, reader: SharedReader, publisher: Publisher, topic: str
) -> None:
    publish(publisher, topic, "1", "2")
    batch = reader.read(topic, Cursor(topic_ids(broker)[topic], {0: 500}), 1)
    assert values(batch) == [b"1", b"2"]
    assert batch.notes == (f"{topic}/0: the log ends before offset 500, it was cut or restored: reading again from 0",)
    assert batch.cursor.offsets == {0: 2}


def test_partitions_missing_from_the_cursor_are_read_from_their_beginning(
    broker: Connection, reader: SharedReader, publisher: Publisher, new_topic: Callable[..., str]
) -> None:
    topic = new_topic(partitions=4)
    keys = [f"key {number}".encode() for number in range(40)]
    acknowledged = publisher.publish([OutboundMessage(topic, key, key) for key in keys])
    first = {it.partition for it in acknowledged if not isinstance(it, MlpipeError)}
    assert first == {0, 1, 2, 3}
    cursor, seen = Cursor(topic_ids(broker)[topic], {0: 0, 1: 0}), []
    while len(seen) < 40:
        batch = reader.read(topic, cursor, 2, limit=15)
        cursor = batch.cursor
        assert batch.notes == ()
        seen += values(batch)
    assert sorted(it for it in seen if it is not None) == sorted(keys)
    assert set(cursor.offsets) == {0, 1, 2, 3}


def test_partitions_added_while_a_tick_waits(
    broker: Connection, reader: SharedReader, publisher: Publisher, topic: str
) -> None:
    if not _add_partitions(broker, topic, 3):
        pytest.skip("this broker cannot add partitions")
    waiting = Tick(reader, topic, Cursor(topic_ids(broker)[topic], {0: 0}), 10)
    publisher.close()
    publisher.publish([OutboundMessage(topic, f"key {number}".encode(), b"v") for number in range(12)])
    outcome = waiting.outcome()
    assert isinstance(outcome, Batch)
    assert set(outcome.cursor.offsets) == {0, 1, 2}


def _add_partitions(broker: Connection, topic: str, total: int) -> bool:
    admin = KafkaAdminClient(**broker.client_options())
    with suppress(KafkaError):
        admin.create_partitions({topic: total})
    partitions = len(admin.describe_topics([topic])[0]["partitions"])
    admin.close()
    return partitions == total


def test_expired_records_are_said_and_reading_goes_on(
    broker: Connection, reader: SharedReader, publisher: Publisher, topic: str, real_kafka_only: None
) -> None:
    publish(publisher, topic, *"0123456789")
    _delete_before(broker, topic, 6)
    batch = reader.read(topic, Cursor(topic_ids(broker)[topic], {0: 2}), 2)
    assert values(batch) == [b"6", b"7", b"8", b"9"]
    assert batch.notes == (f"{topic}/0: offsets 2 to 5 have expired unread: reading on at 6",)
    fresh = reader.read(topic, Cursor(), 2)
    assert (values(fresh), fresh.notes) == ([b"6", b"7", b"8", b"9"], ())


def _delete_before(broker: Connection, topic: str, offset: int) -> None:
    admin = KafkaAdminClient(**broker.client_options())
    admin.delete_records({TopicPartition(topic, 0): offset})
    admin.close()


def test_a_topic_deleted_and_created_anew_is_read_from_its_beginning(
    broker: Connection, reader: SharedReader, publisher: Publisher, topic: str
) -> None:
    publish(publisher, topic, "old 1", "old 2", "old 3")
    cursor = reader.read(topic, Cursor(), 1).cursor
    waiting = Tick(reader, topic, cursor, 15)
    admin = KafkaAdminClient(**broker.client_options())
    admin.delete_topics([topic])
    admin.close()
    while topic in topic_ids(broker):
        time.sleep(0.05)
    create_topics(broker, [topic])
    publish(publisher, topic, "new")
    outcome = waiting.outcome()
    if isinstance(outcome, TopicMissing):  # the tick looked while the topic was away; the next one goes on
        outcome = reader.read(topic, cursor, 5)
    assert isinstance(outcome, Batch)
    assert values(outcome) == [b"new"]
    assert outcome.notes == (f"{topic} was created anew: reading from its beginning",)


def test_a_broker_that_comes_back_empty(own_broker: EmbeddedBroker) -> None:
    connection = Connection(own_broker.address)
    create_topics(connection, ["t"])
    publisher, reader = Publisher(connection), SharedReader(connection)
    publish(publisher, "t", "1", "2", "3")
    cursor = reader.read("t", Cursor(), 1).cursor
    waiting = Tick(reader, "t", cursor, 60)
    waiting.join(0.2)
    own_broker.process.kill()
    own_broker.process.wait()
    outcome = waiting.outcome()
    assert isinstance(outcome, BrokerUnavailable)
    assert own_broker.address in str(outcome)
    own_broker.start()
    with pytest.raises(TopicMissing, match="has no topic t"):
        reader.read("t", cursor, 1)
    create_topics(connection, ["t"])
    publish(publisher, "t", "4")
    batch = reader.read("t", cursor, 5)
    assert values(batch) == [b"4"]
    assert batch.notes == ("t was created anew: reading from its beginning",)
    assert batch.cursor == Cursor(topic_ids(connection)["t"], {0: 1})
    publisher.close()
    reader.close()


def test_without_a_cursor_reading_begins_where_the_group_stood(
    broker: Connection, reader: SharedReader, publisher: Publisher, topic: str
) -> None:
    group = f"group-{uuid4().hex[:8]}"
    publish(publisher, topic, *"01234")
    while not mirror(broker, group, topic, {0: 3}):  # a Kafka that was just started has no coordinator yet
        time.sleep(0.1)
    assert values(reader.read(topic, Cursor(), 1, group=f"{group}-new")) == [b"0", b"1", b"2", b"3", b"4"]
    batch = reader.read(topic, Cursor(), 1, group=group)
    assert values(batch) == [b"3", b"4"]
    assert values(reader.read(topic, Cursor(topic_ids(broker)[topic], {0: 1}), 1, group=group)) == [
        b"1",
        b"2",
        b"3",
        b"4",
    ]


def test_a_closed_reader_says_so(broker: Connection, topic: str) -> None:
    reader = SharedReader(broker)
    waiting = Tick(reader, topic, Cursor(), 60)
    waiting.join(0.2)
    reader.close()
    assert isinstance(waiting.outcome(), MlpipeError)
    with pytest.raises(MlpipeError, match="closed"):
        reader.read(topic, Cursor(), 1)


def test_a_process_has_one_reader_for_its_brokers(monkeypatch: pytest.MonkeyPatch) -> None:
    readers = []
    for servers in ("127.0.0.1:1", "127.0.0.1:1", "127.0.0.1:2"):
        monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", servers)
        settings.cache_clear()
        readers.append(process_reader())
    monkeypatch.undo()
    settings.cache_clear()
    assert readers[0] is readers[1]
    assert readers[0] is not readers[2]


def test_a_log_that_lost_its_tail_is_known_up_to_where_it_diverged() -> None:
    """What Kafka reports after an unclean election, which one broker cannot stage."""
    known, unknown = TopicPartition("t", 0), TopicPartition("t", 1)
    error = LogTruncationError({known: OffsetAndMetadata(40, "", 3), unknown: None})
    assert divergence(error) == {known: 40, unknown: None}
    assert Moved("t", 0, 50, 40).note == (
        "t/0: the log ends before offset 50, it was cut or restored: reading again from 40"
    )


@pytest.mark.parametrize("text", ["5", "[]", "{}", '{"topic_id": "a"}', '{"topic_id": "a", "offsets": {"x": 1}}', "no"])
def test_what_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(MlpipeError, match="no cursor"):
        Cursor.from_json(text)


def test_cursors_survive_being_stored() -> None:
    assert Cursor.from_json(None) == Cursor.from_json("") == Cursor(None, {})
    assert Cursor("id", {10: 4, 2: 0}).to_json() == '{"topic_id": "id", "offsets": {"2": 0, "10": 4}}'
    assert Cursor.from_json('{"topic_id": "id", "offsets": {"2": 0, "10": 4}}') == Cursor("id", {2: 0, 10: 4})
