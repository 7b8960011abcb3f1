"""Publishing: one outcome a message, in order, whatever the broker does."""

import os
import sys
import threading
from pathlib import Path
from uuid import uuid4

import pytest

from mlpipe_dagster.errors import BrokerUnavailable, TooLarge
from mlpipe_dagster.messaging.connection import Connection
from mlpipe_dagster.messaging.embedded import EmbeddedBroker, free_port
from mlpipe_dagster.messaging.publisher import Publisher
from mlpipe_dagster.messaging.reader import Cursor, SharedReader
from mlpipe_dagster.messaging.records import Acknowledgement, OutboundMessage
from mlpipe_dagster.messaging.topics import TopicMissing, create_topics, topic_ids
from mlpipe_dagster_tests.messaging.conftest import frozen, messages, publish


def test_a_broker_that_cannot_be_asked_raises() -> None:
    nowhere = f"127.0.0.1:{free_port(23092)}"
    with pytest.raises(BrokerUnavailable, match=nowhere):
        Publisher(Connection(nowhere)).publish(messages("t", "1"))


def test_nothing_to_publish_asks_nobody() -> None:
    assert Publisher(Connection("127.0.0.1:1")).publish([]) == []


def test_an_oversized_message_does_not_block_those_behind_it(
    publisher: Publisher, reader: SharedReader, topic: str
) -> None:
    outcomes = publisher.publish(messages(topic, "first", "x" * 250_000, "last"))
    assert isinstance(outcomes[1], TooLarge)
    assert topic in str(outcomes[1])
    assert [it.offset for it in outcomes if isinstance(it, Acknowledgement)] == [0, 1]
    assert [it.value for it in reader.read(topic, Cursor(), 1).records] == [b"first", b"last"]


def test_what_the_broker_itself_finds_too_large_is_told_apart(broker: Connection, topic: str) -> None:
    """A topic may allow less than we believe. The embedded broker has no such limit and takes the record."""
    generous = Publisher(Connection(broker.bootstrap_servers, max_message_bytes=1_000_000))
    first, large, last = generous.publish(messages(topic, "first", "x" * 250_000, "last"))
    generous.close()
    assert isinstance(first, Acknowledgement)
    assert isinstance(large, TooLarge | Acknowledgement)
    assert isinstance(last, Acknowledgement)


def test_a_missing_topic_concerns_its_message_alone_and_is_not_created(
    broker: Connection, publisher: Publisher, topic: str
) -> None:
    missing = f"test-{uuid4().hex[:12]}"
    outcomes = publisher.publish([*messages(missing, "1"), *messages(topic, "2")])
    assert isinstance(outcomes[0], TopicMissing)
    assert missing in str(outcomes[0])
    assert isinstance(outcomes[1], Acknowledgement)
    assert missing not in topic_ids(broker)


def test_acknowledgements_say_where_a_message_lies(
    broker: Connection, publisher: Publisher, reader: SharedReader, topic: str
) -> None:
    acknowledged = publish(publisher, topic, *(str(number) for number in range(1200)))
    assert [it.offset for it in acknowledged] == list(range(1200))
    assert {it.topic_id for it in acknowledged} == {topic_ids(broker)[topic]}
    records = reader.read(topic, Cursor(), 1, limit=1).records
    assert [(it.offset, it.timestamp) for it in records] == [(0, acknowledged[0].timestamp)]


def test_many_megabytes_go_out_in_order(broker: Connection, publisher: Publisher, topic: str) -> None:
    acknowledged = publish(publisher, topic, *(f"{number}" + "x" * 150_000 for number in range(80)))
    assert [it.offset for it in acknowledged] == list(range(80))


