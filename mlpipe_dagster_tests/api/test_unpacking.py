"""Models sent as a zip: what is stored, and hostile zips that leave nothing behind."""

import io
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from httpx import Response

from mlpipe_dagster.api import unpacking
from mlpipe_dagster.api.app import create_app
from mlpipe_dagster.settings import settings


def zipped(files: dict[str, bytes], **form: str) -> bytes:
    """A zip of these files."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return target.getvalue()


def send(client: TestClient, content: bytes, **fields: str) -> Response:
    """Upload the zip as a foreign AutoML worker does."""
    data = {"model_id": "m", "name": "M", "framework": "pytorch", "model_type": "classification"} | fields
    return client.post("/ai-models/upload/folder/ann", files={"zip_file": ("m.zip", content)}, data=data)


def test_each_file_is_stored_and_comes_back(client: TestClient) -> None:
    stored = send(client, zipped({"config.json": b"{}", "weights/part.bin": b"abc", "weights/": b""}))
    assert stored.status_code == 200, stored.text
    files = {file["filename"]: file for file in stored.json()["files"]}
    assert list(files) == ["config.json", "weights/part.bin"]
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # SHA-256 of abc, FIPS 180-2
    assert (files["weights/part.bin"]["file_size"], files["weights/part.bin"]["file_hash"]) == (3, digest)
    assert stored.json()["primary_file_path"] is None
    whole = client.get("/ai-models/ann/m/download")
    with zipfile.ZipFile(io.BytesIO(whole.content)) as archive:
        assert archive.read("weights/part.bin") == b"abc"
    one = client.get("/ai-models/ann/m/download?filename=weights/part.bin")
    assert (one.content, one.headers["content-disposition"]) == (b"abc", 'attachment; filename="part.bin"')


def test_folders_may_be_dropped(client: TestClient) -> None:
    stored = send(client, zipped({"deep/down/m.bin": b"abc"}), preserve_structure="false").json()
    assert [(file["filename"], file["is_primary"]) for file in stored["files"]] == [("m.bin", True)]
    clash = send(client, zipped({"a/m.bin": b"1", "b/m.bin": b"2"}), preserve_structure="false")
    assert (clash.status_code, clash.json()["detail"]) == (
        400,
        "The zip file has two files named m.bin. Nothing was stored.",
    )


def _link() -> bytes:
    entry = zipfile.ZipInfo("link")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("a.bin", b"abc")
        archive.writestr(entry, "/etc/passwd")
    return target.getvalue()


def _encrypted() -> bytes:
    plain = bytearray(zipped({"secret.bin": b"abc"}))
    for mark, flag in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        plain[plain.index(mark) + flag] |= 1
    return bytes(plain)


def _broken() -> bytes:
    return zipped({"a.bin": b"first", "b.bin": b"abc" * 1000}).replace(
        zipped({"b.bin": b"abc" * 1000})[35:50], b"x" * 15
    )


def _too_many() -> bytes:
    return zipped({f"{number}.bin": b"" for number in range(unpacking.MOST_FILES + 1)})


@pytest.mark.parametrize(
    "content",
    [
        lambda: zipped({"../x": b"abc"}),
        lambda: zipped({"a/../../x": b"abc"}),
        lambda: zipped({"/etc/x": b"abc"}),
        lambda: zipped({"C:/x": b"abc"}),
        lambda: zipped({"a\\..\\x": b"abc"}),
        lambda: zipped({"a/./x": b"abc"}),
        lambda: zipped({"fine.bin": b"abc", "a\nb": b"abc"}),
        lambda: zipped({"n" * 513: b"abc"}),
        lambda: zipped({}),
        lambda: zipped({"empty/": b""}),
        lambda: b"no zip at all",
        _link,
        _encrypted,
        _broken,
        _too_many,
    ],
)
def test_a_hostile_zip_leaves_nothing_behind(client: TestClient, home: Path, content: Callable[[], bytes]) -> None:
    refused = send(client, content())
    assert refused.status_code == 400, refused.text
    assert refused.json()["detail"].startswith("The zip file ")
    assert client.get("/ai-models/ann").json() == []
    assert [path for path in (home / "objects").rglob("*") if path.is_file()] == []


def test_a_zip_that_would_grow_too_large_is_not_unpacked(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLPIPE_MAX_UPLOAD_BYTES", "100000")
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    settings.cache_clear()
    with TestClient(create_app()) as client:
        bomb = zipped({"zeros.bin": b"\0" * 100_001})
        assert len(bomb) < 1000
        refused = send(client, bomb)
    assert (refused.status_code, "100,000 bytes" in refused.json()["detail"]) == (400, True)


def test_a_list_of_contents_without_end_is_not_read(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "DIRECTORY_BYTES", 100)
    assert send(client, zipped({"a.bin": b"abc"})).status_code == 200
    assert send(client, zipped({"a.bin": b"abc", "b.bin": b"abc"})).status_code == 400
