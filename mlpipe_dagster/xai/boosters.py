"""TreeSHAP as libraries of gradient boosting bring it themselves, and the raw scores that its values add up to.

Which rows are explained, and whether the values do add up, is not known here. Models are told by the names of their
types: a library may be absent from a machine, and then no model of it is there either.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlpipe_dagster.automl.coded import bare
from mlpipe_dagster.xai.pool import Features
from mlpipe_dagster.xai.values import Floats

LARGEST_SINGLE = float(np.finfo(np.float32).max)
"""XGBoost reads 32 bits, and refuses what is larger."""


@dataclass(frozen=True)
class OwnValues:
    """What a library says of features, given its fitted estimator."""

    values: Callable[[Any, Features], Floats]
    """rows x (features + base), with several classes rows x classes x (features + base), or these in one line."""
    scores: Callable[[Any, Features], Floats]
    """rows, or rows x classes: log-odds of a classifier, else the predicted value."""
    compared: bool = True
    """Whether shap's TreeExplainer may compare its trees with rows: it forgets CatBoost's base, and of several classes
    it crashes (0.51)."""


def own_values(final: object) -> OwnValues | None:
    """Of the library that made the last step of a pipeline; None where that is no boosting known here."""
    return _LIBRARIES.get(type(bare(final)).__name__)


def _xgboost(final: Any, features: Features, **what: bool) -> Floats:
    import xgboost

    booster = final.get_booster()
    used = (0, booster.best_iteration + 1)
    finite = np.clip(features, -LARGEST_SINGLE, LARGEST_SINGLE)
    return np.asarray(booster.predict(xgboost.DMatrix(finite, nthread=1), iteration_range=used, **what))


def _catboost_values(final: Any, features: Features) -> Floats:
    import catboost

    return np.asarray(final.get_feature_importance(catboost.Pool(features), type="ShapValues", thread_count=1))


_LIGHTGBM = OwnValues(
    lambda final, features: np.asarray(final.booster_.predict(features, pred_contrib=True)),
    lambda final, features: np.asarray(final.booster_.predict(features, raw_score=True)),
)
_XGBOOST = OwnValues(
    lambda final, features: _xgboost(final, features, pred_contribs=True),
    lambda final, features: _xgboost(final, features, output_margin=True),
)
_CATBOOST = OwnValues(
    _catboost_values,
    lambda final, features: np.asarray(final.predict(features, prediction_type="RawFormulaVal", thread_count=1)),
    compared=False,
)
_LIBRARIES = {
    "LGBMClassifier": _LIGHTGBM,
    "LGBMRegressor": _LIGHTGBM,
    "XGBClassifier": _XGBOOST,
    "XGBRegressor": _XGBOOST,
    "CatBoostClassifier": _CATBOOST,
    "CatBoostRegressor": _CATBOOST,
}
