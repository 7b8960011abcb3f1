"""Exact SHAP values of trees (Lundberg et al. 2020), by the TreeSHAP of the library that made them, or shap's.

Which models these are, and how many rows are affordable.
"""

import math
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from sklearn.base import is_classifier
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.pipeline import Pipeline
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from mlpipe_dagster.automl.coded import bare
from mlpipe_dagster.xai.attribution import (
    FEWEST_ROWS,
    Attribution,
    by_column,
    chance_or_value,
    halved,
    outputs_of,
    sampled,
    three_way,
)
from mlpipe_dagster.xai.boosters import OwnValues, own_values
from mlpipe_dagster.xai.pieces import Scale
from mlpipe_dagster.xai.pool import Ask, Features, features_of
from mlpipe_dagster.xai.values import Floats

Exact: TypeAlias = Callable[[Features], tuple[Floats, Floats]]
"""Features -> SHAP values (rows x features x outputs) and the base of each output."""
TREE_OPERATIONS = 4e9
TIMED_ROWS = 100
_MARGIN_TREES = (HistGradientBoostingClassifier,)
_PROBABILITY_TREES = (DecisionTreeClassifier, RandomForestClassifier, ExtraTreesClassifier)
_VALUE_TREES = (
    HistGradientBoostingRegressor,
    DecisionTreeRegressor,
    RandomForestRegressor,
    ExtraTreesRegressor,
)


def explain_trees(
    estimator: Pipeline,
    rows: pd.DataFrame,
    origins: Sequence[str],
    seconds: float,
    background: pd.DataFrame | None = None,
) -> Attribution | None:
    """Exact values, compared with the trees' own training weights, or (interventional) with the rows of a background.

    None where 25 rows would take too long, or shap cannot compare these trees with rows.
    """
    final, compared = estimator[-1], 1 if background is None else len(background)
    affordable = int(TREE_OPERATIONS / _operations_per_row(final) / compared)
    if affordable < FEWEST_ROWS:
        return None
    own = own_values(final)
    if background is not None and own and not own.compared:
        return None
    if background is not None:
        exact = _tree_values(bare(final), features_of(estimator, background, origins))
    else:
        exact = _own_values(bare(final), own) if own else _tree_values(final)
    kept = sampled(rows, affordable, 0)
    features = features_of(estimator, kept, origins)
    if len(kept) > TIMED_ROWS and math.isfinite(seconds):
        started = time.perf_counter()
        exact(features[:TIMED_ROWS])
        each = (time.perf_counter() - started) / TIMED_ROWS
        kept = sampled(kept, halved(len(kept), lambda count: count * each <= seconds), 0)
        features = features_of(estimator, kept, origins)
    ask, scale = _tree_output(estimator)
    values, base = exact(features)
    rows_compared = 0 if background is None else len(background)
    return by_column(Attribution(values, base, ask(features), kept, tuple(origins), scale, "trees", ask, rows_compared))


def _tree_values(final: object, known: "Features | None" = None) -> Exact:
    """shap's TreeExplainer; whether the values add up is checked on the whole pipeline's output."""
    import shap

    kind = "tree_path_dependent" if known is None else "interventional"
    explainer: Any = shap.TreeExplainer(final, known, feature_perturbation=kind)
    base = np.atleast_1d(np.asarray(explainer.expected_value, dtype=np.float64))
    return lambda features: (three_way(explainer.shap_values(features, check_additivity=False)), base)


def _own_values(final: Any, own: OwnValues) -> Exact:
    """Of the library itself, which TreeExplainer would ask too, or do worse than, after reading all trees again."""

    def exact(features: Features) -> tuple[Floats, Floats]:
        made = np.asarray(own.values(final, features), dtype=np.float64)
        by_output = made.reshape(len(made), -1, features.shape[1] + 1).transpose(0, 2, 1)
        return by_output[:, :-1], by_output[0, -1]

    return exact


def is_tree(final: object) -> bool:
    """Whether TreeExplainer is right about this model; it is not about HistGradientBoosting with native categories."""
    if getattr(final, "is_categorical_", None) is not None:
        return False
    return own_values(final) is not None or isinstance(final, _MARGIN_TREES + _PROBABILITY_TREES + _VALUE_TREES)


def _tree_output(estimator: Pipeline) -> tuple[Ask, Scale]:
    final = estimator[-1]
    if own := own_values(final):
        scale: Scale = "log-odds" if is_classifier(final) else "predicted value"
        return lambda features: outputs_of(own.scores(bare(final), features)), scale
    if isinstance(final, _MARGIN_TREES):
        return lambda features: outputs_of(final.decision_function(features)), "log-odds"
    return chance_or_value(estimator)


def _operations_per_row(final: object) -> float:
    """What TreeExplainer does for one row, about: leaves times squared depth, over all trees."""
    trees = np.ravel(getattr(final, "estimators_", [])).tolist()
    trees = trees or ([final] if isinstance(final, DecisionTreeClassifier | DecisionTreeRegressor) else [])
    return float(sum(tree.get_n_leaves() * max(tree.get_depth(), 1) ** 2 for tree in trees)) or 1.0
