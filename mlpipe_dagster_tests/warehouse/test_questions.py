"""The questions after the bias report and before explanations: when they are asked, and what each answer leads to."""

from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import pytest

from mlpipe_dagster.errors import Conflict, UserError
from mlpipe_dagster.vocabulary import Stage, TaskKind
from mlpipe_dagster.warehouse import decisions, inbox, pipelines, results
from mlpipe_dagster.warehouse.ledger import Arrived
from mlpipe_dagster.warehouse.schema import Question
from mlpipe_dagster.warehouse.warehouse import Warehouse
from mlpipe_dagster_tests.warehouse import scenes

REPORT = {"verdict": "Groups differ.", "findings": [{"headline": "Women are paid back less often."}]}
LEAKING = REPORT | {
    "features": [],
    "signals": {"leaks": [{"column": "income", "severity": "warning"}, {"column": "sex", "severity": "notice"}]},
}


def decide(warehouse: Warehouse, arrived: Arrived) -> None:
    with warehouse.transaction() as session:
        decisions.decide_record(session, warehouse, arrived)


def report_bias(warehouse: Warehouse, tmp_path: Path, *, report: dict[str, Any] | None = None, **said: Any) -> None:
    """A table is read, its bias measured, and the report met by the core."""
    version = scenes.upload(warehouse, tmp_path, custom_metadata={"pipeline": {"target_column_name": "paid"} | said})
    scenes.read_table(warehouse, tmp_path, version)
    (row,) = scenes.outbox_rows(warehouse, "bias-trigger.reported")
    trigger = scenes.arrived(scenes.bias_trigger(), row.topic, ce_id=row.ce_id, version="v1")
    claim = scenes.claim(warehouse, Stage.BIAS, trigger)
    results.save_bias_report(warehouse, claim, report or REPORT, "paid", TaskKind.BINARY)
    (told,) = scenes.outbox_rows(warehouse, "bias.reported")
    event = decisions.BiasReported.from_bytes(told.value.encode())
    decide(warehouse, scenes.arrived(event, told.topic, ce_id=told.ce_id, version="v1", offset=1))


def question(warehouse: Warehouse) -> Question:
    with warehouse.reading() as session:
        (found,) = inbox.list_questions(session, "ann", "open")
    return found


