"""Intervals, tests and the correction for many tests: textbook statistics on counts, means and deviations.

All intervals are 95 % and two-sided. Nothing here knows of groups, columns or reports.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

CONFIDENCE = 0.95
SEED = 20240229
Z95 = float(stats.norm.ppf((1 + CONFIDENCE) / 2))
_SIMULATED_TABLES = 4999
_SMALLEST_EXPECTED = 5.0

Interval = tuple[float, float]
FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Moments:
    """Count, mean and sample standard deviation (0 for a single value) of a number."""

    count: int
    mean: float
    deviation: float


def combined(parts: Sequence[Moments]) -> Moments:
    """The moments of several groups taken together; one part or more. Equal values stay without deviation."""
    count = sum(part.count for part in parts)
    if len({(part.mean, part.deviation) for part in parts}) == 1 and not parts[0].deviation:
        return Moments(count, parts[0].mean, 0.0)
    mean = sum(part.count * part.mean for part in parts) / count
    within = sum((part.count - 1) * part.deviation**2 for part in parts)
    between = sum(part.count * (part.mean - mean) ** 2 for part in parts)
    return Moments(count, mean, math.sqrt((within + between) / (count - 1)) if count > 1 else 0.0)


def wilson(successes: float, trials: int) -> Interval:
    """Wilson's score interval of a rate (Wilson 1927); `trials` is positive."""
    rate, z2 = successes / trials, Z95**2
    centre = (rate + z2 / (2 * trials)) / (1 + z2 / trials)
    half = Z95 / (1 + z2 / trials) * math.sqrt(rate * (1 - rate) / trials + z2 / (4 * trials**2))
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == trials else min(1.0, centre + half)
    return low, high


def newcombe(successes_a: int, trials_a: int, successes_d: int, trials_d: int) -> Interval:
    """Newcombe's hybrid score interval of the difference of two rates, a - d (Newcombe 1998, method 10)."""
    rate_a, rate_d = successes_a / trials_a, successes_d / trials_d
    (low_a, high_a), (low_d, high_d) = wilson(successes_a, trials_a), wilson(successes_d, trials_d)
    difference = rate_a - rate_d
    down = math.hypot(rate_a - low_a, high_d - rate_d)
    up = math.hypot(high_a - rate_a, rate_d - low_d)
    return max(-1.0, difference - down), min(1.0, difference + up)


def katz(successes_a: int, trials_a: int, successes_d: int, trials_d: int) -> Interval | None:
    """Katz's log interval of the ratio of two rates, d / a (Katz et al. 1978); None where a rate is zero."""
    if not successes_a or not successes_d:
        return None
    ratio = (successes_d / trials_d) / (successes_a / trials_a)
    spread = math.sqrt(1 / successes_a - 1 / trials_a + 1 / successes_d - 1 / trials_d)
    return ratio * math.exp(-Z95 * spread), ratio * math.exp(Z95 * spread)


def mover(weights: FloatArray, estimates: FloatArray, lows: FloatArray, highs: FloatArray) -> Interval:
    """Interval of a weighted mean of independent estimates with intervals of their own; the weights are positive.

    The method of variance estimates recovery (Zou and Donner 2008, Statistics in Medicine 27:1693).
    """
    centre = float(weights @ estimates)
    down, up = weights * (estimates - lows), weights * (highs - estimates)
    return centre - math.sqrt(down @ down), centre + math.sqrt(up @ up)


def student(values: Moments) -> Interval | None:
    """Student's t interval of a mean; None for a single value."""
    if values.count < 2:
        return None
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, values.count - 1)) * values.deviation / math.sqrt(values.count)
    return values.mean - half, values.mean + half


def welch(a: Moments, d: Moments) -> Interval | None:
    """Welch's t interval of the difference of two means, a - d (Welch 1947); None for a single value."""
    if min(a.count, d.count) < 2:
        return None
    difference = a.mean - d.mean
    error, freedom = _welch_error(a, d)
    if error == 0:
        return difference, difference
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom)) * error
    return difference - half, difference + half


def welch_p(a: Moments, d: Moments) -> float:
    """Two-sided p-value of Welch's t-test; both have two values or more."""
    error, freedom = _welch_error(a, d)
    if error == 0:
        return 1.0 if a.mean == d.mean else 0.0
    return float(2 * stats.t.sf(abs(a.mean - d.mean) / error, freedom))


