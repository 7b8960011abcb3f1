"""The algorithms a training may use: how each is built, which settings are tried, and how it is fitted by a deadline.

No algorithm here knows of folds, trials or budgets beyond the moment at which its fit has to end.
"""

import functools
import importlib
import os
import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from threadpoolctl import ThreadpoolController

from mlpipe_dagster.automl.metrics import Outcome, loss
from mlpipe_dagster.automl.model import CONSTANT_NAME, ParameterValue
from mlpipe_dagster.automl.preparation import Family

lightgbm: Any = None
LIGHTGBM_MISSING = ""
try:
    lightgbm = importlib.import_module("lightgbm")
except (ImportError, OSError) as reason:  # OSError: the machine has no libgomp
    LIGHTGBM_MISSING = str(reason)

Floats = NDArray[np.float64]
Labels = NDArray[np.float64] | NDArray[np.str_]
"""Numbers to predict, or class labels as text."""
Parameters = Mapping[str, ParameterValue]
Estimator = Any  # scikit-learn and LightGBM have no types
MOST_ROUNDS = 2000
MOST_LEVELS = 6_000
"""Of all trees of a boosting together."""
PATIENCE = 30
MOST_ITERATIONS = 300
FOREST_TREES = 120
"""More are a little better; each takes 50 microseconds of every single row's answer."""
FEWEST_TREES, MOST_LEAVES = 40, 2_000_000
"""Of a forest: one with more takes longer to be saved and loaded than to be fitted."""
FEW_CELLS = 200_000
"""Below this many cells a second thread costs more than it saves."""


@dataclass(frozen=True)
class FitData:
    """Encoded rows to fit on; and to stop on, where the number of rounds is still to be found."""

    features: Floats
    labels: Labels
    check_features: Floats | None = None
    check_labels: Labels | None = None
    check_truth: Floats | None = None
    """`check_labels` as class codes, or values."""
    weights: Floats | None = None
    """Of the rows to fit on; None: all alike. Rows to check on are never weighted."""
    blocks: Mapping[str, slice] = field(default_factory=dict)
    """Which features came from which encoder, as `preparation.encoder` calls them."""
    groups: NDArray[np.int64] | None = None
    """(rows, columns) group of each row to fit on in each sensitive column, where something is to be done about it."""

    def truth_to_check(self) -> Floats:
        """Truth of the check rows, for data that has them."""
        if self.check_truth is None:
            raise ValueError("these rows are for fitting only")
        return self.check_truth


@dataclass(frozen=True)
class Limits:
    """What a fit may use. `ends_at` is in the seconds of `time.monotonic`."""

    ends_at: float
    seed: int
    threads: int
    rounds: int | None = None
    """Rounds found earlier; None: find them on the check rows."""


@dataclass(frozen=True)
class Fitted:
    """A fitted estimator, its boosting rounds or trees (None where it has none), and whether the clock cut it short."""

    estimator: Estimator
    rounds: int | None = None
    cut: bool = False
    note: str = ""


def predict(estimator: Estimator, features: object, **asked: object) -> Floats:
    """Probabilities (rows x classes) of a classifier, values (rows) of a regressor. Takes a pipeline as well.

    `asked` is passed on: what an algorithm's `up_to` says, for fewer rounds.
    """
    call = estimator.predict_proba if hasattr(estimator, "predict_proba") else estimator.predict
    return np.asarray(call(features, **asked), dtype=np.float64)


def constant(_: Parameters, data: FitData, __: Limits) -> Fitted:
    """The shares of the labels, or the mean, whatever the features."""
    regression = data.labels.dtype.kind == "f"
    estimator = DummyRegressor() if regression else DummyClassifier(strategy="prior")
    return Fitted(estimator.fit(data.features, data.labels, sample_weight=data.weights))


def threads_for(wanted: int) -> int:
    """Threads that meet after every small step: one where so many would take most of the machine.

    With another process on one of their cores two are far slower than one.
    """
    return 1 if 2 * wanted > (os.cpu_count() or 1) else wanted


def boosting_threads(limits: Limits, data: FitData) -> int:
    """Threads of a boosting fit: one where data are few."""
    return 1 if data.features.size < FEW_CELLS else threads_for(limits.threads)


def limit_library_threads(library: Literal["blas", "openmp"], threads: int) -> AbstractContextManager[object]:
    """Inside, the numerical library uses at most so many threads.

    One for linear algebra: on matrices as small as a training's, more only wait for each other.
    """
    limit: AbstractContextManager[object] = _libraries().limit(limits=threads, user_api=library)
    return limit


@functools.cache
def _libraries() -> ThreadpoolController:
    return ThreadpoolController()


def _linear(parameters: Parameters, data: FitData, limits: Limits) -> Fitted:
    strength = float(parameters["C"] or 1.0)
    if data.labels.dtype.kind == "f":
        ridge = Ridge(alpha=1 / strength, random_state=limits.seed)
        return Fitted(ridge.fit(data.features, data.labels, sample_weight=data.weights))
    return _logistic(LogisticRegression(C=strength, max_iter=15, warm_start=True), data, limits)


