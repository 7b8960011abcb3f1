"""The first sheet of an Excel workbook (XLSX) into a `Source`.

Cells become text in the form that `infer.py` reads without loss (ISO dates, true/false); the types are settled there.
"""

import datetime
import itertools
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree.ElementTree import ParseError

import openpyxl
import pyarrow as pa
from openpyxl.utils.exceptions import InvalidFileException

from mlpipe_dagster.errors import TableError
from mlpipe_dagster.settings import settings
from mlpipe_dagster.tables.source import Source, TextParts, column_names, text_array, unreadable

BATCH_ROWS = 2_000
DAMAGE = (
    zipfile.BadZipFile,
    KeyError,
    ValueError,
    TypeError,
    IndexError,
    OSError,
    EOFError,
    ParseError,
    InvalidFileException,
    zlib.error,
)
"""What openpyxl raises for damaged workbooks (there is no exception of its own for most of it)."""


def read_workbook(path: Path, folder: Path, most_rows: int | None = None) -> Source:
    """Spool the first sheet (at most `most_rows` rows of it) as text below `folder`. Rows without any value are left
    out.

    Raises:
        TableError: damaged, empty, a header without rows, or larger than the upload limit once unpacked.
    """
    _check_size(path)
    with path.open("rb") as file:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)
                book = openpyxl.load_workbook(file, read_only=True, data_only=True)
        except DAMAGE as error:
            raise unreadable("XLSX", error) from error
        try:
            return _read_sheet(book, folder, most_rows)
        finally:
            book.close()


def _read_sheet(book: openpyxl.Workbook, folder: Path, most_rows: int | None) -> Source:
    rows = _text_rows(book)
    header = next(rows, None)
    if header is None:
        raise TableError("The first sheet is empty. Put the table on the first sheet, with a header line.")
    first = list(itertools.islice(rows, BATCH_ROWS))
    width = max(map(len, [header, *first]))
    names, notes = column_names(header + [""] * (width - len(header)))
    with TextParts(folder, width) as parts:
        batch = first
        while batch and (most_rows is None or parts.rows < most_rows):
            parts.write(_batch(batch, width))
            batch = list(itertools.islice(rows, BATCH_ROWS))
    if not parts.rows:
        raise TableError("The first sheet has column names but no rows. Upload a table with at least one row.")
    sheets = len(book.sheetnames)
    others = (f"Only the first of {sheets} sheets was read ({book.sheetnames[0]}).",) if sheets > 1 else ()
    return parts.source(names, notes + others)


def _text_rows(book: openpyxl.Workbook) -> Iterator[list[str]]:
    """Rows that hold something, trailing empty cells cut off."""
    if not book.worksheets:
        raise TableError("The workbook has no sheet with cells. Put the table on the first sheet.")
    sheet = book.worksheets[0]
    sheet.reset_dimensions()
    try:
        for row in sheet.iter_rows(values_only=True):
            cells = [_text(value) for value in row]
            while cells and not cells[-1]:
                cells.pop()
            if cells:
                yield cells
    except DAMAGE as error:
        raise unreadable("XLSX", error) from error


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return value.isoformat()
    return repr(value) if isinstance(value, float) else str(value)


def _batch(rows: Sequence[list[str]], width: int) -> pa.RecordBatch:
    longest = max(map(len, rows))
    if longest > width:
        raise TableError(
            f"A row of the first sheet has {longest:,} cells where the header has {width:,}. Name every column."
        )
    padded = (row + [""] * (width - len(row)) for row in rows)
    arrays = [text_array(column) for column in zip(*padded, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, names=[f"c{index}" for index in range(width)])


def _check_size(path: Path) -> None:
    limit = settings().max_upload_bytes
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
    except zipfile.BadZipFile as error:
        raise unreadable("XLSX", error) from error
    if unpacked > limit:
        raise TableError(
            f"The XLSX file unpacks to more than the limit of {limit:,} bytes. "
            "Upload a smaller table, or a sample of its rows."
        )
