"""Objects: uploads, Parquet, models, reports, in a folder or on S3. Written once under a new name, then recorded.

A name is made of encoded parts, so that no id can leave its place, and no two ids share one.
"""

import hashlib
import io
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import IO, Any, BinaryIO, ClassVar, Protocol
from urllib.parse import quote

from mlpipe_dagster.errors import MlpipeError, UnknownThing
from mlpipe_dagster.settings import Settings

CHUNK_BYTES = 1024 * 1024
LONGEST_PART = 200  # file systems and S3 gateways refuse path segments over 255 bytes
DIGEST_MARK = "%~"  # percent-encoding never gives this
CONNECTIONS = 4  # of one transfer from or to S3; each holds some MB
FOLDER_ATTEMPTS = 100
CHECKS = "checks"
PLOTTED_ASSETS = ("dataset", "bias_report", "model", "xai_report")
PERSONAL = ("datasets", "tables", "models", "explanations", *(f"plots/{asset}" for asset in PLOTTED_ASSETS))
"""Where objects of persons lie, each below it under the user's id."""


class ObjectsUnavailable(MlpipeError, ConnectionError):  # noqa: N818 - as in errors.py
    """The S3 server does not answer or refuses us; as a ConnectionError it counts as passing trouble."""

    error_type: ClassVar[str] = "objects"


def object_name(*parts: str) -> str:
    """A name from parts that may hold anything: different parts give different names, each segment safe and short.

    Names that begin alike have equally many parts, since neither folders nor S3 gateways take `a` beside `a/x`.
    """
    return "/".join(_encode(part) for part in parts)


def _encode(part: str) -> str:
    """The part percent-encoded; an empty or long one as its digest and its end, where a file name has its suffix."""
    encoded = quote(part, safe="@+=,-_.", errors="surrogatepass")
    if encoded.strip(".") == "":
        encoded = encoded.replace(".", "%2E")
    if encoded and len(encoded) <= LONGEST_PART:
        return encoded
    marked = f"{DIGEST_MARK}{hashlib.sha256(encoded.encode()).hexdigest()}~"
    return marked + encoded[len(marked) - LONGEST_PART :]


def plot_name(asset: str, user_id: str, dataset_id: str, version: str) -> str:
    """Where the small SVG lies that is shown with a materialization of the asset."""
    return object_name("plots", asset, user_id, dataset_id, version, "plot.svg")


def personal_folders(user_id: str) -> list[str]:
    """Where the objects of a person lie."""
    return [f"{place}/{object_name(user_id)}" for place in PERSONAL]


class Objects(Protocol):
    """Where bytes live. Names come from `object_name`; on S3 every verb may raise ObjectsUnavailable."""

    def put(self, name: str, source: Path, *, given: bool = False) -> None:
        """Store the file under a name; complete or not at all. `given`: nobody will write to the file any more."""

    def open(self, name: str) -> BinaryIO:
        """Read from the start; raises UnknownThing when there is no such object."""

    def local(self, name: str) -> AbstractContextManager[Path]:
        """The object as a local file, not to be changed; raises UnknownThing when there is no such object."""

    def size(self, name: str) -> int:
        """Bytes; raises UnknownThing when there is no such object."""

    def delete(self, name: str) -> bool:
        """Remove it; False when there was none."""

    def stored(self, folder: str) -> Iterator[tuple[str, datetime]]:
        """All that is stored below `folder`, the first parts of a name, with when it was last written (naive UTC)."""

    def check(self) -> None:
        """Write, read and remove a small object; raises when any of it fails."""


def _write_and_read(objects: Objects) -> None:
    content = os.urandom(16)
    name = object_name(CHECKS, content.hex())  # a name of its own: others may check at the same moment
    with tempfile.TemporaryDirectory(prefix="mlpipe-") as folder:
        probe = Path(folder) / "probe"
        probe.write_bytes(content)
        objects.put(name, probe)
    try:
        with objects.open(name) as stored:
            found = stored.read()
    finally:
        objects.delete(name)
    if found != content:
        raise ObjectsUnavailable("A small object was read back with other content than was written.")


