"""Uploads as a real server meets them: broken off, too large, killed with the server, and while Kafka is down."""

import hashlib
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
import requests
from sqlalchemy import select

from mlpipe_dagster.api import receiving
from mlpipe_dagster.messaging.connection import Connection
from mlpipe_dagster.messaging.embedded import EmbeddedBroker, free_port
from mlpipe_dagster.messaging.follow import Follower
from mlpipe_dagster.messaging.topics import create_topics
from mlpipe_dagster.settings import settings
from mlpipe_dagster.warehouse.objects import FolderObjects
from mlpipe_dagster.warehouse.schema import DatasetVersion
from mlpipe_dagster.warehouse.warehouse import open_warehouse
from mlpipe_dagster_tests.api.conftest import DEAD_BROKER
from mlpipe_dagster_tests.api.requests import CSV
from mlpipe_dagster_tests.api.servers import Server, running_server, until
from mlpipe_dagster_tests.defs.flow import Flow

FIELDS = {"user_id": "ann", "dataset_id": "loans", "name": "Loans"}
DECLARED = 50_000_000
SENT = 3_000_000


@pytest.fixture
def server(home: Path) -> Iterator[Server]:
    """The API without Kafka, taking fifty megabytes a file."""
    with running_server(home, DEAD_BROKER, MLPIPE_MAX_UPLOAD_BYTES=str(DECLARED)) as running:
        yield running


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def half_an_upload(server: Server) -> socket.socket:
    """A connection that has sent some of a file, and says that more will come."""
    part = '--b\r\nContent-Disposition: form-data; name="{}"\r\n\r\n{}\r\n'
    head = "".join(part.format(name, value) for name, value in FIELDS.items())
    head += '--b\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n'
    connection = socket.create_connection(("127.0.0.1", server.port))
    request = f"POST /datasets/upload HTTP/1.1\r\nHost: localhost:{server.port}\r\nContent-Length: {DECLARED}\r\n"
    request += "Content-Type: multipart/form-data; boundary=b\r\n\r\n"
    connection.sendall(request.encode() + head.encode() + b"1,2,3\n" * (SENT // 6))
    return connection


def test_an_upload_that_is_broken_off_leaves_nothing(server: Server, home: Path) -> None:
    with half_an_upload(server):
        until(lambda: any(path.stat().st_size > SENT // 2 for path in files_below(home / "scratch")), 20, "it arrives")
    until(lambda: files_below(home / "scratch") == [], 20, "what had arrived is removed")
    assert files_below(home / "objects") == []
    with open_warehouse().reading() as session:
        assert session.scalars(select(DatasetVersion)).all() == []
    stored = requests.post(f"{server.base}/datasets/upload", data=FIELDS, files={"file": ("a.csv", CSV)}, timeout=30)
    assert stored.json()["version"] == "v1"
    until(lambda: files_below(home / "scratch") == [], 20, "what was stored is not kept twice")


def test_what_a_killed_server_left_goes_a_day_later(server: Server, home: Path) -> None:
    with half_an_upload(server):
        until(lambda: files_below(home / "scratch") != [], 20, "it arrives")
        server.process.kill()
        server.process.wait()
    (left,) = files_below(home / "scratch")
    receiving.remove_abandoned()
    assert left.exists(), "it might still be arriving in another process"
    long_ago = time.time() - receiving.ABANDONED_SECONDS - 1
    os.utime(left, (long_ago, long_ago))
    with running_server(home, DEAD_BROKER):
        assert not left.exists()


def test_a_stored_file_is_whole_hashed_and_counted(server: Server, home: Path) -> None:
    content = b"a,b,target\n" + b"1,2,yes\n3,4,no\n" * 300_000
    stored = requests.post(
        f"{server.base}/datasets/upload", data=FIELDS, files={"file": ("a.csv", content)}, timeout=60
    ).json()
    assert (stored["file_hash"], stored["file_size"]) == (hashlib.md5(content).hexdigest(), len(content))
    assert stored["row_count"] == 600_000
    (kept,) = files_below(home / "objects")
    assert kept.read_bytes() == content
    again = requests.get(f"{server.base}/datasets/ann/loans/download", timeout=60)
    assert again.content == content


def test_too_large_a_file_is_refused_and_gone(server: Server, home: Path) -> None:
    for size in (DECLARED + 1, DECLARED + 8_000_000):
        files = {"file": ("a.csv", b"1" * size)}
        refused = requests.post(f"{server.base}/datasets/upload", data=FIELDS, files=files, timeout=60)
        assert refused.status_code == 413, refused.text
        assert "larger than" in refused.json()["detail"]
    until(lambda: files_below(home / "scratch") == [], 20, "both are removed")
    assert files_below(home / "objects") == []


def test_a_file_given_away_is_linked_and_any_other_copied(tmp_path: Path) -> None:
    objects, source = FolderObjects(tmp_path / "objects"), tmp_path / "source"
    source.write_bytes(b"first")
    objects.put("a/given", source, given=True)
    objects.put("a/copied", source)
    assert (tmp_path / "objects/a/given").samefile(source)
    assert not (tmp_path / "objects/a/copied").samefile(source)
    source.unlink()
    assert objects.open("a/given").read() == objects.open("a/copied").read() == b"first"


def test_where_nothing_can_be_linked_it_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(self: Path, target: Path) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(Path, "hardlink_to", refused)
    objects, source = FolderObjects(tmp_path / "objects"), tmp_path / "source"
    source.write_bytes(b"first")
    objects.put("a/given", source, given=True)
    assert files_below(tmp_path / "objects") == [tmp_path / "objects/a/given"]
    assert objects.open("a/given").read() == b"first"


def test_an_upload_while_kafka_is_down_is_announced_by_the_sweep_when_it_is_back(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port(0)
    address = f"127.0.0.1:{port}"
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", address)
    settings.cache_clear()
    files = {"file": ("a.csv", CSV)}
    with running_server(home, address) as server, dg.DagsterInstance.ephemeral() as instance:
        stored = requests.post(f"{server.base}/datasets/upload", data=FIELDS, files=files, timeout=60)
        assert (stored.status_code, stored.json()["version"]) == (200, "v1")
        assert requests.get(f"{server.base}/ready", timeout=60).status_code == 503
        flow = Flow(instance)
        flow.tick("sweep")
        assert "1 events wait in the outbox" in flow.messages[-1]
        with EmbeddedBroker(port):
            create_topics(Connection(address))
            flow.tick("sweep")
            with Follower(Connection(address), ["dataset-events"], from_now=False) as follower:
                (record,) = until(lambda: follower.poll(1), 60, "the event has come")
    assert record.headers["ce_type"] == "dataset.uploaded" and b'"loans"' in record.value
