"""The embedded broker: up when it answers, honest about a port that is taken, gone when stopped."""

import socket
from pathlib import Path

import pytest

from mlpipe_dagster.errors import BrokerUnavailable
from mlpipe_dagster.messaging.connection import Connection, reachable
from mlpipe_dagster.messaging.embedded import EmbeddedBroker, free_port
from mlpipe_dagster_tests.brokers import some_port
from mlpipe_dagster_tests.messaging.conftest import frozen


def test_a_second_broker_on_the_port_is_noticed(own_broker: EmbeddedBroker, tmp_path: Path) -> None:
    second = EmbeddedBroker(own_broker.port, tmp_path / "second.log")
    with pytest.raises(BrokerUnavailable, match=f"{own_broker.address} taken.*second.log"):
        second.start()
    assert second.process.poll() is not None
    assert own_broker.process.poll() is None
    assert reachable(Connection(own_broker.address))


def test_another_program_on_the_port_is_noticed() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(BrokerUnavailable, match="taken by another program"):
            EmbeddedBroker(taken.getsockname()[1]).start()


def test_an_open_port_that_does_not_answer_is_not_reachable(own_broker: EmbeddedBroker) -> None:
    with frozen(own_broker):
        assert not reachable(Connection(own_broker.address), timeout=0.3)


def test_stopping_ends_the_process_and_can_be_repeated(tmp_path: Path) -> None:
    with EmbeddedBroker(some_port(), tmp_path / "logs" / "broker.log") as broker:
        assert (tmp_path / "logs" / "broker.log").is_file()
    assert broker.process.poll() is not None
    broker.stop()
    assert not reachable(Connection(broker.address), timeout=0.3)


def test_a_broker_that_was_not_started_says_so() -> None:
    with pytest.raises(BrokerUnavailable, match="not started"):
        _ = EmbeddedBroker(1).process


def test_a_taken_port_leads_to_the_next_free_one() -> None:
    first = free_port(24092)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", first))
        taken.listen()
        second = free_port(first)
    assert second > first
    assert free_port(0) > 0