class FolderObjects:
    """Objects in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()

    def _path(self, name: str) -> Path:
        path = (self.folder / PurePosixPath(name)).resolve()
        if not path.is_relative_to(self.folder.resolve()):
            raise _unknown(name)
        return path

    def put(self, name: str, source: Path, *, given: bool = False) -> None:
        path = self._path(name)
        if given and _linked(source, path):
            return
        with source.open("rb") as content, _part_beside(path) as part:
            try:
                shutil.copyfileobj(content, part, CHUNK_BYTES)
                part.flush()
                os.fsync(part.fileno())  # the content is on disk before a record names it
                Path(part.name).rename(path)
            except BaseException:
                Path(part.name).unlink(missing_ok=True)
                raise

    def open(self, name: str) -> BinaryIO:
        path = self._path(name)
        if not path.is_file():
            raise _unknown(name)
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
        if not path.is_file():
            return False
        path.unlink(missing_ok=True)
        root = self.folder.resolve()
        with suppress(OSError):  # the first folder that holds other objects stays, with all above it
            for folder in path.parents:
                if folder == root:
                    break
                folder.rmdir()
        return True

    def stored(self, folder: str) -> Iterator[tuple[str, datetime]]:
        root = self.folder.resolve()
        for path in self._path(folder).rglob("*"):
            with suppress(FileNotFoundError):  # others store and delete meanwhile
                if path.is_file():
                    yield path.relative_to(root).as_posix(), _naive(datetime.fromtimestamp(path.stat().st_mtime, UTC))

    def check(self) -> None:
        _write_and_read(self)


def _naive(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None)


def _linked(source: Path, path: Path) -> bool:
    """Give the file its second name, once its content is on disk; False where the file system cannot."""
    with source.open("rb") as content:
        os.fsync(content.fileno())
    with _part_beside(path) as part:
        Path(part.name).unlink()
        try:
            Path(part.name).hardlink_to(source)
        except OSError:
            return False
    Path(part.name).rename(path)
    return True


def _part_beside(path: Path) -> IO[bytes]:
    """A new file in the folder where the object will be; a deletion may remove that folder before the file is in it."""
    for _ in range(FOLDER_ATTEMPTS):
        with suppress(FileNotFoundError, FileExistsError):  # mkdir meets a folder that is just going
            path.parent.mkdir(parents=True, exist_ok=True)
            return tempfile.NamedTemporaryFile(dir=path.parent, prefix=".part-", delete=False)
    raise FileNotFoundError(f"{path.parent} is removed again and again while an object is stored in it.")


def _unknown(name: str) -> UnknownThing:
    return UnknownThing(f"There is no object {name}.")


class S3Objects:
    """Objects under a prefix of an S3 bucket. `client` is boto3's S3 client (dagster-aws's S3Resource gives one)."""

    def __init__(self, client: Any, bucket: str, prefix: str) -> None:
        self.client, self.bucket, self.prefix = client, bucket, prefix.strip("/")

    def _at(self, name: str) -> dict[str, str]:
        return {"Bucket": self.bucket, "Key": f"{self.prefix}/{name}" if self.prefix else name}

    def put(self, name: str, source: Path, *, given: bool = False) -> None:  # noqa: ARG002 - it is sent in any case
        with _plain_errors(self.bucket, name):
            self.client.upload_file(str(source), **self._at(name), Config=_transfer())

    def open(self, name: str) -> BinaryIO:
        with _plain_errors(self.bucket, name):
            body = self.client.get_object(**self._at(name))["Body"]
        return io.BufferedReader(_Body(body, self.bucket, name), CHUNK_BYTES)

    @contextmanager
    def local(self, name: str) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="mlpipe-") as folder:
            path = Path(folder) / PurePosixPath(name).name
            with _plain_errors(self.bucket, name):
                self.client.download_file(**self._at(name), Filename=str(path), Config=_transfer())
            yield path

    def size(self, name: str) -> int:
        with _plain_errors(self.bucket, name):
            return int(self.client.head_object(**self._at(name))["ContentLength"])

    def delete(self, name: str) -> bool:
        try:
            self.size(name)
        except UnknownThing:
            return False
        with _plain_errors(self.bucket, name):
            self.client.delete_object(**self._at(name))
        return True

    def stored(self, folder: str) -> Iterator[tuple[str, datetime]]:
        below = self._at(f"{folder}/")
        with _plain_errors(self.bucket, folder):
            for page in self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=below["Key"]):
                for found in page.get("Contents", ()):
                    name = found["Key"].removeprefix(f"{self.prefix}/" if self.prefix else "")
                    yield name, _naive(found["LastModified"])

    def check(self) -> None:
        _write_and_read(self)


class _Body(io.RawIOBase):
    """The content of an object on its way from S3."""

    def __init__(self, body: Any, bucket: str, name: str) -> None:
        self._body, self._bucket, self._name = body, bucket, name

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with _plain_errors(self._bucket, self._name):
            return int(self._body.readinto(buffer))

    def close(self) -> None:
        self._body.close()
        super().close()


def _transfer() -> Any:
    from boto3.s3.transfer import TransferConfig

    return TransferConfig(max_concurrency=CONNECTIONS)


@contextmanager
def _plain_errors(bucket: str, name: str) -> Iterator[None]:
    """What boto3 raises as an error of ours. boto3 is imported late, since the code location imports this module."""
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (Boto3Error, BotoCoreError, ClientError) as error:
        if isinstance(error, ClientError) and error.response["Error"]["Code"] in ("NoSuchKey", "404"):
            raise _unknown(name) from error
        raise ObjectsUnavailable(
            f"The objects in s3://{bucket} cannot be used ({error}). See to MLPIPE_OBJECTS and the MLPIPE_S3_ settings."
        ) from error


def split_s3_location(location: str) -> tuple[str, str]:
    """`s3://bucket/prefix` as (bucket, prefix); raises ObjectsUnavailable where no bucket is named."""
    bucket, _, prefix = location.removeprefix("s3://").partition("/")
    if not bucket:
        raise ObjectsUnavailable(f"{location} names no bucket. Write MLPIPE_OBJECTS as s3://bucket/prefix.")
    return bucket, prefix


def open_objects(settings: Settings, client: Any = None) -> Objects:
    """The objects that settings name. For S3 `client` may be given, else boto3 makes one from the settings."""
    location = settings.objects_location
    if not location.startswith("s3://"):
        return FolderObjects(Path(location))
    bucket, prefix = split_s3_location(location)
    if client is None:
        import boto3

        client = boto3.client(
            "s3",
            endpoint_url=settings.s3_endpoint_url or None,
            aws_access_key_id=settings.s3_access_key or None,
            aws_secret_access_key=settings.s3_secret_key.get_secret_value() or None,
            region_name=settings.s3_region,
        )
    return S3Objects(client, bucket, prefix)
