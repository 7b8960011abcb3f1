"""A Kafka client that gets no answers any more, and does not say so: the reader notices, and connects anew.

Seen with kafka-python 3.0.12 when the one broker died that its metadata named: it asked nobody else, for ever.
"""

import threading
import time
from collections.abc import Callable

import pytest
from kafka.errors import KafkaError

from mlpipe_dagster.errors import BrokerUnavailable
from mlpipe_dagster.messaging import reader as reader_module
from mlpipe_dagster.messaging import rounds
from mlpipe_dagster.messaging.connection import Connection
from mlpipe_dagster.messaging.follow import Follower
from mlpipe_dagster.messaging.log_consumer import Fetched, LogConsumer
from mlpipe_dagster.messaging.publisher import Publisher
from mlpipe_dagster.messaging.reader import Batch, Cursor, SharedReader
from mlpipe_dagster_tests.messaging.conftest import publish
from mlpipe_dagster_tests.messaging.test_reader import Tick, values


class AlwaysPending(set[int]):
    """The brokers whose answer is awaited: all of them, and none ever answers."""

    def __contains__(self, broker: object) -> bool:
        return True


def stop_fetching(consumer: LogConsumer | None) -> None:
    """As if the client's fetches were on their way for ever, or all brokers that it knows had gone."""
    assert consumer is not None
    consumer._kafka._fetcher._nodes_with_pending_fetch_requests = AlwaysPending()
    await_answers(consumer)


def await_answers(consumer: LogConsumer) -> None:
    """Wait until the client has the answers to all that it asked."""
    fetcher = consumer._kafka._fetcher
    while fetcher.in_flight_fetches():
        time.sleep(0.01)
    fetcher._manager.run(fetcher._clean_done_fetch_futures)  # in the thread that takes the answers, hence after them


def test_an_end_that_was_true_once_is_no_silence(reader: SharedReader, publisher: Publisher, topic: str) -> None:
    publish(publisher, topic, "1")
    cursor = reader.read(topic, Cursor(), 1).cursor
    consumer = reader._rounds._consumer
    assert consumer is not None
    consumer._kafka._fetcher.send_fetches()  # as the client does itself behind records
    await_answers(consumer)
    stop_fetching(consumer)
    publish(publisher, topic, "2")
    with pytest.raises(BrokerUnavailable, match=f"no answer for {topic}"):
        reader.read(topic, cursor, 0.1)
    assert values(reader.read(topic, cursor, 2)) == [b"2"], "another consumer reads on"


def test_a_long_poll_whose_fetches_are_not_answered_connects_anew(
    reader: SharedReader, publisher: Publisher, topic: str
) -> None:
    cursor = reader.read(topic, Cursor(), 0).cursor
    waiting = Tick(reader, topic, cursor, 60)
    waiting.join(0.5)
    stop_fetching(reader._rounds._consumer)
    publish(publisher, topic, "1")
    outcome = waiting.outcome()
    assert isinstance(outcome, Batch)
    assert values(outcome) == [b"1"]


def test_a_follower_connects_anew_too(broker: Connection, publisher: Publisher, topic: str) -> None:
    with Follower(broker, [topic]) as follower:
        assert follower.poll(0.5) == []
        stop_fetching(follower._consumer)
        publish(publisher, topic, "1")
        assert [record.value for record in follower.poll(60)] == [b"1"]


class Lost(LogConsumer):
    """A consumer whose client never comes back from a poll, until the test ends."""

    test_ends = threading.Event()

    def poll(self) -> Fetched:
        self.test_ends.wait()
        raise KafkaError("too late")


def test_a_thread_that_never_comes_back_from_kafka_is_replaced(
    reader: SharedReader, publisher: Publisher, new_topic: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    topic, other = new_topic(), new_topic()
    monkeypatch.setattr(reader_module, "STUCK_SECONDS", 3)
    with monkeypatch.context() as lost:
        lost.setattr(rounds, "LogConsumer", Lost)
        long_poll = Tick(reader, other, Cursor(), 60)
        with pytest.raises(BrokerUnavailable, match=f"no answer for {topic}"):
            reader.read(topic, Cursor(), 0.1)
    outcome = long_poll.outcome()
    assert isinstance(outcome, BrokerUnavailable), "it is not left to a thread that may be gone for ever"
    publish(publisher, topic, "1")
    publish(publisher, other, "2")
    assert values(reader.read(topic, Cursor(), 2)) == [b"1"]
    Lost.test_ends.set()  # the old thread comes back, and does no harm
    assert values(reader.read(other, Cursor(), 2)) == [b"2"]
    assert values(reader.read(topic, Cursor(), 2)) == [b"1"]
