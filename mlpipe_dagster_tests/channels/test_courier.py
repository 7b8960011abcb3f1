"""Deliveries: from the transaction of a notification to real receivers, tried again, given up, told once by two."""

import re
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select, update

from mlpipe_dagster import clock
from mlpipe_dagster.agentic_core import Ask, Notice
from mlpipe_dagster.api.app import create_app
from mlpipe_dagster.channels.courier import AT_ONCE, carry
from mlpipe_dagster.patience import Patience
from mlpipe_dagster.settings import settings
from mlpipe_dagster.warehouse import decisions, deliveries, inbox
from mlpipe_dagster.warehouse.audit_rows import AuditRow
from mlpipe_dagster.warehouse.outbox import Owner
from mlpipe_dagster.warehouse.schema import DeliveryRow, Question
from mlpipe_dagster.warehouse.warehouse import Warehouse, open_warehouse
from mlpipe_dagster_tests.channels.receivers import mail_server, webhook
from mlpipe_dagster_tests.warehouse import scenes

ANN = Owner("ann", "loans", 1)
Channel = Callable[..., None]


def tell(warehouse: Warehouse, cause: str = "c1", severity: str = "info") -> None:
    with warehouse.transaction() as session:
        inbox.notify(session, ANN, Notice("loans: look", "Braund, Mr. Owen owes 17.", severity), cause)


