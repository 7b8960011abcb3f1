"""A warehouse whose deliveries are tried again at once, and a person with channels of their own."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mlpipe_dagster.settings import settings
from mlpipe_dagster.warehouse import deliveries
from mlpipe_dagster.warehouse.warehouse import Warehouse, open_warehouse


@pytest.fixture
def warehouse(home: Path, monkeypatch: pytest.MonkeyPatch) -> Warehouse:
    """Users' channels may reach loopback, where the receivers of these tests are."""
    monkeypatch.setenv("MLPIPE_NOTIFY_PRIVATE", "true")
    monkeypatch.setenv("MLPIPE_NOTIFY_ATTEMPTS", "3")
    monkeypatch.setenv("MLPIPE_NOTIFY_RETRY_SECONDS", "0.01")
    settings.cache_clear()
    return open_warehouse()


@pytest.fixture
def channel(warehouse: Warehouse) -> Callable[..., None]:
    """Gives ann channels."""

    def given(*urls: str) -> None:
        with warehouse.transaction() as session:
            deliveries.set_channels(session, "ann", urls, (), "ann")

    return given