def _welch_error(a: Moments, d: Moments) -> tuple[float, float]:
    """Standard error of the difference, and its degrees of freedom (Welch-Satterthwaite)."""
    variance_a, variance_d = a.deviation**2 / a.count, d.deviation**2 / d.count
    total = variance_a + variance_d
    if total == 0:
        return 0.0, math.inf
    return math.sqrt(total), total**2 / (variance_a**2 / (a.count - 1) + variance_d**2 / (d.count - 1))


def pooled_deviation(a: Moments, d: Moments) -> float:
    """The pooled standard deviation of Cohen's d; there are three values or more together."""
    squares = (a.count - 1) * a.deviation**2 + (d.count - 1) * d.deviation**2
    return math.sqrt(squares / (a.count + d.count - 2))


def hedges_olkin(effect: float, count_a: int, count_d: int) -> Interval:
    """Large-sample interval of a standardized mean difference (Hedges and Olkin 1985)."""
    total = count_a + count_d
    half = Z95 * math.sqrt(total / (count_a * count_d) + effect**2 / (2 * total))
    return effect - half, effect + half


def resampled(counts: IntArray, draws: int) -> IntArray:
    """`draws` multinomial resamples of each row of a (groups, cells) table of counts: (draws, groups, cells).

    The seed is fixed: the same table gives the same intervals.
    """
    generator = np.random.default_rng(SEED)
    drawn = np.zeros((draws, *counts.shape), dtype=np.int64)
    for index, row in enumerate(counts):
        total = int(row.sum())
        if total:
            drawn[:, index, :] = generator.multinomial(total, row / total, size=draws)
    return drawn


def bootstrap(estimate: float, drawn: FloatArray, upper: float, *, root: bool, alike: bool) -> Interval:
    """Bootstrap interval of a divergence within [0, upper]: basic and percentile interval joined.

    Small divergences are estimated too high, and their resamples once more, so that the percentiles alone shut out the
    truth; the basic interval, reflected at the estimate, alone is too short at 0. Joined they cover 95 % and a little
    more. `root` reflects on the scale of the square root, for divergences that grow with the square of a difference.
    `alike`: a test does not tell both sides apart, so the interval begins at 0. Quantiles are order statistics, so that
    infinite resamples stay infinite.
    """
    tail = (1 - CONFIDENCE) / 2
    below, above = (float(end) for end in np.quantile(drawn, [tail, 1 - tail], method="inverted_cdf"))
    if root:
        estimate, below, above, upper = (math.sqrt(value) for value in (estimate, below, above, upper))
    low = 0.0 if alike else max(0.0, min(2 * estimate - above, below, estimate))
    high = min(upper, max(2 * estimate - below, above, estimate))
    return (low**2, high**2) if root else (low, high)


def independence_p(table: IntArray) -> tuple[float, str]:
    """P-value and name of an apt test of independence in a (2, classes) table of counts.

    Fisher's exact test where a 2 x 2 table has an expected count below 5; a seeded simulation of Pearson's statistic
    with fixed margins where a larger one has; Pearson's chi-squared test, without continuity correction, elsewhere.
    """
    seen = table[:, table.sum(axis=0) > 0]
    if seen.shape[1] < 2:
        return 1.0, "only one outcome occurs"
    result = stats.chi2_contingency(seen, correction=False)
    if result.expected_freq.min() >= _SMALLEST_EXPECTED:
        return float(result.pvalue), "Pearson's chi-squared test"
    if seen.shape == (2, 2):
        return float(stats.fisher_exact(seen).pvalue), "Fisher's exact test"
    return _simulated_p(seen, result.expected_freq, float(result.statistic)), "simulated chi-squared test"


def _simulated_p(table: IntArray, expected: FloatArray, statistic: float) -> float:
    draws = stats.random_table(table.sum(axis=1), table.sum(axis=0)).rvs(
        _SIMULATED_TABLES, random_state=np.random.default_rng(SEED)
    )
    simulated = ((draws - expected) ** 2 / expected).sum(axis=(1, 2))
    return float((1 + np.sum(simulated >= statistic - 1e-9)) / (1 + _SIMULATED_TABLES))


def kolmogorov_p(distance: float, count_a: int, count_d: int) -> float:
    """Asymptotic p-value of the two-sample Kolmogorov-Smirnov test."""
    return float(stats.kstwobign.sf(distance * math.sqrt(count_a * count_d / (count_a + count_d))))


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values after Holm's step-down correction (Holm 1979), in the order given."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted
