"""Files on their way out: one object streamed, or several as a zip that is never held as a whole."""

import io
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import PurePosixPath
from typing import BinaryIO
from urllib.parse import quote

from fastapi.responses import StreamingResponse

from mlpipe_dagster.warehouse.objects import CHUNK_BYTES, Objects


def stream_object(objects: Objects, name: str, filename: str) -> StreamingResponse:
    """The object as a download under its own file name; raises UnknownThing before anything is sent."""
    size = objects.size(name)
    headers = {"Content-Disposition": disposition(filename), "Content-Length": str(size)}
    return StreamingResponse(chunks(objects.open(name)), media_type="application/octet-stream", headers=headers)


def stream_zip(
    objects: Objects, files: Sequence[tuple[str, str]], filename: str, documents: Mapping[str, str] | None = None
) -> StreamingResponse:
    """(file name, object name) pairs as one zip, after documents that are at hand."""
    for _, name in files:
        objects.size(name)  # raises UnknownThing while an error can still be answered
    headers = {"Content-Disposition": disposition(filename)}
    return StreamingResponse(
        _zip_chunks(objects, files, documents or {}), media_type="application/zip", headers=headers
    )


def disposition(filename: str) -> str:
    """Content-Disposition for any file name (RFC 6266): plain where it is plain ASCII, else percent-encoded UTF-8."""
    encoded = quote(filename, safe="")
    if encoded == filename or (filename.isascii() and not set(filename) & set('"\\%')):
        return f'attachment; filename="{filename}"'
    fallback = "".join(letter if letter.isascii() and letter not in '"\\%' else "_" for letter in filename)
    return f"attachment; filename=\"{fallback}\"; filename*=UTF-8''{encoded}"


def chunks(content: BinaryIO) -> Iterator[bytes]:
    """The content piece by piece; closed at its end."""
    with closing(content):
        while chunk := content.read(CHUNK_BYTES):
            yield chunk


class _Sink(io.RawIOBase):
    """Where the zip writer writes: keeps only what has not been sent yet."""

    def __init__(self) -> None:
        self._waiting = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self._waiting += data
        return len(data)

    def take(self) -> bytes:
        """What was written since the last call."""
        taken = bytes(self._waiting)
        self._waiting.clear()
        return taken


def _zip_chunks(objects: Objects, files: Iterable[tuple[str, str]], documents: Mapping[str, str]) -> Iterator[bytes]:
    sink = _Sink()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for filename, content in documents.items():
            archive.writestr(_inner_name(filename), content)
            yield sink.take()
        for filename, name in files:
            inner = zipfile.ZipInfo(_inner_name(filename))
            inner.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(inner, "w", force_zip64=True) as entry:
                for chunk in chunks(objects.open(name)):
                    entry.write(chunk)
                    yield sink.take()
    yield sink.take()


def _inner_name(filename: str) -> str:
    parts = [part for part in PurePosixPath(filename.replace("\\", "/")).parts if part not in ("/", "..", ".")]
    return "/".join(parts)
