"""How good predictions are, with 95 % intervals: the metrics of classification and regression and their bootstrap.

Every metric is a function of row weights (draws x rows), so that one draw of weights gives all of a bootstrap.
Group metrics are in `groups.py`.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from mlpipe_dagster.automl.model import Estimate
from mlpipe_dagster.bias import intervals
from mlpipe_dagster.bias.intervals import Z95
from mlpipe_dagster.errors import ModelError

Floats = NDArray[np.float64]
CALIBRATION_GROUPS = 10
CALIBRATION_ERROR = "calibration error"
MOST_WEIGHTS = 4_000_000


@dataclass(frozen=True)
class Outcome:
    """What was true and what was predicted of some rows."""

    truth: Floats
    """Class codes or values, one a row."""
    predicted: Floats
    """Probabilities (rows x classes) or values (rows)."""

    @property
    def choice(self) -> NDArray[np.int64]:
        """Code of the most probable class of each row."""
        return np.asarray(self.predicted.argmax(axis=1))

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_] | slice) -> "Outcome":
        """Of these rows alone."""
        return Outcome(self.truth[rows], self.predicted[rows])

    def turned(self) -> "Outcome":
        """Of two classes the same with the other one as the second, which rates are about."""
        return Outcome(1 - self.truth, self.predicted[:, ::-1])


Metric = Callable[[Outcome, Floats], Floats]


def row_losses(outcome: Outcome) -> Floats:
    """Log loss (natural) or squared error of each row."""
    if outcome.predicted.ndim == 1:
        return np.asarray((outcome.truth - outcome.predicted) ** 2)
    chosen = outcome.predicted[np.arange(len(outcome.truth)), outcome.truth.astype(np.int64)]
    return np.asarray(-np.log(np.clip(chosen, np.finfo(np.float64).eps, 1.0)))


def loss(outcome: Outcome) -> float:
    """Mean log loss, or RMSE."""
    mean = float(row_losses(outcome).mean())
    return mean if outcome.predicted.ndim == 2 else mean**0.5


def _mean(values: Floats, weights: Floats) -> Floats:
    return np.asarray(weights @ values / weights.sum(axis=1))


def _accuracy(outcome: Outcome, weights: Floats) -> Floats:
    return _mean((outcome.choice == outcome.truth).astype(np.float64), weights)


def _log_loss(outcome: Outcome, weights: Floats) -> Floats:
    return _mean(row_losses(outcome), weights)


def _counts(outcome: Outcome, weights: Floats) -> tuple[Floats, Floats, Floats]:
    """Weighted true positives, truths and choices of each class (draws x classes)."""
    codes = np.arange(outcome.predicted.shape[1])
    truth, choice = outcome.truth[:, None] == codes, outcome.choice[:, None] == codes
    return weights @ (truth & choice), weights @ truth, weights @ choice


def _balanced_accuracy(outcome: Outcome, weights: Floats) -> Floats:
    hits, truths, _ = _counts(outcome, weights)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.nanmean(hits / truths, axis=1))


def _f1(outcome: Outcome, weights: Floats) -> Floats:
    """F1 of the positive class (two classes), or the mean over the classes that occur (macro)."""
    hits, truths, choices = _counts(outcome, weights)
    with np.errstate(invalid="ignore"):
        scores = 2 * hits / (truths + choices)
    return np.nan_to_num(scores[:, 1]) if scores.shape[1] == 2 else np.nanmean(scores, axis=1)


def _auc(positive: NDArray[np.bool_], score: Floats, weights: Floats) -> Floats:
    """Share of (positive, negative) pairs that `score` puts in order, ties counted half (Mann-Whitney)."""
    order = np.argsort(score, kind="stable")
    ties = np.flatnonzero(np.r_[True, np.diff(score[order]) > 0])
    up = np.add.reduceat(weights[:, order] * positive[order], ties, axis=1)
    down = np.add.reduceat(weights[:, order] * ~positive[order], ties, axis=1)
    below = np.cumsum(down, axis=1) - down
    with np.errstate(invalid="ignore"):
        return np.asarray((up * (below + down / 2)).sum(axis=1) / (up.sum(axis=1) * down.sum(axis=1)))


def _roc_auc(outcome: Outcome, weights: Floats) -> Floats:
    """Area under the ROC curve; with more classes the mean of one against the rest."""
    if outcome.predicted.shape[1] == 2:
        return _auc(outcome.truth == 1, outcome.predicted[:, 1], weights)
    present = [code for code in range(outcome.predicted.shape[1]) if (outcome.truth == code).any()]
    areas = [_auc(outcome.truth == code, outcome.predicted[:, code], weights) for code in present]
    return np.asarray(np.nanmean(areas, axis=0))


def _placements(positive: NDArray[np.bool_], score: Floats) -> Floats:
    """How far each row moves the area from its value, as a part of it: a positive by the share of the negatives below
    it, a negative by the share of the positives above it (DeLong, DeLong and Clarke-Pearson 1988)."""
    moves = np.empty(len(score))
    ranks = rankdata(score)
    for rows, sign in ((positive, 1.0), (~positive, -1.0)):
        own, others = int(rows.sum()), int((~rows).sum())
        placed = sign * (ranks[rows] - rankdata(score[rows])) / others
        moves[rows] = (placed - placed.mean()) / (own * max(own - 1, 1)) ** 0.5
    return moves


def delong(outcome: Outcome, area: float) -> Estimate:
    """The area with DeLong's 95 % interval, on the scale of its logit, which keeps it between 0 and 1.

    Of more classes: of the mean of one against the rest, whose rows are the same. Where all pairs are in order (or
    none) no row moves the area: Wilson's interval, of as many rows as the rarest class has.
    """
    codes = range(1, 2) if outcome.predicted.shape[1] == 2 else range(outcome.predicted.shape[1])
    truths = [(outcome.truth == code, code) for code in codes]
    both = [(truth, code) for truth, code in truths if truth.any() and not truth.all()]
    moves = np.mean([_placements(truth, outcome.predicted[:, code]) for truth, code in both], axis=0)
    error = float((moves**2).sum() ** 0.5)
    if error == 0 or not 0 < area < 1:
        return wilson(area, min(min(truth.sum(), (~truth).sum()) for truth, _ in both))
    middle, half = math.log(area / (1 - area)), Z95 * error / (area * (1 - area))
    low, high = (1 / (1 + math.exp(-end)) for end in (middle - half, middle + half))
    return Estimate(value=area, low=low, high=high)


def _rmse(outcome: Outcome, weights: Floats) -> Floats:
    return np.sqrt(_mean(row_losses(outcome), weights))


def _mae(outcome: Outcome, weights: Floats) -> Floats:
    return _mean(np.abs(outcome.truth - outcome.predicted), weights)


def _r2(outcome: Outcome, weights: Floats) -> Floats:
    """Share of the variance that is explained: 1 perfect, 0 as good as the mean."""
    centred = outcome.truth - outcome.truth.mean()
    variance = _mean(centred**2, weights) - _mean(centred, weights) ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        return 1 - _mean(row_losses(outcome), weights) / variance


def _brier(outcome: Outcome, weights: Floats) -> Floats:
    """Mean squared distance of the probabilities from what happened: of the positive class (two classes), or summed
    over the classes (more). Brier 1950."""
    happened = outcome.truth[:, None] == np.arange(outcome.predicted.shape[1])
    squares = ((outcome.predicted - happened) ** 2).sum(axis=1)
    return _mean(squares / 2 if outcome.predicted.shape[1] == 2 else squares, weights)


def _calibration_error(outcome: Outcome, weights: Floats) -> Floats:
    """Expected calibration error: mean distance between the probability of the chosen class and how often it is right,
    over ten groups of as many rows each, by that probability (Guo et al. 2017, with groups of equal size)."""
    sure = outcome.predicted.max(axis=1)
    group = np.argsort(np.argsort(sure, kind="stable"), kind="stable") * CALIBRATION_GROUPS // len(sure)
    off = ((outcome.choice == outcome.truth) - sure)[:, None] * (group[:, None] == np.arange(CALIBRATION_GROUPS))
    return np.asarray(np.abs(weights @ off).sum(axis=1) / weights.sum(axis=1))


CLASSIFICATION: dict[str, Metric] = {
    "accuracy": _accuracy,
    "log loss": _log_loss,
    "ROC AUC": _roc_auc,
    "balanced accuracy": _balanced_accuracy,
    "F1": _f1,
    "Brier score": _brier,
    CALIBRATION_ERROR: _calibration_error,
}
REGRESSION: dict[str, Metric] = {"R²": _r2, "RMSE": _rmse, "MAE": _mae}


def table_of(outcome: Outcome) -> dict[str, Metric]:
    """The metrics that fit `outcome`, the published one first."""
    return CLASSIFICATION if outcome.predicted.ndim == 2 else REGRESSION


def published_score(outcome: Outcome) -> float:
    """Accuracy, or R².

    Raises
    ------
    ModelError
        All rows have the same value, so that R² means nothing.
    """
    metric = next(iter(table_of(outcome).values()))
    value = float(metric(outcome, np.ones((1, len(outcome.truth))))[0])
    if not np.isfinite(value):
        raise ModelError(
            "The target is the same in nearly every row: the rows held out for checking do not vary. "
            "Predict something that varies more, or send more rows."
        )
    return value


@functools.lru_cache(maxsize=1)
def draws(rows: int, seed: int) -> Floats:
    """Bootstrap weights (draws x rows): 500 draws, fewer on many rows. Not to be written to: they are kept for the next
    outcome of as many rows."""
    count = max(40, min(500, MOST_WEIGHTS // max(rows, 1)))
    generator = np.random.default_rng(seed)
    drawn = [np.bincount(generator.integers(rows, size=rows), minlength=rows) for _ in range(count)]
    weights = np.array(drawn, dtype=np.float64)
    weights.flags.writeable = False
    return weights


def wilson(share: float, rows: int) -> Estimate:
    """A share of `rows` with Wilson's 95 % interval, which stays honest at 0 and 1."""
    low, high = intervals.wilson(share * rows, rows)
    return Estimate(value=share, low=low, high=high)


