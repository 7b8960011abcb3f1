"""Decisions and answers in the catalogue: at most one for each cause, stored with what follows from it."""

from pathlib import Path

import pytest

from mlpipe_dagster.errors import Conflict, UnknownThing, UserError
from mlpipe_dagster.events import BiasReported, DatasetUploaded
from mlpipe_dagster.tables.profile import ColumnProfile
from mlpipe_dagster.vocabulary import Role
from mlpipe_dagster.warehouse import decisions, results
from mlpipe_dagster.warehouse.intake import take_in
from mlpipe_dagster.warehouse.ledger import Arrived
from mlpipe_dagster.warehouse.schema import Decision, LedgerRow, Notification, Pipeline, Question
from mlpipe_dagster.warehouse.warehouse import Warehouse, set_player
from mlpipe_dagster_tests.warehouse import scenes

ASK = {"custom_metadata": {"pipeline": {"mode": "ask"}}}
ANSWER = {"target_column_name": "paid", "task_type": "binary"}


@pytest.fixture
def question(warehouse: Warehouse, tmp_path: Path) -> Question:
    """The question that an upload in mode `ask` led to."""
    scenes.read_table(warehouse, tmp_path, scenes.upload(warehouse, tmp_path, **ASK))
    with warehouse.reading() as session:
        return session.query(Question).one()


def status(warehouse: Warehouse) -> str:
    with warehouse.reading() as session:
        return session.query(Pipeline).one().status


def reported(warehouse: Warehouse, ce_id: str = "r1", version: str | None = "v1") -> Arrived:
    event = BiasReported(
        dataset_id="loans",
        user_id="ann",
        bias_report_id="b1",
        timestamp=scenes.TIMESTAMP,
        has_transformation_report=False,
        target_column_name=None,
        task_type=None,
    )
    return scenes.arrived(event, "bias-events", ce_id=ce_id, version=version)


def decide(warehouse: Warehouse, what: Arrived) -> str | None:
    with warehouse.transaction() as session:
        return decisions.decide_record(session, warehouse, what)


def test_in_mode_ask_the_pipeline_waits_and_triggers_nothing(warehouse: Warehouse, question: Question) -> None:
    assert status(warehouse) == "waiting"
    assert scenes.outbox_rows(warehouse, "bias-trigger.reported") == []
    assert question.fields["properties"]["target_column_name"]["enum"] == ["income", "sex", "paid"]


