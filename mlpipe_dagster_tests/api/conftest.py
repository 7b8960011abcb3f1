"""The application over a fresh catalogue, with a broker beside it or with none."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from mlpipe_dagster.api.app import create_app
from mlpipe_dagster.messaging.connection import Connection
from mlpipe_dagster.messaging.embedded import EmbeddedBroker, free_port
from mlpipe_dagster.messaging.topics import create_topics
from mlpipe_dagster.settings import settings
from mlpipe_dagster.tables.inspector import Inspector
from mlpipe_dagster.warehouse.warehouse import Warehouse, open_warehouse

DEAD_BROKER = "127.0.0.1:1"


@pytest.fixture(scope="session")
def broker() -> Iterator[EmbeddedBroker]:
    """One embedded broker for the session, with all topics."""
    with EmbeddedBroker(free_port(0)) as running:
        create_topics(Connection(running.address))
        yield running


@pytest.fixture(scope="session")
def inspector() -> Iterator[Inspector]:
    """One for the session: its readers start once, and not for every application."""
    shared = Inspector()
    yield shared
    shared.close()


@pytest.fixture
def client(
    home: Path, broker: EmbeddedBroker, inspector: Inspector, monkeypatch: pytest.MonkeyPatch
) -> Iterator[TestClient]:
    """The API as it runs, lifespan included."""
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", broker.address)
    settings.cache_clear()
    with TestClient(create_app(inspector)) as running:
        yield running


@pytest.fixture
def lonely_client(home: Path, inspector: Inspector, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """The API where no Kafka answers."""
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", DEAD_BROKER)
    settings.cache_clear()
    with TestClient(create_app(inspector)) as running:
        yield running


@pytest.fixture
def warehouse(client: TestClient) -> Warehouse:
    """What the application stores into."""
    return open_warehouse()
