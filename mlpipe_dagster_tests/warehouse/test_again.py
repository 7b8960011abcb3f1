"""Changing what a pipeline does and running it again: what is refused, what starts, and what stays as history."""

from pathlib import Path
from threading import Barrier, Thread

import pytest

from mlpipe_dagster.choices import Wishes
from mlpipe_dagster.errors import Conflict, MlpipeError, TargetError, UserError
from mlpipe_dagster.events import AutomlTrigger, BiasReported
from mlpipe_dagster.stages.table import comparison_named
from mlpipe_dagster.vocabulary import Level, Stage, TaskKind
from mlpipe_dagster.warehouse import datasets, decisions, interventions, ledger, pipelines, reports, results
from mlpipe_dagster.warehouse.again import run_again
from mlpipe_dagster.warehouse.outbox import Owner
from mlpipe_dagster.warehouse.schema import DatasetVersion
from mlpipe_dagster.warehouse.warehouse import Warehouse
from mlpipe_dagster_tests.warehouse import scenes

OWNER = Owner("ann", "loans", 1)


@pytest.fixture
def loans(warehouse: Warehouse, tmp_path: Path) -> DatasetVersion:
    """A table that has been read, with a bias report, in a pipeline that was cancelled after it."""
    said = {"pipeline": {"target_column_name": "paid"}}
    version = scenes.read_table(warehouse, tmp_path, scenes.upload(warehouse, tmp_path, custom_metadata=said))
    (row,) = scenes.outbox_rows(warehouse, "bias-trigger.reported")
    arrived = scenes.arrived(scenes.bias_trigger(), row.topic, ce_id=row.ce_id, version="v1")
    claim = scenes.claim(warehouse, Stage.BIAS, arrived)
    results.save_bias_report(warehouse, claim, {"first": True}, "paid", TaskKind.BINARY)
    interventions.cancel_pipeline(warehouse, "loans", "ann", by="ann")
    return version


def again(warehouse: Warehouse, stage: Stage | None = None, **changes: object) -> None:
    run_again(warehouse, "loans", "ann", Wishes.model_validate(changes), stage, by="ann")


def history(warehouse: Warehouse) -> list[dict[str, object]]:
    with warehouse.reading() as session:
        found: list[dict[str, object]] = pipelines.pipeline_object(session, warehouse.settings, "loans")["history"]
    return found


@pytest.mark.parametrize(
    ("stage", "changes", "error", "message"),
    [
        (Stage.XAI, {"target_column_name": "sex"}, UserError, "too late for a change of target_column_name.*bias"),
        (Stage.XAI, {"time_budget": "5"}, UserError, "too late for a change of time_budget. Start from automl"),
        (Stage.DATASET, {}, UserError, "Start from bias, automl or xai"),
        (None, {"target_column_name": "Paid"}, TargetError, "Did you mean “paid”"),
        (None, {"sensitive_features": ["nope"]}, UserError, "“nope” is not in the table"),
        (None, {"positive_class": "maybe"}, TargetError, "“maybe” is not a class of the target column “paid”"),
        (
            None,
            {"reference_shares": "income: low=50, high=50"},
            UserError,
            "“income”, which is not among the sensitive",
        ),
        (None, {"reference_shares": "sexx: f=50, m=50"}, UserError, "The column of reference shares “sexx” is not in"),
        (None, {"reference_shares": "sex: f=50, x=50"}, UserError, "reference shares of “sex” do not fit"),
        (None, {"conditioning_column": "nope"}, UserError, "The conditioning column “nope” is not in the table"),
        (None, {"conditioning_column": "paid"}, UserError, "“paid” is the target or a sensitive column"),
        (None, {"engine": "autosklearn", "time_budget": "5"}, UserError, "at least 30 seconds, not 5"),
        (None, {"fairness": "parity"}, UserError, "The fairness constraint “parity” is not known. Write one of"),
        (
            None,
            {"fairness": "equalized_odds", "target_column_name": "income"},
            UserError,
            "a target of two classes",
        ),
        (
            None,
            {"fairness": "equalized_odds", "sensitive_features": []},
            UserError,
            "needs sensitive columns",
        ),
        (
            None,
            {"fairness": "equalized_odds", "engine": "autosklearn"},
            UserError,
            "auto-sklearn cannot weigh rows, which the fairness constraint",
        ),
        (None, {"drop": ["nope"]}, UserError, "The column to leave out “nope” is not in the table"),
        (None, {"drop": ["paid"]}, UserError, "“paid” is what is predicted"),
        (None, {"time_budget": "soon"}, UserError, "soon"),
        (None, {"task_type": "regression"}, UserError, "Regression needs numbers"),
        (Stage.XAI, {}, Conflict, "no model to explain"),
    ],
)
def test_what_cannot_be_changes_nothing(
    warehouse: Warehouse,
    loans: DatasetVersion,
    stage: Stage | None,
    changes: dict[str, object],
    error: type[MlpipeError],
    message: str,
) -> None:
    events = len(scenes.outbox_rows(warehouse))
    with pytest.raises(error, match=message):
        again(warehouse, stage, **changes)
    assert len(scenes.outbox_rows(warehouse)) == events
    with warehouse.reading() as session:
        found = pipelines.pipeline_object(session, warehouse.settings, "loans")
    assert (found["status"], found["choices"]["target"], found["history"]) == ("cancelled", "paid", [])


