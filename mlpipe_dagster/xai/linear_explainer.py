"""Exact SHAP values of models that add up one function of each column: linear ones, also inside an ensemble."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.linear_model import ElasticNet, Lasso, LinearRegression, LogisticRegression, Ridge, RidgeClassifier
from sklearn.pipeline import Pipeline

from mlpipe_dagster.xai.attribution import Attribution, by_column, chance_or_value, outputs_of, three_way
from mlpipe_dagster.xai.pieces import Scale
from mlpipe_dagster.xai.pool import Features, Pool, features_of
from mlpipe_dagster.xai.values import Floats

_MARGIN_LINEAR = (LogisticRegression, RidgeClassifier)
_VALUE_LINEAR = (LinearRegression, Ridge, Lasso, ElasticNet)
MOST_CELLS = 4e9
"""Of features that are asked about where a sum is taken apart."""


def is_linear(final: Any) -> bool:
    """Whether its margin or value is a weighted sum of its features."""
    return isinstance(final, _MARGIN_LINEAR + _VALUE_LINEAR)


def is_sum(final: Any) -> bool:
    """Whether what it predicts is a number and a sum of functions of single features: linear, after an encoder or not.

    That the encoder mixes no features shows in the additivity of what `explain_sum` makes of it.
    """
    return isinstance(final[-1] if isinstance(final, Pipeline) else final, _VALUE_LINEAR)


def explain_linear(
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
        return outputs_of(answer(features))

    known, features = features_of(estimator, background, origins), features_of(estimator, rows, origins)
    explainer = shap.LinearExplainer(final, shap.maskers.Independent(known, max_samples=len(known)))
    values = three_way(explainer.shap_values(features))
    base = np.atleast_1d(np.asarray(explainer.expected_value, dtype=np.float64))
    return by_column(Attribution(values, base, ask(features), rows, tuple(origins), scale, "linear", ask, len(known)))


def explain_sum(
    estimator: Pipeline, rows: pd.DataFrame, background: pd.DataFrame, origins: Sequence[str]
) -> Attribution | None:
    """What each column's own value adds beyond what the values of the background add on average.

    Right for sums of one function a column only: of others it does not add up. None where it would take too long.
    """
    pool = Pool.of(estimator, pd.concat([background, rows], join="inner"), origins)
    everybody, known = np.arange(len(pool.frame)), len(background)
    if len(everybody) * len(pool.columns) * len(origins) > MOST_CELLS:
        return None
    ask, scale = chance_or_value(estimator)
    values = []
    for column in range(len(pool.columns)):
        places = pool.rows(np.zeros_like(everybody))
        places[:, column] = everybody
        answers = pool.ask(ask, places)
        values.append(answers[known:] - answers[:known].mean(axis=0))
    return Attribution(
        values=np.stack(values, axis=1),
        base=pool.ask(ask, pool.rows(everybody[:known])).mean(axis=0),
        output=ask(features_of(estimator, rows, origins)),
        rows=rows,
        columns=pool.columns,
        scale=scale,
        method="linear",
        ask=ask,
        background_rows=known,
    )
