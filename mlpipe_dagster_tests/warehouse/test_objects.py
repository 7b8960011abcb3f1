"""One suite for objects, run against a folder and a real S3 server; boto3's client and that of dagster-aws."""

import hashlib
import os
import resource
import threading
import tracemalloc
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlpipe_dagster import clock
from mlpipe_dagster.defs.resources import s3_client
from mlpipe_dagster.errors import UnknownThing
from mlpipe_dagster.settings import Settings
from mlpipe_dagster.warehouse.objects import (
    FolderObjects,
    Objects,
    ObjectsUnavailable,
    S3Objects,
    object_name,
    open_objects,
)
from mlpipe_dagster_tests.warehouse.s3_server import BUCKET, S3Server

MEGABYTE = 1024 * 1024
BOTO3, DAGSTER_AWS = (pytest.param(kind, marks=pytest.mark.s3) for kind in ("boto3", "dagster-aws"))
SHA256_OF_NOTHING = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"  # FIPS 180-4 example
LONG = "x" * 300
HOSTILE_IDS = (
    "..",
    ".",
    "...",
    "../../etc/passwd",
    "/etc/passwd",
    "a/b",
    "a%2Fb",
    "%2E%2E",
    "%",
    "%25",
    "",
    " ",
    "a\x00b",
    "a\nb",
    "a\\b",
    "a?b#c&d=e+f",
    "Zażółć gęślą jaźń",
    "数据集",
    "\ud800",
    "~",
    "." * 300,
    "é" * 300,
    LONG,
    f"y{LONG}",
    f"{LONG}y",
    f"{LONG}y{LONG}",
    object_name(LONG),
    ".part-1",
    "CON",
)


@pytest.fixture(params=["folder", BOTO3, DAGSTER_AWS])
def objects(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Objects:
    """Empty objects of each kind; on S3 under a prefix of their own."""
    if request.param == "folder":
        return open_objects(Settings(MLPIPE_OBJECTS=str(tmp_path / "objects")))
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")  # a refusal that is meant needs no second try
    settings = request.getfixturevalue("s3_server").settings(f"test/{uuid.uuid4().hex}")
    opened = open_objects(settings, s3_client(settings) if request.param == "dagster-aws" else None)
    assert isinstance(opened, S3Objects)
    return opened


@pytest.fixture
def stored_files(objects: Objects, request: pytest.FixtureRequest) -> Callable[[], list[Path]]:
    """Every file behind the objects, temporary ones included."""
    if isinstance(objects, FolderObjects):
        return lambda: [path for path in objects.folder.rglob("*") if path.is_file()]
    assert isinstance(objects, S3Objects)
    server: S3Server = request.getfixturevalue("s3_server")
    before = set(server.files())
    return lambda: [path for path in server.files() if path not in before]


@contextmanager
def full_disk(pid: int) -> Iterator[None]:
    """No file of that process grows over one megabyte: a write in the middle of a larger one fails."""
    soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (MEGABYTE, hard))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def read(objects: Objects, name: str) -> bytes:
    with objects.open(name) as content:
        return content.read()


# what is not there


@pytest.mark.parametrize("name", [object_name("never", "stored"), object_name(""), object_name(LONG)])
def test_an_unknown_name_is_unknown_to_every_verb(objects: Objects, name: str) -> None:
    for verb in (objects.open, objects.size):
        with pytest.raises(UnknownThing, match="There is no object"):
            verb(name)
    with pytest.raises(UnknownThing), objects.local(name):
        pass
    assert objects.delete(name) is False


def test_the_beginning_of_a_name_is_not_an_object(objects: Objects, tmp_path: Path) -> None:
    objects.put(object_name("a", "b", "c"), write(tmp_path / "file", b"1"))
    with pytest.raises(UnknownThing):
        objects.open(object_name("a", "b"))
    assert objects.delete(object_name("a", "b")) is False
    assert read(objects, object_name("a", "b", "c")) == b"1"


def test_a_name_that_leaves_the_folder_is_unknown(tmp_path: Path) -> None:
    secret = write(tmp_path / "secret", b"1")
    objects = FolderObjects(tmp_path / "objects")
    for name in ("../secret", str(secret)):
        with pytest.raises(UnknownThing):
            objects.open(name)
        with pytest.raises(UnknownThing):
            objects.put(name, secret)


def test_a_missing_source_stores_nothing(
    objects: Objects, tmp_path: Path, stored_files: Callable[[], list[Path]]
) -> None:
    with pytest.raises(FileNotFoundError):
        objects.put("a", tmp_path / "never written")
    assert stored_files() == []


