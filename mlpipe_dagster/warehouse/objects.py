"""Objects: uploads, Parquet, models, reports, in a folder or on S3. Written once under a new name, then recorded.

A name is made of encoded parts, so that no id can leave its place.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Protocol
from urllib.parse import quote

from mlpipe_dagster.errors import UnknownThing
from mlpipe_dagster.settings import Settings

CHUNK_BYTES = 1024 * 1024
LONGEST_PART = 200  # file systems and S3 gateways refuse path segments over 255 bytes


def object_name(*parts: str) -> str:
    """A name from parts that may hold anything: each is percent-encoded, `.` and `..` too, and cut to a safe length."""
    return "/".join(_encode(part) for part in parts)


def _encode(part: str) -> str:
    encoded = quote(part, safe="@+=,-_.")
    if encoded.strip(".") == "":
        encoded = encoded.replace(".", "%2E")
    return encoded if len(encoded) <= LONGEST_PART else encoded[-LONGEST_PART:].lstrip("%.")


class Objects(Protocol):
    """Where bytes live. Names come from `object_name`."""

    def put(self, name: str, source: Path) -> None:
        """Store the file under a new name; complete or not at all."""

    def open(self, name: str) -> BinaryIO:
        """Read from the start; raises UnknownThing when there is no such object."""

    def local(self, name: str) -> Any:  # a context manager of Path
        """The object as a local file for as long as the context lasts."""

    def size(self, name: str) -> int:
        """Bytes; raises UnknownThing when there is no such object."""

    def delete(self, name: str) -> bool:
        """Remove it; False when there was none."""

    def check(self) -> None:
        """Write, read and remove a small object; raises when any of it fails."""


class FolderObjects:
    """Objects in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()

    def _path(self, name: str) -> Path:
        path = (self.folder / PurePosixPath(name)).resolve()
        if not path.is_relative_to(self.folder.resolve()):
            raise UnknownThing(f"There is no object {name}.")
        return path

    def put(self, name: str, source: Path) -> None:
        path = self._path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".part-", delete=False) as part:
            try:
                with source.open("rb") as content:
                    shutil.copyfileobj(content, part, CHUNK_BYTES)
                part.close()
                Path(part.name).rename(path)
            except BaseException:
                Path(part.name).unlink(missing_ok=True)
                raise

    def open(self, name: str) -> BinaryIO:
        path = self._path(name)
        if not path.is_file():
            raise UnknownThing(f"There is no object {name}.")
        return path.open("rb")

    @contextmanager
    def local(self, name: str) -> Iterator[Path]:
        self.open(name).close()
        yield self._path(name)

    def size(self, name: str) -> int:
        self.open(name).close()
        return self._path(name).stat().st_size

    def delete(self, name: str) -> bool:
        path = self._path(name)
        existed = path.is_file()
        path.unlink(missing_ok=True)
        with suppress(OSError):  # the folder holds other objects: it stays
            path.parent.rmdir()
        return existed

    def check(self) -> None:
        with tempfile.NamedTemporaryFile() as probe:
            probe.write(b"mlpipe")
            probe.flush()
            name = object_name("checks", Path(probe.name).name)
            self.put(name, Path(probe.name))
            self.delete(name)


class S3Objects:
    """Objects under a prefix of an S3 bucket. `client` is boto3's S3 client (dagster-aws's S3Resource gives one)."""

    def __init__(self, client: Any, bucket: str, prefix: str) -> None:
        self.client, self.bucket, self.prefix = client, bucket, prefix.strip("/")

    def _key(self, name: str) -> str:
        return f"{self.prefix}/{name}" if self.prefix else name

    def put(self, name: str, source: Path) -> None:
        self.client.upload_file(str(source), self.bucket, self._key(name))

    def open(self, name: str) -> BinaryIO:
        try:
            body: BinaryIO = self.client.get_object(Bucket=self.bucket, Key=self._key(name))["Body"]
        except self.client.exceptions.NoSuchKey as error:
            raise UnknownThing(f"There is no object {name}.") from error
        return body

    @contextmanager
    def local(self, name: str) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="mlpipe-") as folder:
            path = Path(folder) / PurePosixPath(name).name
            with self.open(name) as content, path.open("wb") as target:
                shutil.copyfileobj(content, target, CHUNK_BYTES)
            yield path

    def size(self, name: str) -> int:
        with self.open(name):
            head = self.client.head_object(Bucket=self.bucket, Key=self._key(name))
        return int(head["ContentLength"])

    def delete(self, name: str) -> bool:
        try:
            self.open(name).close()
        except UnknownThing:
            return False
        self.client.delete_object(Bucket=self.bucket, Key=self._key(name))
        return True

    def check(self) -> None:
        key = self._key("checks/probe")
        self.client.put_object(Bucket=self.bucket, Key=key, Body=b"mlpipe")
        self.client.delete_object(Bucket=self.bucket, Key=key)


def split_s3_location(location: str) -> tuple[str, str]:
    """`s3://bucket/prefix` as (bucket, prefix)."""
    bucket, _, prefix = location.removeprefix("s3://").partition("/")
    return bucket, prefix


def open_objects(settings: Settings, client: Any = None) -> Objects:
    """The objects that settings name. For S3 `client` may be given, else boto3 makes one from the settings."""
    location = settings.objects_location
    if not location.startswith("s3://"):
        return FolderObjects(Path(location))
    if client is None:
        import boto3

        client = boto3.client(
            "s3",
            endpoint_url=settings.s3_endpoint_url or None,
            aws_access_key_id=settings.s3_access_key or None,
            aws_secret_access_key=settings.s3_secret_key.get_secret_value() or None,
            region_name=settings.s3_region,
        )
    return S3Objects(client, *split_s3_location(location))
