"""Whether a group's probabilities mean what they say: bins of like ones, their error, and the slope of recalibration.

Functions of arrays; which rows are a group's is decided in `measure.py`.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from mlpipe_dagster.automl.fairness.report import ReliabilityBin
from mlpipe_dagster.bias import intervals
from mlpipe_dagster.bias.intervals import FloatArray
from mlpipe_dagster.bias.pairs import Estimate

MOST_BINS = 10
ROWS_A_BIN = 20
DRAWS = 1000
_SUREST = 1e-6
"""Probabilities nearer to 0 or 1 are taken as that near: 0 and 1 themselves have no logit."""


@dataclass(frozen=True)
class Slope:
    """The slope of a logistic recalibration and its standard error."""

    value: float
    error: float

    @property
    def ends(self) -> intervals.Interval:
        """Wald's interval."""
        return self.value - intervals.Z95 * self.error, self.value + intervals.Z95 * self.error


def equal_parts(values: FloatArray) -> list[NDArray[np.intp]]:
    """Positions of up to ten parts of as many rows each, by value; a part has 20 rows or more, none below 40 rows."""
    count = min(MOST_BINS, len(values) // ROWS_A_BIN)
    return np.array_split(np.argsort(values, kind="stable"), count) if count > 1 else []


def reliability(chances: FloatArray, happened: NDArray[np.bool_]) -> tuple[ReliabilityBin, ...]:
    """Mean probability beside the share that came true, in `equal_parts`. The interval of the share is Wilson's."""
    return tuple(_bin(chances[part], happened[part]) for part in equal_parts(chances))


def _bin(chances: FloatArray, happened: NDArray[np.bool_]) -> ReliabilityBin:
    rows, true = len(chances), int(happened.sum())
    low, high = intervals.wilson(true, rows)
    return ReliabilityBin(predicted=float(chances.mean()), observed=true / rows, low=low, high=high, rows=rows)


def expected_calibration_error(bins: tuple[ReliabilityBin, ...]) -> Estimate:
    """ECE = the mean over rows of |mean probability - share that came true| of their bin, from 0 (Naeini et al. 2015).

    What came true is resampled within the bins. The upper end is the bootstrap's; the lower one takes off what chance
    alone puts between a bin's share and its expectation (triangle inequality), for small bins are off by chance.
    """
    rows = np.array([one.rows for one in bins])
    expected = rows * np.array([one.predicted for one in bins])
    true = np.round([one.observed * one.rows for one in bins]).astype(np.int64)
    drawn = intervals.resampled(np.stack([true, rows - true], axis=1), DRAWS)[..., 0]
    value, errors, chance = (
        np.abs(counts).sum(axis=-1) / rows.sum() for counts in (true - expected, drawn - expected, drawn - true)
    )
    _, high = intervals.bootstrap(float(value), errors, 1.0, root=False, alike=False)
    low = max(0.0, float(value - np.quantile(chance, (1 + intervals.CONFIDENCE) / 2)))
    return Estimate(float(value), low, high)


def calibration_slope(chances: FloatArray, happened: NDArray[np.bool_]) -> Slope | None:
    """The slope b of logit P(true) = a + b logit(probability), by maximum likelihood (Cox 1958).

    1 where probabilities are spread as they should be; below 1 they are too extreme, above 1 too timid. None where it
    has no finite value: one probability or one outcome alone, or probabilities that tell both outcomes apart.
    """
    clipped = np.clip(chances, _SUREST, 1 - _SUREST)
    logits = np.log(clipped / (1 - clipped))
    if happened.all() or not happened.any():
        return None
    those, others = logits[happened], logits[~happened]
    if those.min() >= others.max() or others.min() >= those.max():
        return None
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(C=math.inf, solver="newton-cholesky", tol=1e-9).fit(logits[:, None], happened)
    sure = fitted.predict_proba(logits[:, None])[:, 1]
    weights = sure * (1 - sure)
    spread = weights @ (logits - weights @ logits / weights.sum()) ** 2
    return Slope(float(fitted.coef_[0, 0]), 1 / math.sqrt(spread))


def same_slope_p(a: Slope, d: Slope) -> float:
    """P-value of Wald's test that both slopes are the same."""
    return float(2 * stats.norm.sf(abs(a.value - d.value) / math.hypot(a.error, d.error)))
