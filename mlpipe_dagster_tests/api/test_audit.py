"""The audit trail by REST and by command: pages, filters, files that no spreadsheet runs, a chain that is checked."""

import csv
import io
import json
from datetime import timedelta

import pytest
from click.testing import CliRunner
from fastapi.testclient import TestClient
from sqlalchemy import text

from mlpipe_dagster import clock
from mlpipe_dagster.commands.audit import audit as command
from mlpipe_dagster.warehouse import audit
from mlpipe_dagster.warehouse.warehouse import Warehouse
from mlpipe_dagster_tests.api.requests import CSV

FORMULA = "=HYPERLINK(1)"


@pytest.fixture
def uploaded(client: TestClient) -> TestClient:
    """Two people have uploaded; one has changed something."""
    for user_id in ("ann", "bob"):
        fields = {"user_id": user_id, "dataset_id": "loans", "name": "n"}
        assert client.post("/datasets/upload", data=fields, files={"file": ("a.csv", CSV)}).status_code == 200
    assert client.put("/datasets/ann/loans", json={"name": "m"}).status_code == 200
    return client


def test_pages_and_filters(uploaded: TestClient) -> None:
    whole = uploaded.get("/audit").json()
    assert [entry["what"] for entry in whole] == ["dataset.uploaded", "dataset.uploaded", "dataset.updated"]
    first, second = (
        uploaded.get("/audit", params={"limit": 2, "after": after}).json() for after in (0, whole[1]["id"])
    )
    assert first + second == whole
    for query, expected in (
        ({"user_id": "bob"}, 1),
        ({"dataset_id": "loans", "what": "dataset.uploaded"}, 2),
        ({"version": 1, "user_id": "ann"}, 2),
        ({"version": 2}, 0),
        ({"since": clock.iso(clock.now() + timedelta(hours=1))}, 0),
        ({"since": "2026-01-01T00:00:00+02:00", "until": "9999-12-31T23:59:59-23:00"}, 3),
        ({"until": "2026-01-01"}, 0),
    ):
        assert len(uploaded.get("/audit", params=query).json()) == expected, query


def test_exports_hold_the_same_entries(uploaded: TestClient, warehouse: Warehouse) -> None:
    with warehouse.transaction() as session:
        audit.record(session, "role.changed", audit.Actor("user", FORMULA), cause="@SUM(1)", note=FORMULA)
    entries = uploaded.get("/audit").json()
    answer = uploaded.get("/audit/export")
    assert answer.headers["content-disposition"] == 'attachment; filename="audit.csv"'
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [int(row["id"]) for row in rows] == [entry["id"] for entry in entries]
    assert (rows[-1]["actor"], rows[-1]["cause"]) == (f"'{FORMULA}", "'@SUM(1)")
    assert json.loads(rows[-1]["detail"]) == {"note": FORMULA}
    assert uploaded.get("/audit/export", params={"format": "json"}).json() == entries
    nothing = {"user_id": "nobody", "format": "json"}
    assert uploaded.get("/audit/export", params=nothing).json() == []
    assert uploaded.get("/audit/export", params=nothing | {"format": "csv"}).text.startswith("id,at,what")


def test_a_changed_entry_is_found(uploaded: TestClient, warehouse: Warehouse) -> None:
    run = CliRunner()
    whole = run.invoke(command, ["verify"])
    assert whole.exit_code == 0 and "3 entries; 0 faults" in whole.output
    head = uploaded.get("/audit/chain").json()["head"]
    assert f"head {head}" in whole.output
    with warehouse.transaction() as session:
        session.execute(text("DROP TRIGGER audit_refuses_update"))
        session.execute(text("UPDATE audit SET actor = 'mallory' WHERE id = 1"))
    found = uploaded.get("/audit/chain", params={"head": head}).json()
    assert (found["length"], found["faults"]) == (3, ["changed: entry 1 (dataset.uploaded, seal 1)"])
    broken = run.invoke(command, ["verify", "--head", "0" * 63 + "1"])
    assert broken.exit_code == 1 and "is not in the chain" in broken.output
