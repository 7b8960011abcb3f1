"""While no broker answers, tries leave no threads and no open files behind: an outage may last for days."""

import gc
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from mlpipe_dagster.errors import BrokerUnavailable
from mlpipe_dagster.messaging import connection as connections
from mlpipe_dagster.messaging.connection import BrokerAdmin, Connection, reachable
from mlpipe_dagster.messaging.embedded import free_port
from mlpipe_dagster.messaging.log_ends import log_ends
from mlpipe_dagster.messaging.publisher import Publisher
from mlpipe_dagster.messaging.reader import Cursor, SharedReader, close_process_readers, process_reader
from mlpipe_dagster.messaging.records import OutboundMessage
from mlpipe_dagster.settings import settings

TIMES = 3
OPEN_FILES = Path("/proc/self/fd")


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> Connection:
    monkeypatch.setattr(connections, "BOOTSTRAP_SECONDS", 0.2)
    return Connection(f"127.0.0.1:{free_port(23492)}")


def open_files() -> int:
    gc.collect()
    return len(list(OPEN_FILES.iterdir()))


def threads() -> set[threading.Thread]:
    return set(threading.enumerate())


def ask(connection: Connection) -> None:
    admin = BrokerAdmin(connection)
    for _ in range(TIMES):
        with pytest.raises(BrokerUnavailable):
            admin.ask(lambda client: client.describe_cluster())
    admin.close()


def read(connection: Connection) -> None:
    reader = SharedReader(connection)
    for _ in range(TIMES):
        with pytest.raises(BrokerUnavailable):
            reader.read("t", Cursor(), 0.1)
    reader.close()


def publish(connection: Connection) -> None:
    publisher = Publisher(connection)
    for _ in range(TIMES):
        with pytest.raises(BrokerUnavailable):
            publisher.publish([OutboundMessage("t", b"k", b"v", ())])
    publisher.close()


def look_for_ends(connection: Connection) -> None:
    for _ in range(TIMES):
        with pytest.raises(BrokerUnavailable):
            log_ends(connection, {("t", 0): 0})


def knock(connection: Connection) -> None:
    for _ in range(TIMES):
        assert not reachable(connection, 0.2)


@pytest.mark.skipif(not OPEN_FILES.is_dir(), reason="open files are counted as Linux lists them")
@pytest.mark.parametrize("tries", [ask, read, publish, look_for_ends, knock])
def test_tries_without_a_broker_leave_nothing(tries: Callable[[Connection], None], nowhere: Connection) -> None:
    tries(nowhere)  # what a process opens once
    running, files = threads(), open_files()
    tries(nowhere)
    assert not threads() - running
    assert open_files() <= files


def test_the_readers_of_a_process_are_closed_and_opened_anew(
    nowhere: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", nowhere.bootstrap_servers)
    settings.cache_clear()
    before = threads()
    first = process_reader()
    assert process_reader() is first
    with pytest.raises(BrokerUnavailable):
        first.read("t", Cursor(), 0.1)
    assert threads() - before
    close_process_readers()
    assert not threads() - before
    assert process_reader() is not first
    close_process_readers()
    settings.cache_clear()
