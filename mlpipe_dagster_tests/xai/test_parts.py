"""The parts of an explanation against planted truths, hand-made numbers and scikit-learn's inspection."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn.calibration import calibration_curve
from sklearn.inspection import partial_dependence
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import brier_score_loss, precision_score, recall_score

from mlpipe_dagster.automl.model import Estimate, Threshold
from mlpipe_dagster.tables.profile import ColumnProfile
from mlpipe_dagster.vocabulary import TaskKind
from mlpipe_dagster.xai.budget import Budget
from mlpipe_dagster.xai.calibration import calibration, thresholds
from mlpipe_dagster.xai.counterfactuals import counterfactual
from mlpipe_dagster.xai.dependence import dependences
from mlpipe_dagster.xai.explain import explain_model
from mlpipe_dagster.xai.explainers import attribute
from mlpipe_dagster.xai.importance import agreement
from mlpipe_dagster.xai.interactions import _jackknife, interactions
from mlpipe_dagster.xai.pieces import Figure
from mlpipe_dagster.xai.relations import drift, relations
from mlpipe_dagster.xai.subject import Subject, subject
from mlpipe_dagster.xai.values import shown
from mlpipe_dagster.xai.weak_segments import weak_segments
from mlpipe_dagster_tests.xai.models import planted, trained

FEATURES = ["noise", "weak", "strong", "colour"]


class Product(Ridge):  # type: ignore[misc]  # scikit-learn has no types
    """Answers 2a + ab + 5, whatever it has learned."""

    def predict(self, features: Any) -> Any:
        """Of the first two features."""
        return 2 * features[:, 0] + features[:, 0] * features[:, 1] + 5


@pytest.fixture(scope="module")
def product() -> Subject:
    draw = np.random.default_rng(0)
    table = pd.DataFrame(draw.normal(size=(400, 3)), columns=["a", "b", "c"]).assign(y=draw.normal(size=400))
    return subject(trained(table, "y", TaskKind.REGRESSION, Product()), table)


@pytest.fixture(scope="module")
def binary() -> Subject:
    table = planted(1200)[[*FEATURES, "binary"]]
    return subject(trained(table, "binary", TaskKind.BINARY, LogisticRegression(C=0.02), linear=True), table)


def test_the_planted_interaction_is_found_and_effects_that_add_up_have_none(product: Subject) -> None:
    rows = product.pool.frame.iloc[:20]
    made = attribute(product.estimator, rows, product.background, product.model.feature_origins)
    found = {(pair.first, pair.second): pair for pair in interactions(product, made, ["a", "b", "c"])}
    a, b = product.pool.frame.iloc[product.learned[:40]][["a", "b"]].to_numpy().T
    joint = (a - a.mean()) * (b - b.mean())  # what of 2a + ab is neither a's effect nor b's
    assert found["a", "b"].strength == pytest.approx(float(joint.std()))
    assert found["a", "b"].share == pytest.approx(float(joint.var() / (2 * a + a * b).var()))
    assert found["a", "c"].strength == found["b", "c"].strength == 0.0
    assert found["a", "c"].high == found["b", "c"].share_high == 0.0
    assert found["a", "b"].low < 1.0 < found["a", "b"].high  # of 2a + ab with standard normals: the deviation of ab
    assert found["a", "b"].share_low < found["a", "b"].share < found["a", "b"].share_high


def test_of_a_mean_the_jackknife_is_student_s_interval() -> None:
    """Of 0, 0, 0, 12: mean 3, deviation 6, so 3 ± 3.182 x 6 / 2, and nothing below 0."""
    without_each = [4.0, 4.0, 4.0, 0.0]
    assert _jackknife(np.array([3.0, *without_each])) == pytest.approx((3.0, 0.0, 12.547), abs=1e-3)


def test_partial_dependence_is_that_of_scikit_learn(product: Subject) -> None:
    (found,) = dependences(product, ["a"])
    rows = product.pool.frame.iloc[product.learned[:200]]
    features = product.estimator[:-1].transform(rows)
    for point in (found.points[0], found.points[-1]):
        expected = partial_dependence(
            product.estimator[-1], features, [0], custom_values={0: np.array([point.position])}, method="brute"
        )
        assert point.average == pytest.approx(float(expected["average"][0, 0]))


def test_local_effects_follow_the_slope_where_partial_dependence_is_led_astray() -> None:
    """b is a and a little more; the model answers b where both are alike, and nonsense where no row is."""

    class Nonsense(Ridge):  # type: ignore[misc]
        def predict(self, features: Any) -> Any:
            return features[:, 1] + 50 * (np.abs(features[:, 0] - features[:, 1]) > 4) * features[:, 0]

    draw = np.random.default_rng(1)
    table = pd.DataFrame({"a": draw.normal(size=600) * 2})
    table = table.assign(b=table["a"] + draw.normal(size=600) * 0.05, y=draw.normal(size=600))
    (found,) = dependences(subject(trained(table, "y", TaskKind.REGRESSION, Nonsense()), table), ["b"])
    ends = found.effects[-1].effect - found.effects[0].effect
    assert ends == pytest.approx(found.effects[-1].position - found.effects[0].position, rel=0.05)
    assert found.differs


def test_calibration_is_that_of_scikit_learn(binary: Subject) -> None:
    found = calibration(binary)
    assert found is not None
    chances = binary.predicted[:, 1]
    observed, predicted = calibration_curve(binary.truth, chances, n_bins=len(found.bins), strategy="quantile")
    assert [held.observed for held in found.bins] == pytest.approx(observed.tolist(), abs=0.05)
    assert [held.predicted for held in found.bins] == pytest.approx(predicted.tolist(), abs=0.02)
    assert found.brier is not None
    assert found.brier.value == pytest.approx(brier_score_loss(binary.truth, chances))


def test_thresholds_are_those_of_scikit_learn_and_the_cheapest_costs_least(binary: Subject) -> None:
    found = thresholds(binary)
    assert found is not None
    chances = binary.predicted[:, 1]
    for step in found.steps:
        flagged = chances >= step.threshold
        assert step.found == pytest.approx(recall_score(binary.truth, flagged))
        assert step.right == pytest.approx(precision_score(binary.truth, flagged))
    for choice in found.costs:
        assert choice.low <= choice.cost <= min(choice.high, choice.cost_at_half)
    assert [choice.threshold for choice in found.costs] == sorted((c.threshold for c in found.costs), reverse=True)


def test_rows_with_planted_errors_are_the_weak_segment() -> None:
    """The answer is turned round for blue rows only: the model, which learned before, is wrong there."""
    table = planted(1200)[["strong", "colour", "binary"]]
    model = trained(table, "binary", TaskKind.BINARY, LogisticRegression(), linear=True)
    blue = table["colour"] == "blue"
    turned = table["binary"].map({"yes": "no", "no": "yes"})
    found = weak_segments(
        subject(model, table.assign(binary=table["binary"].where(~blue, turned))), ["strong", "colour"]
    )
    assert found is not None
    worst = found.segments[0]
    assert worst.worse
    assert any(condition.column == "colour" and condition.value == "blue" for condition in worst.conditions)
    assert worst.low > found.overall.value > 0.2


def test_what_single_columns_say_of_the_target() -> None:
    draw = np.random.default_rng(2)
    answer = draw.integers(0, 2, 600)
    table = pd.DataFrame({"same": answer, "noise": draw.normal(size=600), "y": np.where(answer, "yes", "no")})
    table["empty"] = np.nan
    columns = [
        ColumnProfile(name=name, data_type="float64", kind="number", missing=0, distinct=9)
        for name in ("noise", "same", "empty")
    ]
    found = {one.column: one for one in relations(table, columns, "y", TaskKind.BINARY)}
    assert found["same"].leaks and found["same"].share == pytest.approx(1.0, abs=0.01)
    assert found["noise"].share < 0.02 and found["empty"].share == 0.0
    number = {one.column: one for one in relations(table.assign(y=answer * 3.0), columns, "y", TaskKind.REGRESSION)}
    assert number["same"].leaks and not number["noise"].leaks
    moved = drift(table.head(300), table.tail(300).assign(noise=lambda rows: rows["noise"] + 1), columns)
    assert [one.column for one in moved if one.clear] == ["noise"]


@pytest.mark.parametrize(
    ("first", "second", "correlation", "shared"),
    [([3, 2, 1], [30, 20, 10], 1.0, 2), ([3, 2, 1], [1, 2, 3], -1.0, 1), ([1, 1, 1], [1, 2, 3], None, 1)],
)
def test_agreement_of_two_rankings(first: list[float], second: list[float], correlation: float, shared: int) -> None:
    names = ("a", "b", "c")
    found = agreement(dict(zip(names, first, strict=True)), dict(zip(names, second, strict=True)), top=2)
    assert (found.correlation, found.shared) == (pytest.approx(correlation) if correlation else None, shared)


@given(st.integers(1, 5_000), st.floats(1, 1_000), st.floats(1e-7, 1.0), st.integers(1, 50))
def test_a_part_never_plans_more_than_its_share(samples: int, each: float, seconds: float, least: int) -> None:
    budget = Budget(30.0, seconds)
    count = budget.afford("shap", samples, each, least)
    assert count == 0 or (least <= count <= samples and count * each * seconds <= budget.share("shap"))


def test_a_slow_model_leaves_parts_out_and_says_so() -> None:
    table = planted(200)[[*FEATURES, "binary"]]
    model = trained(table, "binary", TaskKind.BINARY, LGBMClassifier(n_estimators=5, verbose=-1, n_jobs=1))
    found = explain_model(model, table, seconds=1e-9)
    how = {part.name: part.how for part in found.method.parts}
    assert how["permutation"] == how["interactions"] == how["dependence"] == "left out"
    assert found.importance_agreement is None
    assert found.columns[0].name == "strong"


@pytest.mark.long
@settings(max_examples=8, deadline=None)
@given(st.lists(st.sampled_from(["😀", "<b>", '"', "שלום\u202e", "x" * 200, "1", "{0}"]), min_size=2, unique=True))
def test_any_names_and_values_are_explained(names: list[str]) -> None:
    draw = np.random.default_rng(0)
    table = pd.DataFrame({name: draw.choice(names, 60) for name in names}).assign(target=draw.choice([1, 2, 30], 60))
    model = trained(table, "target", TaskKind.MULTICLASS, LogisticRegression(), linear=True)
    found = explain_model(model, table)
    assert found.additivity_holds
    assert set(found.classes) <= {"1", "2", "30"}
    assert {column.name for column in found.columns} <= set(names)


@pytest.mark.parametrize("count", [250, pytest.param(2_000, marks=pytest.mark.long)])
def test_many_columns_and_an_empty_one(count: int) -> None:
    draw = np.random.default_rng(0)
    table = pd.DataFrame(draw.normal(size=(120, count)), columns=[f"c{at}" for at in range(count)])
    table = table.assign(y=table["c7"] * 3, nothing=np.nan)
    model = trained(table, "y", TaskKind.REGRESSION, LGBMRegressor(n_estimators=5, verbose=-1, n_jobs=1))
    found = explain_model(model, table)
    assert found.columns[0].name == "c7"
    assert all(row.lime_agreement is None for row in found.local)


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**16), st.sets(st.sampled_from(FEATURES), max_size=3))
def test_counterfactuals_keep_what_they_must_and_use_only_values_that_occur(seed: int, kept: set[str]) -> None:
    table = planted(80, seed)[[*FEATURES, "value"]]
    model = trained(table, "value", TaskKind.REGRESSION, Ridge(), linear=True)
    found = counterfactual(model, table.iloc[[0]], table.iloc[1:], FEATURES, keep=kept)
    for change in found.changes if found else ():
        assert change.column not in kept
        assert change.after in {shown(value) for value in table[change.column]}
    assert found is None or 1 <= len(found.changes) <= 3


def test_thresholds_for_goals_are_those_of_the_training(binary: Subject) -> None:
    chosen = Threshold(
        goal="best F1", threshold=0.4, recall=Estimate(value=0.8, low=0.7, high=0.9), precision=None, alarms=0.3
    )
    found = thresholds(replace(binary, model=replace(binary.model, thresholds=(chosen,))))
    assert found is not None
    (goal,) = found.goals
    assert (goal.goal, goal.threshold, goal.flagged, goal.right) == ("best F1", 0.4, 0.3, None)
    assert goal.found == Figure(name="recall", value=0.8, low=0.7, high=0.9)
