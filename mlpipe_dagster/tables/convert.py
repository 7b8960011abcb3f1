"""An upload of any known format into typed, zstd-compressed Parquet with its profile.

The order of things: format (`sniff.py`), clean text (`text.py`), columns (`delimited.py`, `workbook.py`,
`source.py`), types (`infer.py`), Parquet (here), profile (`measure.py`).
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from mlpipe_dagster.errors import TableError
from mlpipe_dagster.tables.delimited import read_delimited
from mlpipe_dagster.tables.duck import connect, literal, quote
from mlpipe_dagster.tables.infer import TypedColumn, notes_on, settle
from mlpipe_dagster.tables.measure import profile
from mlpipe_dagster.tables.profile import Profile
from mlpipe_dagster.tables.sniff import TableFormat, sniff
from mlpipe_dagster.tables.source import Slice, Source, json_source, parquet_source, unreadable
from mlpipe_dagster.tables.text import clean_copy
from mlpipe_dagster.tables.workbook import read_workbook

MERGE_ROWS = 2_000
ROW_GROUP_ROWS = 122_880
KNOWN = "Upload a CSV, TSV, JSON, XLSX or Parquet table."


NOT_DAMAGE = (
    duckdb.OutOfMemoryException,
    duckdb.BinderException,
    duckdb.ParserException,
    duckdb.CatalogException,
    duckdb.PermissionException,
)
"""What DuckDB raises for other reasons than bad bytes, for which it raises nearly anything else."""


@dataclass(frozen=True)
class OpenedTable:
    """A table ready to be typed: its source, how it was recognised, and what was noted so far."""

    source: Source
    format: TableFormat
    truncated: bool
    notes: tuple[str, ...]

    @property
    def comma_decimals(self) -> bool:
        """Whether the delimiter leaves commas free for decimals."""
        return self.format.delimiter not in (None, ",")


def to_parquet(source: Path, filename: str, target: Path) -> Profile:
    """Write the upload at `source`, called `filename`, to `target` as typed zstd Parquet and return its profile.

    Columns are int64, float64, bool, datetime64[ns] or text; missing values are nulls, never NaN or infinity.
    Everything that had to be mended is in the profile's notes. `target` exists afterwards only if all went well.

    Raises:
        TableError: the file is empty, has no rows, is not a table, is damaged, or is over the limit once unpacked.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".convert-", dir=target.parent) as name:
        folder = Path(name).absolute()
        with connect([folder, source]) as connection:
            table = open_table(connection, source, filename, folder)
            columns = _write(connection, table, folder)
        written = folder / "table.parquet"
        result = profile(written, (*table.notes, *notes_on(columns)))
        written.replace(target)
    return result


def open_table(
    connection: duckdb.DuckDBPyConnection, path: Path, filename: str, folder: Path, most_bytes: int | None = None
) -> OpenedTable:
    """The columns of the upload at `path`; working files go below `folder`.

    `most_bytes`: read about that much of text, cut at a line end (JSON arrays cannot be cut: they are read whole).

    Raises:
        TableError: as in `to_parquet`.
    """
    form = sniff(path, filename)
    if form.file_type == "other":
        raise TableError(f"The file is not a table. {form.notes[0] if form.notes else ''} {KNOWN}".replace("  ", " "))
    if path.stat().st_size == 0:
        raise TableError("The file is empty. Upload a table with a header line and at least one row.")
    if form.file_type == "parquet":
        source = parquet_source(connection, path)
        return OpenedTable(source, form, False, form.notes + source.notes)
    if form.file_type == "xlsx":
        source = read_workbook(path, folder, most_bytes and MERGE_ROWS)
        truncated = most_bytes is not None and (source.rows or 0) >= MERGE_ROWS
        return OpenedTable(source, form, truncated, form.notes + source.notes)
    return _open_text(connection, path, form, folder, most_bytes)


def typed_columns(connection: duckdb.DuckDBPyConnection, table: OpenedTable) -> list[list[TypedColumn]]:
    """The columns of every slice with their types.

    Raises:
        TableError: the values cannot be read (damaged Parquet or JSON).
    """
    with _told_as_damage(table.format):
        return [list(settle(connection, part, table.comma_decimals)) for part in table.source.slices]


def _open_text(
    connection: duckdb.DuckDBPyConnection, path: Path, form: TableFormat, folder: Path, most_bytes: int | None
) -> OpenedTable:
    clean = folder / "clean.txt"
    whole = form.file_type == "json" and form.layout == "array"
    copied = clean_copy(path, clean, form.encoding or "utf-8", None if whole else most_bytes)
    if form.file_type == "json":
        source = json_source(connection, clean, form.layout)
    else:
        source = read_delimited(clean, form.delimiter or ",", form.header, folder)
    return OpenedTable(source, form, copied.truncated, form.notes + copied.notes + source.notes)


def _write(connection: duckdb.DuckDBPyConnection, table: OpenedTable, folder: Path) -> list[TypedColumn]:
    settled = typed_columns(connection, table)
    parts = [
        folder / ("table.parquet" if len(settled) == 1 else f"part-{index}.parquet") for index in range(len(settled))
    ]
    for part, columns, path in zip(table.source.slices, settled, parts, strict=True):
        with _told_as_damage(table.format):
            _copy(connection, part, columns, path)
    if len(parts) > 1:
        _join_sideways(parts, folder / "table.parquet")
    _check_rows(folder / "table.parquet")
    return [column for columns in settled for column in columns]


def _copy(connection: duckdb.DuckDBPyConnection, part: Slice, columns: Sequence[TypedColumn], path: Path) -> None:
    chosen = ", ".join(f"{column.expression} AS {quote(column.name)}" for column in columns)
    connection.execute(
        f"COPY (SELECT {chosen} FROM {part.relation}) TO {literal(str(path))} "
        f"(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {ROW_GROUP_ROWS})"
    )


def _join_sideways(parts: Sequence[Path], target: Path) -> None:
    """Write the columns of `parts`, which have the same rows, beside each other."""
    files = [pq.ParquetFile(part) for part in parts]
    schema = pa.schema([field for file in files for field in file.schema_arrow])
    with pq.ParquetWriter(target, schema, compression="zstd") as writer:
        for batches in zip(*(file.iter_batches(MERGE_ROWS) for file in files), strict=True):
            arrays = [array for batch in batches for array in batch.columns]
            writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=schema))
    for file in files:
        file.close()


def _check_rows(path: Path) -> None:
    if not pq.read_metadata(path).num_rows:
        raise TableError("The table has columns but no rows. Upload a table with at least one row.")


@contextmanager
def _told_as_damage(form: TableFormat) -> Iterator[None]:
    try:
        yield
    except NOT_DAMAGE:
        raise
    except duckdb.Error as error:
        kind = {"parquet": "Parquet", "json": "JSON"}.get(form.file_type, form.file_type.upper())
        raise unreadable(kind, error) from error
