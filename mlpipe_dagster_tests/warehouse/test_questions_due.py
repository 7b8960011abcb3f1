"""Questions and the clock: deadlines, what happens at them, reminders, and who wins at the last moment."""

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import pytest
from sqlalchemy import text, update

from mlpipe_dagster import clock
from mlpipe_dagster.agentic_core import Ask
from mlpipe_dagster.errors import Conflict
from mlpipe_dagster.patience import Patience
from mlpipe_dagster.settings import settings
from mlpipe_dagster.warehouse import audit, decisions, inbox, questions_due
from mlpipe_dagster.warehouse.catalogue import Catalogue
from mlpipe_dagster.warehouse.outbox import Owner
from mlpipe_dagster.warehouse.schema import Notification, Pipeline, Question
from mlpipe_dagster.warehouse.warehouse import Warehouse, open_warehouse
from mlpipe_dagster_tests.warehouse import scenes

LONG_AGO = datetime(2025, 10, 10, 12, 0)


def asked(warehouse: Warehouse, folder: Path, dataset_id: str = "loans", **said: Any) -> Question:
    """The question that a table leads to, whose wishes are these."""
    pipeline = {"mode": "ask"} | said
    version = scenes.upload(warehouse, folder, dataset_id, custom_metadata={"pipeline": pipeline})
    scenes.read_table(warehouse, folder, version)
    return question(warehouse, dataset_id)


def question(warehouse: Warehouse, dataset_id: str = "loans") -> Question:
    with warehouse.reading() as session:
        return session.query(Question).filter_by(dataset_id=dataset_id).one()


def pass_time(warehouse: Warehouse, **moved: datetime) -> None:
    """As if the question had been asked long ago."""
    with warehouse.transaction() as session:
        session.execute(update(Question).values(moved or {"deadline": LONG_AGO}))


def status(warehouse: Warehouse) -> str:
    with warehouse.reading() as session:
        return session.query(Pipeline).one().status


def notices(warehouse: Warehouse) -> list[Notification]:
    with warehouse.reading() as session:
        return session.query(Notification).order_by(Notification.created_at).all()


def entries(warehouse: Warehouse, what: str) -> list[tuple[str, dict[str, Any]]]:
    with warehouse.reading() as session:
        return [
            (row.actor_kind, row.detail) for row in audit.list_audit(session, audit.AuditFilter(what=what), 0, 1000)
        ]


def test_a_question_waits_without_a_limit_by_default(warehouse: Warehouse, tmp_path: Path) -> None:
    row = asked(warehouse, tmp_path)
    assert (row.version, row.deadline, row.outcome, row.remind_at) == (1, None, "wait", None)


def test_the_upload_says_how_long_it_waits(warehouse: Warehouse, tmp_path: Path) -> None:
    row = asked(warehouse, tmp_path, question_timeout="2h", question_outcome="default", question_reminder="30m")
    assert row.deadline and row.remind_at
    assert (row.deadline - row.created_at, row.remind_at - row.created_at) == (
        timedelta(hours=2),
        timedelta(minutes=30),
    )
    assert row.outcome == "default"