def test_threads_may_share_a_publisher(publisher: Publisher, topic: str) -> None:
    offsets: list[int] = []

    def send() -> None:
        offsets.extend(it.offset for it in publish(publisher, topic, "a", "b", "c"))

    threads = [threading.Thread(target=send) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(offsets) == list(range(18))


def test_a_closed_publisher_opens_again(publisher: Publisher, topic: str) -> None:
    publish(publisher, topic, "1")
    publisher.close()
    assert publish(publisher, topic, "2")[0].offset == 1


def test_a_broker_that_dies_and_comes_back_empty(own_broker: EmbeddedBroker) -> None:
    connection = Connection(own_broker.address)
    create_topics(connection, ["t"])
    publisher = Publisher(connection)
    before = publish(publisher, "t", "1", "2")
    own_broker.process.kill()
    own_broker.process.wait()
    with pytest.raises(BrokerUnavailable, match=own_broker.address):
        publisher.publish(messages("t", "3"))
    own_broker.start()
    assert [type(it) for it in publisher.publish(messages("t", "3"))] == [TopicMissing]
    create_topics(connection, ["t"])
    after = publish(publisher, "t", "3")
    publisher.close()
    assert after[0].offset == 0
    assert after[0].topic_id != before[0].topic_id


def test_a_broker_that_freezes(own_broker: EmbeddedBroker) -> None:
    """Before the question or between it and the sending: nothing is acknowledged, and the address is named."""
    connection = Connection(own_broker.address)
    create_topics(connection, ["t"])
    publisher = Publisher(connection)
    publish(publisher, "t", "1")
    with frozen(own_broker), pytest.raises(BrokerUnavailable, match=own_broker.address):
        for outcome in publisher.publish(messages("t", "2")):
            assert isinstance(outcome, BrokerUnavailable)
            raise outcome
    publish(publisher, "t", "3")
    publisher.close()


@pytest.mark.filterwarnings("ignore:This process.*multi-threaded:DeprecationWarning")
def test_a_forked_child_publishes_and_its_parent_goes_on(
    broker: Connection, publisher: Publisher, reader: SharedReader, topic: str, tmp_path: Path
) -> None:
    publish(publisher, topic, "parent")
    cursor = reader.read(topic, Cursor(), 1).cursor
    child = os.fork()
    if child == 0:
        status = 1
        try:
            publish(publisher, topic, "child")
            found = reader.read(topic, cursor, 1).records
            (tmp_path / "seen").write_bytes(b",".join(it.value or b"" for it in found))
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert (tmp_path / "seen").read_bytes() == b"child"
    publish(publisher, topic, "parent again")
    assert [it.value for it in reader.read(topic, cursor, 1).records] == [b"child", b"parent again"]


@pytest.mark.filterwarnings("ignore:This process.*multi-threaded:DeprecationWarning")
def test_a_child_may_fork_while_another_thread_publishes(publisher: Publisher, topic: str) -> None:
    stop = threading.Event()

    def keep_sending() -> None:
        while not stop.is_set():
            publish(publisher, topic, "parent")

    thread = threading.Thread(target=keep_sending)
    thread.start()
    try:
        for _ in range(5):
            child = os.fork()
            if child == 0:
                outcomes = publisher.publish(messages(topic, "child"))
                os._exit(0 if isinstance(outcomes[0], Acknowledgement) else 1)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        stop.set()
        thread.join()


def test_neither_key_nor_value_is_a_message_too(publisher: Publisher, reader: SharedReader, topic: str) -> None:
    outcomes = publisher.publish([OutboundMessage(topic, None, None, (("a", b"1"), ("null", None)))])
    assert isinstance(outcomes[0], Acknowledgement)
    (record,) = reader.read(topic, Cursor(), 1).records
    assert (record.key, record.value, record.raw_headers) == (None, None, (("a", b"1"), ("null", b"")))


def test_importing_the_messaging_modules_stays_light() -> None:
    code = (
        "import sys, mlpipe_dagster.messaging.reader, mlpipe_dagster.messaging.publisher;"
        "sys.exit(','.join({'pandas', 'dagster', 'sklearn', 'duckdb', 'sqlalchemy'} & set(sys.modules)) or 0)"
    )
    assert os.spawnv(os.P_WAIT, sys.executable, [sys.executable, "-c", code]) == 0