def test_with_mitigation_the_bias_is_measured_again_and_nothing_asked_twice(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    report_bias(warehouse, tmp_path, ask=["bias"])
    answer = {"decision": "proceed with mitigation", "mitigation": "proxy-dropping"}
    decisions.answer_question(warehouse, question(warehouse).id, answer, "ann")
    _, again = scenes.outbox_rows(warehouse, "bias-trigger.reported")
    assert scenes.outbox_rows(warehouse, "automl-trigger.reported") == []
    claim = scenes.claim(
        warehouse,
        Stage.BIAS,
        scenes.arrived(scenes.bias_trigger(), again.topic, ce_id=again.ce_id, version="v1"),
        "run-9",
    )
    with warehouse.reading() as session:
        choices = decisions.recorded_choices(session, claim.owner)
    assert choices is not None
    assert choices.mitigation == "proxy-dropping"
    assert "Mitigation: proxy-dropping (as you asked)." in choices.reasons
    done = results.NewMitigation({"schema_version": "1.0", "before_after": []})
    results.save_bias_report(warehouse, claim, REPORT, "paid", TaskKind.BINARY, done)
    told = scenes.outbox_rows(warehouse, "bias.reported")[-1]
    event = decisions.BiasReported.from_bytes(told.value.encode())
    assert event.has_transformation_report
    decide(warehouse, scenes.arrived(event, told.topic, ce_id=told.ce_id, version="v1", offset=2))
    assert len(scenes.outbox_rows(warehouse, "automl-trigger.reported")) == 1


def status(warehouse: Warehouse) -> str:
    with warehouse.reading() as session:
        return str(pipelines.pipeline_object(session, warehouse.settings, "loans")["status"])


def test_nobody_is_asked_who_did_not_want_to_be(warehouse: Warehouse, tmp_path: Path) -> None:
    report_bias(warehouse, tmp_path, ask=["explain"])
    assert len(scenes.outbox_rows(warehouse, "automl-trigger.reported")) == 1
    with warehouse.reading() as session:
        assert inbox.list_questions(session, "ann", None) == []


def test_the_findings_are_shown_and_no_model_is_trained_before_the_answer(warehouse: Warehouse, tmp_path: Path) -> None:
    report_bias(warehouse, tmp_path, ask=["bias"], time_budget="7s")
    asked = question(warehouse)
    assert "- Groups differ.\n- Women are paid back less often.\n\nAgainst it we would use reweighing" in asked.body
    decisions_offered = ["proceed", "proceed with mitigation", "choose other sensitive features", "stop"]
    assert asked.fields["properties"]["decision"]["enum"] == decisions_offered
    assert asked.fields["properties"]["decision"]["default"] == "proceed"
    assert status(warehouse) == "waiting"
    assert scenes.outbox_rows(warehouse, "automl-trigger.reported") == []
    decisions.answer_question(warehouse, asked.id, {}, "ann")
    (trigger,) = scenes.outbox_rows(warehouse, "automl-trigger.reported")
    said = scenes.value_of(trigger)
    assert (said["target_column_name"], said["task_type"], said["time_budget"]) == ("paid", "classification", "7s")
    assert trigger.headers["ce_causationid"] == asked.cause
    assert status(warehouse) == "running"


def choices_of(warehouse: Warehouse) -> dict[str, Any]:
    with warehouse.reading() as session:
        found: dict[str, Any] = pipelines.pipeline_object(session, warehouse.settings, "loans")["choices"]
    return found


def test_columns_that_give_the_target_away_are_left_out_on_the_persons_word(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    report_bias(warehouse, tmp_path, report=LEAKING, ask=["bias"])
    asked = question(warehouse)
    drop = asked.fields["properties"]["drop"]
    assert "The report warns of: income." in drop["description"]
    assert (drop["items"]["enum"], "default" in drop) == (["income", "sex"], False)
    decisions.answer_question(warehouse, asked.id, {"decision": "proceed", "drop": ["income"]}, "ann")
    assert len(scenes.outbox_rows(warehouse, "automl-trigger.reported")) == 1
    assert choices_of(warehouse)["drop"] == ["income"]
    assert "Left out of training: income (as you asked)." in choices_of(warehouse)["reasons"]


def test_who_is_not_asked_is_warned_of_leaks_and_nothing_is_left_out(warehouse: Warehouse, tmp_path: Path) -> None:
    report_bias(warehouse, tmp_path, report=LEAKING)
    with warehouse.reading() as session:
        warned = [told for told in inbox.list_notifications(session, "ann") if told.severity == "warning"]
    assert [told.subject for told in warned] == ["loans: a column gives the target away"]
    assert "mlpipe again loans --drop" in warned[0].body
    assert (warned[0].link or "").endswith("/bias-reports/ann/loans/view")
    assert choices_of(warehouse)["drop"] == []


def test_who_left_the_column_out_is_not_warned_of_it(warehouse: Warehouse, tmp_path: Path) -> None:
    report_bias(warehouse, tmp_path, report=LEAKING, drop=["income"])
    with warehouse.reading() as session:
        assert [told for told in inbox.list_notifications(session, "ann") if told.severity == "warning"] == []
    assert choices_of(warehouse)["drop"] == ["income"]


def test_where_nothing_sensitive_was_found_the_mode_ask_asks_what_is(warehouse: Warehouse, tmp_path: Path) -> None:
    report_bias(warehouse, tmp_path, report=LEAKING, mode="ask", task_type="binary")
    asked = question(warehouse)
    assert asked.subject == "loans: which columns are about people?"
    assert asked.fields["properties"]["sensitive_features"]["items"]["enum"] == ["income", "sex"]


def test_where_something_sensitive_was_found_the_mode_ask_goes_on(warehouse: Warehouse, tmp_path: Path) -> None:
    report_bias(warehouse, tmp_path, report=LEAKING | {"features": [{}]}, mode="ask", task_type="binary")
    assert len(scenes.outbox_rows(warehouse, "automl-trigger.reported")) == 1


def test_stopping_ends_the_pipeline(warehouse: Warehouse, tmp_path: Path) -> None:
    report_bias(warehouse, tmp_path, ask=["bias"])
    decisions.answer_question(warehouse, question(warehouse).id, {"decision": "stop"}, "ann")
    assert status(warehouse) == "cancelled"
    assert scenes.outbox_rows(warehouse, "automl-trigger.reported") == []


def test_other_sensitive_columns_are_measured_anew(warehouse: Warehouse, tmp_path: Path) -> None:
    report_bias(warehouse, tmp_path, ask=["bias"])
    answer = {"decision": "choose other sensitive features", "sensitive_features": "income"}
    decisions.answer_question(warehouse, question(warehouse).id, answer, "ann")
    assert len(scenes.outbox_rows(warehouse, "bias-trigger.reported")) == 2
    with warehouse.reading() as session:
        choices = pipelines.pipeline_object(session, warehouse.settings, "loans")["choices"]
    assert (choices["sensitive"], choices["target"]) == (["income"], "paid")
    assert "Sensitive columns: income (as you asked)." in choices["reasons"]
    assert "Explanations for: beginner (the default)." in choices["reasons"]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"decision": "perhaps"}, "cannot be “perhaps”"),
        ({"decision": 5}, "“decision”"),
        ({"decision": "stop", "sensitive_features": ["nope"]}, "“sensitive_features” cannot be “nope”"),
        ({"decision": "stop", "sensitive_features": {"a": 1}}, "“sensitive_features” does not fit"),
        ({"decision": "choose other sensitive features"}, "“sensitive_features” needs an answer"),
        ({"decision": "proceed", "drop": ["paid"]}, "“drop” cannot be “paid”"),
        ({"decision": "proceed", "drop": ["income", "sex"]}, "No column is left to learn from"),
        ({"colour": "red"}, "has no field “colour”"),
    ],
)
def test_what_does_not_fit_leaves_the_question_open(
    warehouse: Warehouse, tmp_path: Path, answer: dict[str, object], message: str
) -> None:
    report_bias(warehouse, tmp_path, ask=["bias"])
    with pytest.raises(UserError, match=message):
        decisions.answer_question(warehouse, question(warehouse).id, answer, "ann")
    assert question(warehouse).status == "open"


