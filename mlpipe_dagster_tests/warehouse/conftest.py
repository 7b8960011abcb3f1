"""What warehouse tests share: a fresh warehouse on SQLite and a folder; Postgres and S3 where they are installed."""

from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from mlpipe_dagster.warehouse.catalogue import Catalogue
from mlpipe_dagster.warehouse.warehouse import Warehouse, open_warehouse
from mlpipe_dagster_tests.warehouse import postgres_server
from mlpipe_dagster_tests.warehouse.s3_server import PROGRAM, WHY_NOT, S3Server, running_s3_server


@pytest.fixture
def warehouse(home: Path) -> Warehouse:
    """Catalogue and objects below the test's own home."""
    return open_warehouse()


@pytest.fixture(params=["sqlite", "postgres"])
def any_warehouse(request: pytest.FixtureRequest, warehouse: Warehouse) -> Iterator[Warehouse]:
    """The warehouse on either database: for what rests on their locks and dialects."""
    if request.param == "sqlite":
        yield warehouse
        return
    catalogue = Catalogue(postgres_server.new_database(request.getfixturevalue("postgres")))
    catalogue.create()
    yield replace(warehouse, catalogue=catalogue)
    catalogue.dispose()


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """URL of a Postgres for all tests of a session; each makes a database of its own."""
    if postgres_server.programs() is None or find_spec("psycopg2") is None:
        pytest.skip(postgres_server.WHY_NOT)
    with postgres_server.running_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """The server for all tests of a session; each works under a prefix of its own."""
    if not PROGRAM.is_file():
        pytest.skip(WHY_NOT)
    with running_s3_server(tmp_path_factory.mktemp("s3") / "buckets") as server:
        yield server
