"""SHAP values on the original columns: which explainer fits a pipeline, sums per column, additivity checked.

Nothing is averaged or worded here. References: Lundberg and Lee 2017 (SHAP), Lundberg et al. 2020 (TreeExplainer),
Štrumbelj and Kononenko 2014 (sampled permutations).
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import shap
from scipy.sparse import issparse
from sklearn.base import is_classifier
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import ElasticNet, Lasso, LinearRegression, LogisticRegression, Ridge, RidgeClassifier
from sklearn.pipeline import Pipeline
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from mlpipe_dagster.errors import ModelError

Floats = npt.NDArray[np.float64]
Output = Callable[[pd.DataFrame], Floats]
"""The explained output of the model on raw columns: rows x outputs (one output, or one for each of 3+ classes)."""

TOLERANCE = 1e-5
"""Largest accepted additivity error, relative to the largest output (absolute where outputs are below 1)."""
PERMUTATION_BACKGROUND = 24
PERMUTATION_EVALUATIONS = 150_000
TREE_OPERATIONS = 4e9
FEWEST_ROWS = 25

_TREES = "SHAP TreeExplainer (tree path dependent)"
_LINEAR = "SHAP LinearExplainer (independent columns)"
_MARGIN_TREES = (HistGradientBoostingClassifier,)
_PROBABILITY_TREES = (DecisionTreeClassifier, RandomForestClassifier, ExtraTreesClassifier)
_VALUE_TREES = (
    HistGradientBoostingRegressor,
    DecisionTreeRegressor,
    RandomForestRegressor,
    ExtraTreesRegressor,
)
_MARGIN_LINEAR = (LogisticRegression, RidgeClassifier)
_VALUE_LINEAR = (LinearRegression, Ridge, Lasso, ElasticNet)


@dataclass(frozen=True)
class Attribution:
    """SHAP values of some rows, on the original columns."""

    values: Floats
    """rows x columns x outputs."""
    base: Floats
    """The output before any column is known, one number for each output."""
    output: Floats
    """The model's own output for these rows: rows x outputs."""
    rows: pd.DataFrame
    columns: tuple[str, ...]
    """The original columns that reach the model, in table order."""
    scale: str
    """`log-odds`, `margin`, `probability` or `predicted value`: the unit of values, base and output."""
    method: str
    model_output: Output
    background_rows: int = 0
    notes: tuple[str, ...] = field(default=())

    @property
    def additivity_error(self) -> float:
        """Largest absolute difference between base + sum of the SHAP values and the model's own output."""
        return float(np.abs(self.base + self.values.sum(axis=1) - self.output).max())

    @property
    def tolerance(self) -> float:
        """What `additivity_error` may be at most."""
        return TOLERANCE * max(1.0, float(np.abs(self.output).max()))

    @property
    def additivity_holds(self) -> bool:
        """Whether the SHAP values and the base add up to the model's own output on every row."""
        return self.additivity_error <= self.tolerance


def attribute(
    estimator: Pipeline, rows: pd.DataFrame, background: pd.DataFrame, origins: Sequence[str], *, seed: int = 0
) -> Attribution:
    """SHAP values of `rows` for the fitted pipeline `estimator`, summed over the features of each original column.

    `origins` names the original column of every feature that `estimator[:-1]` yields. Trees and linear models get
    their exact explainer; every other model, and one whose values do not add up, sampled permutations of the columns.

    Raises
    ------
    ModelError
        `origins` does not describe the features that the pipeline yields.
    """
    final = estimator[-1]
    if _is_tree(final):
        made = _explain_trees(estimator, rows, origins)
    elif isinstance(final, _MARGIN_LINEAR + _VALUE_LINEAR):
        made = _explain_linear(estimator, rows, background, origins)
    else:
        return explain_permutations(estimator, rows, background, origins, seed=seed)
    if made is not None and made.additivity_holds:
        return made
    reason = "the trees are too large for the exact explainer"
    if made is not None:
        reason = f"the values of {made.method} did not add up (error {made.additivity_error:.2g})"
    sampled = explain_permutations(estimator, rows, background, origins, seed=seed)
    return replace(sampled, notes=(f"Sampled permutations were used, because {reason}.", *sampled.notes))


def transformed(estimator: Pipeline, rows: pd.DataFrame, origins: Sequence[str]) -> Floats:
    """What the last step of the pipeline sees, dense.

    Raises
    ------
    ModelError
        The number of features is not the number of `origins`.
    """
    features = estimator[:-1].transform(rows) if len(estimator.steps) > 1 else rows
    dense = np.asarray(_dense(features), dtype=np.float64)
    if dense.shape[1] != len(origins):
        raise ModelError(
            f"The model yields {dense.shape[1]} features, but {len(origins)} are described: it cannot be explained."
        )
    return dense


