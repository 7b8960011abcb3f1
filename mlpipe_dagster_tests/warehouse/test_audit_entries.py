"""What each change of state leaves in the audit trail: who did it, what, and what it follows from."""

from pathlib import Path

import pytest

from mlpipe_dagster.choices import Wishes
from mlpipe_dagster.vocabulary import AccessRole, Role, Stage, TaskKind
from mlpipe_dagster.warehouse import (
    again,
    audit,
    audit_chain,
    datasets,
    decisions,
    failures,
    inbox,
    interventions,
    keys,
    reports,
    results,
    users,
)
from mlpipe_dagster.warehouse.audit_rows import AuditRow
from mlpipe_dagster.warehouse.warehouse import FOREIGN, Warehouse, set_player
from mlpipe_dagster_tests.warehouse import scenes


def entries(warehouse: Warehouse, **wanted: str) -> list[AuditRow]:
    with warehouse.reading() as session:
        return audit.list_audit(session, audit.AuditFilter(**wanted), 0, 1000)


def said(warehouse: Warehouse, after: int = 0) -> list[tuple[str, str, str | None]]:
    return [(row.what, row.actor_kind, row.actor) for row in entries(warehouse)[after:]]


def bias_at_work(warehouse: Warehouse) -> results.Claim:
    (row,) = scenes.outbox_rows(warehouse, "bias-trigger.reported")
    trigger = scenes.arrived(scenes.bias_trigger(), row.topic, ce_id=row.ce_id, version="v1")
    return scenes.claim(warehouse, Stage.BIAS, trigger, "run-2")


@pytest.fixture
def loans(warehouse: Warehouse, tmp_path: Path) -> int:
    """A table that was read; how many entries that left."""
    scenes.read_table(warehouse, tmp_path, scenes.upload(warehouse, tmp_path))
    return len(entries(warehouse))


def test_a_table_on_its_way_to_the_bias_report(warehouse: Warehouse, tmp_path: Path) -> None:
    version = scenes.upload(warehouse, tmp_path)
    scenes.read_table(warehouse, tmp_path, version)
    claim = bias_at_work(warehouse)
    results.save_bias_report(warehouse, claim, {}, "paid", TaskKind.BINARY)
    uploaded, asked, taken, read, *_ = entries(warehouse)
    assert said(warehouse) == [
        ("dataset.uploaded", "user", "ann"),
        ("stage.asked", "service", "agentic-core"),
        ("stage.taken", "run", f"run-{version.id}"),
        ("stage.done", "run", f"run-{version.id}"),
        ("decision.trigger", "core", None),
        ("trigger.sent", "core", None),
        ("stage.asked", "service", "agentic-core"),
        ("stage.taken", "run", "run-2"),
        ("stage.done", "run", "run-2"),
        ("bias_report.stored", "run", "run-2"),
    ]
    (row,) = scenes.outbox_rows(warehouse, "dataset.uploaded")
    assert uploaded.cause == asked.cause == taken.cause == read.cause == row.ce_id
    assert asked.coordinates == "dataset-events/0/0"
    assert uploaded.detail == {"file_type": "csv", "file_size": 31, "file_hash": "0" * 32}
    assert {(entry.user_id, entry.dataset_id, entry.number) for entry in entries(warehouse)} == {("ann", "loans", 1)}


def test_a_question_and_its_answer(warehouse: Warehouse, tmp_path: Path) -> None:
    asked = scenes.upload(warehouse, tmp_path, custom_metadata={"pipeline": {"mode": "ask"}})
    scenes.read_table(warehouse, tmp_path, asked)
    with warehouse.reading() as session:
        (question,) = inbox.list_questions(session, "ann", "open")
    before = len(entries(warehouse))
    answer = {"target_column_name": "paid", "task_type": "binary"}
    decisions.answer_question(warehouse, question.id, answer, "ann")
    assert said(warehouse, before)[0] == ("question.answered", "user", "ann")
    answered = entries(warehouse, what="question.answered")[0]
    assert answered.detail["question"] == question.id == entries(warehouse, what="question.asked")[0].detail["question"]
    assert answered.detail["answer"]["target_column_name"] == "paid"
    assert ("trigger.sent", "core", None) in said(warehouse, before)