def test_only_what_can_be_predicted_is_offered_and_a_name_means_nothing_to_markdown(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    found = scenes.profile()
    same = ColumnProfile(name="same", data_type="object", kind="constant", missing=0, distinct=1)
    mail = ColumnProfile(name="mail", data_type="object", kind="text", missing=0, distinct=400, personal="email")
    version = scenes.upload(warehouse, tmp_path, name="<img src=x> [*Loans*](y)", **ASK)
    scenes.read_table(warehouse, tmp_path, version, found.model_copy(update={"columns": (mail, same, *found.columns)}))
    with warehouse.reading() as session:
        asked = session.query(Question).one()
    assert asked.fields["properties"]["target_column_name"]["enum"] == ["income", "sex", "paid"]
    assert asked.body.startswith(r"\<img src=x\> \[\*Loans\*\](y) has 400 rows and 5 columns.")
    assert asked.subject == "<img src=x> [*Loans*](y): which column should be predicted?"


def test_a_question_is_answered_once(warehouse: Warehouse, question: Question) -> None:
    answered = decisions.answer_question(warehouse, question.id, ANSWER, "ann")
    assert (answered.status, answered.answer, answered.answered_by) == ("answered", ANSWER, "ann")
    with pytest.raises(Conflict, match="answered already"):
        decisions.answer_question(warehouse, question.id, ANSWER, "ann")
    trigger = scenes.value_of(scenes.outbox_rows(warehouse, "bias-trigger.reported")[0])
    assert (trigger["target_column_name"], trigger["task_type"], trigger["record_count"]) == (
        "paid",
        "classification",
        400,
    )
    assert status(warehouse) == "running"


@pytest.mark.parametrize(
    ("answer", "respondent", "error", "words"),
    [
        ({"target_column_name": "nope", "task_type": "binary"}, "ann", UserError, "cannot be “nope”"),
        ({"target_column_name": "paid", "task_type": "clustering"}, "ann", UserError, "cannot be “clustering”"),
        ({"target_column_name": "paid", "task_type": "regression"}, "ann", UserError, "needs numbers"),
        ({"target_column_name": ["paid"], "task_type": "binary"}, "ann", UserError, "cannot be"),
        ({"colour": "red"}, "ann", UserError, "has no field “colour”"),
        (ANSWER, "bob", PermissionError, "for ann"),
    ],
)
def test_an_answer_that_does_not_fit_changes_nothing(
    warehouse: Warehouse, question: Question, answer: dict[str, object], respondent: str, error: type, words: str
) -> None:
    with pytest.raises(error, match=words):
        decisions.answer_question(warehouse, question.id, answer, respondent)
    with warehouse.reading() as session:
        assert session.query(Question).one().status == "open"
    assert status(warehouse) == "waiting"


def test_a_question_nobody_asked_is_unknown(warehouse: Warehouse) -> None:
    with pytest.raises(UnknownThing):
        decisions.answer_question(warehouse, "nothing", {}, None)


def test_a_question_of_an_older_version_is_closed(warehouse: Warehouse, question: Question, tmp_path: Path) -> None:
    scenes.upload(warehouse, tmp_path)
    with pytest.raises(Conflict, match="closed"):
        decisions.answer_question(warehouse, question.id, ANSWER, None)


def test_in_mode_auto_the_trigger_comes_with_the_profile(warehouse: Warehouse, tmp_path: Path) -> None:
    wishes = {"target_column_name": "paid", "time_budget": "10m", "xai_level": "expert"}
    scenes.read_table(warehouse, tmp_path, scenes.upload(warehouse, tmp_path, custom_metadata={"pipeline": wishes}))
    row = scenes.outbox_rows(warehouse, "bias-trigger.reported")[0]
    assert scenes.value_of(row)["metadata"]["dataset_id"] == "loans"
    assert row.headers["ce_causationid"] == scenes.outbox_rows(warehouse, "dataset.uploaded")[0].ce_id
    assert row.headers["ce_taskkind"] == "binary"
    with warehouse.reading() as session:
        choices = session.query(Pipeline).one().choices
        assert session.query(Notification).count() == 1
    assert (choices["target"], choices["time_budget"], choices["level"]) == ("paid", "10m", "expert")


def test_a_wish_that_cannot_be_met_fails_the_pipeline_with_its_reason(warehouse: Warehouse, tmp_path: Path) -> None:
    wishes = {"target_column_name": "payed"}
    scenes.read_table(warehouse, tmp_path, scenes.upload(warehouse, tmp_path, custom_metadata={"pipeline": wishes}))
    assert status(warehouse) == "failed"
    failed = scenes.value_of(scenes.outbox_rows(warehouse, "pipeline.failed")[0])
    assert failed["error_type"] == "bad_target"
    assert "Did you mean “paid”?" in failed["error_message"]


def test_one_cause_is_decided_once(warehouse: Warehouse, tmp_path: Path) -> None:
    scenes.read_table(warehouse, tmp_path, scenes.upload(warehouse, tmp_path))
    assert [decide(warehouse, reported(warehouse)) for _ in range(3)] == ["trigger", None, None]
    assert len(scenes.outbox_rows(warehouse, "automl-trigger.reported")) == 1


def test_the_budget_goes_out_as_it_was_written(warehouse: Warehouse, tmp_path: Path) -> None:
    wishes = {"target_column_name": "paid", "time_budget": "10m"}
    scenes.read_table(warehouse, tmp_path, scenes.upload(warehouse, tmp_path, custom_metadata={"pipeline": wishes}))
    decide(warehouse, reported(warehouse))
    row = scenes.outbox_rows(warehouse, "automl-trigger.reported")[0]
    assert scenes.value_of(row)["time_budget"] == "10m"
    assert row.headers["ce_timebudgetseconds"] == "600"


def test_an_older_version_is_not_carried_on(warehouse: Warehouse, tmp_path: Path) -> None:
    scenes.read_table(warehouse, tmp_path, scenes.upload(warehouse, tmp_path))
    scenes.upload(warehouse, tmp_path)
    assert decide(warehouse, reported(warehouse)) == "stop"
    assert scenes.outbox_rows(warehouse, "automl-trigger.reported") == []


def test_a_foreign_core_is_expected_to_answer(warehouse: Warehouse, tmp_path: Path) -> None:
    with warehouse.transaction() as session:
        set_player(session, Role.AGENTIC_CORE, "foreign")
    version = scenes.upload(warehouse, tmp_path)
    take_in(warehouse, DatasetUploaded, [scenes.upload_event(warehouse, version).record])
    scenes.read_table(warehouse, tmp_path, version)
    assert scenes.outbox_rows(warehouse, "bias-trigger.reported") == []
    assert decide(warehouse, reported(warehouse)) == "stop"
    with warehouse.reading() as session:
        assert {row.stage: row.state for row in session.query(LedgerRow)} == {
            "dataset": "done",
            "core-bias": "expected",
            "core-automl": "expected",
        }


def test_a_model_without_a_dataset_is_noted_and_not_explained(warehouse: Warehouse) -> None:
    what = scenes.arrived(scenes.model_uploaded(None), "automl-events", ce_id="m1")
    assert decide(warehouse, what) == "notice"
    with warehouse.reading() as session:
        note = session.query(Notification).one()
    assert (note.severity, note.user_id) == ("warning", "ann")
    assert scenes.outbox_rows(warehouse) == []


def test_an_explanation_is_announced_to_its_owner_with_a_link(warehouse: Warehouse, tmp_path: Path) -> None:
    scenes.upload(warehouse, tmp_path)
    results.receive_model(warehouse, "ann", "loans", results.NewModel("m", "M", "sklearn", "classification", ()))
    with warehouse.reading() as session:
        assert session.query(Decision).count() == 0
    decide(warehouse, scenes.arrived(scenes.model_uploaded(), "automl-events", ce_id="m1", version="v1"))
    trigger = scenes.value_of(scenes.outbox_rows(warehouse, "xai-trigger.reported")[0])
    assert (trigger["model_id"], trigger["level"], trigger["version"]) == ("m", "beginner", "v1")
