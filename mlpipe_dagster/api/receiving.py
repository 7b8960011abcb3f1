"""An uploaded file on its way in: measured, hashed, limited, and gone when its request ends."""

import hashlib
import mimetypes
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fastapi import UploadFile

from mlpipe_dagster.errors import TooLarge
from mlpipe_dagster.warehouse.objects import CHUNK_BYTES


@dataclass(frozen=True)
class ReceivedFile:
    """A complete file in a temporary place; `digest` in hex."""

    path: Path
    filename: str
    size: int
    digest: str
    content_type: str


@contextmanager
def received(upload: UploadFile, limit: int, algorithm: Literal["md5", "sha256"]) -> Iterator[ReceivedFile]:
    """The upload as a local file for as long as the context lasts; raises TooLarge beyond `limit` bytes."""
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with tempfile.NamedTemporaryFile(prefix="mlpipe-upload-") as target:
        size = 0
        while chunk := upload.file.read(CHUNK_BYTES):
            size += len(chunk)
            if size > limit:
                raise TooLarge(f"The file is larger than the limit of {limit:,} bytes. Upload a smaller one.")
            digest.update(chunk)
            target.write(chunk)
        target.flush()
        name = plain_filename(upload.filename)
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        yield ReceivedFile(Path(target.name), name, size, digest.hexdigest(), kind)


def plain_filename(name: str | None) -> str:
    """The last part of a client's file name, printable; `upload` where nothing is left."""
    last = (name or "").replace("\\", "/").rpartition("/")[2]
    printable = "".join(letter for letter in last if letter.isprintable()).strip()
    return printable if printable.strip(".") else "upload"