def test_of_two_answers_at_the_same_moment_one_wins(warehouse: Warehouse, tmp_path: Path) -> None:
    report_bias(warehouse, tmp_path, ask=["bias"])
    asked, barrier, lost = question(warehouse).id, Barrier(2), []

    def answer(decision: str) -> None:
        barrier.wait()
        try:
            decisions.answer_question(warehouse, asked, {"decision": decision}, "ann")
        except Conflict as error:
            lost.append(str(error))

    threads = [Thread(target=answer, args=(decision,)) for decision in ("stop", "proceed")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lost == ["This question has been answered already."]
    trained = len(scenes.outbox_rows(warehouse, "automl-trigger.reported"))
    assert (status(warehouse), trained) in {("cancelled", 0), ("running", 1)}


@pytest.mark.parametrize(("level", "ended", "triggers"), [("expert", "running", 1), ("no explanation", "done", 0)])
def test_explanations_are_made_for_the_reader_that_is_named(
    warehouse: Warehouse, tmp_path: Path, level: str, ended: str, triggers: int
) -> None:
    report_bias(warehouse, tmp_path, ask=["explain"])
    model = scenes.arrived(scenes.model_uploaded(), "automl-events", version="v1", offset=2)
    decide(warehouse, model)
    asked = question(warehouse)
    assert asked.fields["properties"]["level"]["default"] == "beginner"
    decisions.answer_question(warehouse, asked.id, {"level": level}, "ann")
    found = [scenes.value_of(row) for row in scenes.outbox_rows(warehouse, "xai-trigger.reported")]
    assert [(said["model_id"], said["version"], said["level"]) for said in found] == [("m", "v1", "expert")] * triggers
    assert status(warehouse) == ended