@pytest.mark.parametrize("objects", ["folder", BOTO3], indirect=True)
@pytest.mark.parametrize("megabytes", [3, 20], ids=["one part", "several parts on S3"])
def test_a_put_that_is_interrupted_leaves_nothing(
    objects: Objects,
    megabytes: int,
    tmp_path: Path,
    stored_files: Callable[[], list[Path]],
    request: pytest.FixtureRequest,
) -> None:
    name, source = object_name("data", "big"), write(tmp_path / "big", bytes(megabytes * MEGABYTE))
    writer = os.getpid() if isinstance(objects, FolderObjects) else request.getfixturevalue("s3_server").pid
    with full_disk(writer), pytest.raises(OSError):
        objects.put(name, source)
    with pytest.raises(UnknownThing):
        objects.open(name)
    assert stored_files() == []
    objects.put(name, source)
    assert objects.size(name) == megabytes * MEGABYTE


def test_a_put_that_is_interrupted_leaves_the_former_object(tmp_path: Path) -> None:
    objects = FolderObjects(tmp_path / "objects")
    objects.put("plot", write(tmp_path / "small", b"former"))
    big = write(tmp_path / "big", bytes(2 * MEGABYTE))
    with full_disk(os.getpid()), pytest.raises(OSError):
        objects.put("plot", big)
    assert read(objects, "plot") == b"former"


# a server that refuses or is not there


def test_wrong_credentials_are_said_plainly(s3_server: S3Server, tmp_path: Path) -> None:
    settings = s3_server.settings("test", secret_key="wrong")
    for objects in (open_objects(settings), open_objects(settings, s3_client(settings))):
        with pytest.raises(ObjectsUnavailable, match=f"s3://{BUCKET} .*SignatureDoesNotMatch.*MLPIPE_S3_"):
            objects.put("a", write(tmp_path / "a", b"1"))
        with pytest.raises(ObjectsUnavailable, match="SignatureDoesNotMatch"):
            objects.open("a")
        with pytest.raises(ObjectsUnavailable, match="SignatureDoesNotMatch"):
            objects.check()


def test_a_missing_bucket_is_no_missing_object(s3_server: S3Server) -> None:
    there = s3_server.settings("")
    objects = open_objects(there.model_copy(update={"objects": "s3://no-such-bucket/x"}))
    with pytest.raises(ObjectsUnavailable, match=r"s3://no-such-bucket .*NoSuchBucket"):
        objects.open("a")
    with pytest.raises(ObjectsUnavailable, match="NoSuchBucket"):
        objects.check()


def test_a_location_without_a_bucket_is_refused() -> None:
    with pytest.raises(ObjectsUnavailable, match="names no bucket"):
        open_objects(Settings(MLPIPE_OBJECTS="s3:///prefix"))


