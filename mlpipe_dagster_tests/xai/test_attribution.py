"""SHAP values: they add up for every kind of model, agree with Shapley's formula, and land on original columns."""

import math
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import pytest
import shap
from hypothesis import given, settings
from hypothesis import strategies as st
from lightgbm import LGBMClassifier, LGBMRegressor
from scipy.special import softmax
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.tree import DecisionTreeRegressor

from mlpipe_dagster.automl.calibration import Calibrated
from mlpipe_dagster.automl.ensemble import blended
from mlpipe_dagster.errors import ModelError
from mlpipe_dagster.vocabulary import TaskKind
from mlpipe_dagster.xai import permutation_explainer, tree_explainer
from mlpipe_dagster.xai.attribution import chance_or_value
from mlpipe_dagster.xai.explainers import attribute
from mlpipe_dagster.xai.permutation_explainer import explain_permutations
from mlpipe_dagster_tests.xai.models import planted, trained

FEATURES = ["noise", "weak", "strong", "colour"]
MODELS: list[tuple[TaskKind, Any, str]] = [
    (TaskKind.BINARY, LGBMClassifier(n_estimators=30, verbose=-1, n_jobs=1), "trees"),
    (TaskKind.MULTICLASS, LGBMClassifier(n_estimators=30, verbose=-1, n_jobs=1), "trees"),
    (TaskKind.REGRESSION, LGBMRegressor(n_estimators=30, verbose=-1, n_jobs=1), "trees"),
    (TaskKind.BINARY, HistGradientBoostingClassifier(max_iter=30), "trees"),
    (TaskKind.MULTICLASS, HistGradientBoostingClassifier(max_iter=30), "trees"),
    (TaskKind.REGRESSION, HistGradientBoostingRegressor(max_iter=30), "trees"),
    (TaskKind.BINARY, ExtraTreesClassifier(20, random_state=0), "trees"),
    (TaskKind.MULTICLASS, ExtraTreesClassifier(20, random_state=0), "trees"),
    (TaskKind.REGRESSION, ExtraTreesRegressor(20, random_state=0), "trees"),
    (TaskKind.BINARY, LogisticRegression(), "linear"),
    (TaskKind.MULTICLASS, LogisticRegression(), "linear"),
    (TaskKind.REGRESSION, Ridge(), "linear"),
    (TaskKind.REGRESSION, GradientBoostingRegressor(n_estimators=20), "permutations"),
    (TaskKind.BINARY, DummyClassifier(), "permutations"),
]
TARGETS = {TaskKind.BINARY: "binary", TaskKind.MULTICLASS: "multiclass", TaskKind.REGRESSION: "value"}


def shapley(predict: Any, row: pd.DataFrame, background: pd.DataFrame, columns: list[str]) -> dict[str, float]:
    """Shapley's own formula over all coalitions; absent columns take the background's values."""

    def worth(known: tuple[str, ...]) -> float:
        mixed = background.copy()
        for name in known:
            mixed[name] = row[name].iloc[0]
        return float(np.mean(predict(mixed)))

    count, values = len(columns), {}
    for name in columns:
        others = [other for other in columns if other != name]
        values[name] = sum(
            math.factorial(size)
            * math.factorial(count - size - 1)
            / math.factorial(count)
            * (worth((*known, name)) - worth(known))
            for size in range(count)
            for known in combinations(others, size)
        )
    return values


def test_features_that_nobody_described_are_refused() -> None:
    table = planted(80)[[*FEATURES, "value"]]
    model = trained(table, "value", TaskKind.REGRESSION, Ridge())
    with pytest.raises(ModelError, match="6 features, but 2"):
        attribute(model.estimator, table, table, ("noise", "weak"))


def test_a_column_that_the_table_lacks_is_named() -> None:
    table = planted(80)[[*FEATURES, "value"]]
    model = trained(table, "value", TaskKind.REGRESSION, GradientBoostingRegressor(n_estimators=2))
    with pytest.raises(ModelError, match="strong"):
        attribute(model.estimator, table.drop(columns="strong"), table, model.feature_origins)


@pytest.mark.parametrize(("task", "estimator", "method"), MODELS)
def test_values_and_base_add_up_to_the_model_output(task: TaskKind, estimator: Any, method: str) -> None:
    table = planted(240)[[*FEATURES, TARGETS[task]]]
    model = trained(table, TARGETS[task], task, estimator, linear=method == "linear")
    rows = table.iloc[list(model.test_rows)]
    made = attribute(model.estimator, rows, table.iloc[1:60], model.feature_origins)
    assert made.method == method
    assert made.columns == tuple(FEATURES)
    assert made.values.shape == (60, 4, 3 if task is TaskKind.MULTICLASS else 1)
    assert made.additivity_holds
    assert made.additivity_error < 1e-6
    assert np.allclose(made.base + made.values.sum(axis=1), made.output, atol=1e-6)