def test_a_pipeline_at_work_is_left_alone(warehouse: Warehouse, tmp_path: Path) -> None:
    scenes.upload(warehouse, tmp_path)
    with pytest.raises(Conflict, match="at work"):
        again(warehouse, time_budget="5")


def test_a_table_that_was_not_read_cannot_be_chosen_from(warehouse: Warehouse, tmp_path: Path) -> None:
    scenes.upload(warehouse, tmp_path)
    interventions.cancel_pipeline(warehouse, "loans", "ann", by="ann")
    with pytest.raises(Conflict, match="has not been read yet"):
        again(warehouse, time_budget="5")


def test_another_target_starts_from_bias_and_its_task_is_inferred(warehouse: Warehouse, loans: DatasetVersion) -> None:
    again(warehouse, target_column_name="income")
    first, second = scenes.outbox_rows(warehouse, "bias-trigger.reported")
    said = scenes.value_of(second)
    assert (said["target_column_name"], said["task_type"]) == ("income", "regression")
    assert second.ce_id != first.ce_id
    assert second.headers["ce_correlationid"] == first.headers["ce_correlationid"]
    with warehouse.reading() as session:
        found = pipelines.pipeline_object(session, warehouse.settings, "loans")
    assert (found["status"], found["choices"]["target"]) == ("running", "income")
    (entry,) = found["history"]
    assert (entry["kind"], entry["by"], entry["stage"], entry["changed"]) == (
        "choices",
        "ann",
        "bias",
        ["target_column_name"],
    )
    assert entry["choices"]["target"] == "paid"


def test_the_task_of_another_target_has_its_own_reason(warehouse: Warehouse, loans: DatasetVersion) -> None:
    again(warehouse, target_column_name="sex")
    with warehouse.reading() as session:
        choices = decisions.recorded_choices(session, OWNER)
    assert choices is not None and choices.task.value == "binary"
    assert "Task: binary (“sex” has two values, so the task is binary classification)." in choices.reasons
    assert "Time budget: 60 (the default)." in choices.reasons


def test_another_budget_starts_from_the_training_and_keeps_the_rest(
    warehouse: Warehouse, loans: DatasetVersion
) -> None:
    again(warehouse, time_budget="5m")
    (trigger,) = scenes.outbox_rows(warehouse, "automl-trigger.reported")
    said = scenes.value_of(trigger)
    assert (said["target_column_name"], said["task_type"], said["time_budget"]) == ("paid", "classification", "5m")
    with warehouse.reading() as session:
        choices = decisions.recorded_choices(session, OWNER)
    assert choices is not None
    assert (choices.time_budget_seconds, choices.sensitive, choices.level) == (300.0, ("sex",), Level.BEGINNER)
    assert "Sensitive columns: sex (found by their names and values)." in choices.reasons
    assert "Time budget: 5m (as you asked)." in choices.reasons


