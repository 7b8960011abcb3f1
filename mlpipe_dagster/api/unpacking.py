"""Uploaded zips, unpacked file by file inside limits: nothing outside its folder, nothing larger than it may be.

What its files are is not looked at.
"""

import lzma
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, cast

from fastapi import HTTPException

from mlpipe_dagster.warehouse.objects import CHUNK_BYTES

MOST_FILES = 1000
LONGEST_NAME = 512
DIRECTORY_BYTES = 4 * 1024 * 1024
"""Size of the zip's list of contents, which zipfile reads as a whole into memory."""
ENTRY_FAULTS = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    NotImplementedError,
    RuntimeError,
    EOFError,
    OSError,
    ValueError,
)
"""What zipfile raises at broken, encrypted and unknown entries."""


@contextmanager
def opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """The zip; answers 400 for a file that is none, or whose list of contents is too long."""
    try:
        with path.open("rb") as stream:
            end = cast(Any, zipfile)._EndRecData(stream)  # what ZipFile itself goes by, before it reads the list
        if end and end[5] > DIRECTORY_BYTES:
            raise _refusal(f"has more than {MOST_FILES:,} files")
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError) as error:
        raise _refusal("is no zip that can be read") from error
    with archive:
        yield archive


def planned(archive: zipfile.ZipFile, keep_folders: bool, limit: int) -> dict[str, zipfile.ZipInfo]:
    """Its files by the names they will have; answers 400 for what may not be unpacked, before anything is."""
    entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    if not entries:
        raise _refusal("has no file in it")
    if len(entries) > MOST_FILES:
        raise _refusal(f"has more than {MOST_FILES:,} files")
    if sum(entry.file_size for entry in entries) > limit:
        raise _refusal(f"would unpack to more than {limit:,} bytes")
    plan: dict[str, zipfile.ZipInfo] = {}
    for entry in entries:
        name = _safe_name(entry) if keep_folders else PurePosixPath(_safe_name(entry)).name
        if name in plan:
            raise _refusal(f"has two files named {name}")
        plan[name] = entry
    return plan


@contextmanager
def unpacked(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Iterator[Path]:
    """One file of it in a temporary place; answers 400 for one that is broken or encrypted."""
    with tempfile.NamedTemporaryFile(prefix="mlpipe-unpacked-") as target:
        for chunk in _pieces(archive, entry):
            target.write(chunk)
        target.flush()
        yield Path(target.name)


def _pieces(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Iterator[bytes]:
    try:
        with archive.open(entry) as content:  # gives no more than the size that its entry declares
            while chunk := content.read(CHUNK_BYTES):
                yield chunk
    except ENTRY_FAULTS as error:
        raise _refusal(f"holds {entry.filename[:LONGEST_NAME]}, which cannot be unpacked") from error


def _safe_name(entry: zipfile.ZipInfo) -> str:
    name = entry.filename
    parts = name.split("/")
    outside = name.startswith("/") or "\\" in name or ":" in parts[0] or any(part in ("", ".", "..") for part in parts)
    if outside or stat.S_ISLNK(entry.external_attr >> 16):
        raise _refusal("holds a file that lies outside its folder")
    if not name.isprintable() or len(name) > LONGEST_NAME:
        raise _refusal("holds a file whose name cannot be stored")
    return name


def _refusal(what: str) -> HTTPException:
    return HTTPException(400, f"The zip file {what}. Nothing was stored.")
