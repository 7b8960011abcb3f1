"""SHAP values on the original columns: which explainer fits a pipeline, sums per column, additivity checked.

Nothing is averaged or worded here. References: Lundberg and Lee 2017 (SHAP), Lundberg et al. 2020 (TreeExplainer),
Štrumbelj and Kononenko 2014 (sampled permutations).
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import is_classifier
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.linear_model import ElasticNet, Lasso, LinearRegression, LogisticRegression, Ridge, RidgeClassifier
from sklearn.pipeline import Pipeline
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from mlpipe_dagster.automl.calibration import Calibrated
from mlpipe_dagster.automl.ensemble import BlendClassifier, BlendRegressor
from mlpipe_dagster.automl.model import TrainedModel
from mlpipe_dagster.xai.pieces import Note, Scale, ShapMethod
from mlpipe_dagster.xai.pool import Ask, Features, Places, Pool, features_of
from mlpipe_dagster.xai.values import Floats

Exact: TypeAlias = Callable[[Features], tuple[Floats, Floats]]
"""Features -> SHAP values (rows x features x outputs) and the base of each output."""
TOLERANCE = 1e-5
"""Largest accepted additivity error, relative to the largest output (absolute where outputs are below 1)."""
PERMUTATION_BACKGROUND = 24
PERMUTATION_EVALUATIONS = 150_000
TREE_OPERATIONS = 4e9
FEWEST_ROWS = 25
TIMED_ROWS = 100
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
    scale: Scale
    """The unit of values, base and output."""
    method: ShapMethod
    ask: Ask
    """The explained output of encoded rows: rows x outputs (one output, or one for each of 3+ classes)."""
    background_rows: int = 0
    sampling_error: float | None = None
    """Standard error of a single value (root mean square) where values are sampled."""
    notes: tuple[Note, ...] = field(default=())

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
    estimator: Pipeline,
    rows: pd.DataFrame,
    background: pd.DataFrame,
    origins: Sequence[str],
    *,
    seed: int = 0,
    seconds: float = math.inf,
) -> Attribution:
    """SHAP values of `rows` for the fitted pipeline `estimator`, summed over the features of each original column.

    `origins` names the original column of every feature that `estimator[:-1]` yields. Trees and linear models get
    their exact explainer; every other model, and one whose values do not add up, sampled permutations of the columns.
    Where the explainer would take longer than `seconds`, the number of rows is halved until it does not.

    Raises
    ------
    ModelError
        `origins` does not describe the features that the pipeline yields.
    """
    final = estimator[-1]
    known = pd.concat([background, rows.head(FEWEST_ROWS)], join="inner")  # of one row alone nothing can be mixed
    if len(estimator.steps) > 1 and not Pool.of(estimator, known, origins).separable:
        sampled = explain_permutations(estimator, rows, background, origins, seed=seed, seconds=seconds)
        return replace(sampled, notes=(Note(key="columns_tied"), *sampled.notes))
    if isinstance(final, Calibrated):
        return _explain_calibrated(estimator, rows, background, origins, seed, seconds)
    if _averaged(final):
        return _explain_average(estimator, rows, background, origins, seed, seconds)
    if _is_tree(final):
        made = _explain_trees(estimator, rows, origins, seconds)
    elif isinstance(final, _MARGIN_LINEAR + _VALUE_LINEAR):
        made = _explain_linear(estimator, rows, background, origins)
    else:
        return explain_permutations(estimator, rows, background, origins, seed=seed, seconds=seconds)
    if made is not None and made.additivity_holds:
        return made
    reason = Note(key="trees_too_large")
    if made is not None:
        reason = Note(key="did_not_add_up", values={"error": made.additivity_error})
    sampled = explain_permutations(estimator, rows, background, origins, seed=seed, seconds=seconds)
    return replace(sampled, notes=(reason, *sampled.notes))


def _explain_calibrated(
    estimator: Pipeline, rows: pd.DataFrame, background: pd.DataFrame, origins: Sequence[str], seed: int, seconds: float
) -> Attribution:
    """Of scaled probabilities: Platt scaling and a temperature are linear in the log-odds, so exact values stay exact.

    Where the values of what is scaled are not on that scale, sampled permutations of the scaled probability.
    """
    final = estimator[-1]
    inner = Pipeline([*estimator.steps[:-1], ("scaled", final.estimator)])
    made = attribute(inner, rows, background, origins, seed=seed, seconds=seconds)
    if made.scale != "log-odds":
        return explain_permutations(estimator, rows, background, origins, seed=seed, seconds=seconds)
    slope, ask = float(final.slope), made.ask
    shift = float(final.offsets[1] - final.offsets[0]) if made.values.shape[2] == 1 else 0.0
    return replace(
        made,
        values=made.values * slope,
        base=made.base * slope + shift,
        output=made.output * slope + shift,
        ask=lambda features: ask(features) * slope + shift,
    )


def about_positive(made: Attribution, model: TrainedModel) -> Attribution:
    """What was attributed, about the positive class of two: an explainer speaks of the second one."""
    if model.positive_code == 1 or made.values.shape[2] != 1:
        return made
    whole, ask = 1.0 if made.scale == "probability" else 0.0, made.ask
    return replace(
        made,
        values=-made.values,
        base=whole - made.base,
        output=whole - made.output,
        ask=lambda features: whole - ask(features),
    )


def _averaged(final: Any) -> list[tuple[float, Any]]:
    """Weight and member of an ensemble whose output is the mean of its members' values or probabilities; else empty."""
    if isinstance(final, BlendClassifier | BlendRegressor):
        return list(zip(final.weights, final.members, strict=True))
    if not isinstance(final, VotingRegressor) and not (isinstance(final, VotingClassifier) and final.voting == "soft"):
        return []
    weights = np.ones(len(final.estimators_)) if final.weights is None else np.array(final.weights, dtype=np.float64)
    if len(weights) != len(final.estimators_):
        return []  # some were dropped, and it does not say which
    return list(zip((weights / weights.sum()).tolist(), final.estimators_, strict=True))