def test_the_positive_class_and_the_conditioning_column_start_from_bias(
    warehouse: Warehouse, loans: DatasetVersion
) -> None:
    again(warehouse, positive_class="No", conditioning_column="income")
    assert len(scenes.outbox_rows(warehouse, "bias-trigger.reported")) == 2
    with warehouse.reading() as session:
        choices = decisions.recorded_choices(session, OWNER)
    assert choices is not None
    assert comparison_named(choices, "paid") == ("No", "income")
    assert comparison_named(choices, "income") == comparison_named(None, "paid") == (None, None)
    assert "Positive outcome: No (as you asked)." in choices.reasons
    assert "Compared within: income (as you asked)." in choices.reasons


def test_what_was_named_stays_until_it_does_not_fit_or_is_taken_back(
    warehouse: Warehouse, loans: DatasetVersion
) -> None:
    def changed(**changes: object) -> tuple[str | None, str | None]:
        again(warehouse, **changes)
        interventions.cancel_pipeline(warehouse, "loans", "ann", by="ann")
        with warehouse.reading() as session:
            choices = decisions.recorded_choices(session, OWNER)
        assert choices is not None
        return choices.positive, choices.conditioning

    assert changed(positive_class="no", conditioning_column="income") == ("no", "income")
    assert changed(time_budget="5m") == ("no", "income")
    assert changed(conditioning_column="") == ("no", None)
    assert changed(conditioning_column="income") == ("no", "income")
    assert changed(target_column_name="income") == (None, None)
    assert changed(target_column_name="paid", positive_class="yes") == ("yes", None)
    assert changed(positive_class="") == (None, None)


def test_expected_shares_stay_while_their_columns_are_sensitive(warehouse: Warehouse, loans: DatasetVersion) -> None:
    def shares(**changes: object) -> str | None:
        again(warehouse, **changes)
        interventions.cancel_pipeline(warehouse, "loans", "ann", by="ann")
        with warehouse.reading() as session:
            choices = decisions.recorded_choices(session, OWNER)
        assert choices is not None
        said = f"Expected shares: {choices.reference_shares} (as you asked)."
        assert (said in choices.reasons) == (choices.reference_shares is not None)
        return choices.reference_shares

    expected = "sex: f=51, m=49"
    assert shares(reference_shares=expected) == shares(time_budget="5m") == expected
    assert shares(sensitive_features=()) is None
    assert shares(sensitive_features=("sex",), reference_shares=expected) == expected
    assert shares(reference_shares="") is None


def test_another_engine_starts_from_the_training(warehouse: Warehouse, loans: DatasetVersion) -> None:
    again(warehouse, engine="flaml", time_budget="5")
    assert len(scenes.outbox_rows(warehouse, "automl-trigger.reported")) == 1
    with warehouse.reading() as session:
        choices = decisions.recorded_choices(session, OWNER)
    assert choices is not None and choices.engine == "flaml"
    assert "Engine: FLAML (as you asked)." in choices.reasons


def test_columns_to_train_without_start_from_the_training(warehouse: Warehouse, loans: DatasetVersion) -> None:
    again(warehouse, drop=("income",))
    assert len(scenes.outbox_rows(warehouse, "automl-trigger.reported")) == 1
    with warehouse.reading() as session:
        choices = decisions.recorded_choices(session, OWNER)
    assert choices is not None
    assert choices.drop == ("income",)


def test_a_new_target_is_not_sensitive_to_itself(warehouse: Warehouse, loans: DatasetVersion) -> None:
    again(warehouse, target_column_name="sex")
    with warehouse.reading() as session:
        choices = decisions.recorded_choices(session, OWNER)
    assert choices is not None
    assert choices.sensitive == ()


def test_a_question_that_waits_is_closed(warehouse: Warehouse, tmp_path: Path) -> None:
    asked = scenes.upload(warehouse, tmp_path, custom_metadata={"pipeline": {"mode": "ask"}})
    scenes.read_table(warehouse, tmp_path, asked)
    again(warehouse, target_column_name="paid")
    with warehouse.reading() as session:
        found = pipelines.pipeline_object(session, warehouse.settings, "loans")
    assert [question["status"] for question in found["questions"]] == ["closed"]
    assert (found["status"], found["history"]) == ("running", [])