def test_settings_say_it_where_the_upload_does_not(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLPIPE_QUESTION_TIMEOUT", "3d")
    monkeypatch.setenv("MLPIPE_QUESTION_OUTCOME", "cancel")
    settings.cache_clear()
    row = asked(open_warehouse(), tmp_path)
    assert row.deadline and row.deadline - row.created_at == timedelta(days=3)
    assert row.outcome == "cancel"
    unlimited = asked(open_warehouse(), tmp_path, "other", question_timeout="none")
    assert unlimited.deadline is None


def test_before_the_deadline_nothing_happens(warehouse: Warehouse, tmp_path: Path) -> None:
    asked(warehouse, tmp_path, question_timeout="2h", question_outcome="default", question_reminder="1h")
    assert questions_due.apply(warehouse) == 0
    assert (question(warehouse).status, question(warehouse).reminded_at, notices(warehouse)) == ("open", None, [])


def test_the_suggestion_is_taken_as_if_somebody_had_answered(warehouse: Warehouse, tmp_path: Path) -> None:
    asked(warehouse, tmp_path, question_timeout="2h", question_outcome="default")
    pass_time(warehouse)
    assert questions_due.apply(warehouse) == 1
    row = question(warehouse)
    assert (row.status, row.answered_by, row.answer) == (
        "answered",
        "the timeout",
        {"target_column_name": "income", "task_type": None},
    )
    (trigger,) = scenes.outbox_rows(warehouse, "bias-trigger.reported")
    said = scenes.value_of(trigger)
    assert (said["target_column_name"], said["task_type"]) == ("income", "regression")
    assert status(warehouse) == "running"
    with warehouse.reading() as session:
        choices = decisions.recorded_choices(session, Owner("ann", "loans", 1))
    assert choices and choices.reasons[0] == "Target column: income (suggested; nobody answered in time)."
    assert not any("as you asked" in reason for reason in choices.reasons)
    ((actor, detail),) = entries(warehouse, "question.timed_out")
    assert (actor, detail["outcome"], detail["answer"]["target_column_name"]) == ("sweep", "default", "income")
    told = notices(warehouse)[-1]
    assert told.subject == "Nobody answered in time: Loans: which column should be predicted?"
    assert "- target_column_name: income" in told.body
    assert questions_due.apply(warehouse) == 0
    with pytest.raises(Conflict, match=r"The time for this question was over: its suggestion was taken at 20\d\d-"):
        decisions.answer_question(warehouse, row.id, {"target_column_name": "sex"}, "ann")
    assert len(scenes.outbox_rows(warehouse, "bias-trigger.reported")) == 1


def test_the_pipeline_is_cancelled(warehouse: Warehouse, tmp_path: Path) -> None:
    asked(warehouse, tmp_path, question_timeout="2h", question_outcome="cancel")
    pass_time(warehouse)
    assert questions_due.apply(warehouse) == 1
    row = question(warehouse)
    assert (row.status, row.answered_by, row.answer, status(warehouse)) == ("closed", "the timeout", None, "cancelled")
    assert [actor for actor, _ in entries(warehouse, "pipeline.cancelled")] == ["sweep"]
    assert [detail["outcome"] for _, detail in entries(warehouse, "question.timed_out")] == ["cancel"]
    (told,) = notices(warehouse)
    assert told.body == "By the timeout. Nobody answered in time: Loans: which column should be predicted?"
    with pytest.raises(Conflict, match="its pipeline was cancelled"):
        decisions.answer_question(warehouse, row.id, {}, "ann")


def test_a_question_that_waits_on_is_answered_late(warehouse: Warehouse, tmp_path: Path) -> None:
    row = asked(warehouse, tmp_path, question_timeout="2h", question_outcome="wait")
    pass_time(warehouse)
    assert questions_due.apply(warehouse) == 0
    assert decisions.answer_question(warehouse, row.id, {}, "ann").status == "answered"


def test_a_reminder_is_sent_once(warehouse: Warehouse, tmp_path: Path) -> None:
    asked(warehouse, tmp_path, question_timeout="2h", question_outcome="default", question_reminder="1h")
    pass_time(warehouse, remind_at=LONG_AGO)
    assert [questions_due.apply(warehouse) for _ in range(3)] == [0, 0, 0]
    (told,) = notices(warehouse)
    assert told.subject == "Waits for your answer: Loans: which column should be predicted?"
    assert "Until 20" in told.body
    assert len(entries(warehouse, "question.reminded")) == 1
    assert question(warehouse).reminded_at is not None


def test_an_answered_question_is_not_reminded_of(warehouse: Warehouse, tmp_path: Path) -> None:
    row = asked(warehouse, tmp_path, question_reminder="1h")
    decisions.answer_question(warehouse, row.id, {}, "ann")
    before = len(notices(warehouse))
    pass_time(warehouse, remind_at=LONG_AGO)
    questions_due.apply(warehouse)
    assert len(notices(warehouse)) == before


def test_a_suggestion_that_does_not_fit_any_more_leaves_the_question_open(warehouse: Warehouse, tmp_path: Path) -> None:
    row = asked(warehouse, tmp_path, question_timeout="2h", question_outcome="default")
    fields = row.fields | {"properties": row.fields["properties"] | {"target_column_name": {"default": "gone"}}}
    with warehouse.transaction() as session:
        session.execute(update(Question).values(fields=fields, deadline=LONG_AGO))
    assert questions_due.apply(warehouse) == 0
    assert questions_due.apply(warehouse) == 0
    found = question(warehouse)
    assert (found.status, found.outcome, status(warehouse)) == ("open", "wait", "waiting")
    (told,) = notices(warehouse)
    assert told.body.startswith("Its suggestion cannot be taken: The target column “gone” is not in the table.")
    assert len(entries(warehouse, "question.kept_open")) == 1


def test_of_a_timeout_and_answers_at_the_same_moment_one_wins(any_warehouse: Warehouse, tmp_path: Path) -> None:
    warehouse = any_warehouse
    for turn in range(6):
        name = f"d{turn}"
        row = asked(warehouse, tmp_path, name, question_timeout="2h", question_outcome="default")
        pass_time(warehouse)
        barrier, won = Barrier(3), list[str]()

        def answer(target: str, question_id: str = row.id, barrier: Barrier = barrier, won: list[str] = won) -> None:
            barrier.wait()
            try:
                decisions.answer_question(warehouse, question_id, {"target_column_name": target}, "ann")
            except Conflict:
                return
            won.append(target)

        def time_out(barrier: Barrier = barrier, won: list[str] = won) -> None:
            barrier.wait()
            if questions_due.apply(warehouse):
                won.append("income")

        threads = [Thread(target=answer, args=(target,)) for target in ("paid", "sex")] + [Thread(target=time_out)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        sent = [row for row in scenes.outbox_rows(warehouse, "bias-trigger.reported") if row.dataset_id == name]
        assert [scenes.value_of(one)["target_column_name"] for one in sent] == won
        assert len(won) == 1


def test_put_anew_a_question_is_another_version_and_an_answer_to_the_older_is_stale(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    row = asked(warehouse, tmp_path)
    terms = Patience(3600, "cancel", None, ("bob",))
    again = Ask("target", "Which one?", "Once more.", row.fields, patience=terms)
    with warehouse.transaction() as session:
        inbox.ask(session, Owner("ann", "loans", 1), again, row.cause)
    found = question(warehouse)
    assert (found.id, found.version, found.subject, found.outcome) == (row.id, 2, "Which one?", "cancel")
    with pytest.raises(Conflict, match="you answered version 1, it is version 2 now"):
        decisions.answer_question(warehouse, row.id, {}, "ann", 1)
    assert decisions.answer_question(warehouse, row.id, {}, "bob", 2).answered_by == "bob"
    assert len(scenes.outbox_rows(warehouse, "bias-trigger.reported")) == 1


def test_put_anew_after_its_answer_the_next_answer_counts(warehouse: Warehouse, tmp_path: Path) -> None:
    row = asked(warehouse, tmp_path)
    decisions.answer_question(warehouse, row.id, {"target_column_name": "paid"}, "ann")
    with warehouse.transaction() as session:
        inbox.ask(session, Owner("ann", "loans", 1), Ask("target", "Which one?", "", row.fields), row.cause)
    decisions.answer_question(warehouse, row.id, {"target_column_name": "sex"}, "ann", 2)
    sent = scenes.outbox_rows(warehouse, "bias-trigger.reported")
    assert [scenes.value_of(one)["target_column_name"] for one in sent] == ["paid", "sex"]


def test_respondents_find_the_question_and_are_reminded(warehouse: Warehouse, tmp_path: Path) -> None:
    row = asked(warehouse, tmp_path, question_reminder="1h", respondents=["bob"])
    pass_time(warehouse, remind_at=clock.now())
    questions_due.apply(warehouse)
    with warehouse.reading() as session:
        for user_id, sees in (("ann", True), ("bob", True), ("eve", False)):
            questions = inbox.list_questions(session, user_id, "open")
            told = inbox.list_notifications(session, user_id)
            assert [bool(questions), bool(told)] == [sees, sees], user_id
    with pytest.raises(PermissionError, match="for ann, bob"):
        decisions.answer_question(warehouse, row.id, {}, "eve")
    assert decisions.answer_question(warehouse, row.id, {}, "bob").answered_by == "bob"


def test_answers_for_another_target_have_its_task_inferred(warehouse: Warehouse, tmp_path: Path) -> None:
    row = asked(warehouse, tmp_path)
    assert "We would take “income” (regression)" in row.body
    decisions.answer_question(warehouse, row.id, {"target_column_name": "paid"}, "ann")
    (trigger,) = scenes.outbox_rows(warehouse, "bias-trigger.reported")
    said = scenes.value_of(trigger)
    assert (said["target_column_name"], said["task_type"]) == ("paid", "classification")


def test_questions_of_an_older_mlpipe_wait_as_they_did(warehouse: Warehouse, tmp_path: Path) -> None:
    row = asked(warehouse, tmp_path)
    with warehouse.transaction() as session:
        for statement in (
            "DROP TABLE question_respondents",
            "DROP INDEX ix_questions_due",
            *(f"ALTER TABLE questions DROP COLUMN {name}" for name in ("version", "deadline", "outcome", "remind_at")),
            "ALTER TABLE questions DROP COLUMN reminded_at",
            "DROP INDEX ix_notifications_question_id",
            "ALTER TABLE notifications DROP COLUMN question_id",
        ):
            session.execute(text(statement))
    catalogue = Catalogue(warehouse.catalogue.url)
    catalogue.create()
    newer = replace(warehouse, catalogue=catalogue)
    found = question(newer)
    assert (found.version, found.deadline, found.outcome, found.respondents) == (1, None, "wait", [])
    assert questions_due.apply(newer) == 0
    assert decisions.answer_question(newer, row.id, {}, "ann", 1).status == "answered"
