"""A table on its way in: the columns a file offers, before their types are settled.

A `Source` is one or more slices of columns, each something DuckDB can select from; wide tables have several, because
DuckDB holds a vector for each column it touches. What is in the columns is judged by `infer.py`; delimited text and
workbooks become sources in `delimited.py` and `workbook.py`, Parquet and JSON here.
"""

import itertools
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mlpipe_dagster.errors import TableError
from mlpipe_dagster.tables.dialect import MISSING_WORDS
from mlpipe_dagster.tables.duck import literal, quote

SLICE_COLUMNS = 1000
WHITESPACE = " \t\r\n\v\f\u00a0\ufeff"


@dataclass(frozen=True)
class SourceColumn:
    """One column: the name it will have, the SQL that reads it, and its DuckDB type. Untyped: text whose type is to
    be found."""

    name: str
    expression: str
    type: str
    untyped: bool = False
    words: bool = False
    """Blank text or words such as NA were read as missing."""


@dataclass(frozen=True)
class Slice:
    """Columns that are read together from one SQL relation."""

    relation: str
    columns: tuple[SourceColumn, ...]


@dataclass(frozen=True)
class Source:
    """Every slice of a table in column order, and what reading it had to mend."""

    slices: tuple[Slice, ...]
    notes: tuple[str, ...] = ()
    rows: int | None = None
    """Known where the rows were spooled."""


def column_names(raw: Iterable[str]) -> tuple[list[str], tuple[str, ...]]:
    """Usable names for the header cells `raw`, and notes on what was changed.

    Trimmed; an empty one becomes `column_3`; a repeated one (in any case: SQL does not tell `a` from `A`) becomes
    `a_2`.
    """
    stripped = [" ".join(name.strip(WHITESPACE).splitlines()) for name in raw]
    named = [name or f"column_{position}" for position, name in enumerate(stripped, start=1)]
    reserved, taken, names, renamed = {name.casefold() for name in named}, set[str](), list[str](), list[str]()
    for name in named:
        unique, number = name, 2
        while unique.casefold() in taken or (unique != name and unique.casefold() in reserved):
            unique, number = f"{name}_{number}", number + 1
        taken.add(unique.casefold())
        names.append(unique)
        if unique != name:
            renamed.append(f"{name} to {unique}")
    notes = (f"Repeated column names were changed: {listed(renamed)}.",) if renamed else ()
    unnamed = [name for name, before in zip(names, stripped, strict=True) if not before]
    return names, notes + ((f"Columns without a name were called {listed(unnamed)}.",) if unnamed else ())


def listed(items: Sequence[str], most: int = 5) -> str:
    """`a, b, c and 17 more`."""
    shown = ", ".join(items[:most])
    return shown if len(items) <= most else f"{shown} and {len(items) - most:,} more"


def text_array(values: Sequence[str]) -> pa.StringArray:
    """`values` as an Arrow array, built from buffers: `pa.array` and plain values in `pc` import pandas."""
    encoded = [value.encode(errors="replace") for value in values]
    offsets = array("i", itertools.accumulate(map(len, encoded), initial=0))
    return pa.StringArray.from_buffers(len(encoded), pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded)))


@dataclass
class TextParts:
    """Rows of text spooled to Parquet files of at most 1,000 columns each, missing values as nulls; the types come
    later."""

    folder: Path
    width: int
    rows: int = 0
    words: set[int] = field(default_factory=set)
    """Positions of the columns in which blank text or a word for "missing" became null."""
    _writers: list[pq.ParquetWriter] = field(default_factory=list)

    def __enter__(self) -> Self:
        for start in range(0, self.width, SLICE_COLUMNS):
            schema = pa.schema([(f"c{index}", pa.string()) for index in self._slice(start)])
            self._writers.append(pq.ParquetWriter(self._path(start), schema, compression="lz4"))
        return self

    def __exit__(self, *_: object) -> None:
        for writer in self._writers:
            writer.close()

    def write(self, batch: pa.RecordBatch) -> None:
        """Append a batch of `width` string columns."""
        present = [self._present(position, column) for position, column in enumerate(batch.columns)]
        for writer, start in zip(self._writers, range(0, self.width, SLICE_COLUMNS), strict=True):
            part = present[start : start + SLICE_COLUMNS]
            writer.write_batch(pa.RecordBatch.from_arrays(part, schema=writer.schema))
        self.rows += batch.num_rows

    def source(self, names: Sequence[str], notes: tuple[str, ...]) -> Source:
        """What was written, as a source of untyped columns."""
        slices = (
            Slice(
                f"read_parquet({literal(str(self._path(start)))})",
                tuple(
                    SourceColumn(names[index], f"c{index}", "VARCHAR", untyped=True, words=index in self.words)
                    for index in self._slice(start)
                ),
            )
            for start in range(0, self.width, SLICE_COLUMNS)
        )
        return Source(tuple(slices), notes, self.rows)

    def _present(self, position: int, column: pa.StringArray) -> pa.StringArray:
        missing = pc.is_in(pc.utf8_trim(column, WHITESPACE), text_array(MISSING_WORDS))
        if position not in self.words and pc.any(pc.and_(missing, pc.not_equal(column, text_array([""])[0]))).as_py():
            self.words.add(position)
        return pc.if_else(missing, pa.nulls(1, pa.string())[0], column)

    def _slice(self, start: int) -> range:
        return range(start, min(start + SLICE_COLUMNS, self.width))

    def _path(self, start: int) -> Path:
        return self.folder / f"text-{start}.parquet"