def _explain_average(
    estimator: Pipeline, rows: pd.DataFrame, background: pd.DataFrame, origins: Sequence[str], seed: int, seconds: float
) -> Attribution:
    """SHAP values are linear in the model: those of a mean are the mean of its members', exact where each of these is
    and they are all on the scale that is averaged. Elsewhere sampled permutations of the ensemble itself.
    """
    members, (ask, scale) = _averaged(estimator[-1]), chance_or_value(estimator)
    made: list[Attribution] = []
    for _, member in members:
        alone = Pipeline([*estimator.steps[:-1], ("member", member)])
        part = attribute(alone, rows, background, origins, seed=seed, seconds=seconds / len(members))
        if part.sampling_error is not None or part.scale != scale or len(part.rows) < len(rows):
            return explain_permutations(estimator, rows, background, origins, seed=seed, seconds=seconds)
        made.append(part)
    return replace(
        made[0],
        values=np.sum([weight * part.values for (weight, _), part in zip(members, made, strict=True)], axis=0),
        base=np.sum([weight * part.base for (weight, _), part in zip(members, made, strict=True)], axis=0),
        output=ask(features_of(estimator, rows, origins)),
        ask=ask,
    )


def chance_or_value(estimator: Pipeline) -> tuple[Ask, Scale]:
    """The model's probability (binary: of the second class; else of each class) or predicted value, and its name."""
    final = estimator[-1]
    if hasattr(final, "predict_proba"):
        return lambda features: _outputs(final.predict_proba(features)), "probability"
    if is_classifier(final):
        return lambda features: _outputs(final.decision_function(features)), "margin"
    return lambda features: _outputs(final.predict(features)), "predicted value"


