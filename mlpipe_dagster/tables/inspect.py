"""A cheap look at an upload for the answer to the person who sends it: names, types and number of rows where they can
be had.

Looks at the head of text files and at the metadata of Parquet; `convert.py` reads everything later and has the last
word. pandas is not imported: the API process lives here.
"""

import json
import re
import resource
import selectors
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import duckdb
import pyarrow.parquet as pq

from mlpipe_dagster.errors import TableError
from mlpipe_dagster.settings import settings
from mlpipe_dagster.tables.convert import OpenedTable, open_table, typed_columns
from mlpipe_dagster.tables.duck import connect
from mlpipe_dagster.tables.inspector import TableSummary
from mlpipe_dagster.tables.sniff import TableFormat, sniff
from mlpipe_dagster.tables.text import chunks

SAMPLE_BYTES = 4 << 20
MEMORY_BYTES = 4 << 30
"""Of the process that looks into uploads; one that needs more ends, and nothing is known of its file."""
WHOLE_JSON_BYTES = 64 << 20
"""JSON arrays larger than this are not looked into: they cannot be read in part."""

LINE_ENCODINGS = ("utf-8", "utf-8-sig", "cp1252", "latin-1")
"""Encodings in which a line break is one byte that nothing else uses."""
BLANK = re.compile(rb"\n(?=\n)")


def inspect(path: Path, filename: str) -> TableSummary:
    """Summarise the upload at `path`, called `filename`. Never raises for a bad table: then all but `file_type` is
    None."""
    form = sniff(path, filename)
    if form.file_type == "other" or (form.layout == "array" and path.stat().st_size > WHOLE_JSON_BYTES):
        return TableSummary(form.file_type)
    scratch = settings().home / "scratch"
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="inspect-", dir=scratch) as name:
        try:
            return _look(path, filename, form, Path(name).absolute())
        except (TableError, duckdb.OutOfMemoryException):
            return TableSummary(form.file_type)


def _look(path: Path, filename: str, form: TableFormat, folder: Path) -> TableSummary:
    with connect([folder, path]) as connection:
        table = open_table(connection, path, filename, folder, SAMPLE_BYTES)
        columns = [column for columns in typed_columns(connection, table) for column in columns]
        rows = _count_rows(path, form, table, connection)
    types = {column.name: str(column.data_type) for column in columns}
    return TableSummary(form.file_type, list(types), rows, types)


def _count_rows(path: Path, form: TableFormat, table: OpenedTable, connection: duckdb.DuckDBPyConnection) -> int | None:
    if form.file_type == "parquet":
        return int(pq.read_metadata(path).num_rows)
    if not table.truncated and table.source.rows is not None:
        return table.source.rows
    if not table.truncated:
        row = connection.execute(f"SELECT count(*) FROM {table.source.slices[0].relation}").fetchone()
        return int(row[0]) if row else None
    if form.file_type == "xlsx" or form.encoding not in LINE_ENCODINGS:
        return None
    lines = _count_lines(path, quotes=form.file_type != "json")
    return lines if form.layout else lines - form.header


def _count_lines(path: Path, quotes: bool) -> int:
    """Lines that are not blank; with `quotes`, line breaks between quotes do not count."""
    lines, inside, last = 0, 0, b"\n"
    for raw in chunks(path):
        pieces = raw.replace(b"\r", b"").split(b'"') if quotes else [raw.replace(b"\r", b"")]
        outside = last + b'"'.join(pieces[inside::2])
        lines += outside.count(b"\n") - len(BLANK.findall(outside)) - 1 + (last != b"\n")
        inside ^= (len(pieces) - 1) % 2
        last = outside[-1:]
    return lines + (last != b"\n")


def serve(idle_seconds: float) -> None:
    """Answer one file a line, `[path, filename]` by a summary, both JSON; end with the input or after idle seconds."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    answers, sys.stdout = sys.stdout, sys.stderr  # whatever a library prints is no answer
    with selectors.DefaultSelector() as selector:
        selector.register(sys.stdin.buffer, selectors.EVENT_READ)
        while selector.select(idle_seconds) and (line := sys.stdin.buffer.readline()):
            path, filename = json.loads(line)
            print(json.dumps(asdict(inspect(Path(path), filename))), file=answers, flush=True)


if __name__ == "__main__":
    serve(float(sys.argv[1]))