def _logistic(estimator: LogisticRegression, data: FitData, limits: Limits) -> Fitted:
    """A few iterations at a time until it converges, the iterations are used up or the deadline."""
    done = 0
    while done < MOST_ITERATIONS:
        begun = time.monotonic()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # that it goes on is the point
            estimator.fit(data.features, data.labels, sample_weight=data.weights)
        if int(np.max(estimator.n_iter_)) < estimator.max_iter:
            return Fitted(estimator)
        done += estimator.max_iter
        ended = time.monotonic()
        if ended + (ended - begun) > limits.ends_at:
            return Fitted(estimator, cut=True)
        estimator.set_params(max_iter=30)
    return Fitted(estimator, note=f"stopped at {done} iterations")


class StopWhen:
    """Says after which round a boosting ends: at the deadline, or when the check rows have not improved for 30."""

    def __init__(self, ends_at: float) -> None:
        self.ends_at = ends_at
        self.best_round = 0
        self.best_loss = np.inf
        self.cut = False

    def after(self, number: int, value: float | None) -> bool:
        """Whether round `number`, counted from 0, is the last; with no loss to check, later rounds are better."""
        value = -float(number) if value is None else value
        if value < self.best_loss:
            self.best_loss, self.best_round = value, number
        self.cut = time.monotonic() > self.ends_at
        return self.cut or number - self.best_round >= PATIENCE


class _LightGBMCallback:
    """Ends a fit of LightGBM."""

    order = 30
    before_iteration = False

    def __init__(self, stop: StopWhen) -> None:
        self.stop = stop

    def __call__(self, state: Any) -> None:
        results = state.evaluation_result_list
        if self.stop.after(state.iteration, results[0][2] if results else None):
            raise lightgbm.callback.EarlyStopException(self.stop.best_round, results)


def most_rounds(levels: float, data: FitData) -> int:
    """So many that 10,000 rows are answered in a second: a tree takes about 16 ns a row and level, and with more than
    two classes a round is a tree for each."""
    classes = 0 if data.labels.dtype.kind == "f" else len(np.unique(data.labels))
    return min(MOST_ROUNDS, int(MOST_LEVELS / levels / (classes if classes > 2 else 1)))


def _lightgbm(parameters: Parameters, data: FitData, limits: Limits) -> Fitted:
    regression = data.labels.dtype.kind == "f"
    kind = lightgbm.LGBMRegressor if regression else lightgbm.LGBMClassifier
    levels = float(np.log2(float(parameters.get("num_leaves") or 31)))
    estimator = kind(
        n_estimators=limits.rounds or most_rounds(levels, data),
        random_state=limits.seed,
        n_jobs=boosting_threads(limits, data),
        verbosity=-1,
        deterministic=True,
        force_row_wise=True,
        subsample_freq=1,
        **dict[str, Any](parameters),
    )
    stop = StopWhen(limits.ends_at)
    checked: Any = None if data.check_features is None else [(data.check_features, data.check_labels)]
    with warnings.catch_warnings():
        # its successors eval_X and eval_y do not translate labels that are text (4.7)
        warnings.filterwarnings("ignore", "The argument 'eval_set' is deprecated")
        estimator.fit(
            data.features,
            data.labels,
            sample_weight=data.weights,
            eval_set=checked,
            callbacks=[_LightGBMCallback(stop)],
        )
    rounds = stop.best_round + 1
    if rounds < estimator.n_estimators:
        estimator.set_params(n_estimators=rounds)
    return Fitted(estimator, rounds, stop.cut)


def _forest(parameters: Parameters, data: FitData, limits: Limits) -> Fitted:
    kind = ExtraTreesRegressor if data.labels.dtype.kind == "f" else ExtraTreesClassifier
    threads = 1 if data.features.size < FEW_CELLS else limits.threads
    estimator = kind(n_estimators=1, warm_start=True, random_state=limits.seed, n_jobs=threads, **parameters)
    leaves = len(data.labels) / float(parameters["min_samples_leaf"] or 1)
    trees = int(min(FOREST_TREES, max(FEWEST_TREES, MOST_LEAVES / leaves)))
    more_is_better = with_rounds(limits, limits.rounds or trees)
    fitted = _grow(estimator, "n_estimators", 20, trees, data, more_is_better)
    estimator.set_params(n_jobs=1)  # starting threads takes longer than a few rows do
    return fitted


def _histogram(parameters: Parameters, data: FitData, limits: Limits) -> Fitted:
    regression = data.labels.dtype.kind == "f"
    kind = HistGradientBoostingRegressor if regression else HistGradientBoostingClassifier
    estimator = kind(max_iter=1, warm_start=True, early_stopping=False, random_state=limits.seed, **parameters)
    with limit_library_threads("openmp", boosting_threads(limits, data)):
        return _grow(estimator, "max_iter", 15, 600, data, limits)


