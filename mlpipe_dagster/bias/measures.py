"""The measures, one row of a table each: what it is called, how it is computed, for which tasks, what it says.

Formulas and signs are those of Amazon SageMaker Clarify's pre-training metrics: a is the advantaged side (the reference
group, or everyone else), d is the group looked at; logarithms are natural. Divergences run over the union of classes.
Functions of counts only; `measure.py` chooses the pairs.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from mlpipe_dagster.bias import intervals
from mlpipe_dagster.bias.intervals import FloatArray, IntArray, Moments
from mlpipe_dagster.vocabulary import TaskKind

CLASSES = frozenset({TaskKind.BINARY, TaskKind.MULTICLASS})
NUMBERS = frozenset({TaskKind.REGRESSION})
About = Literal["sizes", "class", "distribution", "mean"]


@dataclass(frozen=True)
class Side:
    """One side of a comparison."""

    size: int
    """All its rows."""
    counts: IntArray
    """Rows by class, or by cell of a number: those with a known target."""
    drawn: IntArray
    """Resamples of `counts`, (draws, cells)."""
    moments: Moments | None = None

    @property
    def known(self) -> int:
        """Rows with a known target."""
        return int(self.counts.sum())


def joined(sides: Sequence[Side]) -> Side:
    """Several groups as one side."""
    moments = [side.moments for side in sides if side.moments]
    return Side(
        size=sum(side.size for side in sides),
        counts=np.sum([side.counts for side in sides], axis=0),
        drawn=np.sum([side.drawn for side in sides], axis=0),
        moments=intervals.combined(moments) if moments else None,
    )


@dataclass(frozen=True)
class Pair:
    """Both sides of a comparison; each has a row with a known target."""

    a: Side
    d: Side

    @cached_property
    def outcome_test(self) -> tuple[float, str]:
        """P-value and name of a test that the outcome is alike on both sides."""
        if self.a.moments and self.d.moments:
            return intervals.welch_p(self.a.moments, self.d.moments), "Welch's t-test"
        return intervals.independence_p(np.stack([self.a.counts, self.d.counts]))

    @cached_property
    def distribution_p(self) -> float:
        """P-value of a test that the whole distributions are alike."""
        if not (self.a.moments and self.d.moments):
            return self.outcome_test[0]
        distance = kolmogorov_smirnov(self.a.counts / self.a.known, self.d.counts / self.d.known)
        return intervals.kolmogorov_p(float(distance), self.a.known, self.d.known)


@dataclass(frozen=True)
class Estimate:
    """A value with its interval; None with a note where there is none."""

    value: float | None
    low: float | None = None
    high: float | None = None
    method: str = ""
    note: str = ""


@dataclass(frozen=True)
class MeasureKind:
    """A row of the table of measures. `estimate` takes a pair and the position of a class, which most ignore."""

    name: str
    title: str
    tasks: frozenset[TaskKind]
    about: About
    formula: str
    meaning: str
    equal: float
    """Its value when both sides are alike."""
    estimate: Callable[[Pair, int], Estimate]


def class_imbalance(pair: Pair, _: int = 0) -> Estimate:
    """CI = (n_a - n_d) / (n_a + n_d), from -1 to 1."""
    a, d = pair.a, pair.d
    total = a.size + d.size
    low, high = intervals.wilson(a.size, total)
    return Estimate((a.size - d.size) / total, 2 * low - 1, 2 * high - 1, "Wilson interval of the share")


def difference_in_proportions(pair: Pair, outcome: int) -> Estimate:
    """DPL = q_a - q_d, from -1 to 1: the difference of the rates of one class."""
    a, d = pair.a, pair.d
    in_a, in_d = int(a.counts[outcome]), int(d.counts[outcome])
    low, high = intervals.newcombe(in_a, a.known, in_d, d.known)
    return Estimate(in_a / a.known - in_d / d.known, low, high, "Newcombe's hybrid score interval")


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


def kullback_leibler(p: FloatArray, q: FloatArray) -> FloatArray:
    """KL(P || Q) = sum of P log(P / Q) over the last axis; infinite where Q lacks a class that P has."""
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(p > 0, p * np.log(p / q), 0.0)
    return np.asarray(np.maximum(terms.sum(axis=-1), 0.0))


def jensen_shannon(p: FloatArray, q: FloatArray) -> FloatArray:
    """JS = (KL(P || M) + KL(Q || M)) / 2 with M = (P + Q) / 2, from 0 to log 2."""
    middle = (p + q) / 2
    return (kullback_leibler(p, middle) + kullback_leibler(q, middle)) / 2


def total_variation(p: FloatArray, q: FloatArray) -> FloatArray:
    """TVD = half the sum of |P - Q|, from 0 to 1."""
    return np.asarray(np.abs(p - q).sum(axis=-1) / 2)


def largest_class_difference(p: FloatArray, q: FloatArray) -> FloatArray:
    """KS of classes, as Clarify has it: max |P - Q|, from 0 to 1."""
    return np.asarray(np.abs(p - q).max(axis=-1))


def kolmogorov_smirnov(p: FloatArray, q: FloatArray) -> FloatArray:
    """KS of a number: the largest difference of the cumulative distributions, from 0 to 1; cells are in order."""
    return np.asarray(np.abs(np.cumsum(p - q, axis=-1)).max(axis=-1))


def _divergence(
    function: Callable[[FloatArray, FloatArray], FloatArray], upper: float, *, root: bool = False
) -> Callable[[Pair, int], Estimate]:
    """`function` of the two distributions as an estimate, with a bootstrap interval within [0, upper]."""

    def estimate(pair: Pair, _: int = 0) -> Estimate:
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

    return estimate


def mean_difference(pair: Pair, _: int = 0) -> Estimate:
    """Mean of a minus mean of d, in the unit of the target."""
    a, d = pair.a.moments, pair.d.moments
    if a is None or d is None:
        return Estimate(None, note="Not defined: a side has no value.")
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


MEASURES: tuple[MeasureKind, ...] = (
    MeasureKind(
        "CI",
        "Class imbalance",
        CLASSES | NUMBERS,
        "sizes",
        "(n_a \u2212 n_d) / (n_a + n_d)",
        "How much larger the other side is: 0 for equal sizes, near 1 where this group is hardly there.",
        0.0,
        class_imbalance,
    ),
    MeasureKind(
        "DPL",
        "Difference in proportions of labels",
        CLASSES,
        "class",
        "q_a \u2212 q_d",
        "How much more often the other side has the outcome: 0.1 means 10 more of 100.",
        0.0,
        difference_in_proportions,
    ),
    MeasureKind(
        "DI",
        "Disparate impact (ratio of rates)",
        CLASSES,
        "class",
        "q_d / q_a",
        "The group's rate as a part of the other side's rate; the four-fifths rule looks for values below 0.8.",
        1.0,
        ratio_of_rates,
    ),
    MeasureKind(
        "KL",
        "Kullback\u2013Leibler divergence",
        CLASSES,
        "distribution",
        "\u03a3 P_a ln(P_a / P_d)",
        "How surprising the other side's outcomes are to one who knows only this group; 0 for none.",
        0.0,
        _divergence(kullback_leibler, math.inf, root=True),
    ),
    MeasureKind(
        "JS",
        "Jensen\u2013Shannon divergence",
        CLASSES,
        "distribution",
        "\u00bd KL(P_a, M) + \u00bd KL(P_d, M), M = \u00bd (P_a + P_d)",
        "How different the distributions of outcomes are: 0 for alike, 0.69 for nothing in common.",
        0.0,
        _divergence(jensen_shannon, math.log(2), root=True),
    ),
    MeasureKind(
        "TVD",
        "Total variation distance",
        CLASSES,
        "distribution",
        "\u00bd \u03a3 |P_a \u2212 P_d|",
        "The share of rows whose outcome would have to change for both sides to be alike.",
        0.0,
        _divergence(total_variation, 1.0),
    ),
    MeasureKind(
        "KS",
        "Kolmogorov\u2013Smirnov distance (largest difference of a class)",
        CLASSES,
        "distribution",
        "max |P_a \u2212 P_d|",
        "The difference in the class where both sides differ most.",
        0.0,
        _divergence(largest_class_difference, 1.0),
    ),
    MeasureKind(
        "mean difference",
        "Difference of the means",
        NUMBERS,
        "mean",
        "mean_a \u2212 mean_d",
        "How much higher the other side's mean is, in the unit of the target.",
        0.0,
        mean_difference,
    ),
    MeasureKind(
        "standardized difference",
        "Standardized mean difference (Cohen's d)",
        NUMBERS,
        "mean",
        "(mean_a \u2212 mean_d) / pooled standard deviation",
        "The difference of the means in standard deviations: 0.2 is called small, 0.5 medium, 0.8 large.",
        0.0,
        standardized_difference,
    ),
    MeasureKind(
        "KS",
        "Kolmogorov\u2013Smirnov distance",
        NUMBERS,
        "distribution",
        "max |F_a \u2212 F_d|",
        "The largest difference of the shares of rows below some value.",
        0.0,
        _divergence(kolmogorov_smirnov, 1.0),
    ),
)


def measures_for(task: TaskKind) -> tuple[MeasureKind, ...]:
    """The measures that suit a task, in the order they are shown."""
    return tuple(kind for kind in MEASURES if task in kind.tasks)
