"""Delimited text (CSV, TSV and kin) into a `Source`: names from the header, every row checked for its number of
fields.

Works on the clean copy made by `text.py`. Arrow parses, since it reports each row that does not fit and takes 20,000
columns in its stride (DuckDB's reader ran out of 2 GB there). Values stay text; types are settled in `infer.py`.
"""

import csv
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pv

from mlpipe_dagster.errors import TableError
from mlpipe_dagster.tables.source import Source, TextParts, column_names

BLOCK_BYTES = 16 << 20
"""Also the longest row, quoted line breaks included."""
RAGGED_LIMIT = 0.1
EXCEL_SEPARATOR = re.compile(r"sep=.\n")


@dataclass
class _Ragged:
    """Rows with a wrong number of fields, counted in lines, so that a stray quote does not hide what it swallowed."""

    lines: int = 0
    first: list[tuple[int, int]] = field(default_factory=list)
    """(record number, fields) of the first three."""
    last_text: str = ""

    def __call__(self, row: pv.InvalidRow) -> str:
        if row.text.strip("\r\n"):
            self.lines += row.text.rstrip("\n").count("\n") + 1
            self.last_text = row.text
            if len(self.first) < 3:
                self.first.append((row.number, row.actual_columns))
        return "skip"


def read_delimited(clean: Path, delimiter: str, header: bool, folder: Path) -> Source:
    """Spool the rows of `clean` as text below `folder`.

    Raises:
        TableError: empty, a header without rows, an unclosed quote, or more than 10 % of the rows with a wrong number
        of fields.
    """
    skip, first = _first_record(clean, delimiter)
    raw_names = first if header else [""] * len(first)
    names, notes = column_names(raw_names)
    ragged = _Ragged()
    last = ""
    with TextParts(folder, len(names)) as parts:
        try:
            for batch in _reader(clean, delimiter, len(names), skip, header, ragged):
                if batch.num_rows:
                    parts.write(batch)
                    last = batch.columns[-1][-1].as_py()
        except pa.ArrowInvalid as error:
            raise _unparsed(clean, error) from error
    _check_quotes(clean, last, ragged)
    _check_ragged(clean, parts.rows, len(names), skip, ragged)
    return parts.source(names, (notes if header else ()) + _ragged_notes(clean, len(names), skip, ragged))


def _first_record(clean: Path, delimiter: str) -> tuple[int, list[str]]:
    """Lines before the header (blank, or Excel's `sep=;`), and the fields of the header."""
    csv.field_size_limit(1 << 30)
    with clean.open(encoding="utf-8", newline="") as file:
        for skip, line in enumerate(file):
            if line.strip() and not EXCEL_SEPARATOR.fullmatch(line):
                return skip, next(csv.reader(itertools.chain([line], file), delimiter=delimiter))
    raise TableError("The file is empty. Upload a table with a header line and at least one row.")


def _reader(clean: Path, delimiter: str, width: int, skip: int, header: bool, ragged: _Ragged) -> pv.CSVStreamingReader:
    keys = [f"c{index}" for index in range(width)]
    return pv.open_csv(
        clean,
        read_options=pv.ReadOptions(
            column_names=keys,
            skip_rows=skip,
            skip_rows_after_names=int(header),
            block_size=BLOCK_BYTES,
            use_threads=False,
        ),
        parse_options=pv.ParseOptions(delimiter=delimiter, newlines_in_values=True, invalid_row_handler=ragged),
        convert_options=pv.ConvertOptions(
            column_types=dict.fromkeys(keys, pa.string()), strings_can_be_null=False, check_utf8=False
        ),
    )


def _unparsed(clean: Path, error: pa.ArrowInvalid) -> TableError:
    if "straddling" in str(error):
        return _unclosed(clean)
    if "Empty CSV" in str(error):
        return _no_rows()
    return TableError(f"The file cannot be read as delimited text ({error}). Export it again as CSV.")


def _no_rows() -> TableError:
    return TableError("The table has column names but no rows. Upload a table with at least one row.")


def _check_quotes(clean: Path, last_value: str, ragged: _Ragged) -> None:
    """A file that ends inside a quoted value: its final line break became part of that value."""
    with clean.open("rb") as file:
        file.seek(-min(2, clean.stat().st_size), 2)
        closed = file.read().startswith(b'"')
    swallowed = last_value.endswith("\n") or (
        ragged.last_text.rstrip("\n").count("\n") and ragged.last_text.count('"') % 2
    )
    if swallowed and not closed:
        raise _unclosed(clean)


def _unclosed(clean: Path) -> TableError:
    opened, inside = 1, False
    with clean.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.count(b'"') % 2:
                opened, inside = (opened if inside else number), not inside
    return TableError(
        f'A quote (") opened on line {opened:,} is never closed. Close or remove it and upload the file again.'
    )


def _check_ragged(clean: Path, rows: int, width: int, skip: int, ragged: _Ragged) -> None:
    if ragged.lines > RAGGED_LIMIT * (rows + ragged.lines):
        (number, fields), *_ = ragged.first
        line = _line_numbers(clean, skip, [number])[0]
        raise TableError(
            f"{ragged.lines:,} of {rows + ragged.lines:,} rows do not have {width:,} fields like the header; "
            f"the first is line {line:,} with {fields:,}. Check delimiter and quotes there and upload it again."
        )
    if not rows:
        raise _no_rows()


def _ragged_notes(clean: Path, width: int, skip: int, ragged: _Ragged) -> tuple[str, ...]:
    if not ragged.lines:
        return ()
    lines = ", ".join(f"{line:,}" for line in _line_numbers(clean, skip, [number for number, _ in ragged.first]))
    more = " and others" if ragged.lines > len(ragged.first) else ""
    noun = "row was" if ragged.lines == 1 else "rows were"
    return (f"{ragged.lines:,} {noun} left out for not having {width:,} fields (line {lines}{more}).",)


def _line_numbers(clean: Path, skip: int, numbers: Sequence[int]) -> list[int]:
    """The physical line on which each record starts; records are counted from 1 after `skip` lines, blank ones not."""
    found, record, inside = list[int](), 0, False
    with clean.open("rb") as file:
        for line_number, line in enumerate(itertools.islice(file, skip, None), start=skip + 1):
            if not inside and line != b"\n":
                record += 1
                if record in numbers:
                    found.append(line_number)
            inside ^= bool(line.count(b'"') % 2)
            if len(found) == len(numbers):
                break
    return found