def parquet_source(connection: duckdb.DuckDBPyConnection, path: Path) -> Source:
    """A Parquet file as a source.

    Raises:
        TableError: the file is damaged, or has no columns.
    """
    try:
        names = pq.read_schema(path).names
    except (pa.ArrowInvalid, OSError, pa.ArrowNotImplementedError) as error:
        raise unreadable("Parquet", error) from error
    if not pq.read_metadata(path).num_rows:
        raise TableError("The table has columns but no rows. Upload a table with at least one row.")
    return _described(connection, f"read_parquet({literal(str(path.absolute()))})", names, "Parquet")


def json_source(connection: duckdb.DuckDBPyConnection, path: Path, layout: str | None) -> Source:
    """A JSON file (plain UTF-8) as a source: an array of objects, or an object on each line.

    Raises:
        TableError: malformed, or not a table of objects.
    """
    kind = "array" if layout == "array" else "newline_delimited"
    relation = (
        f"read_json({literal(str(path.absolute()))}, format = '{kind}', records = true, maximum_depth = 2, "
        "sample_size = -1, map_inference_threshold = -1, convert_strings_to_integers = false)"
    )
    return _described(connection, relation, None, "JSON")


def unreadable(kind: str, error: Exception) -> TableError:
    """The sentence for a file of `kind` whose reader gave up."""
    reason = (str(error).strip().splitlines() or [""])[0][:300]
    hint = " JSON tables are an array of objects, or one object on each line." if kind == "JSON" else ""
    return TableError(f"The {kind} file is damaged or incomplete and cannot be read ({reason}). Export it again.{hint}")


def _described(connection: duckdb.DuckDBPyConnection, relation: str, names: Sequence[str] | None, kind: str) -> Source:
    try:
        described = connection.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()
    except duckdb.Error as error:
        raise unreadable(kind, error) from error
    untyped = kind == "JSON"
    offered = [
        column
        for position, (found, kind_of, *_) in enumerate(described)
        for column in _flattened(found, names[position] if names else found, str(kind_of), untyped)
    ]
    kept = [column for column in offered if not column.name.startswith("__index_level_")]
    final, notes = column_names(column.name for column in kept)
    renamed = [
        SourceColumn(name, column.expression, column.type, column.untyped)
        for name, column in zip(final, kept, strict=True)
    ]
    slices = (tuple(renamed[at : at + SLICE_COLUMNS]) for at in range(0, len(renamed), SLICE_COLUMNS))
    dropped = ("The row index that pandas had written was left out.",) if len(kept) < len(offered) else ()
    return Source(tuple(Slice(relation, columns) for columns in slices), notes + dropped + _nesting_notes(described))


def _flattened(found: str, name: str, kind: str, untyped: bool) -> list[SourceColumn]:
    if kind.startswith("STRUCT(") and not kind.endswith("]"):
        fields = duckdb.dtype(kind).children
        return [
            _leaf(f"{quote(found)}.{quote(inner)}", f"{name}_{inner}", str(inner_type), untyped)
            for inner, inner_type in fields
        ]
    return [_leaf(quote(found), name, kind, untyped)]


def _leaf(expression: str, name: str, kind: str, untyped: bool) -> SourceColumn:
    if kind == "JSON":
        return SourceColumn(name, present_text(f"json_extract_string({expression}, '$')"), "VARCHAR", untyped=True)
    if kind.endswith("]") or kind.startswith(("STRUCT(", "MAP(", "UNION(")):
        return SourceColumn(name, f"to_json({expression})::VARCHAR", "VARCHAR")
    if untyped and kind == "VARCHAR":
        return SourceColumn(name, present_text(expression), kind, untyped=True)
    return SourceColumn(name, expression, kind)


def present_text(expression: str) -> str:
    """SQL of a text that is NULL where it is blank or a word for "missing"."""
    words = ", ".join(literal(word) for word in MISSING_WORDS)
    return f"CASE WHEN trim({expression}, {literal(WHITESPACE)}) NOT IN ({words}) THEN {expression} END"


def _nesting_notes(described: Sequence[Sequence[object]]) -> tuple[str, ...]:
    structs = [str(row[0]) for row in described if str(row[1]).startswith("STRUCT(") and not str(row[1]).endswith("]")]
    lists = [str(row[0]) for row in described if str(row[1]).endswith("]") or str(row[1]).startswith("MAP(")]
    flattened = (f"Nested objects were spread over columns of their own: {listed(structs)}.",) if structs else ()
    return flattened + ((f"Lists are kept as text: {listed(lists)}.",) if lists else ())
