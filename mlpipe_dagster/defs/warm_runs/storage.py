"""Dagster's SQLite storage in the same files, without working out anew what stays the same.

Dagster's own makes an engine for every connection, so that each statement is compiled each time; and looks through all
its migrations for every process and every run's log. That is a third of a short run's CPU time. Here one engine serves
all files, migrations are looked at once in a process and its forks, and a run's log begins as a copy of an empty one.
"""

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

from dagster._core.storage.base_storage import DagsterStorage
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.runs import SqliteRunStorage
from dagster._core.storage.schedules import SqliteScheduleStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS, create_db_conn_string
from dagster._core.storage.sqlite_storage import (
    DagsterSqliteStorage,
    _event_logs_directory,
    _runs_directory,
    _schedule_directory,
)
from dagster._serdes import ConfigurableClassData
from sqlalchemy import Connection, create_engine, inspect
from sqlalchemy.pool import NullPool

INDEX = "index"
_file: ContextVar[str] = ContextVar("file")
_looked_at: set[str] = set()


def _open() -> sqlite3.Connection:
    return sqlite3.connect(_file.get(), timeout=SQLITE_BUSY_TIMEOUT_SECONDS, check_same_thread=False)


_engine = create_engine("sqlite://", poolclass=NullPool, creator=_open)


@contextmanager
def _connected(path: str) -> Iterator[Connection]:
    """A connection to the file, in a transaction."""
    token = _file.set(path)
    try:
        connection = _engine.connect()
    finally:
        _file.reset(token)
    with connection, connection.begin():
        yield connection


class Runs(SqliteRunStorage):
    """Runs and partitions, in runs.db."""

    @classmethod
    def from_local(cls, base_dir: str, inst_data: ConfigurableClassData | None = None) -> Self:
        """As Dagster's; a file that this process or its parent has looked at is opened as it is."""
        if _is_known(f"{base_dir}/runs.db"):
            return cls(create_db_conn_string(base_dir, "runs"), inst_data)
        return super().from_local(base_dir, inst_data)

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """A transaction."""
        with _connected(self._conn_string.removeprefix("sqlite:///")) as connection:
            yield connection


class Schedules(SqliteScheduleStorage):
    """Sensors' states and ticks, in schedules.db."""

    @classmethod
    def from_local(cls, base_dir: str, inst_data: ConfigurableClassData | None = None) -> SqliteScheduleStorage:
        """As Dagster's; a file that this process or its parent has looked at is opened as it is."""
        if _is_known(f"{base_dir}/schedules.db"):
            return cls(create_db_conn_string(base_dir, "schedules"), inst_data)
        return super().from_local(base_dir, inst_data)

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """A transaction."""
        with _connected(self._conn_string.removeprefix("sqlite:///")) as connection:
            yield connection


class Events(SqliteEventLogStorage):
    """A file for each run, and index.db for what concerns assets."""

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._db_lock:
            path = self.path_for_shard(shard)
            if shard not in self._initialized_dbs:
                if shard != INDEX:
                    _begin_log(Path(path))
                self._initialized_dbs.add(shard)
            with _connected(path) as connection:
                yield connection

    def has_table(self, table_name: str) -> bool:
        """Whether the index has the table; also asked within a transaction, which holds the lock."""
        with _connected(self.path_for_shard(INDEX)) as connection:
            return bool(inspect(connection).has_table(table_name))


class WarmSqliteStorage(DagsterSqliteStorage):
    """The three of them, as `storage: custom` in dagster.yaml."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self.base_dir = base_dir
        self._run_storage = Runs.from_local(_runs_directory(base_dir))
        self._event_log_storage = Events(_event_logs_directory(base_dir))
        self._schedule_storage = Schedules.from_local(_schedule_directory(base_dir))
        self._inst_data = inst_data
        DagsterStorage.__init__(self)  # type: ignore[no-untyped-call, arg-type]  # past the parent's, which makes its own

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Any) -> Self:
        """As dagster.yaml says."""
        return cls.from_local(inst_data=inst_data, **config_value)


def _is_known(path: str) -> bool:
    """Whether the file was looked at before; from now on it was."""
    known = path in _looked_at and Path(path).exists()
    _looked_at.add(path)
    return known


def _begin_log(path: Path) -> None:
    """Put an empty log there, unless somebody else has."""
    if path.exists() and path.stat().st_size:
        return
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix="new-", suffix=".log") as fresh:
        fresh.write(_empty_log())
        fresh.flush()
        try:
            os.link(fresh.name, path)
        except FileExistsError:
            return


@lru_cache(maxsize=1)
def _empty_log() -> bytes:
    """The log of a run in which nothing has happened yet, as Dagster makes it."""
    with tempfile.TemporaryDirectory() as folder:
        made = SqliteEventLogStorage(folder)
        with made.run_connection("empty"):
            pass
        with sqlite3.connect(made.path_for_shard("empty")) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        return Path(made.path_for_shard("empty")).read_bytes()
