"""The formulas of the measures, each a function of a pair (and the position of a class) to an estimate with interval.

Signs are those of Amazon SageMaker Clarify's pre-training metrics: a is the advantaged side (the reference group, or
everyone else), d is the group looked at; logarithms are natural. Divergences run over the union of classes. What each
measure is called and means is a row of the table in `measures.py`.
"""

import math
from collections.abc import Callable

import numpy as np

from mlpipe_dagster.bias import intervals
from mlpipe_dagster.bias.intervals import FloatArray, IntArray, Moments
from mlpipe_dagster.bias.pairs import Estimate, Pair, Side

Distance = Callable[[FloatArray, FloatArray], FloatArray]


def class_imbalance(pair: Pair, _: int = 0) -> Estimate:
    """CI = (n_a - n_d) / (n_a + n_d), from -1 to 1."""
    a, d = pair.a, pair.d
    total = a.size + d.size
    low, high = intervals.wilson(a.size, total)
    return Estimate((a.size - d.size) / total, 2 * low - 1, 2 * high - 1, "Wilson interval of the share")


def difference_in_proportions(pair: Pair, outcome: int) -> Estimate:
    """DPL = q_a - q_d, from -1 to 1: the difference of the rates of one class."""
    a, d = pair.a, pair.d
    return rate_difference(int(a.counts[outcome]), a.known, int(d.counts[outcome]), d.known)


def label_missingness(pair: Pair, _: int = 0) -> Estimate:
    """u_a - u_d, from -1 to 1: the difference of the shares of rows without a known target."""
    a, d = pair.a, pair.d
    return rate_difference(a.size - a.known, a.size, d.size - d.known, d.size)


def rate_difference(in_a: int, of_a: int, in_d: int, of_d: int) -> Estimate:
    """A rate of a minus that of d; there is something to count on both sides."""
    low, high = intervals.newcombe(in_a, of_a, in_d, of_d)
    return Estimate(in_a / of_a - in_d / of_d, low, high, "Newcombe's hybrid score interval")


def ratio_of_rates(pair: Pair, outcome: int) -> Estimate:
    """DI = q_d / q_a, from 0: the ratio of the rates of one class, which the four-fifths rule looks at."""
    a, d = pair.a, pair.d
    in_a, in_d = int(a.counts[outcome]), int(d.counts[outcome])
    if not in_a:
        return Estimate(None, note="Not defined: the outcome does not occur in the group compared with.")
    ratio, interval = (in_d / d.known) / (in_a / a.known), intervals.katz(in_a, a.known, in_d, d.known)
    if interval is None:
        return Estimate(ratio, note="No interval: the outcome does not occur in this group.")
    return Estimate(ratio, *interval, "Katz's log interval")


def demographic_disparity(pair: Pair, outcome: int) -> Estimate:
    """DD = d's share of the rows without the outcome - d's share of those with it, from -1 to 1."""
    return _disparity(pair.a.counts[None, :], pair.d.counts[None, :], outcome, "Newcombe's hybrid score interval")


def conditional_disparity(pair: Pair, outcome: int) -> Estimate:
    """CDD = the mean of DD over the values of the conditioning column, weighted by their rows, from -1 to 1.

    Values whose rows all have, or all lack, the outcome cannot show a disparity and are left out of the mean.
    """
    if pair.a.strata is None or pair.d.strata is None:
        return Estimate(None, note="Not defined: no conditioning column was chosen.")
    method = "MOVER over Newcombe's intervals of the values"
    return _disparity(pair.a.strata, pair.d.strata, outcome, method)


def _disparity(a: IntArray, d: IntArray, outcome: int, method: str) -> Estimate:
    """The weighted mean of DD over strata; `a` and `d` are rows by stratum and class."""
    with_a, with_d = a[:, outcome], d[:, outcome]
    without_a, without_d = a.sum(axis=1) - with_a, d.sum(axis=1) - with_d
    comparable = (with_a + with_d > 0) & (without_a + without_d > 0)
    left_out = int((a + d)[~comparable].sum())
    if not comparable.any():
        return Estimate(None, note="Not defined: nowhere do rows with and without the outcome stand side by side.")
    weights = (a + d).sum(axis=1)[comparable] / (a + d)[comparable].sum()
    tables = np.stack([without_d, without_a + without_d, with_d, with_a + with_d], axis=1)[comparable].tolist()
    differences = np.array([in_0 / of_0 - in_1 / of_1 for in_0, of_0, in_1, of_1 in tables])
    ends = np.array([intervals.newcombe(*table) for table in tables])
    low, high = intervals.mover(weights, differences, ends[:, 0], ends[:, 1])
    note = f"{left_out:,} rows stand where only one of both outcomes occurs, and are left out." if left_out else ""
    return Estimate(float(weights @ differences), low, high, method, note)