def test_the_report_that_is_replaced_stays_as_history_until_the_dataset_goes(
    warehouse: Warehouse, loans: DatasetVersion
) -> None:
    again(warehouse, target_column_name="income")
    *_, row = scenes.outbox_rows(warehouse, "bias-trigger.reported")
    arrived = scenes.arrived(scenes.bias_trigger(), row.topic, ce_id=row.ce_id, version="v1", offset=1)
    claim = scenes.claim(warehouse, Stage.BIAS, arrived, "run-2")
    results.save_bias_report(warehouse, claim, {"second": True}, "income", TaskKind.REGRESSION)
    assert [entry["kind"] for entry in history(warehouse)] == ["choices", "bias_report"]
    assert history(warehouse)[1]["target_column_name"] == "paid"
    assert "report" not in history(warehouse)[1]
    with warehouse.reading() as session:
        report = reports.get_bias_report(session, OWNER)
        assert report is not None
        assert report.report == {"second": True}
    datasets.delete_dataset(warehouse, "ann", "loans")
    with warehouse.reading() as session:
        assert pipelines.former.list_former(session, OWNER) == []


def test_what_was_on_its_way_when_it_was_cancelled_starts_nothing_beside_the_new_run(
    warehouse: Warehouse, loans: DatasetVersion
) -> None:
    (reported,) = scenes.outbox_rows(warehouse, "bias.reported")
    event = BiasReported.model_validate_json(reported.value)
    again(warehouse)
    with warehouse.transaction() as session:
        late = scenes.arrived(event, reported.topic, ce_id=reported.ce_id, version="v1")
        assert decisions.decide_record(session, warehouse, late) == "stop"
    assert scenes.outbox_rows(warehouse, "automl-trigger.reported") == []
    *_, row = scenes.outbox_rows(warehouse, "bias-trigger.reported")
    claim = scenes.claim(
        warehouse, Stage.BIAS, scenes.arrived(scenes.bias_trigger(), row.topic, ce_id=row.ce_id, version="v1"), "run-2"
    )
    results.save_bias_report(warehouse, claim, {"second": True}, "paid", TaskKind.BINARY)
    *_, reported = scenes.outbox_rows(warehouse, "bias.reported")
    with warehouse.transaction() as session:
        new = scenes.arrived(event, reported.topic, ce_id=reported.ce_id, version="v1", offset=1)
        assert decisions.decide_record(session, warehouse, new) == "trigger"
    interventions.cancel_pipeline(warehouse, "loans", "ann", by="ann")
    again(warehouse, Stage.AUTOML)
    first, second = scenes.outbox_rows(warehouse, "automl-trigger.reported")
    with warehouse.transaction() as session:
        for row, state in ((first, "cancelled"), (second, "expected")):
            trigger = scenes.arrived(
                AutomlTrigger.model_validate_json(row.value), row.topic, ce_id=row.ce_id, version="v1"
            )
            assert ledger.enter(session, warehouse, Stage.AUTOML, trigger).state == state


def test_of_two_at_the_same_moment_one_wins(warehouse: Warehouse, loans: DatasetVersion) -> None:
    barrier, lost = Barrier(2), []

    def change(budget: str) -> None:
        barrier.wait()
        try:
            again(warehouse, time_budget=budget)
        except Conflict as error:
            lost.append(str(error))

    threads = [Thread(target=change, args=(budget,)) for budget in ("5", "6")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lost == ["The pipeline of loans is at work. Cancel it first, or wait."]
    assert len(scenes.outbox_rows(warehouse, "automl-trigger.reported")) == 1


def test_a_search_is_gone_on_with_by_the_next_training_alone(warehouse: Warehouse, loans: DatasetVersion) -> None:
    again(warehouse, continue_from="v1")
    assert continued(warehouse) == "v1"
    assert len(scenes.outbox_rows(warehouse, "automl-trigger.reported")) == 1
    interventions.cancel_pipeline(warehouse, "loans", "ann", by="ann")
    again(warehouse, time_budget="7m")
    assert continued(warehouse) is None


def continued(warehouse: Warehouse) -> str | None:
    with warehouse.reading() as session:
        choices = decisions.recorded_choices(session, OWNER)
    assert choices is not None
    return choices.continue_from
