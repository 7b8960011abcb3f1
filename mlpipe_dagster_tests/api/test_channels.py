"""A user's channels through the API: set, kept, removed, never shown; deliveries seen; both erased with the person."""

from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select

from mlpipe_dagster.agentic_core import Notice
from mlpipe_dagster.channels import courier
from mlpipe_dagster.warehouse import deliveries, inbox
from mlpipe_dagster.warehouse.audit_rows import AuditRow
from mlpipe_dagster.warehouse.outbox import Owner
from mlpipe_dagster.warehouse.schema import ChannelRow, DeliveryRow
from mlpipe_dagster.warehouse.warehouse import Warehouse

SECRET = "sesame-opens"
HOOK = f"jsons://hook:{SECRET}@hooks.example.org/{SECRET}"
CHANNELS = "/users/ann/channels"


@pytest.fixture(autouse=True)
def nobody_carries(monkeypatch: pytest.MonkeyPatch) -> None:
    """No delivery leaves for the Internet from these tests."""
    monkeypatch.setattr(courier, "carry", lambda *_: 0)


def test_channels_are_set_kept_and_removed_and_their_secrets_never_come_back(
    client: TestClient, warehouse: Warehouse
) -> None:
    (first,) = client.put(CHANNELS, json={"urls": [HOOK, HOOK]}).json()
    assert first["channel"] == "jsons://hooks.example.org"
    both = client.put(
        CHANNELS, json={"urls": [f"slack://T1JJ3T3L2/A1BRTD4JD/{'x' * 24}"], "keep": [first["id"]]}
    ).json()
    assert [channel["channel"] for channel in both] == ["jsons://hooks.example.org", "slack://…"]
    assert client.get(CHANNELS).json() == both
    assert client.put(CHANNELS, json={"keep": [both[1]["id"]]}).json() == both[1:]
    exported = client.get("/users/ann/export").content
    with warehouse.reading() as session:
        audited = str([row.detail for row in session.scalars(select(AuditRow).where(AuditRow.what == "channels.set"))])
    assert "jsons://hooks.example.org" in audited
    assert SECRET not in f"{both}{audited}" and SECRET.encode() not in exported


@pytest.mark.parametrize(
    ("content", "status", "words"),
    [
        ({"urls": [f"json://u:{SECRET}@127.0.0.1/x"]}, 422, "127.0.0.1 is an address of this machine"),
        ({"urls": [f"nosuchservice://{SECRET}"]}, 422, "Apprise can make nothing of nosuchservice://…"),
        ({"urls": [f"{SECRET} no url"]}, 422, "not an Apprise URL"),
        ({"urls": [{"url": SECRET}]}, 422, "valid string"),
        ({"urls": [HOOK] * 11}, 422, "at most 10"),
        ({"urls": [HOOK], "keep": ["somebody-elses"]}, 404, "ann has no channel somebody-elses"),
    ],
)
def test_what_cannot_be_a_channel_is_refused_whole_without_repeating_it(
    client: TestClient, content: dict[str, object], status: int, words: str
) -> None:
    answer = client.put(CHANNELS, json=content)
    assert (answer.status_code, words in answer.text, SECRET in answer.text) == (status, True, False), answer.text
    assert client.get(CHANNELS).json() == []


def test_deliveries_are_seen_beside_what_they_tell_and_erased_with_the_person(
    client: TestClient, warehouse: Warehouse, tmp_path: Path
) -> None:
    client.put(CHANNELS, json={"urls": [HOOK]})
    with warehouse.transaction() as session:
        inbox.notify(session, Owner("ann", "loans", 1), Notice("Look", "here"), "c1")
    (told,) = client.get("/notifications?user_id=ann").json()
    (seen,) = told["deliveries"]
    assert (seen["channel"], seen["state"], seen["attempts"]) == ("jsons://hooks.example.org", "waiting", 0)
    (row,) = deliveries.claim(warehouse.catalogue, 1)
    with warehouse.transaction() as session:
        deliveries.note_failed(session, warehouse.settings, row, "<b>401</b>", lasting=True)
    page = client.get("/inbox", headers={"Accept": "text/html"}).text
    assert "Not delivered to <bdi>jsons://hooks.example.org</bdi> after 1 try: <bdi>&lt;b&gt;401" in page
    receipt = client.delete("/users/ann").json()
    assert (receipt["erased"]["channels"], receipt["erased"]["deliveries"]) == (1, 1)
    with warehouse.reading() as session:
        left = [session.scalar(select(func.count()).select_from(kind)) for kind in (ChannelRow, DeliveryRow)]
    assert left == [0, 0]
