"""The catalogue's database: engine, schema, and the two kinds of transaction.

SQLite (WAL, BEGIN IMMEDIATE for writes) on one machine, Postgres in production. Queries live with their nouns.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from sqlalchemy import Connection, Engine, Index, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry, NullPool
from sqlalchemy.schema import Column, CreateColumn, CreateIndex

from mlpipe_dagster.errors import MlpipeError
from mlpipe_dagster.warehouse import audit_rows  # noqa: F401 - its tables are of the catalogue
from mlpipe_dagster.warehouse.schema import Row

BUSY_TIMEOUT_SECONDS = 60


class Catalogue:
    """Connections to one catalogue. Safe to use from threads; a forked process makes its own."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._engine = _sqlite_engine(url) if make_url(url).get_backend_name() == "sqlite" else _server_engine(url)
        self._writing = self._engine.execution_options(mlpipe_write=True)

    def create(self) -> None:
        """Create the tables, columns and indexes that are missing. Two processes may do so at once.

        Raises
        ------
        MlpipeError
            A table of an older mlpipe lacks a column that cannot simply be added.
        """
        try:
            Row.metadata.create_all(self._writing)
        except (OperationalError, ProgrammingError, IntegrityError):
            Row.metadata.create_all(self._writing)  # another process was creating them: now they exist
        with self._engine.connect() as connection:
            complete = not _missing_columns(connection) and not _missing_indexes(connection)
        if not complete:
            with self._writing.begin() as connection:
                _add_columns(connection, self.url)
                _add_indexes(connection)

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """A short write: commits at the end, rolls back on any exception. No I/O belongs inside."""
        with Session(self._writing, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A consistent read that takes no write lock."""
        with Session(self._engine, expire_on_commit=False) as session:
            yield session

    def check(self) -> None:
        """Ask the database; raises SQLAlchemy's OperationalError when it cannot answer."""
        with self._engine.connect() as connection:
            connection.execute(text("SELECT count(*) FROM roles"))

    def dispose(self) -> None:
        """Forget open connections."""
        self._engine.dispose()


def _missing_columns(connection: Connection) -> list[Column[object]]:
    """Columns of the schema that the tables of an older mlpipe do not have."""
    inspector, missing = inspect(connection), []
    for table in Row.metadata.sorted_tables:
        found = {one["name"] for one in inspector.get_columns(table.name)}
        missing += [column for column in table.columns if column.name not in found]
    return missing


def _missing_indexes(connection: Connection) -> list[Index]:
    """Indexes of the schema that the tables of an older mlpipe do not have."""
    inspector, missing = inspect(connection), []
    for table in Row.metadata.sorted_tables:
        found = {one["name"] for one in inspector.get_indexes(table.name)}
        missing += [index for index in table.indexes if index.name not in found]
    return missing


def _add_columns(connection: Connection, url: str) -> None:
    """Bring tables of an older mlpipe up to date: their rows get the defaults of the new columns."""
    postgres = connection.dialect.name == "postgresql"
    for column in _missing_columns(connection):
        if not column.nullable and column.server_default is None:
            shown = make_url(url).render_as_string(hide_password=True)
            raise MlpipeError(
                f"The catalogue {shown} is of an older mlpipe and cannot be used: {column} is missing. "
                "Name another one with MLPIPE_CATALOGUE, or another MLPIPE_HOME."
            )
        clause = "ADD COLUMN IF NOT EXISTS" if postgres else "ADD COLUMN"  # SQLite's writers take turns
        definition = CreateColumn(column).compile(dialect=connection.dialect)
        connection.exec_driver_sql(f"ALTER TABLE {column.table.name} {clause} {definition}")


def _add_indexes(connection: Connection) -> None:
    """Another process may be adding them: each is created unless it is there."""
    for index in _missing_indexes(connection):
        connection.execute(CreateIndex(index, if_not_exists=True))


def _sqlite_engine(url: str) -> Engine:
    database = make_url(url).database
    if database and database != ":memory:":
        Path(database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url, poolclass=NullPool, connect_args={"timeout": BUSY_TIMEOUT_SECONDS})

    @event.listens_for(engine, "connect")
    def _configure(connection: object, _record: ConnectionPoolEntry) -> None:
        connection.isolation_level = None  # type: ignore[attr-defined]  # we say BEGIN ourselves
        for pragma in ("journal_mode=wal", "synchronous=normal", f"busy_timeout={BUSY_TIMEOUT_SECONDS * 1000}"):
            connection.execute(f"PRAGMA {pragma}")  # type: ignore[attr-defined]
        connection.execute("PRAGMA foreign_keys=ON")  # type: ignore[attr-defined]

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # a plain BEGIN that later writes fails at once when another process wrote meanwhile
        immediate = connection.get_execution_options().get("mlpipe_write")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")

    return engine


def _server_engine(url: str) -> Engine:
    return create_engine(url, pool_pre_ping=True, pool_size=5, max_overflow=10)


@lru_cache(maxsize=4)
def open_catalogue(url: str) -> Catalogue:
    """The catalogue at that URL, created where it is missing; one a process."""
    catalogue = Catalogue(url)
    catalogue.create()
    return catalogue