def carry_all(warehouse: Warehouse) -> None:
    """Until nothing waits; what waits for another try is due at once."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        while any(row.state == "waiting" for row in rows(warehouse)):
            with warehouse.transaction() as session:
                session.execute(update(DeliveryRow).values(due_at=clock.now() - timedelta(seconds=1)))
            carry(warehouse, pool)


def rows(warehouse: Warehouse) -> list[DeliveryRow]:
    with warehouse.reading() as session:
        return list(session.scalars(select(DeliveryRow).order_by(DeliveryRow.id)))


def states(warehouse: Warehouse) -> list[tuple[str, int]]:
    return [(row.state, row.attempts) for row in rows(warehouse)]


def test_the_same_cause_is_one_delivery_for_each_channel_and_a_rolled_back_one_is_none(
    warehouse: Warehouse, channel: Channel
) -> None:
    channel("json://127.0.0.1:1/a", "json://127.0.0.1:1/b")
    tell(warehouse)
    tell(warehouse)
    with pytest.raises(RuntimeError), warehouse.transaction() as session:
        inbox.notify(session, ANN, Notice("never", "was"), "c2")
        raise RuntimeError("after the notification")
    assert states(warehouse) == [("waiting", 0), ("waiting", 0)]


def test_a_receiver_that_fails_twice_and_then_takes_it(warehouse: Warehouse, channel: Channel) -> None:
    with webhook(503, 500) as hook:
        channel(hook.url)
        tell(warehouse, severity="error")
        carry_all(warehouse)
    assert states(warehouse) == [("delivered", 3)]
    (told,) = hook.taken
    assert (told["title"], told["type"]) == ("loans: look", "failure")
    assert told["message"] == (
        "It cannot go on as it is. The page says why, and what to do.\n\n"
        "http://localhost:8000/pipelines/loans?user_id=ann"
    )


def test_a_receiver_that_never_takes_it_is_given_up_and_that_is_seen(warehouse: Warehouse, channel: Channel) -> None:
    with webhook(always=503) as hook:
        channel(hook.url)
        tell(warehouse)
        carry_all(warehouse)
    assert (states(warehouse), hook.tries) == ([("failed", 3)], 3)
    with warehouse.reading() as session:
        (told,) = inbox.list_notifications(session, "ann")
        (seen,) = deliveries.of_messages(session, [told.id])[told.id]
        audited = session.scalars(select(AuditRow).where(AuditRow.what == "delivery.failed")).one()
    assert (seen["channel"], seen["state"], seen["attempts"]) == ("json://127.0.0.1", "failed", 3)
    assert "error=503" in seen["trouble"]
    assert "sesame" not in str(seen) + str(audited.detail)


def test_another_try_waits_longer_each_time(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLPIPE_NOTIFY_URLS", "json://127.0.0.1:1/x")
    monkeypatch.setenv("MLPIPE_NOTIFY_ATTEMPTS", "8")
    monkeypatch.setenv("MLPIPE_NOTIFY_RETRY_SECONDS", "100")
    monkeypatch.setenv("MLPIPE_NOTIFY_RETRY_LONGEST", "300")
    settings.cache_clear()
    warehouse = open_warehouse()
    monkeypatch.setattr(clock, "now", lambda: scenes_now)
    scenes_now = clock.datetime(2026, 1, 1)
    tell(warehouse)
    for shortest, longest in ((50, 100), (100, 200), (150, 300), (150, 300)):
        (row,) = deliveries.claim(warehouse.catalogue, 1)
        with warehouse.transaction() as session:
            deliveries.note_failed(session, warehouse.settings, row, "no", lasting=False)
        (row,) = rows(warehouse)
        assert shortest <= (row.due_at - scenes_now).total_seconds() <= longest
        scenes_now += timedelta(seconds=400)


def test_the_platforms_channel_is_told_of_everybody_and_mail_is_one(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mail_server() as server:
        monkeypatch.setenv("MLPIPE_NOTIFY_PRIVATE", "false")
        monkeypatch.setenv("MLPIPE_NOTIFY_URLS", f"\n{server.url}\n")
        settings.cache_clear()
        warehouse = open_warehouse()
        tell(warehouse)
        carry_all(warehouse)
    assert states(warehouse) == [("delivered", 1)]
    assert [mail["Subject"] for mail in server.mails] == ["loans: look"]


def test_a_users_channel_into_this_machine_is_given_up_at_once(
    warehouse: Warehouse, channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLPIPE_NOTIFY_PRIVATE", "false")
    settings.cache_clear()
    with webhook() as hook:
        channel(hook.url)
        tell(warehouse)
        carry_all(open_warehouse())
    assert (states(warehouse), hook.tries) == ([("failed", 1)], 0)


def test_what_nobody_need_be_told_any_more_is_dropped(warehouse: Warehouse, channel: Channel, tmp_path: Path) -> None:
    channel("json://127.0.0.1:1/x")
    tell(warehouse)
    channel()
    carry_all(warehouse)
    channel("json://127.0.0.1:1/x")
    asked = ask(warehouse, tmp_path)
    decisions.answer_question(warehouse, asked.id, {"target_column_name": "income"}, "ann")
    with warehouse.transaction() as session:
        session.execute(update(DeliveryRow).where(DeliveryRow.kind == "notification").values(state="dropped"))
    carry_all(warehouse)
    assert [(row.kind, row.state, row.trouble) for row in rows(warehouse)][:2] == [
        ("notification", "dropped", "The channel was removed."),
        ("question", "dropped", "The question needs no answer any more."),
    ]


def test_a_lease_that_has_passed_to_another_process_changes_nothing(warehouse: Warehouse, channel: Channel) -> None:
    channel("json://127.0.0.1:1/x")
    tell(warehouse)
    (hung,) = deliveries.claim(warehouse.catalogue, 4)
    with warehouse.transaction() as session:
        session.execute(update(DeliveryRow).values(leased_until=clock.now() - timedelta(seconds=1)))
    (mine,) = deliveries.claim(warehouse.catalogue, 4)
    with warehouse.transaction() as session:
        deliveries.note_failed(session, warehouse.settings, hung, "too late", lasting=True)
    assert states(warehouse) == [("waiting", 0)]
    with warehouse.transaction() as session:
        deliveries.note_delivered(session, mine)
    assert states(warehouse) == [("delivered", 1)]


def test_the_api_carries_what_other_processes_have_noted(
    warehouse: Warehouse, channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    settings.cache_clear()
    with webhook() as hook, TestClient(create_app()) as client:
        channel(hook.url)
        tell(warehouse)
        for _ in range(600):
            (told,) = client.get("/notifications").json()
            if told["deliveries"][0]["state"] != "waiting":
                break
            time.sleep(0.1)
    assert [one["state"] for one in told["deliveries"]] == ["delivered"]
    assert [content["title"] for content in hook.taken] == ["loans: look"]


CARRIER = """
from concurrent.futures import ThreadPoolExecutor
from mlpipe_dagster.channels.courier import AT_ONCE, carry
from mlpipe_dagster.warehouse.warehouse import open_warehouse
with ThreadPoolExecutor(AT_ONCE) as pool:
    print(sum(iter(lambda: carry(open_warehouse(), pool), 0)))
