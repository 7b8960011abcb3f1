"""Rates of a group, out of its four counts: hits, false alarms, misses and correct rejections of a class.

A number that is predicted has means instead. Functions of counts and moments; no table is known here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mlpipe_dagster.automl.fairness.calibration import Slope
from mlpipe_dagster.bias import intervals
from mlpipe_dagster.bias.intervals import FloatArray, IntArray, Moments

TP, FP, FN, TN = range(4)
EVERY = (TP, FP, FN, TN)
DRAWS = 1000


@dataclass(frozen=True)
class Rate:
    """`part` of `whole`, each the sum of some of the four counts."""

    part: tuple[int, ...]
    whole: tuple[int, ...]

    def counts(self, cells: IntArray) -> tuple[int, int]:
        """How many of how many."""
        return int(cells[list(self.part)].sum()), int(cells[list(self.whole)].sum())

    def of(self, cells: IntArray) -> FloatArray:
        """The rate along the last axis; NaN where there is nothing to count."""
        with np.errstate(invalid="ignore"):
            return np.asarray(cells[..., list(self.part)].sum(axis=-1) / cells[..., list(self.whole)].sum(axis=-1))


RATES: Mapping[str, Rate] = {
    "selection rate": Rate((TP, FP), EVERY),
    "accuracy": Rate((TP, TN), EVERY),
    "true positive rate": Rate((TP,), (TP, FN)),
    "false positive rate": Rate((FP,), (FP, TN)),
    "false negative rate": Rate((FN,), (TP, FN)),
    "positive predictive value": Rate((TP,), (TP, FP)),
}
"""Of a class: how often it is predicted; right; found where it is true; predicted where it is not; missed; believed."""
MEAN_PREDICTION, MEAN_ERROR, MAE = "mean prediction", "mean error", "MAE"
"""Of a number: what is predicted on average; predicted minus true; the size of that."""


@dataclass(frozen=True)
class Side:
    """What is counted of one group."""

    rows: int
    cells: IntArray = field(default_factory=lambda: np.zeros(4, dtype=np.int64))
    """Hits, false alarms, misses, correct rejections of a class."""
    moments: Mapping[str, Moments] = field(default_factory=dict)
    """Count, mean and deviation of what is averaged: calibration error, or errors of a number."""
    slope: Slope | None = None
    """Of the probabilities of a class."""

    @cached_property
    def drawn(self) -> IntArray:
        """Resamples of `cells`, (draws, 4), the same for the same counts."""
        return intervals.resampled(self.cells[None, :], DRAWS)[:, 0]


def cells_of(truth: NDArray[np.bool_], said: NDArray[np.bool_]) -> IntArray:
    """The four counts of rows for which a class was true, and predicted."""
    return np.bincount(np.where(truth, np.where(said, TP, FN), np.where(said, FP, TN)), minlength=4).astype(np.int64)


def moments_of(values: FloatArray) -> Moments:
    """Count, mean and deviation of some values, of which there is one at least."""
    return Moments(len(values), float(values.mean()), float(values.std(ddof=1)) if len(values) > 1 else 0.0)