def kullback_leibler(p: FloatArray, q: FloatArray) -> FloatArray:
    """KL(P || Q) = sum of P log(P / Q) over the last axis; infinite where Q lacks a class that P has."""
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(p > 0, p * np.log(p / q), 0.0)
    return np.asarray(np.maximum(terms.sum(axis=-1), 0.0))


def jensen_shannon(p: FloatArray, q: FloatArray) -> FloatArray:
    """JS = (KL(P || M) + KL(Q || M)) / 2 with M = (P + Q) / 2, from 0 to log 2."""
    middle = (p + q) / 2
    return (kullback_leibler(p, middle) + kullback_leibler(q, middle)) / 2


def euclidean(p: FloatArray, q: FloatArray) -> FloatArray:
    """L2 = the square root of the sum of (P - Q)^2, from 0 to the square root of 2."""
    return np.asarray(np.sqrt(np.square(p - q).sum(axis=-1)))


def total_variation(p: FloatArray, q: FloatArray) -> FloatArray:
    """TVD = half the sum of |P - Q|, from 0 to 1."""
    return np.asarray(np.abs(p - q).sum(axis=-1) / 2)


def largest_class_difference(p: FloatArray, q: FloatArray) -> FloatArray:
    """KS of classes, as Clarify has it: max |P - Q|, from 0 to 1."""
    return np.asarray(np.abs(p - q).max(axis=-1))


def kolmogorov_smirnov(p: FloatArray, q: FloatArray) -> FloatArray:
    """KS of a number: the largest difference of the cumulative distributions, from 0 to 1; cells are in order."""
    return np.asarray(np.abs(np.cumsum(p - q, axis=-1)).max(axis=-1))


def divergence(function: Distance, upper: float, *, root: bool = False) -> Callable[[Pair, int], Estimate]:
    """`function` of the two distributions as an estimate, with a bootstrap interval within [0, upper]."""

    def estimate(pair: Pair, _: int = 0) -> Estimate:
        return _bootstrapped(pair, function, upper, root=root)

    return estimate


def wasserstein(pair: Pair, _: int = 0) -> Estimate:
    """W1 = the area between the cumulative distributions, from 0, in the unit of the target."""
    if pair.points is None:
        return Estimate(None, note="Not defined: the target is not a number.")
    steps = np.diff(pair.points)

    def distance(p: FloatArray, q: FloatArray) -> FloatArray:
        return np.asarray(np.abs(np.cumsum(p - q, axis=-1)[..., :-1]) @ steps)

    return _bootstrapped(pair, distance, math.inf)


def _bootstrapped(pair: Pair, function: Distance, upper: float, *, root: bool = False) -> Estimate:
    a, d = pair.a, pair.d
    value = float(function(a.counts / a.known, d.counts / d.known))
    if not math.isfinite(value):
        return Estimate(None, note="Infinite: an outcome of the group compared with never occurs in this group.")
    drawn = function(a.drawn / a.known, d.drawn / d.known)
    alike = pair.distribution_p >= 1 - intervals.CONFIDENCE
    low, high = intervals.bootstrap(value, drawn, upper, root=root, alike=alike)
    method = f"bootstrap, {len(drawn):,} resamples"
    if not math.isfinite(high):
        return Estimate(value, low, None, method, "No upper end: in some resamples it is infinite.")
    return Estimate(value, low, high, method)


def mean_difference(pair: Pair, _: int = 0) -> Estimate:
    """Mean of a minus mean of d, in the unit of the target."""
    return _difference_of_means(pair.a.moments, pair.d.moments, "Not defined: a side has no value.")


def missingness(pair: Pair, _: int = 0) -> Estimate:
    """m_a - m_d, from -1 to 1: the difference of the mean shares of missing cells in a row."""
    return _difference_of_means(pair.a.gaps, pair.d.gaps, "Not defined: the table has no other columns.")


def _difference_of_means(a: Moments | None, d: Moments | None, otherwise: str) -> Estimate:
    if a is None or d is None:
        return Estimate(None, note=otherwise)
    low, high = intervals.welch(a, d) or (None, None)
    return Estimate(a.mean - d.mean, low, high, "Welch's t interval")


def standardized_difference(pair: Pair, _: int = 0) -> Estimate:
    """Cohen's d: the difference of the means in pooled standard deviations."""
    a, d = pair.a.moments, pair.d.moments
    if a is None or d is None:
        return Estimate(None, note="Not defined: a side has no value.")
    pooled = intervals.pooled_deviation(a, d)
    if pooled == 0:
        return Estimate(None, note="Not defined: the target does not vary within the groups.")
    effect = (a.mean - d.mean) / pooled
    low, high = intervals.hedges_olkin(effect, a.count, d.count)
    return Estimate(effect, low, high, "Hedges and Olkin's large-sample interval")


def representation(side: Side, everyone: int, expected: float) -> Estimate:
    """Share of all rows minus the expected share, from -1 to 1."""
    low, high = intervals.wilson(side.size, everyone)
    share = side.size / everyone
    return Estimate(share - expected, low - expected, high - expected, "Wilson interval of the share")
