"""Bytes of a text upload: decompression with a limit, encodings, and the clean copy every reader works on.

`clean_copy` turns any text file into plain UTF-8 with `\\n` line ends and no byte order mark, so that the readers
meet one kind of text only. What the text says (delimiters, columns) belongs to `dialect.py` and `delimited.py`.
"""

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal, cast

import pyarrow as pa

from mlpipe_dagster.errors import TableError
from mlpipe_dagster.settings import settings

Compression = Literal["gzip", "zstd"]

CHUNK_BYTES = 1 << 20
BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
ENCODING_NAMES = {"cp1252": "Windows-1252", "latin-1": "Latin-1 (ISO 8859-1)", "utf-16": "UTF-16"} | {
    "utf-16-le": "UTF-16",
    "utf-16-be": "UTF-16",
    "utf-32": "UTF-32",
}
STRAY_SHARE = 0.1
"""Invalid bytes among the non-ASCII characters of a chunk, below which a file is damaged UTF-8 rather than another
encoding."""


@dataclass(frozen=True)
class CleanText:
    """What making the clean copy found out."""

    encoding: str
    truncated: bool
    notes: tuple[str, ...]


def compression_of(head: bytes) -> Compression | None:
    """The compression a file's first bytes announce."""
    if head.startswith(b"\x1f\x8b"):
        return "gzip"
    return "zstd" if head.startswith(b"\x28\xb5\x2f\xfd") else None


def read_head(path: Path, size: int) -> bytes:
    """The first `size` bytes, decompressed.

    Raises:
        TableError: the compressed data are damaged.
    """
    head = b""
    for chunk in chunks(path):
        head += chunk
        if len(head) >= size:
            break
    return head[:size]


def chunks(path: Path) -> Iterator[bytes]:
    """The bytes of `path`, decompressed, a megabyte at a time.

    Raises:
        TableError: the compressed data are damaged, or unpack to more than the upload limit.
    """
    limit, total = settings().max_upload_bytes, 0
    with path.open("rb") as raw:
        compression = compression_of(raw.read(4))
        raw.seek(0)
        try:
            with _decompressed(raw, compression) as stream:
                while chunk := stream.read(CHUNK_BYTES):
                    total += len(chunk)
                    if total > limit:
                        raise TableError(
                            f"The compressed file unpacks to more than the limit of {limit:,} bytes. "
                            "Upload a smaller table, or a sample of its rows."
                        )
                    yield chunk
        except (EOFError, OSError, zlib.error) as error:
            if compression is None:
                raise
            raise TableError(
                f"The {compression} file is damaged or was cut off and cannot be unpacked. "
                "Compress it again and upload it."
            ) from error


def _decompressed(raw: IO[bytes], compression: Compression | None) -> IO[bytes]:
    if compression == "gzip":
        return cast("IO[bytes]", gzip.GzipFile(fileobj=raw))
    if compression == "zstd":
        return cast("IO[bytes]", pa.CompressedInputStream(raw, "zstd"))
    return cast("IO[bytes]", io.BufferedReader(cast("io.RawIOBase", raw)))


def guess_encoding(head: bytes) -> str | None:
    """Encoding of a text by its first bytes; None where they are not text at all.

    `utf-8` where they are valid UTF-8 (an incomplete last character aside), else `cp1252`, else `latin-1`.
    """
    for mark, encoding in BYTE_ORDER_MARKS:
        if head.startswith(mark):
            return encoding
    if b"\0" in head:
        return _utf16_without_mark(head)
    if _looks_binary(head):
        return None
    return next(name for name in ("utf-8", "cp1252", "latin-1") if _decodes(head, name))


def decode_head(head: bytes, encoding: str) -> str:
    """`head` as text with `\\n` line ends; an incomplete last character is left out."""
    text = codecs.getincrementaldecoder(encoding)(errors="replace").decode(head)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def clean_copy(source: Path, target: Path, encoding: str, max_bytes: int | None = None) -> CleanText:
    """Write `source` to `target` as plain UTF-8 with `\\n` line ends, always ending in one.

    `encoding` is the guess from the head; a file whose later bytes contradict UTF-8 is read again as Windows-1252 or
    Latin-1, or with replacement characters where it is UTF-8 with some damage. `max_bytes` stops after that many and
    cuts at a line end.

    Raises:
        TableError: damaged compression, over the upload limit, or binary data inside.
    """
    errors = "strict"
    while True:
        try:
            truncated = _write_clean(source, target, encoding, errors, max_bytes)
            return CleanText(encoding, truncated, _encoding_notes(encoding, errors))
        except UnicodeDecodeError as error:
            encoding, errors = _next_guess(encoding, error)


def _write_clean(source: Path, target: Path, encoding: str, errors: str, max_bytes: int | None) -> bool:
    decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder(encoding)(errors=errors), translate=True)
    taken, last = 0, "\n"
    with target.open("wb") as out:
        for chunk in chunks(source):
            text = decoder.decode(chunk)
            taken += len(chunk)
            if "\0" in text:
                raise TableError(
                    "The file has binary data among its text, so it is not a readable table. Export it again."
                )
            if max_bytes is not None and taken >= max_bytes:
                out.write(text[: text.rfind("\n") + 1].encode())
                return True
            out.write(text.encode(errors="replace"))
            last = text[-1:] or last
        tail = decoder.decode(b"", final=True)
        out.write((tail + ("" if (tail or last).endswith("\n") else "\n")).encode())
    return False


def _next_guess(encoding: str, error: UnicodeDecodeError) -> tuple[str, str]:
    if encoding == "cp1252":
        return "latin-1", "strict"
    if encoding in ("utf-8", "utf-8-sig"):
        text = error.object.decode("utf-8", errors="replace")
        stray = text.count("\ufffd")
        foreign = sum(not character.isascii() for character in text)
        mostly_utf8 = encoding == "utf-8-sig" or stray < STRAY_SHARE * foreign
        return (encoding, "replace") if mostly_utf8 else ("cp1252", "strict")
    return encoding, "replace"


def _encoding_notes(encoding: str, errors: str) -> tuple[str, ...]:
    if errors == "replace":
        return ("Some characters are damaged in the file and were replaced by \ufffd.",)
    if encoding in ("cp1252", "latin-1"):
        return (
            f"The text is not UTF-8; it was read as {ENCODING_NAMES[encoding]}. "
            "If letters look wrong, save the file as UTF-8.",
        )
    return (f"The text was read as {ENCODING_NAMES[encoding]}.",) if encoding in ENCODING_NAMES else ()


def _utf16_without_mark(head: bytes) -> str | None:
    even, odd = head[0::2], head[1::2]
    for encoding, high, low in (("utf-16-le", odd, even), ("utf-16-be", even, odd)):
        if high.count(0) > 0.4 * len(high) and low.count(0) == 0:
            return encoding
    return None


def _looks_binary(head: bytes) -> bool:
    control = sum(head.count(code) for code in range(32) if code not in b"\t\n\r\f\v\x1a\x1b")
    return control > 0.005 * len(head)


def _decodes(head: bytes, encoding: str) -> bool:
    try:
        codecs.getincrementaldecoder(encoding)().decode(head)
    except UnicodeDecodeError:
        return False
    return True
