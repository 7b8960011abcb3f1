"""Which explainer fits a pipeline: exact ones for trees, linear models, scaled probabilities and averages of these,
sampled permutations for all others and wherever exact values do not add up.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import VotingClassifier, VotingRegressor
from sklearn.pipeline import Pipeline

from mlpipe_dagster.automl.calibration import Calibrated
from mlpipe_dagster.automl.ensemble import BlendClassifier, BlendRegressor
from mlpipe_dagster.xai.attribution import FEWEST_ROWS, Attribution, chance_or_value
from mlpipe_dagster.xai.linear_explainer import explain_linear, explain_sum, is_linear, is_sum
from mlpipe_dagster.xai.permutation_explainer import explain_permutations
from mlpipe_dagster.xai.pieces import Note
from mlpipe_dagster.xai.pool import Pool, features_of
from mlpipe_dagster.xai.tree_explainer import explain_trees, is_tree

COMPARED_ROWS = 100
"""Of the background, where trees are compared with rows: as many as shap takes."""


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
    if is_tree(final):
        made = explain_trees(estimator, rows, origins, seconds)
    elif is_linear(final):
        made = explain_linear(estimator, rows, background, origins)
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
    members, (ask, _) = _averaged(estimator[-1]), chance_or_value(estimator)
    made = _exact_members(estimator, [member for _, member in members], rows, background, origins, seconds)
    if len(made) < len(members):
        return explain_permutations(estimator, rows, background, origins, seed=seed, seconds=seconds)
    return replace(
        made[0],
        method="average" if made[0].background_rows else made[0].method,
        values=np.sum([weight * part.values for (weight, _), part in zip(members, made, strict=True)], axis=0),
        base=np.sum([weight * part.base for (weight, _), part in zip(members, made, strict=True)], axis=0),
        output=ask(features_of(estimator, rows, origins)),
        ask=ask,
    )


def _exact_members(
    estimator: Pipeline,
    members: Sequence[Any],
    rows: pd.DataFrame,
    background: pd.DataFrame,
    origins: Sequence[str],
    seconds: float,
) -> list[Attribution]:
    """Each member's exact values of all rows on the scale that is averaged, up to the first member without.

    Where one of them is linear, it is compared with the rows of the background, so trees are, too: otherwise the parts
    would belong to two different games.
    """
    shared = background.head(COMPARED_ROWS) if any(is_sum(member) for member in members) else None
    _, scale = chance_or_value(estimator)
    made: list[Attribution] = []
    for member in members:
        alone = Pipeline([*estimator.steps[:-1], ("member", member)])
        part: Attribution | None = None
        if shared is not None and is_sum(member):
            part = explain_sum(alone, rows, shared, origins)
        elif is_tree(member):
            part = explain_trees(alone, rows, origins, seconds / len(members), shared)
        if part is None or part.scale != scale or len(part.rows) < len(rows) or not part.additivity_holds:
            break
        made.append(part)
    return made