def test_a_server_that_breaks_off_raises_instead_of_giving_half(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with breaking_server() as url:
        settings = Settings(
            MLPIPE_OBJECTS="s3://bucket",
            MLPIPE_S3_ENDPOINT_URL=url,
            MLPIPE_S3_ACCESS_KEY="key",
            MLPIPE_S3_SECRET_KEY="secret",
        )
        objects = open_objects(settings)
        with objects.open("a") as content, pytest.raises(ObjectsUnavailable):
            content.read()
    with pytest.raises(ObjectsUnavailable, match="Could not connect"):
        objects.open("a")


@contextmanager
def breaking_server() -> Iterator[str]:
    """An HTTP server that promises 1,000 bytes and ends after 10."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"0123456789")
            self.close_connection = True

        def log_message(self, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


# names


@pytest.mark.parametrize(
    ("parts", "name"),
    [
        (("datasets", "ann", "iris.csv"), "datasets/ann/iris.csv"),
        (("a b", "c:d"), "a%20b/c%3Ad"),
        (("..", "."), "%2E%2E/%2E"),
        (("../x",), "..%2Fx"),
        (("é",), "%C3%A9"),
        (("100%",), "100%25"),
        (("\ud800",), "%ED%A0%80"),
        (("a", ""), f"a/%~{SHA256_OF_NOTHING}~"),
    ],
)
def test_a_name_is_percent_encoded(parts: tuple[str, ...], name: str) -> None:
    assert object_name(*parts) == name


def test_a_long_part_keeps_its_end_behind_a_digest() -> None:
    name = object_name(f"{LONG}.csv")
    digest = hashlib.sha256(f"{LONG}.csv".encode()).hexdigest()
    assert name == f"%~{digest}~{'x' * 129}.csv"
    assert len(name) == 200


def test_hostile_ids_give_names_of_their_own() -> None:
    names = {object_name(hostile) for hostile in HOSTILE_IDS}
    assert len(names) == len(HOSTILE_IDS)
    assert all(0 < len(name) <= 200 and name.isascii() and "/" not in name for name in names)


ANY_ID = (
    st.text(max_size=12) | st.text("ab", max_size=4).map(lambda text: LONG + text + LONG) | st.sampled_from(HOSTILE_IDS)
)


@given(st.lists(ANY_ID, max_size=3), st.lists(ANY_ID, max_size=3))
def test_different_parts_give_different_names(one: list[str], other: list[str]) -> None:
    assert (object_name(*one) == object_name(*other)) == (one == other)


def test_objects_of_hostile_ids_stay_apart(objects: Objects, tmp_path: Path) -> None:
    names = [object_name("data", hostile, hostile) for hostile in HOSTILE_IDS]
    for number, name in enumerate(names):
        objects.put(name, write(tmp_path / "file", str(number).encode()))
    assert [read(objects, name) for name in names] == [str(number).encode() for number in range(len(names))]
    for name in names:
        with objects.local(name) as path:
            assert path.is_file()
        assert objects.delete(name) is True


# the ordinary way


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", bytes(range(256)) * 40_000], ids=["empty", "small", "10 MB"])
def test_what_is_put_comes_back(objects: Objects, tmp_path: Path, content: bytes) -> None:
    name = object_name("datasets", "ann", "file.csv")
    objects.put(name, write(tmp_path / "source", content))
    assert read(objects, name) == content
    assert objects.size(name) == len(content)
    with objects.local(name) as path:
        assert path.read_bytes() == content
        assert path.name == "file.csv"


def test_an_object_is_read_line_by_line(objects: Objects, tmp_path: Path) -> None:
    objects.put("a", write(tmp_path / "a", b"a,b\n1,2\n"))
    with objects.open("a") as content:
        assert content.readline() == b"a,b\n"
        assert list(content) == [b"1,2\n"]


def test_a_second_put_replaces_the_object(objects: Objects, tmp_path: Path) -> None:
    objects.put("plots/a", write(tmp_path / "a", b"first"))
    objects.put("plots/a", write(tmp_path / "a", b"second"))
    assert read(objects, "plots/a") == b"second"


def test_a_deleted_object_is_gone_and_others_stay(
    objects: Objects, tmp_path: Path, stored_files: Callable[[], list[Path]]
) -> None:
    one, other = object_name("a", "b", "one"), object_name("a", "b", "other")
    for name in (one, other):
        objects.put(name, write(tmp_path / "file", b"1"))
    assert objects.delete(one) is True
    assert objects.delete(one) is False
    assert read(objects, other) == b"1"
    assert len(stored_files()) == 1


def test_what_is_stored_is_told_with_its_age(objects: Objects, tmp_path: Path) -> None:
    names = {object_name("a", LONG, "one"), object_name("a", "é", "b", "two")}
    for name in (*names, object_name("ab", "other")):
        objects.put(name, write(tmp_path / "file", b"1"))
    found = dict(objects.stored("a"))
    assert found.keys() == names
    assert all(abs(clock.now() - at) < timedelta(minutes=5) for at in found.values())
    assert list(objects.stored("nothing")) == []


def test_deletion_leaves_no_empty_folder_with_an_id(tmp_path: Path) -> None:
    objects = FolderObjects(tmp_path / "objects")
    objects.put(object_name("datasets", "ann", "iris", "file"), write(tmp_path / "file", b"1"))
    objects.delete(object_name("datasets", "ann", "iris", "file"))
    assert list(objects.folder.iterdir()) == []


def test_putting_and_deleting_beside_each_other_never_fails(tmp_path: Path) -> None:
    objects, source = FolderObjects(tmp_path / "objects"), write(tmp_path / "file", b"1")

    def come_and_go(worker: int) -> None:
        for _ in range(100):
            objects.put(object_name("a", "b", str(worker)), source)
            assert objects.delete(object_name("a", "b", str(worker)))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(come_and_go, range(4)))


def test_a_check_leaves_nothing_behind(objects: Objects, stored_files: Callable[[], list[Path]]) -> None:
    with ThreadPoolExecutor(4) as pool:  # replicas may check at the same moment
        for future in [pool.submit(objects.check) for _ in range(8)]:
            future.result()
    assert stored_files() == []


def test_a_check_fails_where_nothing_can_be_written(tmp_path: Path) -> None:
    write(tmp_path / "objects", b"a file where the folder should be")
    with pytest.raises(OSError):
        FolderObjects(tmp_path / "objects").check()


def test_100_megabytes_pass_in_bounded_memory(objects: Objects, tmp_path: Path) -> None:
    piece = os.urandom(MEGABYTE)
    with (tmp_path / "big").open("wb") as big:
        for _ in range(100):
            big.write(piece)
    tracemalloc.start()
    try:
        objects.put("big", tmp_path / "big")
        with objects.open("big") as content:
            pieces = 0
            while found := content.read(MEGABYTE):
                assert found == piece
                pieces += 1
        with objects.local("big") as path:
            assert path.stat().st_size == 100 * MEGABYTE
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert pieces == 100
    assert peak < 64 * MEGABYTE  # on S3 four parts of 8 MB are on their way at once
