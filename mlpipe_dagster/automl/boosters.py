"""Gradient boosting of other libraries: XGBoost and CatBoost, which a search tries where they are installed.

They are imported when a training asks for them, and nowhere else. LightGBM, which is always wanted, is in
`algorithms.py`.
"""

import importlib
import importlib.util
from collections.abc import Mapping
from typing import Any

import numpy as np

from mlpipe_dagster.automl.algorithms import (
    Algorithm,
    Estimator,
    FitData,
    Fitted,
    Limits,
    Parameters,
    Setting,
    StopWhen,
    boosting_threads,
    constant,
    most_rounds,
)
from mlpipe_dagster.automl.coded import Coded, bare

LARGEST_SINGLE = float(np.finfo(np.float32).max)


def _xgboost(parameters: Parameters, data: FitData, limits: Limits) -> Fitted:
    import xgboost

    regression = data.labels.dtype.kind == "f"
    several = not regression and len(np.unique(data.labels)) > 2
    stop = StopWhen(limits.ends_at)

    class Callback(xgboost.callback.TrainingCallback):  # type: ignore[misc]  # it has no types
        def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:  # noqa: ARG002 -- its names
            metrics: Mapping[str, list[float]] = next(iter(evals_log.values()), {})
            return stop.after(epoch, next((losses[-1] for losses in metrics.values()), None))

    kind = xgboost.XGBRegressor if regression else xgboost.XGBClassifier
    boosting: Any = kind(
        n_estimators=limits.rounds or most_rounds(float(parameters["max_depth"] or 6), data),
        random_state=limits.seed,
        n_jobs=boosting_threads(limits, data),
        verbosity=0,
        eval_metric="rmse" if regression else "mlogloss" if several else "logloss",
        callbacks=[Callback()],
        **dict[str, Any](parameters),
    )
    checked = None if data.check_features is None else [(_single(data.check_features), data.truth_to_check())]
    estimator: Estimator = boosting if regression else Coded(boosting)
    estimator.fit(_single(data.features), data.labels, sample_weight=data.weights, eval_set=checked, verbose=False)
    rounds = stop.best_round + 1
    boosting.get_booster().best_iteration = stop.best_round  # what it predicts with unless it is asked otherwise
    boosting.set_params(callbacks=None, n_estimators=rounds, n_jobs=1)  # threads take longer to start than a few rows
    return Fitted(estimator, rounds, stop.cut)


def _single(features: Any) -> Any:
    """Within 32 bits: XGBoost refuses to learn from infinities, and takes what is larger for one."""
    return np.clip(features, -LARGEST_SINGLE, LARGEST_SINGLE)


def _xgboost_up_to(estimator: Estimator, rounds: int) -> Mapping[str, object]:
    booster = bare(estimator).get_booster()
    return {"iteration_range": (0, min(rounds, booster.num_boosted_rounds()))}


def _catboost(parameters: Parameters, data: FitData, limits: Limits) -> Fitted:
    """It keeps the rounds up to the best one only."""
    import catboost

    if _nothing_to_learn(data):
        return constant(parameters, data, limits)
    stop = StopWhen(limits.ends_at)

    class Callback:
        def after_iteration(self, info: Any) -> bool:
            metrics = info.metrics.get("validation", {})
            ends = stop.after(info.iteration - 1, next((losses[-1] for losses in metrics.values()), None))
            return not ends and info.iteration != limits.rounds

    regression = data.labels.dtype.kind == "f"
    kind = catboost.CatBoostRegressor if regression else catboost.CatBoostClassifier
    boosting = kind(
        iterations=max(limits.rounds or 0, most_rounds(float(parameters["depth"] or 6), data)),  # others depend on it
        random_seed=limits.seed,
        thread_count=boosting_threads(limits, data),
        bootstrap_type="Bernoulli",
        use_best_model=False,  # the deadline may come first
        allow_writing_files=False,
        logging_level="Silent",
        **dict[str, Any](parameters),
    )
    checked = None
    if data.check_features is not None:
        truth = data.truth_to_check()
        checked = (data.check_features, truth if regression else truth.astype(np.int64))
    estimator: Estimator = boosting if regression else Coded(boosting)  # of labels it answers in columns
    estimator.fit(data.features, data.labels, sample_weight=data.weights, eval_set=checked, callbacks=[Callback()])
    rounds = stop.best_round + 1
    if rounds < boosting.tree_count_:
        boosting.shrink(ntree_end=rounds)
    return Fitted(estimator, rounds, stop.cut)


def _nothing_to_learn(data: FitData) -> bool:
    """All rows or all labels are alike: CatBoost refuses these."""
    lowest, highest = np.fmin.reduce(data.features), np.fmax.reduce(data.features)
    gaps = np.isnan(data.features).any(axis=0) & ~np.isnan(lowest)
    return len(np.unique(data.labels)) < 2 or not (gaps | (lowest < highest)).any()


def _catboost_up_to(estimator: Estimator, rounds: int) -> Mapping[str, object]:
    trees = getattr(bare(estimator), "tree_count_", None)
    return {} if trees is None else {"ntree_end": min(rounds, trees)}


XGBOOST = Algorithm(
    "XGBoost",
    "trees",
    _xgboost,
    {
        "learning_rate": 0.08,
        "max_depth": 5,
        "min_child_weight": 1.0,
        "colsample_bytree": 0.7,
        "subsample": 0.85,
        "reg_lambda": 1.0,
        "gamma": 1e-4,
    },
    {
        "learning_rate": Setting(0.02, 0.2, log=True),
        "max_depth": Setting(2, 10, whole=True),
        "min_child_weight": Setting(0.1, 30, log=True),
        "colsample_bytree": Setting(0.3, 1.0),
        "subsample": Setting(0.5, 1.0),
        "reg_lambda": Setting(1e-3, 30, log=True),
        "gamma": Setting(1e-4, 1.0, log=True),
    },
    up_to=_xgboost_up_to,
)
CATBOOST = Algorithm(
    "CatBoost",
    "trees",
    _catboost,
    {"learning_rate": 0.08, "depth": 5, "l2_leaf_reg": 3.0, "rsm": 0.7, "subsample": 0.85},
    {
        "learning_rate": Setting(0.02, 0.2, log=True),
        "depth": Setting(3, 8, whole=True),
        "l2_leaf_reg": Setting(0.3, 30, log=True),
        "rsm": Setting(0.3, 1.0),
        "subsample": Setting(0.5, 1.0),
    },
    up_to=_catboost_up_to,
)
MODULES = {"xgboost": XGBOOST, "catboost": CATBOOST}


def installed_boosting() -> tuple[tuple[Algorithm, ...], tuple[str, ...]]:
    """Those of these that can be imported here, and a note for each that is installed and cannot be."""
    found: list[Algorithm] = []
    notes: list[str] = []
    for module, algorithm in MODULES.items():
        if importlib.util.find_spec(module) is None:
            continue
        try:
            importlib.import_module(module)
            found.append(algorithm)
        except (ImportError, OSError, ValueError) as reason:  # ValueError: XGBoost finds no library of its own
            notes += [f"{algorithm.name} is installed and cannot be loaded here ({reason}): it is not searched."]
    return tuple(found), tuple(notes)
