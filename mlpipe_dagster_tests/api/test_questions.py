"""Answers over REST: bound to their question and its version, to who may give them, and to the time there is."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import requests
from fastapi.testclient import TestClient
from sqlalchemy import update

from mlpipe_dagster.agentic_core import Ask
from mlpipe_dagster.api.app import create_app
from mlpipe_dagster.api.templating import markdown
from mlpipe_dagster.messaging.embedded import free_port
from mlpipe_dagster.settings import settings
from mlpipe_dagster.tables.excerpt import markdown_table
from mlpipe_dagster.tables.inspector import Inspector
from mlpipe_dagster.vocabulary import AccessRole
from mlpipe_dagster.warehouse import datasets, inbox, keys, questions_due
from mlpipe_dagster.warehouse.outbox import Owner
from mlpipe_dagster.warehouse.schema import Question
from mlpipe_dagster.warehouse.warehouse import Warehouse, open_warehouse
from mlpipe_dagster_tests.api.conftest import DEAD_BROKER
from mlpipe_dagster_tests.api.requests import SCRIPT, upload
from mlpipe_dagster_tests.warehouse import scenes

LONG_AGO = datetime(2025, 10, 10, 12, 0)
PAID = {"target_column_name": "paid"}


def ask(client: TestClient, folder: Path, **fields: str) -> dict[str, Any]:
    """Upload in mode `ask` and have the table read; the question as the API tells it."""
    stored = upload(client, mode="ask", **fields)
    assert stored.status_code == 200, stored.text
    warehouse = open_warehouse()
    with warehouse.reading() as session:
        version = datasets.get_version(session, "ann", "loans")
    scenes.read_table(warehouse, folder, version)
    (found,) = client.get("/questions?user_id=ann&status=open").json()
    return dict(found)


def answer(client: TestClient, question: dict[str, Any], body: object) -> tuple[int, str]:
    said = client.post(f"/questions/{question['id']}/answer", json=body)
    return said.status_code, str(said.json().get("detail", said.json().get("status")))


def test_a_question_tells_its_terms(client: TestClient, tmp_path: Path) -> None:
    terms = {
        "question_timeout": "2h",
        "question_outcome": "cancel",
        "question_reminder": "30m",
        "respondents": "bob, c@d.e",
    }
    found = ask(client, tmp_path, **terms)
    asked_at = datetime.fromisoformat(found["created_at"])
    assert (datetime.fromisoformat(found["deadline"]) - asked_at).total_seconds() == 7200
    assert (datetime.fromisoformat(found["remind_at"]) - asked_at).total_seconds() == 1800
    assert (found["outcome"], found["question_version"], found["timed_out"]) == ("cancel", 1, False)
    assert found["respondents"] == ["ann", "bob", "c@d.e"]


def test_terms_that_are_not_understood_are_refused(client: TestClient) -> None:
    for field, value, words in (
        ("question_timeout", "soon", "is no time to wait"),
        ("question_timeout", "0", "is no time to wait"),
        ("question_timeout", "9999d", "a year at most"),
        ("question_reminder", "2 weeks", "is no time to wait"),
        ("question_outcome", "explode", "Use one of: default, cancel, wait"),
        ("respondents", "bob,../eve", "cannot be the id of a user"),
    ):
        refused = upload(client, **{field: value})
        assert (refused.status_code, words in refused.json()["detail"]) == (422, True), refused.text


def test_an_answer_that_comes_twice_is_refused(client: TestClient, tmp_path: Path) -> None:
    question = ask(client, tmp_path)
    assert answer(client, question, PAID) == (200, "answered")
    assert answer(client, question, PAID) == (409, "This question has been answered already.")


@pytest.mark.parametrize("outcome", ["default", "cancel"])
def test_an_answer_after_the_timeout_is_refused(client: TestClient, tmp_path: Path, outcome: str) -> None:
    question = ask(client, tmp_path, question_timeout="2h", question_outcome=outcome)
    warehouse = open_warehouse()
    with warehouse.transaction() as session:
        session.execute(update(Question).values(deadline=LONG_AGO))
    assert questions_due.apply(warehouse) == 1
    code, detail = answer(client, question, PAID)
    assert (code, detail[:38]) == (409, "The time for this question was over: i")
    found = client.get(f"/questions/{question['id']}").json()
    assert (found["timed_out"], found["answered_by"]) == (True, "the timeout")


def test_an_answer_to_an_older_version_is_refused(client: TestClient, tmp_path: Path) -> None:
    question = ask(client, tmp_path)
    warehouse = open_warehouse()
    with warehouse.transaction() as session:
        row = inbox.get_question(session, question["id"])
        inbox.ask(session, Owner("ann", "loans", 1), Ask("target", "Which?", "", row.fields), row.cause)
    code, detail = answer(client, question, PAID | {"question_version": 1})
    assert (code, detail) == (409, "This question was put anew: you answered version 1, it is version 2 now.")
    page = client.post(f"/inbox/{question['id']}", data=PAID | {"question_version": "1"})
    assert page.status_code == 409
    assert answer(client, question, {"answer": PAID, "question_version": 2}) == (200, "answered")


def test_what_cannot_be_an_answer_is_refused_and_the_question_stays_open(client: TestClient, tmp_path: Path) -> None:
    question = ask(client, tmp_path, respondents="bob")
    for version in (0, -1, "x", 1.5, True, [1], 10**12):
        assert answer(client, question, PAID | {"question_version": version})[0] == 422
    for body in ({"target_column_name": "nope"}, {"colour": "red"}, PAID | {"task_type": "regression"}):
        assert answer(client, question, body)[0] == 422
    for user_id in ("eve", "bob2"):
        assert answer(client, question, PAID | {"user_id": user_id}) == (403, "This question is for ann, bob.")
    assert answer(client, question, PAID | {"user_id": "the timeout"}) == (422, "user_id must be the id of a user.")
    assert client.get(f"/questions/{question['id']}").json()["status"] == "open"


def test_a_respondent_sees_and_answers(client: TestClient, tmp_path: Path) -> None:
    question = ask(client, tmp_path, respondents="bob")
    assert [found["id"] for found in client.get("/questions?user_id=bob").json()] == [question["id"]]
    assert client.get("/questions?user_id=eve").json() == []
    assert answer(client, question, PAID | {"user_id": "bob"}) == (200, "answered")
    assert client.get(f"/questions/{question['id']}").json()["answered_by"] == "bob"


def test_the_first_rows_are_a_table_on_the_page_and_hostile_names_do_nothing() -> None:
    html = markdown("Look:\n\n" + markdown_table([{SCRIPT: "[a](javascript:b)", "c": "<b>"}]))
    assert "&lt;script&gt;" in html and "<script" not in html and "<a" not in html and "<b>" not in html
    assert html.startswith('<p>Look:</p>\n<div class="scroll" role="region"')
    assert "<td>[a](javascript:b)</td>" in html and html.rstrip().endswith("</table></div>")


# with keys


@pytest.fixture
def guarded(home: Path, inspector: Inspector, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """The application where keys are asked for."""
    monkeypatch.setenv("MLPIPE_AUTH", "api-keys")
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", DEAD_BROKER)
    settings.cache_clear()
    with TestClient(create_app(inspector)) as running:
        yield running


def key_of(warehouse: Warehouse, user_id: str) -> dict[str, str]:
    with warehouse.transaction() as session:
        return {"X-API-Key": keys.create_key(session, user_id, AccessRole.USER)}


def test_a_key_lets_the_owner_and_respondents_to_the_question_alone(guarded: TestClient, tmp_path: Path) -> None:
    warehouse = open_warehouse()
    headers = {user_id: key_of(warehouse, user_id) for user_id in ("ann", "bob", "eve")}
    guarded.headers.update(headers["ann"])
    question = ask(guarded, tmp_path, respondents="bob")
    path = f"/questions/{question['id']}"
    for user_id, code in (("ann", 200), ("bob", 200), ("eve", 403)):
        assert guarded.get(path, headers=headers[user_id]).status_code == code
        seen = guarded.get("/questions", headers=headers[user_id]).json()
        assert [found["id"] for found in seen] == ([question["id"]] if code == 200 else [])
    assert guarded.get("/datasets/ann/loans", headers=headers["bob"]).status_code == 403
    assert guarded.get("/pipelines/loans?user_id=ann", headers=headers["bob"]).status_code == 403
    as_ann = PAID | {"user_id": "ann"}
    assert guarded.post(f"{path}/answer", json=as_ann, headers=headers["eve"]).status_code == 403
    answered = guarded.post(f"{path}/answer", json=as_ann, headers=headers["bob"])
    assert (answered.status_code, answered.json()["answered_by"]) == (200, "bob")


# two API processes, and the timeouts in a third

TIMEOUTS = """
import sys
from mlpipe_dagster.warehouse import questions_due
from mlpipe_dagster.warehouse.warehouse import open_warehouse
warehouse = open_warehouse()
print("ready", flush=True)
sys.stdin.readline()
print(questions_due.apply(warehouse), flush=True)
"""
QUESTIONS = 8


def serve(stack: ExitStack) -> str:
    """The API in a process of its own; its address once it answers."""
    port = free_port(0)
    command = [sys.executable, "-m", "uvicorn", "--factory", "mlpipe_dagster.api.app:create_app", "--port", str(port)]
    process = subprocess.Popen([*command, "--log-level", "warning"])
    stack.callback(process.wait, 30)
    stack.callback(process.terminate)
    base = f"http://127.0.0.1:{port}"
    for _ in range(600):
        try:
            if requests.get(f"{base}/health", timeout=5).ok:
                return base
        except requests.ConnectionError:
            assert process.poll() is None
            time.sleep(0.1)
    raise AssertionError("the API did not start")


def test_of_two_processes_and_the_timeout_one_wins_each_question(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", DEAD_BROKER)
    settings.cache_clear()
    warehouse = open_warehouse()
    wishes = {"mode": "ask", "question_timeout": "2h", "question_outcome": "default"}
    for number in range(QUESTIONS):
        version = scenes.upload(warehouse, tmp_path, f"d{number}", custom_metadata={"pipeline": wishes})
        scenes.read_table(warehouse, tmp_path, version)
    with warehouse.transaction() as session:
        session.execute(update(Question).values(deadline=LONG_AGO))
    with warehouse.reading() as session:
        waiting = {row.dataset_id: row.id for row in inbox.list_questions(session, "ann", "open")}
    assert len(waiting) == QUESTIONS
    said: dict[tuple[str, str], int] = {}

    def answer_all(base: str, target: str, order: list[str]) -> None:
        for name in order:
            body = {"target_column_name": target}
            said[name, target] = requests.post(
                f"{base}/questions/{waiting[name]}/answer", json=body, timeout=60
            ).status_code

    with ExitStack() as stack:
        first, second = serve(stack), serve(stack)
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        third = stack.enter_context(subprocess.Popen([sys.executable, "-c", TIMEOUTS], **pipes))
        assert third.stdout and third.stdin and third.stdout.readline() == "ready\n"
        names = sorted(waiting)
        threads = [
            Thread(target=answer_all, args=(first, "paid", names)),
            Thread(target=answer_all, args=(second, "sex", names[::-1])),
        ]
        for thread in threads:
            thread.start()
        third.stdin.write("go\n")
        third.stdin.flush()
        timed_out = int(third.stdout.readline())
        for thread in threads:
            thread.join()

    assert set(said.values()) <= {200, 409}
    with warehouse.reading() as session:
        rows = session.query(Question).all()
        winners = {row.dataset_id: (row.answer or {})["target_column_name"] for row in rows}
        by_timeout = {row.dataset_id for row in rows if row.answered_by == "the timeout"}
    assert len(by_timeout) == timed_out
    for name, target in winners.items():
        accepted = [one for (dataset, one), code in said.items() if dataset == name and code == 200]
        assert accepted == ([] if name in by_timeout else [target])
        sent = [row for row in scenes.outbox_rows(warehouse, "bias-trigger.reported") if row.dataset_id == name]
        assert [scenes.value_of(row)["target_column_name"] for row in sent] == [target]
