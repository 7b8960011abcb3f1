"""The last step of a pipeline as ONNX: features to probabilities, rows x classes, or values, rows x 1.

Which estimators are known is one table; trees themselves are in `trees.py`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline

from mlpipe_dagster.automl.calibration import TINY
from mlpipe_dagster.automl.onnx_model import boosters, trees
from mlpipe_dagster.automl.onnx_model.columns import scaled
from mlpipe_dagster.automl.onnx_model.graph import DOUBLE, SINGLE, Value
from mlpipe_dagster.errors import ModelError


def answer(features: Value, estimator: Any) -> Value:
    """What a fitted estimator says of features; raises ModelError for one that is not known here."""
    kind = type(estimator).__name__
    if kind not in KNOWN:
        raise ModelError(f"models of the type {kind} are not known to the export")
    return KNOWN[kind](features, estimator)


def _calibrated(features: Value, estimator: Any) -> Value:
    graph = features.graph
    chances = answer(features, estimator.estimator).op("Max", TINY).op("Min", 1.0)
    scores = chances.op("Log") * float(estimator.slope) + graph.constant(np.array(estimator.offsets, dtype=np.float64))
    return scores.op("Softmax", axis=1)


def _blend(features: Value, estimator: Any) -> Value:
    """Members that read the features of trees; linear ones scale them first."""
    total: Value | None = None
    for member, weight in zip(estimator.members, estimator.weights, strict=True):
        read, last = features, member
        if isinstance(member, Pipeline):
            read, last = scaled(features, member[0]), member[-1]
        part = answer(read, last) * float(weight)
        total = part if total is None else total + part
    if total is None:
        raise ModelError("an ensemble without members is not exported")
    return total


def _constant(features: Value, estimator: Any) -> Value:
    graph = features.graph
    said = estimator.class_prior_ if hasattr(estimator, "classes_") else np.ravel(estimator.constant_)
    first = features.op("Gather", graph.constant(np.array([0])), axis=1)
    return first.op("IsNaN").cast(DOUBLE) * 0.0 + graph.constant(np.asarray(said, dtype=np.float64))


def _linear(features: Value, estimator: Any) -> Value:
    graph = features.graph
    weights = np.atleast_2d(np.asarray(estimator.coef_, dtype=np.float64)).T
    offsets = np.atleast_1d(np.asarray(estimator.intercept_, dtype=np.float64))
    scores = features.op("MatMul", graph.constant(weights)) + graph.constant(offsets)
    return _chances(scores, len(estimator.classes_)) if hasattr(estimator, "classes_") else scores


def _forest(features: Value, estimator: Any) -> Value:
    return trees.forest(estimator).applied(features.cast(SINGLE).cast(DOUBLE))


def _histogram(features: Value, estimator: Any) -> Value:
    scores = trees.histogram(estimator).applied(features)
    return _chances(scores, len(estimator.classes_)) if hasattr(estimator, "classes_") else scores


def _lightgbm(features: Value, estimator: Any) -> Value:
    objective = str(estimator.objective_)
    if objective not in {"binary", "multiclass", "regression"}:
        raise ModelError(f"LightGBM with the objective {objective} is not known to the export")
    scores = trees.lightgbm(estimator.booster_).applied(features)
    return scores if objective == "regression" else _chances(scores, len(estimator.classes_))


def _coded(features: Value, estimator: Any) -> Value:
    return answer(features, estimator.estimator)  # codes are in the order of the labels


def _xgboost(features: Value, estimator: Any) -> Value:
    scores = boosters.xgboost(estimator.get_booster()).applied(features.cast(SINGLE).cast(DOUBLE))
    return _chances(scores, estimator.n_classes_) if hasattr(estimator, "predict_proba") else scores


def _catboost(features: Value, estimator: Any) -> Value:
    scores = boosters.catboost(estimator).applied(features.cast(SINGLE).cast(DOUBLE))
    return _chances(scores, len(estimator.classes_)) if hasattr(estimator, "predict_proba") else scores


def _chances(scores: Value, classes: int) -> Value:
    """One score a row is the log odds of the second class; more are logs of what is proportional to each class."""
    if classes == 2:
        return scores.graph.joined([(scores * -1.0).op("Sigmoid"), scores.op("Sigmoid")])
    return scores.op("Softmax", axis=1)


KNOWN: dict[str, Callable[[Value, Any], Value]] = {
    "BlendClassifier": _blend,
    "BlendRegressor": _blend,
    "Calibrated": _calibrated,
    "CatBoostClassifier": _catboost,
    "CatBoostRegressor": _catboost,
    "Coded": _coded,
    "DummyClassifier": _constant,
    "DummyRegressor": _constant,
    "ExtraTreesClassifier": _forest,
    "ExtraTreesRegressor": _forest,
    "HistGradientBoostingClassifier": _histogram,
    "HistGradientBoostingRegressor": _histogram,
    "LGBMClassifier": _lightgbm,
    "LGBMRegressor": _lightgbm,
    "LogisticRegression": _linear,
    "RandomForestClassifier": _forest,
    "RandomForestRegressor": _forest,
    "Ridge": _linear,
    "XGBClassifier": _xgboost,
    "XGBRegressor": _xgboost,
}