def _dense(features: Any) -> Any:
    return features.toarray() if issparse(features) else features


def chance_or_value(estimator: Pipeline) -> tuple[Output, str]:
    """The model's probability (binary: of the second class; else of each class) or predicted value, and its name."""
    if hasattr(estimator, "predict_proba"):
        return lambda rows: _outputs(estimator.predict_proba(rows)), "probability"
    if is_classifier(estimator):
        return lambda rows: _outputs(estimator.decision_function(rows)), "margin"
    return lambda rows: _outputs(estimator.predict(rows)), "predicted value"


def explain_permutations(
    estimator: Pipeline, rows: pd.DataFrame, background: pd.DataFrame, origins: Sequence[str], *, seed: int = 0
) -> Attribution:
    """SHAP values from random orders of the original columns, for any model that answers on raw columns.

    For each background row one order of the columns is drawn; going through it, the columns of the background row
    are replaced one by one by those of the explained row, and every step's change is that column's. The steps of an
    order telescope, so additivity holds exactly; a column's own value is an estimate over as many orders as there are
    background rows. Orders come in antithetic pairs. The number of rows is cut to keep within
    `PERMUTATION_EVALUATIONS` predictions.
    """
    columns = _used_columns(rows, origins)
    output, scale = chance_or_value(estimator)
    generator = np.random.default_rng(seed)
    drawn = background.iloc[generator.permutation(len(background))[:PERMUTATION_BACKGROUND]]
    evaluations = len(drawn) * (len(columns) + 1)
    kept = _sampled(rows, max(PERMUTATION_EVALUATIONS // evaluations, FEWEST_ROWS), seed)
    base, at_once = output(drawn).mean(axis=0), max(20_000 // evaluations, 1)
    chunks = [kept.iloc[start : start + at_once] for start in range(0, len(kept), at_once)]
    values = np.concatenate([_permuted(output, chunk, drawn, columns, generator) for chunk in chunks])
    return Attribution(
        values=values,
        base=base,
        output=output(kept),
        rows=kept,
        columns=columns,
        scale=scale,
        method="sampled permutations of the columns",
        model_output=output,
        background_rows=len(drawn),
        notes=(f"SHAP values are estimates from {len(drawn)} random orders of the columns for each row.",),
    )


def _permuted(
    output: Output, rows: pd.DataFrame, background: pd.DataFrame, columns: Sequence[str], generator: np.random.Generator
) -> Floats:
    """rows x columns x outputs: the mean change of the output as each column of a row replaces the background's."""
    orders = [_antithetic_orders(len(background), len(columns), generator) for _ in range(len(rows))]
    hybrids = [_hybrids(rows.iloc[[at]], background, columns, order) for at, order in enumerate(orders)]
    answers = output(pd.concat(hybrids, ignore_index=True))
    answers = answers.reshape(len(rows), len(background), len(columns) + 1, -1)
    steps = np.diff(answers, axis=2)
    values = np.zeros((len(rows), len(columns), answers.shape[-1]))
    for at, order in enumerate(orders):
        ranks = np.argsort(order, axis=1)
        values[at] = np.take_along_axis(steps[at], ranks[:, :, None], axis=1).mean(axis=0)
    return values


def _antithetic_orders(count: int, columns: int, generator: np.random.Generator) -> npt.NDArray[np.intp]:
    """`count` orders of the columns; every second one is the one before it, backwards."""
    forward = [generator.permutation(columns) for _ in range((count + 1) // 2)]
    return np.array([order[::step] for order in forward for step in (1, -1)][:count], dtype=np.intp)


def _hybrids(
    row: pd.DataFrame, background: pd.DataFrame, columns: Sequence[str], orders: npt.NDArray[np.intp]
) -> pd.DataFrame:
    """For each background row its steps towards `row`: none of its columns replaced, then one more at each step."""
    steps = len(columns) + 1
    ranks = np.argsort(orders, axis=1)
    both, own = pd.concat([background, row]), len(background)
    start = np.repeat(np.arange(own), steps)
    made = both.iloc[start].reset_index(drop=True)
    for position, name in enumerate(columns):
        replaced = (ranks[:, position, None] < np.arange(steps)[None, :]).ravel()
        made[name] = both[name].take(np.where(replaced, own, start)).reset_index(drop=True)
    return made


def _explain_trees(estimator: Pipeline, rows: pd.DataFrame, origins: Sequence[str]) -> Attribution | None:
    """TreeExplainer with the trees' own training weights as background; None where it would take too long."""
    final = estimator[-1]
    affordable = int(TREE_OPERATIONS / _operations_per_row(final))
    if affordable < min(FEWEST_ROWS, len(rows)):
        return None
    kept = _sampled(rows, affordable, 0)
    output, scale = _tree_output(estimator, origins)
    explainer: Any = shap.TreeExplainer(final, feature_perturbation="tree_path_dependent")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "LightGBM binary classifier with TreeExplainer")  # read as what it is below
        values = explainer.shap_values(transformed(estimator, kept, origins), check_additivity=False)
    base = np.atleast_1d(np.asarray(explainer.expected_value, dtype=np.float64))
    made = Attribution(_features(values), base, output(kept), kept, tuple(origins), scale, _TREES, output)
    return _by_column(made)


def _explain_linear(
    estimator: Pipeline, rows: pd.DataFrame, background: pd.DataFrame, origins: Sequence[str]
) -> Attribution:
    """LinearExplainer: coefficient times the distance from the background's mean."""
    final = estimator[-1]
    scale = "predicted value" if isinstance(final, _VALUE_LINEAR) else "margin"
    if isinstance(final, LogisticRegression):
        scale = "log-odds"
    ask = final.predict if scale == "predicted value" else final.decision_function

    def output(asked: pd.DataFrame) -> Floats:
        return _outputs(ask(transformed(estimator, asked, origins)))

    known = transformed(estimator, background, origins)
    explainer = shap.LinearExplainer(final, shap.maskers.Independent(known, max_samples=len(known)))
    values = explainer.shap_values(transformed(estimator, rows, origins))
    base = np.atleast_1d(np.asarray(explainer.expected_value, dtype=np.float64))
    made = Attribution(_features(values), base, output(rows), rows, tuple(origins), scale, _LINEAR, output, len(known))
    return _by_column(made)


def _features(values: npt.ArrayLike) -> Floats:
    """rows x features x outputs of what an explainer returns."""
    array = np.asarray(values, dtype=np.float64)
    return array[:, :, None] if array.ndim == 2 else array


def _by_column(made: Attribution) -> Attribution:
    """Values of features (their origins in `columns`) summed over the features of each original column."""
    values, base = made.values, made.base
    if values.shape[2] == 2:  # a binary forest answers for both classes; the second says it all
        values, base = values[:, :, 1:], base[1:]
    columns = _used_columns(made.rows, made.columns)
    belongs = np.array([[origin == name for name in columns] for origin in made.columns], dtype=np.float64)
    return replace(made, values=np.einsum("rfo,fc->rco", values, belongs), base=base, columns=columns)


def _is_tree(final: object) -> bool:
    """Whether TreeExplainer is right about this model; it is not about HistGradientBoosting with native categories."""
    if getattr(final, "is_categorical_", None) is not None:
        return False
    return _is_lightgbm(final) or isinstance(final, _MARGIN_TREES + _PROBABILITY_TREES + _VALUE_TREES)


def _is_lightgbm(final: object) -> bool:
    """By name: the library may be absent from a machine, and then no model of it is either."""
    return type(final).__name__ in {"LGBMClassifier", "LGBMRegressor"}


def _tree_output(estimator: Pipeline, origins: Sequence[str]) -> tuple[Output, str]:
    final = estimator[-1]
    if _is_lightgbm(final):
        scale = "log-odds" if is_classifier(final) else "predicted value"
        return lambda rows: _outputs(
            final.booster_.predict(transformed(estimator, rows, origins), raw_score=True)
        ), scale
    if isinstance(final, _MARGIN_TREES):
        return lambda rows: _outputs(final.decision_function(transformed(estimator, rows, origins))), "log-odds"
    return chance_or_value(estimator)


def _operations_per_row(final: object) -> float:
    """What TreeExplainer does for one row, about: leaves times squared depth, over all trees."""
    trees = np.ravel(getattr(final, "estimators_", [])).tolist()
    trees = trees or ([final] if isinstance(final, DecisionTreeClassifier | DecisionTreeRegressor) else [])
    return float(sum(tree.get_n_leaves() * max(tree.get_depth(), 1) ** 2 for tree in trees)) or 1.0


def _used_columns(rows: pd.DataFrame, origins: Sequence[str]) -> tuple[str, ...]:
    used = set(origins)
    absent = used - set(rows.columns)
    if absent:
        raise ModelError(f"The model needs the column(s) {', '.join(sorted(absent))}, which the table does not have.")
    return tuple(str(name) for name in rows.columns if name in used)


def _sampled(rows: pd.DataFrame, most: int, seed: int) -> pd.DataFrame:
    return rows if len(rows) <= most else rows.sample(most, random_state=seed)


def _outputs(answers: npt.ArrayLike) -> Floats:
    """rows x outputs of what a model answers; of two probabilities the second."""
    array = np.asarray(answers, dtype=np.float64)
    array = array[:, None] if array.ndim == 1 else array
    return array[:, 1:] if array.shape[1] == 2 else array