def test_a_failure_a_retry_and_a_cancellation(warehouse: Warehouse, loans: int) -> None:
    claim = bias_at_work(warehouse)
    with warehouse.transaction() as session:
        failures.fail_claim(session, warehouse.settings, claim, "run_died", "It died.")
    interventions.retry_pipeline(warehouse, "loans", "ann")
    interventions.cancel_pipeline(warehouse, "loans", "ann", by="ann")
    assert [what for what, *_ in said(warehouse, loans)] == [
        "stage.asked", "stage.taken", "stage.failed", "pipeline.failed", "stage.retried", "pipeline.cancelled",
    ]  # fmt: skip
    failed = entries(warehouse, what="stage.failed")[0]
    assert failed.detail["error_type"] == "run_died" and failed.run_id == "run-2"
    ended = entries(warehouse, what="pipeline.failed")[0]
    assert (
        (ended.cause, ended.coordinates)
        == (failed.cause, failed.coordinates)
        == (claim.cause, "bias-trigger-events/0/0")
    )
    assert said(warehouse)[-2:] == [("stage.retried", "user", "ann"), ("pipeline.cancelled", "user", "ann")]


def test_running_again_says_what_was_changed(warehouse: Warehouse, loans: int) -> None:
    interventions.cancel_pipeline(warehouse, "loans", "ann", by="ann")
    again.run_again(warehouse, "loans", "ann", Wishes(target_column_name="income"), None, "ann")
    (entry,) = entries(warehouse, what="pipeline.run_again")
    assert (entry.actor, entry.detail["stage"]) == ("ann", "bias")
    assert entry.detail["changed"] == {"target_column_name": "income"}


def test_what_is_changed_stored_and_deleted_by_hand(warehouse: Warehouse, loans: int, tmp_path: Path) -> None:
    datasets.update_dataset(warehouse, "ann", "loans", {"name": "Credit", "description": "secret words"})
    reports.store_transformation_report(warehouse, "ann", "loans", None, {"columns": []})
    results.receive_bias_report(warehouse, "ann", "loans", {}, "paid", "classification")
    scenes.upload(warehouse, tmp_path)
    datasets.delete_dataset(warehouse, "ann", "loans", None)
    assert [what for what, *_ in said(warehouse, loans)] == [
        "dataset.updated", "transformation_report.stored", "bias_report.stored",
        "pipeline.superseded", "dataset.uploaded", "dataset.deleted", "dataset.deleted",
    ]  # fmt: skip
    assert entries(warehouse, what="dataset.updated")[0].detail == {"changed": ["description", "name"]}
    assert entries(warehouse, what="bias_report.stored")[0].actor_kind == "service"


def test_roles_keys_and_users(warehouse: Warehouse) -> None:
    with warehouse.transaction() as session:
        set_player(session, Role.XAI, FOREIGN)
    with warehouse.transaction() as session:
        key = keys.create_key(session, "ann", AccessRole.USER, "laptop")
        users.add_user(session, "ann", "ann", "ann@example.org", None)
        users.change_user(session, "ann", {"full_name": "Ann Example"})
        keys.revoke_key(session, key.split("_")[1])
    assert said(warehouse) == [
        ("role.changed", "user", None),
        ("key.created", "operator", None),
        ("user.added", "user", "ann"),
        ("user.changed", "user", "ann"),
        ("key.revoked", "operator", None),
    ]
    written = " ".join(str(row.detail) for row in entries(warehouse))
    assert key.split("_")[2] not in written and "Ann Example" not in written


def test_whoever_shows_a_key_is_named_whatever_the_request_says(warehouse: Warehouse, tmp_path: Path) -> None:
    with audit.acting(audit.Actor("user", "root")):
        scenes.upload(warehouse, tmp_path, user_id="ann")
    (entry,) = entries(warehouse)
    assert (entry.actor, entry.user_id) == ("root", "ann")


def test_what_is_rolled_back_was_never_recorded(warehouse: Warehouse, loans: int) -> None:
    with pytest.raises(ZeroDivisionError), warehouse.transaction() as session:
        audit.record(session, "pipeline.done", audit.CORE)
        raise ZeroDivisionError
    assert len(entries(warehouse)) == loans
    audit.seal(warehouse.catalogue)
    chain = audit_chain.verify(warehouse.catalogue)
    assert (chain.length, chain.waiting, chain.faults) == (loans, 0, ())
