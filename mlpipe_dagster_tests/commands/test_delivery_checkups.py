"""What the doctor says of outside channels: nothing amiss, none that Apprise knows, given up, waiting for long."""

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from mlpipe_dagster import clock
from mlpipe_dagster.agentic_core import Notice
from mlpipe_dagster.commands.delivery_checkups import check_deliveries
from mlpipe_dagster.settings import settings
from mlpipe_dagster.warehouse import deliveries, inbox
from mlpipe_dagster.warehouse.outbox import Owner
from mlpipe_dagster.warehouse.schema import DeliveryRow
from mlpipe_dagster.warehouse.warehouse import open_warehouse


def said() -> list[tuple[str, str]]:
    return [(finding.verdict.value, finding.text) for finding in check_deliveries()]


def test_without_channels_all_is_well(home: Path) -> None:
    assert said() == []
    open_warehouse()
    assert said() == [("OK", "none waits for long, and none was given up within a day")]


def test_what_is_amiss_is_said_without_secrets(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLPIPE_NOTIFY_URLS", "json://u:sesame@127.0.0.1:1/x nosuchservice://sesame")
    settings.cache_clear()
    warehouse = open_warehouse()
    with warehouse.transaction() as session:
        inbox.notify(session, Owner("ann", "loans", 1), Notice("Look", "here"), "c1")
    first, second = deliveries.claim(warehouse.catalogue, 2)
    with warehouse.transaction() as session:
        deliveries.note_failed(session, warehouse.settings, first, "401", lasting=True)
        late = clock.now() - timedelta(minutes=11)
        session.execute(update(DeliveryRow).where(DeliveryRow.id == second.id).values(created_at=late))
    assert said() == [
        ("FAIL", "Apprise can make nothing of nosuchservice://…"),
        ("WARN", "1 not delivered within a day, the last one to json://127.0.0.1: 401"),
        ("WARN", "1 have waited for more than 10 minutes, the last one to nosuchservice://…: not tried yet"),
    ]
