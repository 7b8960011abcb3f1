"""DuckDB connections: in memory, bounded, and shut in a sandbox of named files and folders.

Every query of the platform over a table goes through `connect`; nobody else opens a DuckDB connection. What the
queries say belongs to the modules that ask them.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from uuid import uuid4

import duckdb

from mlpipe_dagster.settings import settings


def connect(allowed: Sequence[Path]) -> duckdb.DuckDBPyConnection:
    """A fresh in-memory connection that can read and write below `allowed` only; close it, or use it in a `with`.

    A folder opens everything below it; any other path opens that one file, present or not yet. Memory, threads and
    the spill folder come from the settings (a spill folder of its own: DuckDB's file names in it are the same in
    every process). The configuration is locked: no statement can widen it.
    """
    now = settings()
    connection = duckdb.connect(":memory:")
    connection.execute(f"SET memory_limit = {literal(now.duckdb_memory)}")
    connection.execute(f"SET threads = {int(now.threads)}")
    connection.execute(f"SET temp_directory = {literal(str(_spill_folder(now.home)))}")
    connection.execute("SET autoinstall_known_extensions = false")
    connection.execute("SET python_enable_replacements = false")
    connection.execute("SET enable_progress_bar = false")
    connection.execute("SET parquet_metadata_cache = true")
    connection.execute("SET TimeZone = 'UTC'")
    absolute = [path.absolute() for path in allowed]
    connection.execute(f"SET allowed_directories = {_list(path for path in absolute if path.is_dir())}")
    connection.execute(f"SET allowed_paths = {_list(path for path in absolute if not path.is_dir())}")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def quote(identifier: str) -> str:
    """`identifier` as a quoted SQL name: the only way a column name enters a statement."""
    return '"' + identifier.replace('"', '""') + '"'


def literal(text: str) -> str:
    """`text` as a quoted SQL string, for the few places that take no parameter (SET, COPY, file names)."""
    return "'" + text.replace("'", "''") + "'"


def _spill_folder(home: Path) -> Path:
    spill = (home / "spill").absolute()
    spill.mkdir(parents=True, exist_ok=True)
    return spill / uuid4().hex


def _list(paths: Iterable[Path]) -> str:
    return "[" + ", ".join(literal(str(path)) for path in paths) + "]::VARCHAR[]"