def _grow(estimator: Estimator, size: str, step: int, most: int, data: FitData, limits: Limits) -> Fitted:
    """Add `step` rounds at a time until `limits.rounds`, or else `most` or two losses on the check rows.

    Ends at the deadline in any case.

    The first steps are small, so that even a slow fit ends near its deadline.
    """
    best_loss, best_rounds, worse, rounds = np.inf, 0, 0, 0
    most = limits.rounds or most
    while rounds < most and worse < 2:
        added = min(step, 2 * rounds, most - rounds) if rounds else 1
        rounds += added
        begun = time.monotonic()
        estimator.set_params(**{size: rounds}).fit(data.features, data.labels, sample_weight=data.weights)
        if data.check_features is not None and data.check_truth is not None and limits.rounds is None:
            now = loss(Outcome(data.check_truth, predict(estimator, data.check_features)))
            worse = worse + 1 if now >= best_loss else 0
            best_loss, best_rounds = min(now, best_loss), rounds if now < best_loss else best_rounds
        ended = time.monotonic()
        next_takes = (ended - begun) * min(step, 2 * rounds) / added
        if rounds < most and ended + next_takes > limits.ends_at:
            return Fitted(estimator, best_rounds or rounds, cut=True)
    return Fitted(estimator, best_rounds or rounds)


@dataclass(frozen=True)
class Setting:
    """One parameter of a search: between two ends, on a logarithmic scale where `log`."""

    low: float
    high: float
    log: bool = False
    whole: bool = False


@dataclass(frozen=True)
class Algorithm:
    """An algorithm by the name it is shown under."""

    name: str
    family: Family
    fit: Callable[[Parameters, FitData, Limits], Fitted]
    start: Parameters
    """The settings tried first; one for each of `space`."""
    space: Mapping[str, Setting]
    up_to: Callable[[Estimator, int], Mapping[str, object]] | None = None
    """What to ask its estimator for, beside features, to have at most so many rounds used; None where it cannot."""
    fitted_again: bool = True
    """Whether `fit` can be asked for a last fit on all training rows; an engine's model stays as it was validated."""


CONSTANT = Algorithm(CONSTANT_NAME, "linear", constant, {}, {})
LINEAR = Algorithm("linear", "linear", _linear, {"C": 1.0}, {"C": Setting(1e-3, 100, log=True)})
EXTRA_TREES = Algorithm(
    "extra trees",
    "trees",
    _forest,
    {"min_samples_leaf": 2, "max_features": 0.5},
    {"min_samples_leaf": Setting(1, 30, log=True, whole=True), "max_features": Setting(0.1, 1.0)},
)
LIGHTGBM = Algorithm(
    "LightGBM",
    "trees",
    _lightgbm,
    {
        "learning_rate": 0.08,
        "num_leaves": 15,
        "min_child_samples": 15,
        "colsample_bytree": 0.7,
        "subsample": 0.85,
        "reg_lambda": 1.0,
        "min_split_gain": 1e-4,
    },
    {
        "learning_rate": Setting(0.02, 0.2, log=True),
        "num_leaves": Setting(3, 128, log=True, whole=True),
        "min_child_samples": Setting(3, 100, log=True, whole=True),
        "colsample_bytree": Setting(0.3, 1.0),
        "subsample": Setting(0.5, 1.0),
        "reg_lambda": Setting(1e-3, 30, log=True),
        "min_split_gain": Setting(1e-4, 1.0, log=True),
    },
    up_to=lambda _, rounds: {"num_iteration": rounds},
)
HISTOGRAM = Algorithm(
    "histogram gradient boosting",
    "trees",
    _histogram,
    {"learning_rate": 0.08, "max_leaf_nodes": 15, "min_samples_leaf": 15, "l2_regularization": 1e-3},
    {
        "learning_rate": Setting(0.02, 0.2, log=True),
        "max_leaf_nodes": Setting(3, 64, log=True, whole=True),
        "min_samples_leaf": Setting(3, 100, log=True, whole=True),
        "l2_regularization": Setting(1e-3, 30, log=True),
    },
)
DEFAULT_BOOSTING: Parameters = {"learning_rate": 0.1, "max_leaf_nodes": 31, "min_samples_leaf": 20}
"""scikit-learn's own settings of its histogram gradient boosting: a baseline."""


def boosting() -> tuple[Algorithm, tuple[str, ...]]:
    """The gradient boosting this machine can run, and a note where it is not LightGBM."""
    if lightgbm is not None:
        return LIGHTGBM, ()
    note = f"LightGBM cannot be loaded here ({LIGHTGBM_MISSING}); scikit-learn's gradient boosting is used instead."
    return HISTOGRAM, (note,)


def with_rounds(limits: Limits, rounds: int | None) -> Limits:
    """The same limits for a fit whose number of rounds is known."""
    return replace(limits, rounds=rounds)