"""


def test_two_processes_tell_each_thing_once(warehouse: Warehouse, channel: Channel) -> None:
    with webhook() as hook:
        channel(hook.url)
        for number in range(10):
            tell(warehouse, f"c{number}")
        carriers = [subprocess.Popen([sys.executable, "-c", CARRIER], stdout=subprocess.PIPE) for _ in range(2)]
        told = [int(carrier.communicate(timeout=120)[0]) for carrier in carriers]
    assert sum(told) == len(hook.taken) == 10
    assert states(warehouse) == [("delivered", 1)] * 10


def ask(warehouse: Warehouse, tmp_path: Path, **more: Any) -> Question:
    """A table is read whose owner wants to be asked for its target."""
    version = scenes.upload(warehouse, tmp_path, custom_metadata={"pipeline": {"mode": "ask"}}, **more)
    scenes.read_table(warehouse, tmp_path, version)
    with warehouse.reading() as session:
        (asked,) = inbox.list_questions(session, "ann", "open")
    return asked


def test_the_link_of_a_choice_opens_the_question_with_it_filled_in(
    warehouse: Warehouse, channel: Channel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    settings.cache_clear()
    with webhook() as hook:
        channel(hook.url)
        ask(warehouse, tmp_path)
        carry_all(warehouse)
    link = next(line.partition(": ")[2] for line in hook.taken[0]["message"].splitlines() if line.startswith("sex: "))
    with TestClient(create_app()) as client:
        shown = client.get(link.removeprefix("http://localhost:8000"), headers={"Accept": "text/html"}).text
    chosen = re.findall(r'value="(\w+)"\s+(?:checked|selected)', shown)
    assert chosen[0] == "sex"


def put(warehouse: Warehouse, subject: str) -> str:
    """A question that bob may answer, too; under the same cause it is put anew."""
    shape = {"type": "object", "properties": {"level": {"enum": ["expert"]}}}
    with warehouse.transaction() as session:
        terms = Patience(respondents=("bob",))
        return inbox.ask(session, ANN, Ask("explain", subject, "", shape, patience=terms), "u1").id


def test_who_else_may_answer_is_told_and_a_question_put_anew_is_told_anew(
    warehouse: Warehouse, channel: Channel
) -> None:
    with webhook() as hook:
        channel(f"{hook.url}/ann")
        with warehouse.transaction() as session:
            deliveries.set_channels(session, "bob", [f"{hook.url}/bob"], (), "bob")
            deliveries.set_channels(session, "eve", [f"{hook.url}/eve"], (), "eve")
        put(warehouse, "first")
        question_id = put(warehouse, "second")
        carry_all(warehouse)
        with warehouse.transaction() as session:
            asked = inbox.get_question(session, question_id)
            inbox.notify(session, ANN, Notice("Waits for your answer", ""), "reminder:1", asked)
        carry_all(warehouse)
    assert [(row.version, row.state) for row in rows(warehouse)] == [
        (1, "dropped"), (1, "dropped"), (2, "delivered"), (2, "delivered"), (0, "delivered"), (0, "delivered"),
    ]  # fmt: skip
    assert [told["title"] for told in hook.taken] == ["second"] * 2 + ["Waits for your answer"] * 2
    assert hook.taken[-1]["message"] == f"http://localhost:8000/inbox?question={question_id}"


def test_a_question_goes_out_with_a_link_for_each_choice(
    warehouse: Warehouse, channel: Channel, tmp_path: Path
) -> None:
    with webhook() as hook:
        channel(hook.url)
        asked = ask(warehouse, tmp_path)
        carry_all(warehouse)
    (told,) = hook.taken
    inbox_link = f"http://localhost:8000/inbox?question={asked.id}"
    assert told["title"] == "Loans: which column should be predicted?"
    assert told["message"].splitlines() == [
        "The pipeline waits for your answer. The table is read. What is to be predicted from it?",
        "",
        f"income: {inbox_link}&target_column_name=income",
        f"sex: {inbox_link}&target_column_name=sex",
        f"paid: {inbox_link}&target_column_name=paid",
        "",
        f"All choices, and what there is to know: {inbox_link}",
    ]