def explain_permutations(
    estimator: Pipeline,
    rows: pd.DataFrame,
    background: pd.DataFrame,
    origins: Sequence[str],
    *,
    seed: int = 0,
    seconds: float = math.inf,
) -> Attribution:
    """SHAP values from random orders of the original columns, for any model.

    For each background row one order of the columns is drawn; going through it, the columns of the background row
    are replaced one by one by those of the explained row, and every step's change is that column's. The steps of an
    order telescope, so additivity holds exactly; a column's own value is an estimate over as many orders as there are
    background rows. Orders come in antithetic pairs, whose spread gives the standard error. The number of rows is cut
    to keep within `PERMUTATION_EVALUATIONS` predictions and, as far as 25 rows allow, within `seconds`.
    """
    ask, scale = chance_or_value(estimator)
    generator = np.random.default_rng(seed)
    drawn = background.iloc[generator.permutation(len(background))[:PERMUTATION_BACKGROUND]]
    evaluations = len(drawn) * (len(set(origins)) + 1)
    kept = _sampled(rows, max(PERMUTATION_EVALUATIONS // evaluations, FEWEST_ROWS), seed)
    pool = Pool.of(estimator, pd.concat([drawn, kept], join="inner"), origins)
    started = time.perf_counter()
    base = ask(pool.mixed(pool.rows(np.arange(len(drawn))))).mean(axis=0)
    each = (time.perf_counter() - started) / len(drawn)
    count = _halved(len(kept), lambda rows_: rows_ * evaluations * each <= seconds)
    made = [_permuted(ask, pool, len(drawn), len(drawn) + row, generator) for row in range(count)]
    kept = kept.iloc[:count]
    return Attribution(
        values=np.array([values for values, _ in made]),
        base=base,
        output=ask(features_of(estimator, kept, origins)),
        rows=kept,
        columns=pool.columns,
        scale=scale,
        method="permutations",
        ask=ask,
        background_rows=len(drawn),
        sampling_error=float(np.sqrt(np.mean([variance for _, variance in made]))),
        notes=(Note(key="permutations", values={"orders": len(drawn)}),),
    )


def _permuted(ask: Ask, pool: Pool, orders: int, row: int, generator: np.random.Generator) -> tuple[Floats, Floats]:
    """columns x outputs: the mean change of the output as each column of the pool's row replaces those of the
    background (the pool's first rows), and the squared standard error of that mean."""
    columns = len(pool.columns)
    order = _antithetic_orders(orders, columns, generator)
    ranks = np.argsort(order, axis=1)
    replaced = ranks[:, None, :] < np.arange(columns + 1)[None, :, None]
    places = np.where(replaced, row, np.arange(orders)[:, None, None]).astype(np.intp)
    answers = pool.ask(ask, places.reshape(-1, columns)).reshape(orders, columns + 1, -1)
    steps = np.take_along_axis(np.diff(answers, axis=1), ranks[:, :, None], axis=1)
    pairs = steps[: orders // 2 * 2].reshape(-1, 2, *steps.shape[1:]).mean(axis=1) if orders > 3 else steps
    return steps.mean(axis=0), pairs.var(axis=0, ddof=1 if len(pairs) > 1 else 0) / len(pairs)


def _antithetic_orders(count: int, columns: int, generator: np.random.Generator) -> Places:
    """`count` orders of the columns; every second one is the one before it, backwards."""
    forward = [generator.permutation(columns) for _ in range((count + 1) // 2)]
    return np.array([order[::step] for order in forward for step in (1, -1)][:count], dtype=np.intp)


def _explain_trees(
    estimator: Pipeline, rows: pd.DataFrame, origins: Sequence[str], seconds: float
) -> Attribution | None:
    """Exact values with the trees' own training weights as background; None where 25 rows would take too long."""
    final = estimator[-1]
    affordable = int(TREE_OPERATIONS / _operations_per_row(final))
    if affordable < FEWEST_ROWS:
        return None
    exact = _lightgbm_values(final) if _is_lightgbm(final) else _tree_values(final)
    kept = _sampled(rows, affordable, 0)
    features = features_of(estimator, kept, origins)
    if len(kept) > TIMED_ROWS and math.isfinite(seconds):
        started = time.perf_counter()
        exact(features[:TIMED_ROWS])
        each = (time.perf_counter() - started) / TIMED_ROWS
        kept = _sampled(kept, _halved(len(kept), lambda count: count * each <= seconds), 0)
        features = features_of(estimator, kept, origins)
    ask, scale = _tree_output(estimator)
    values, base = exact(features)
    return _by_column(Attribution(values, base, ask(features), kept, tuple(origins), scale, "trees", ask))


def _tree_values(final: object) -> Exact:
    """shap's TreeExplainer; whether the values add up is checked on the whole pipeline's output."""
    import shap

    explainer: Any = shap.TreeExplainer(final, feature_perturbation="tree_path_dependent")
    base = np.atleast_1d(np.asarray(explainer.expected_value, dtype=np.float64))
    return lambda features: (_three_way(explainer.shap_values(features, check_additivity=False)), base)


def _lightgbm_values(final: Any) -> Exact:
    """LightGBM's own TreeSHAP, which TreeExplainer would ask too, after reading all trees a second time."""

    def exact(features: Features) -> tuple[Floats, Floats]:
        made = np.asarray(final.booster_.predict(features, pred_contrib=True), dtype=np.float64)
        by_output = made.reshape(len(made), -1, features.shape[1] + 1).transpose(0, 2, 1)
        return by_output[:, :-1], by_output[0, -1]

    return exact


def _halved(count: int, affordable: Callable[[int], bool]) -> int:
    """`count`, halved until it is affordable, but not below 25 (or `count` itself)."""
    while count // 2 >= FEWEST_ROWS and not affordable(count):
        count //= 2
    return count


def _explain_linear(
    estimator: Pipeline, rows: pd.DataFrame, background: pd.DataFrame, origins: Sequence[str]
) -> Attribution:
    """LinearExplainer: coefficient times the distance from the background's mean."""
    import shap

    final = estimator[-1]
    scale: Scale = "predicted value" if isinstance(final, _VALUE_LINEAR) else "margin"
    if isinstance(final, LogisticRegression):
        scale = "log-odds"
    answer = final.predict if scale == "predicted value" else final.decision_function

    def ask(features: Features) -> Floats:
        return _outputs(answer(features))

    known, features = features_of(estimator, background, origins), features_of(estimator, rows, origins)
    explainer = shap.LinearExplainer(final, shap.maskers.Independent(known, max_samples=len(known)))
    values = _three_way(explainer.shap_values(features))
    base = np.atleast_1d(np.asarray(explainer.expected_value, dtype=np.float64))
    return _by_column(Attribution(values, base, ask(features), rows, tuple(origins), scale, "linear", ask, len(known)))


def _three_way(values: npt.ArrayLike) -> Floats:
    """rows x features x outputs of what an explainer returns."""
    array = np.asarray(values, dtype=np.float64)
    return array[:, :, None] if array.ndim == 2 else array


def _by_column(made: Attribution) -> Attribution:
    """Values of features (their origins in `columns`) summed over the features of each original column."""
    values, base = made.values, made.base
    if values.shape[2] == 2:  # a binary forest answers for both classes; the second says it all
        values, base = values[:, :, 1:], base[1:]
    used = set(made.columns)
    columns = tuple(str(name) for name in made.rows.columns if name in used)
    where = {name: at for at, name in enumerate(columns)}
    summed = np.zeros((len(values), len(columns), values.shape[2]))
    for feature, origin in enumerate(made.columns):
        summed[:, where[origin]] += values[:, feature]
    return replace(made, values=summed, base=base, columns=columns)


def _is_tree(final: object) -> bool:
    """Whether TreeExplainer is right about this model; it is not about HistGradientBoosting with native categories."""
    if getattr(final, "is_categorical_", None) is not None:
        return False
    return _is_lightgbm(final) or isinstance(final, _MARGIN_TREES + _PROBABILITY_TREES + _VALUE_TREES)


def _is_lightgbm(final: object) -> bool:
    """By name: the library may be absent from a machine, and then no model of it is either."""
    return type(final).__name__ in {"LGBMClassifier", "LGBMRegressor"}


def _tree_output(estimator: Pipeline) -> tuple[Ask, Scale]:
    final = estimator[-1]
    if _is_lightgbm(final):
        scale: Scale = "log-odds" if is_classifier(final) else "predicted value"
        return lambda features: _outputs(final.booster_.predict(features, raw_score=True)), scale
    if isinstance(final, _MARGIN_TREES):
        return lambda features: _outputs(final.decision_function(features)), "log-odds"
    return chance_or_value(estimator)


def _operations_per_row(final: object) -> float:
    """What TreeExplainer does for one row, about: leaves times squared depth, over all trees."""
    trees = np.ravel(getattr(final, "estimators_", [])).tolist()
    trees = trees or ([final] if isinstance(final, DecisionTreeClassifier | DecisionTreeRegressor) else [])
    return float(sum(tree.get_n_leaves() * max(tree.get_depth(), 1) ** 2 for tree in trees)) or 1.0


def _sampled(rows: pd.DataFrame, most: int, seed: int) -> pd.DataFrame:
    return rows if len(rows) <= most else rows.sample(most, random_state=seed)


def _outputs(answers: npt.ArrayLike) -> Floats:
    """rows x outputs of what a model answers; of two probabilities the second."""
    array = np.asarray(answers, dtype=np.float64)
    array = array[:, None] if array.ndim == 1 else array
    return array[:, 1:] if array.shape[1] == 2 else array