@pytest.mark.parametrize(
    ("estimator", "task"),
    [(LGBMClassifier(n_estimators=30, verbose=-1, n_jobs=1), TaskKind.BINARY), (LogisticRegression(), TaskKind.BINARY)],
)
def test_log_odds_turn_into_the_probability_the_model_predicts(estimator: Any, task: TaskKind) -> None:
    table = planted(240)[[*FEATURES, "binary"]]
    model = trained(table, "binary", task, estimator)
    made = attribute(model.estimator, table[:20], table[20:], model.feature_origins)
    assert made.scale == "log-odds"
    log_odds = (made.base + made.values.sum(axis=1))[:, 0]
    assert np.allclose(1 / (1 + np.exp(-log_odds)), model.estimator.predict_proba(table[:20])[:, 1], atol=1e-9)


def test_tree_values_worked_out_by_hand() -> None:
    """12 where both are 1, on four equally frequent rows: v() = 3, v(a) = v(b) = 6, v(ab) = 12, so 4.5 each."""
    table = pd.DataFrame({"a": [0.0, 0.0, 1.0, 1.0], "b": [0.0, 1.0, 0.0, 1.0]})
    tree = DecisionTreeRegressor(random_state=0).fit(table.to_numpy(), [0.0, 0.0, 0.0, 12.0])
    pipeline = Pipeline([("same", FunctionTransformer(lambda rows: rows.to_numpy())), ("tree", tree)])
    made = attribute(pipeline, table.iloc[[3]], table, ("a", "b"))
    assert made.base[0] == pytest.approx(3.0)
    assert made.values[0, :, 0] == pytest.approx([4.5, 4.5])


def test_linear_values_are_shapley_values_of_the_original_columns() -> None:
    table = planted(120)[[*FEATURES, "value"]]
    model = trained(table, "value", TaskKind.REGRESSION, Ridge(), linear=True)
    background, row = table.iloc[20:60], table.iloc[[0]]
    made = attribute(model.estimator, row, background, model.feature_origins)
    expected = shapley(model.estimator.predict, row, background, FEATURES)
    assert dict(zip(made.columns, made.values[0, :, 0].tolist(), strict=True)) == pytest.approx(expected, abs=1e-9)


def test_permutations_come_close_to_shapley_values_where_columns_interact() -> None:
    draw = np.random.default_rng(3)
    table = pd.DataFrame({"a": draw.normal(size=200), "b": draw.normal(size=200), "c": draw.normal(size=200)})
    model = KNeighborsRegressor(5).fit(table.to_numpy(), table["a"] * table["b"] + table["c"])
    pipeline = Pipeline([("same", FunctionTransformer(lambda rows: rows.to_numpy())), ("model", model)])
    background, row = table.iloc[:24], table.iloc[[100]]
    made = explain_permutations(pipeline, row, background, ("a", "b", "c"))
    expected = shapley(pipeline.predict, row, background, ["a", "b", "c"])
    assert made.values[0, :, 0] == pytest.approx(list(expected.values()), abs=0.25)
    assert sum(expected.values()) == pytest.approx(float(made.values[0].sum()), abs=1e-9)


def test_permutations_are_exact_where_columns_only_add_up() -> None:
    table = planted(120)[[*FEATURES, "value"]]
    model = trained(table, "value", TaskKind.REGRESSION, Ridge(), linear=True)
    background, row = table.iloc[20:44], table.iloc[[0]]
    made = explain_permutations(model.estimator, row, background, model.feature_origins)
    expected = shapley(model.estimator.predict, row, background, FEATURES)
    assert dict(zip(made.columns, made.values[0, :, 0].tolist(), strict=True)) == pytest.approx(expected, abs=1e-9)


def test_trees_with_categories_of_their_own_are_not_left_to_the_tree_explainer() -> None:
    table = pd.DataFrame({"a": np.arange(100) % 4, "b": np.arange(100) % 7})
    native = HistGradientBoostingRegressor(max_iter=5, categorical_features=[0], min_samples_leaf=2)
    native.fit(table.to_numpy(), table["a"] == 2)
    pipeline = Pipeline([("same", FunctionTransformer(lambda rows: rows.to_numpy())), ("model", native)])
    assert attribute(pipeline, table[:10], table, ("a", "b")).method == "permutations"


