"""Explanations of whole models: planted truth is found, unhappy tables are met with words, numbers hold together."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import confusion_matrix
from sklearn.tree import DecisionTreeClassifier

from mlpipe_dagster.automl.model import TrainedModel, TrainingSpec
from mlpipe_dagster.automl.train import train
from mlpipe_dagster.errors import ModelError
from mlpipe_dagster.vocabulary import TaskKind
from mlpipe_dagster.xai.explain import explain_model
from mlpipe_dagster.xai.explanation import ModelExplanation
from mlpipe_dagster.xai.pieces import Note
from mlpipe_dagster_tests.xai.models import planted, trained

FEATURES = ["noise", "weak", "strong", "colour"]
MODELS: list[tuple[str, TaskKind, Any]] = [
    ("binary", TaskKind.BINARY, LGBMClassifier(n_estimators=40, verbose=-1, n_jobs=1)),
    ("binary", TaskKind.BINARY, LogisticRegression()),
    ("binary", TaskKind.BINARY, ExtraTreesClassifier(30, random_state=0)),
    ("multiclass", TaskKind.MULTICLASS, LGBMClassifier(n_estimators=40, verbose=-1, n_jobs=1)),
    ("multiclass", TaskKind.MULTICLASS, LogisticRegression()),
    ("multiclass", TaskKind.MULTICLASS, ExtraTreesClassifier(30, random_state=0)),
    ("value", TaskKind.REGRESSION, LGBMRegressor(n_estimators=40, verbose=-1, n_jobs=1)),
    ("value", TaskKind.REGRESSION, Ridge()),
    ("value", TaskKind.REGRESSION, ExtraTreesRegressor(30, random_state=0)),
]


def explained(target: str, task: TaskKind, estimator: Any, **options: Any) -> tuple[ModelExplanation, TrainedModel]:
    table = planted()[[*FEATURES, target]]
    model = trained(table, target, task, estimator, linear=isinstance(estimator, Ridge | LogisticRegression))
    return explain_model(model, table, **options), model


def test_another_table_is_refused() -> None:
    table = planted()[[*FEATURES, "value"]]
    model = trained(table, "value", TaskKind.REGRESSION, Ridge())
    with pytest.raises(ModelError, match="strong"):
        explain_model(model, table.drop(columns="strong"))
    with pytest.raises(ModelError, match="not in this table"):
        explain_model(model, table.head(50))


def test_test_rows_without_a_target_cannot_be_explained() -> None:
    table = planted()[[*FEATURES, "value"]]
    model = trained(table, "value", TaskKind.REGRESSION, Ridge())
    with pytest.raises(ModelError, match="No test row has a known value"):
        explain_model(model, table.assign(value=np.nan))


@pytest.mark.parametrize(("target", "task", "estimator"), MODELS)
def test_planted_weights_are_found(target: str, task: TaskKind, estimator: Any) -> None:
    explanation, _ = explained(target, task, estimator)
    names = [column.name for column in explanation.columns]
    assert names[0] == "strong"
    assert names[-1] == "noise"
    assert explanation.additivity_holds
    by_name = {column.name: column for column in explanation.columns}
    assert by_name["strong"].shap_low > by_name["noise"].shap_high
    assert by_name["strong"].permutation is not None
    assert by_name["noise"].permutation is not None
    assert by_name["strong"].permutation > 10 * abs(by_name["noise"].permutation)
    if task is not TaskKind.MULTICLASS:
        assert by_name["strong"].direction == "raises"
        assert by_name["colour"].effects[0].value == "red"
    assert sum(column.share for column in explanation.columns) == pytest.approx(1.0)
    assert ModelExplanation.model_validate_json(explanation.model_dump_json()) == explanation


def test_the_same_seed_gives_the_same_explanation() -> None:
    first, _ = explained("binary", TaskKind.BINARY, LGBMClassifier(n_estimators=10, verbose=-1, n_jobs=1), seed=4)
    second, _ = explained("binary", TaskKind.BINARY, LGBMClassifier(n_estimators=10, verbose=-1, n_jobs=1), seed=4)
    assert first == second


def test_counts_agree_with_scikit_learn() -> None:
    explanation, model = explained("multiclass", TaskKind.MULTICLASS, LogisticRegression())
    test = planted().iloc[list(model.test_rows)]
    expected = confusion_matrix(test["multiclass"], model.estimator.predict(test), labels=["high", "low", "middle"])
    assert explanation.confusion is not None
    assert np.array(explanation.confusion.counts).tolist() == expected.tolist()
    assert explanation.right == int(np.trace(expected))
    assert explanation.guess_right == int((test["multiclass"] == "middle").sum())


def test_residuals_worked_out_by_hand() -> None:
    """A model that always says 3 (the mean of 1, 2, 3, 6): off by 2, 1, 3, 7 on 1, 2, 6, 10."""
    table = pd.DataFrame({"x": [0.1, 0.2, 0.3, 0.4] * 2, "y": [1.0, 2.0, 3.0, 6.0, 1.0, 2.0, 6.0, 10.0]})
    model = trained(table, "y", TaskKind.REGRESSION, DummyRegressor(), test_rows=[4, 5, 6, 7])
    found = explain_model(model, table).residuals
    assert found is not None
    assert found.median_absolute == 2.5
    assert found.mean == -1.75
    assert found.baseline_median_absolute == 2.5  # the median of the training rows is 2.5: off by 1.5, 0.5, 3.5, 7.5
    assert found.within_10_percent == 0.0
    assert (found.target_minimum, found.target_maximum) == (1.0, 10.0)


def test_a_constant_model_has_no_important_column() -> None:
    explanation, _ = explained("binary", TaskKind.BINARY, DummyClassifier())
    assert [column.shap for column in explanation.columns] == [0.0] * 4
    assert {column.direction for column in explanation.columns} == {"none"}
    assert explanation.additivity_holds
    assert explanation.counterfactuals == ()


def test_one_feature() -> None:
    table = planted()[["strong", "binary"]]
    model = trained(table, "binary", TaskKind.BINARY, LGBMClassifier(n_estimators=10, verbose=-1, n_jobs=1))
    explanation = explain_model(model, table)
    assert [(column.name, column.share) for column in explanation.columns] == [("strong", 1.0)]


def test_two_test_rows_are_explained_with_a_warning() -> None:
    table = planted(60)[[*FEATURES, "binary"]]
    model = trained(table, "binary", TaskKind.BINARY, LogisticRegression(), test_rows=[3, 8])
    explanation = explain_model(model, table)
    assert explanation.test_rows == 2
    assert {row.position for row in explanation.local} <= {4, 9}
    assert Note(key="few_test_rows", values={"rows": 2}) in explanation.notes


def test_rows_that_are_named_are_explained_with_lime_beside_shap() -> None:
    explanation, _ = explained("binary", TaskKind.BINARY, LogisticRegression(), rows=[6, 11])
    named = {row.position: row for row in explanation.local if "asked for" in row.kinds}
    assert set(named) == {7, 12}
    for row in named.values():  # the model is linear, so both tell the same
        assert row.lime_fidelity is not None and row.lime_fidelity > 0.9
        assert row.lime_agreement is not None and row.lime_agreement.shared >= 2
        added = row.base + sum(part.shap for part in row.contributions) + row.rest
        assert added == pytest.approx(row.output)
    with pytest.raises(ModelError, match="has no row 401"):
        explained("binary", TaskKind.BINARY, LogisticRegression(), rows=[400])


def test_the_surrogate_is_as_faithful_as_it_says_and_a_new_fit_tells_the_same() -> None:
    """A stump is a tree of two leaves: it is imitated without fault, and fitted anew it splits the same column."""
    explanation, _ = explained("binary", TaskKind.BINARY, DecisionTreeClassifier(max_depth=1, random_state=0))
    imitated, stable = explanation.surrogate, explanation.stability
    assert imitated is not None and stable is not None and stable.refitted is not None
    assert (imitated.fidelity.value, imitated.tested_rows) == (1.0, 100)
    assert {rule.agreeing for rule in imitated.rules} == {1.0}
    assert {rule.conditions[0].column for rule in imitated.rules} == {"strong"}
    assert stable.refitted_rows > 200
    assert stable.refitted.correlation == pytest.approx(1.0)


def test_a_forest_is_imitated_less_faithfully() -> None:
    explanation, _ = explained("value", TaskKind.REGRESSION, ExtraTreesRegressor(10, random_state=0))
    assert explanation.surrogate is not None
    fidelity = explanation.surrogate.fidelity
    assert fidelity.low is not None and fidelity.high is not None
    assert 0.5 < fidelity.low < fidelity.value < fidelity.high < 1.0


def test_fewer_rows_than_there_are_is_said() -> None:
    explanation, _ = explained("value", TaskKind.REGRESSION, Ridge(), max_rows=40)
    assert explanation.method.explained_rows == 40
    assert Note(key="rows_explained", values={"rows": 40, "of": 100}) in explanation.notes


def test_values_that_identify_people_appear_nowhere() -> None:
    table = planted()[[*FEATURES, "binary"]].assign(colour=lambda frame: "secret-" + frame["colour"])
    model = trained(table, "binary", TaskKind.BINARY, LGBMClassifier(n_estimators=40, verbose=-1, n_jobs=1))
    assert "secret-" in explain_model(model, table).model_dump_json()
    hidden = explain_model(model, table, hide=["colour"])
    assert "secret-" not in hidden.model_dump_json()
    assert next(column for column in hidden.columns if column.name == "colour").hidden


def test_changes_that_turn_the_prediction_really_do() -> None:
    explanation, model = explained("binary", TaskKind.BINARY, LogisticRegression())
    assert len(explanation.counterfactuals) >= 2
    for found in explanation.counterfactuals:
        row = planted()[FEATURES].iloc[[found.position - 1]]
        assert model.estimator.predict(row).tolist() == [found.predicted_before]
        changes = {change.column: change.after for change in found.changes}
        typed = {name: text if name == "colour" else float(text) for name, text in changes.items()}
        assert model.estimator.predict(row.assign(**typed)).tolist() == [found.predicted_after]
        assert found.predicted_before != found.predicted_after


def test_sensitive_columns_are_never_advised_to_be_changed() -> None:
    table = planted()[[*FEATURES, "binary"]]
    model = trained(table, "binary", TaskKind.BINARY, LogisticRegression(), sensitive=["strong"])
    explanation = explain_model(model, table, keep=["colour"], hide=["noise"])
    changed = {change.column for found in explanation.counterfactuals for change in found.changes}
    assert changed <= {"weak"}
    assert set(explanation.kept) == {"strong", "colour", "noise"}


def test_a_perfect_score_is_questioned_and_the_leaking_column_named() -> None:
    table = planted()[["noise", "binary"]].assign(
        leak=lambda frame: (frame["binary"] == "yes").map({True: "a", False: "b"})
    )
    model = trained(table, "binary", TaskKind.BINARY, DecisionTreeClassifier())
    found = explain_model(model, table).suspicions
    assert [note.key for note in found] == ["near_perfect", "one_column"]
    assert found[1].values == {"column": "leak"}


def test_an_ordinary_score_is_not_questioned() -> None:
    explanation, _ = explained("binary", TaskKind.BINARY, ExtraTreesClassifier(10, max_depth=2, random_state=0))
    assert explanation.score.value < 0.99
    assert explanation.suspicions == ()


def test_dates_missing_values_and_true_or_false_are_explained() -> None:
    table = planted()[["strong", "colour", "binary"]]
    table["day"] = pd.Timestamp("2020-01-01") + pd.to_timedelta(np.arange(400), unit="D")
    table["flag"] = table["strong"] > 1
    table.loc[::7, "strong"] = np.nan
    table.loc[::11, "colour"] = None
    model = trained(table, "binary", TaskKind.BINARY, LGBMClassifier(n_estimators=20, verbose=-1, n_jobs=1))
    explanation = explain_model(model, table)
    assert explanation.additivity_holds
    assert {column.name for column in explanation.columns} == {"strong", "colour", "day", "flag"}
    day = next(dependence for dependence in explanation.dependence if dependence.column == "day")
    assert day.points[0].value.startswith("2020-01-")


def test_titanic_from_training_to_explanation(shared_data: Path) -> None:
    table = pd.read_csv(shared_data / "titanic.csv")
    spec = TrainingSpec(target="Survived", task=TaskKind.BINARY, sensitive=("Sex",))
    model = train(table, spec, 4.0)
    explanation = explain_model(model, table, hide=["Name"])
    assert explanation.additivity_holds
    assert explanation.columns[0].name == "Sex"
    assert explanation.columns[0].effects[0].value == "female"
    assert explanation.score.value == pytest.approx((explanation.right or 0) / explanation.test_rows)
    assert {group.group for group in explanation.groups} == {"female", "male"}