CLOSED: dict[str, Callable[[Outcome, float], Estimate]] = {
    "accuracy": lambda outcome, share: wilson(share, len(outcome.truth)),
    "ROC AUC": delong,
}
"""Metrics whose interval needs no bootstrap."""


def measure(outcome: Outcome, seed: int = 0, only: str | None = None) -> dict[str, Estimate]:
    """Every metric of `outcome` (or `only` one) with its 95 % interval: Wilson for accuracy, DeLong for ROC AUC,
    percentile bootstrap else (basic bootstrap for the calibration error).

    A metric that these rows do not define (ROC AUC where one class is absent) is left out.
    """
    rows = len(outcome.truth)
    weights = None
    found = {}
    for name, metric in table_of(outcome).items():
        if only not in (None, name):
            continue
        value = float(metric(outcome, np.ones((1, rows)))[0])
        if not np.isfinite(value):
            continue
        if name in CLOSED:
            found[name] = CLOSED[name](outcome, value)
            continue
        weights = draws(rows, seed) if weights is None else weights
        low, high = np.nanpercentile(metric(outcome, weights), [2.5, 97.5])
        if name == CALIBRATION_ERROR:  # chance makes it larger, in the rows as in their draws: the basic bootstrap
            low, high = max(0.0, 2 * value - high), max(value, 2 * value - low)
        found[name] = Estimate(value=value, low=float(low), high=float(high))
    return found


def improvement(better: Outcome, worse: Outcome) -> tuple[float, float]:
    """Mean row loss that `better` saves over `worse` on the same rows, and its standard error."""
    saved = row_losses(worse) - row_losses(better)
    return float(saved.mean()), float(saved.std(ddof=1) / len(saved) ** 0.5)


def is_improvement(better: Outcome, worse: Outcome, errors: float = 1.0) -> bool:
    """Whether `better` saves more than so many standard errors of the paired difference."""
    saved, error = improvement(better, worse)
    return saved > errors * error