def test_forests_too_large_for_the_exact_explainer_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree_explainer, "TREE_OPERATIONS", 1.0)
    table = planted(120)[[*FEATURES, "value"]]
    model = trained(table, "value", TaskKind.REGRESSION, ExtraTreesRegressor(5, random_state=0))
    made = attribute(model.estimator, table[:30], table, model.feature_origins)
    assert made.additivity_holds
    assert made.notes[0].key == "trees_too_large"


def test_slow_models_are_explained_on_fewer_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(permutation_explainer, "PERMUTATION_EVALUATIONS", 24 * 5 * 30)
    table = planted(200)[[*FEATURES, "value"]]
    model = trained(table, "value", TaskKind.REGRESSION, GradientBoostingRegressor(n_estimators=2))
    assert len(attribute(model.estimator, table, table, model.feature_origins).rows) == 30


@pytest.mark.parametrize(("task", "offsets"), [(TaskKind.BINARY, [0.0, -0.7]), (TaskKind.MULTICLASS, [0.0, 0.0, 0.0])])
def test_scaled_probabilities_of_trees_are_explained_exactly(task: TaskKind, offsets: list[float]) -> None:
    table = planted(240)[[*FEATURES, TARGETS[task]]]
    model = trained(table, TARGETS[task], task, LGBMClassifier(n_estimators=30, verbose=-1, n_jobs=1))
    *before, (name, fitted) = model.estimator.steps
    scaled = Pipeline([*before, (name, Calibrated(fitted, 0.6, offsets))])
    made = attribute(scaled, table[:20], table[20:], model.feature_origins)
    assert (made.method, made.additivity_holds) == ("trees", True)
    scores = made.base + made.values.sum(axis=1)
    expected = scaled.predict_proba(table[:20])
    if task is TaskKind.BINARY:
        assert 1 / (1 + np.exp(-scores[:, 0])) == pytest.approx(expected[:, 1], abs=1e-6)
    else:
        assert softmax(scores, axis=1) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("task", [TaskKind.BINARY, TaskKind.MULTICLASS, TaskKind.REGRESSION])
def test_an_ensemble_that_averages_forests_is_explained_exactly_and_a_mixed_one_sampled(task: TaskKind) -> None:
    regression = task is TaskKind.REGRESSION
    forest, vote = (
        (ExtraTreesRegressor, VotingRegressor)
        if regression
        else (ExtraTreesClassifier, partial(VotingClassifier, voting="soft"))
    )
    members = [("a", forest(5, max_depth=3, random_state=1)), ("b", forest(5, max_depth=2, random_state=2))]
    table = planted(160)[[*FEATURES, TARGETS[task]]]
    model = trained(table, TARGETS[task], task, vote(members, weights=[3, 1]))
    made = attribute(model.estimator, table[:20], table, model.feature_origins)
    assert (made.method, made.sampling_error, made.additivity_holds) == ("trees", None, True)
    *before, (name, voting) = model.estimator.steps
    ours = Pipeline([*before, (name, blended(voting.estimators_, [0.75, 0.25]))])
    again = attribute(ours, table[:20], table, model.feature_origins)
    assert again.values == pytest.approx(made.values)
    mixed = [*members, ("c", KNeighborsRegressor(5) if regression else LogisticRegression())]
    model = trained(table, TARGETS[task], task, vote(mixed))
    made = attribute(model.estimator, table[:5], table, model.feature_origins)
    assert made.method == "permutations"
    assert made.sampling_error
    assert made.additivity_holds


def test_of_a_mean_of_values_linear_members_are_exact_too_against_the_same_background_as_trees() -> None:
    table = planted(160)[[*FEATURES, "value"]]
    forest = ExtraTreesRegressor(5, max_depth=3, random_state=1)
    boosting = LGBMRegressor(n_estimators=10, verbose=-1, n_jobs=1)
    model = trained(table, "value", TaskKind.REGRESSION, VotingRegressor([("a", forest), ("b", boosting)]))
    *before, (name, voting) = model.estimator.steps
    features = model.estimator[:-1].transform(table)
    scaled = Pipeline([("scaled", StandardScaler()), ("model", Ridge())]).fit(features, table["value"])
    ensemble = Pipeline([*before, (name, blended([*voting.estimators_, scaled], [0.5, 0.2, 0.3]))])
    background, row = table.iloc[20:80], table.iloc[[0]]
    made = attribute(ensemble, row, background, model.feature_origins)
    assert (made.method, made.sampling_error, made.background_rows) == ("average", None, 60)
    expected = shapley(ensemble.predict, row, background, FEATURES)
    assert dict(zip(made.columns, made.values[0, :, 0].tolist(), strict=True)) == pytest.approx(expected, abs=1e-6)


