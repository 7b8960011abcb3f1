"""What kind of table a file is, by its content first and its name second.

Reads the head of the file only. Whether the rest keeps the promise is found out by `convert.py`.
"""

import re
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Literal

from mlpipe_dagster.errors import TableError
from mlpipe_dagster.tables.dialect import find_delimiter, has_header, records
from mlpipe_dagster.tables.text import Compression, compression_of, decode_head, guess_encoding, read_head

FileType = Literal["csv", "tsv", "parquet", "json", "xlsx", "other"]

HEAD_BYTES = 1 << 20
EXTENSIONS: dict[str, FileType] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
    ".xlsx": "xlsx",
    ".xlsm": "xlsx",
}
FOREIGN: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"BM", "a bitmap image"),
    (b"II*\0", "a TIFF image"),
    (b"MM\0*", "a TIFF image"),
    (b"%PDF", "a PDF document"),
    (
        b"\xd0\xcf\x11\xe0",
        "an old or password-protected Excel or Office file; save it as XLSX without a password, or as CSV",
    ),
    (b"SQLite format 3", "an SQLite database"),
    (b"ARROW1", "an Arrow (Feather) file; save it as Parquet"),
    (b"ORC", "an ORC file; save it as Parquet"),
    (b"BZh", "a bzip2 archive; unpack it, or compress it with gzip or zstd"),
    (b"\xfd7zXZ", "an xz archive; unpack it, or compress it with gzip or zstd"),
    (b"7z\xbc\xaf", "a 7-Zip archive; unpack it first"),
    (b"Rar!", "a RAR archive; unpack it first"),
    (b"{\\rtf", "a rich text document"),
)
TEXT_MAGIC = (b"BM", b"ORC", b"GIF8", b"BZh", b"Rar!")
"""Magic numbers that a text may begin with too: they count only where the bytes are not text."""
MARKUP = re.compile(r"\s*<(!doctype|html|\?xml|svg|head|body|table)\b", re.IGNORECASE)
JSON_START = re.compile(r"\s*(\[\s*([{\]]|\Z)|\{\s*[\"}])")
TABLE_AGREEMENT = 0.9
"""Share of lines that must split alike before a file whose name says nothing counts as delimited text."""


@dataclass(frozen=True)
class TableFormat:
    """How a file is to be read. `notes` are plain sentences; for `other` the first says what the file seems to be."""

    file_type: FileType
    encoding: str | None = None
    delimiter: str | None = None
    compression: Compression | None = None
    layout: Literal["array", "lines"] | None = None
    header: bool = True
    notes: tuple[str, ...] = ()


def sniff(path: Path, filename: str) -> TableFormat:
    """The format of the file at `path` that a person called `filename`.

    An empty file is what its name says. Never raises for bad content: that is `other` with a note.
    """
    named = _named_type(filename)
    with path.open("rb") as file:
        magic = file.read(16)
    try:
        head = read_head(path, HEAD_BYTES)
    except TableError as error:
        return TableFormat("other", compression=compression_of(magic), notes=(str(error),))
    compression = compression_of(magic)
    if not head.strip():
        return TableFormat(named, "utf-8", _preferred(named), compression)
    if head.startswith(b"PAR1"):
        return TableFormat("parquet") if compression is None else _other("a compressed Parquet file; unpack it first")
    if head.startswith(b"PK\x03\x04"):
        return _inside_zip(path) if compression is None else _other("a compressed archive; unpack it first")
    encoding = guess_encoding(head)
    foreign = next((what for mark, what in FOREIGN if _has_mark(head, mark, encoding)), None)
    if foreign or encoding is None:
        return _other(foreign or f"binary data that is no kind of table we know{_claimed(named)}")
    return _text_format(decode_head(head, encoding), named, encoding, compression)


def _text_format(text: str, named: FileType, encoding: str, compression: Compression | None) -> TableFormat:
    if MARKUP.match(text):
        return _other("an HTML or XML page")
    if JSON_START.match(text) or (named == "json" and text.lstrip().startswith(("[", "{"))):
        layout: Literal["array", "lines"] = "array" if text.lstrip().startswith("[") else "lines"
        return TableFormat("json", encoding, None, compression, layout)
    delimiter, share = find_delimiter(text, _preferred(named))
    sample = records(text, delimiter)
    if named not in ("csv", "tsv") and (share < TABLE_AGREEMENT or len(sample) < 2):
        return _other(f"text without columns{_claimed(named)}")
    file_type: FileType = named if named in ("csv", "tsv") else ("tsv" if delimiter == "\t" else "csv")
    header = has_header(sample)
    notes = (
        ()
        if header
        else ("The first line holds data, not names, so the columns were named column_1, column_2, and so on.",)
    )
    return TableFormat(file_type, encoding, delimiter, compression, None, header, notes)


def _inside_zip(path: Path) -> TableFormat:
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
    except zipfile.BadZipFile:
        return _other("a damaged XLSX file or ZIP archive; save and upload it again")
    if "xl/workbook.xml" in names:
        return TableFormat("xlsx")
    return _other("a ZIP archive or Office document; upload the table inside it")


def _named_type(filename: str) -> FileType:
    name = PurePath(filename.lower())
    suffix = PurePath(name.stem).suffix if name.suffix in (".gz", ".gzip", ".zst", ".zstd") else name.suffix
    return EXTENSIONS.get(suffix, "other")


def _has_mark(head: bytes, mark: bytes, encoding: str | None) -> bool:
    return head.startswith(mark) and (encoding is None or mark not in TEXT_MAGIC)


def _preferred(named: FileType) -> str:
    return "\t" if named == "tsv" else ","


def _claimed(named: FileType) -> str:
    return "" if named == "other" else f" (although its name says {named.upper()})"


def _other(what: str) -> TableFormat:
    return TableFormat("other", notes=(f"The file seems to be {what}.",))