def test_features_that_depend_on_two_columns_are_explained_by_mixing_raw_rows() -> None:
    """y = (a - s) + 2 s, where the encoder takes s out of a: the true effect of both columns is 1."""
    draw = np.random.default_rng(0)
    table = pd.DataFrame({"a": draw.normal(size=200), "s": draw.normal(size=200)})
    encode = FunctionTransformer(lambda rows: np.column_stack([rows["a"] - rows["s"], rows["s"]]))
    model = Ridge(alpha=1e-9).fit(encode.transform(table), table["a"] + table["s"])
    pipeline = Pipeline([("encode", encode), ("model", model)])
    made = attribute(pipeline, table[:5], table[50:74], ("a", "s"))
    assert (made.method, made.notes[0].key) == ("permutations", "columns_tied")
    expected = table[["a", "s"]].to_numpy()[:5] - table[["a", "s"]].to_numpy()[50:74].mean(axis=0)
    assert made.values[:, :, 0] == pytest.approx(expected, abs=1e-6)


def test_a_binary_model_answers_with_the_probability_of_its_second_class() -> None:
    table = planted(120)[[*FEATURES, "binary"]]
    model = trained(table, "binary", TaskKind.BINARY, LogisticRegression())
    ask, scale = chance_or_value(model.estimator)
    assert scale == "probability"
    features = model.estimator[:-1].transform(table)
    assert ask(features).shape == (120, 1)
    assert ask(features)[:, 0] == pytest.approx(model.estimator.predict_proba(table)[:, 1])


@pytest.mark.parametrize("task", list(TARGETS))
def test_values_of_lightgbm_are_those_of_shap(task: TaskKind) -> None:
    table = planted(160)[[*FEATURES, TARGETS[task]]]
    kind = LGBMRegressor if task is TaskKind.REGRESSION else LGBMClassifier
    model = trained(table, TARGETS[task], task, kind(n_estimators=10, verbose=-1, n_jobs=1))
    made = attribute(model.estimator, table[:20], table, model.feature_origins)
    encoded = np.asarray(model.estimator[:-1].transform(table[:20]), dtype=np.float64)
    explainer = shap.TreeExplainer(model.estimator[-1])
    expected = np.asarray(explainer(encoded).values).reshape(*encoded.shape, -1)
    for at, name in enumerate(made.columns):
        own = [feature for feature, origin in enumerate(model.feature_origins) if origin == name]
        assert made.values[:, at] == pytest.approx(expected[:, own].sum(axis=1), abs=1e-9)
    assert made.base == pytest.approx(np.ravel(explainer.expected_value), abs=1e-9)


@pytest.mark.long  # shap compiles its explainer for five seconds
def test_sampled_values_come_as_close_to_shap_s_exact_explainer_as_their_error_says() -> None:
    draw = np.random.default_rng(1)
    table = pd.DataFrame(draw.normal(size=(120, 4)), columns=list("abcd"))
    forest = ExtraTreesRegressor(10, max_depth=4, random_state=0)
    forest.fit(table.to_numpy(), table["a"] * table["b"] + table["c"])
    pipeline = Pipeline([("same", FunctionTransformer(lambda rows: rows.to_numpy())), ("model", forest)])
    background, rows = table.iloc[:24], table.iloc[40:60]
    made = explain_permutations(pipeline, rows, background, tuple("abcd"))
    masker = shap.maskers.Independent(background.to_numpy(), max_samples=len(background))
    exact = shap.explainers.Exact(forest.predict, masker)(rows.to_numpy())
    error = float(np.sqrt(np.mean((made.values[:, :, 0] - exact.values) ** 2)))
    assert made.sampling_error is not None
    assert error < 1.5 * made.sampling_error
    assert made.base[0] == pytest.approx(float(exact.base_values[0]))


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(-3, 3), min_size=3, max_size=3), st.integers(0, 2**16))
def test_of_any_linear_function_each_column_gets_its_own_part(weights: list[int], seed: int) -> None:
    """Shapley's axioms: the parts add up, an idle column gets nothing, and of a sum each gets its own summand."""
    draw = np.random.default_rng(seed)
    table = pd.DataFrame(draw.normal(size=(30, 3)), columns=list("abc"))
    model = Ridge(alpha=1e-9).fit(table.to_numpy(), table.to_numpy() @ weights)
    pipeline = Pipeline([("same", FunctionTransformer(lambda rows: rows.to_numpy())), ("model", model)])
    background = table.iloc[:24]
    made = explain_permutations(pipeline, table, background, tuple("abc"), seed=seed)
    expected = (table - background.mean()).to_numpy() * weights
    assert made.additivity_holds
    assert made.values[:, :, 0] == pytest.approx(expected, abs=1e-6)
