"""The measures between two groups, one row of a table each: name, formula, sign, range, source, and how it is computed.

a is the reference group, d the group looked at. Differences are a minus d and ratios d over a, as in Amazon SageMaker
Clarify's DPPL and DI; where Clarify has it the other way round, so has the table. `measure.py` chooses the pairs.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mlpipe_dagster.automl.fairness.calibration import same_slope_p
from mlpipe_dagster.automl.fairness.rates import (
    FN,
    FP,
    MAE,
    MEAN_ERROR,
    MEAN_PREDICTION,
    RATES,
    Rate,
    Side,
)
from mlpipe_dagster.automl.fairness.report import CALIBRATION, OVERCONFIDENCE, SLOPE
from mlpipe_dagster.bias import intervals
from mlpipe_dagster.bias.estimates import rate_difference
from mlpipe_dagster.bias.intervals import FloatArray, IntArray
from mlpipe_dagster.bias.pairs import Estimate
from mlpipe_dagster.vocabulary import TaskKind

BINARY = frozenset({TaskKind.BINARY})
SEVERAL = frozenset({TaskKind.MULTICLASS})
CLASSES = frozenset({TaskKind.BINARY, TaskKind.MULTICLASS})
NUMBERS = frozenset({TaskKind.REGRESSION})
CLARIFY = "Amazon SageMaker Clarify, post-training data and model bias metrics"
NEWCOMBE, KATZ = "Newcombe's hybrid score interval", "Katz's log interval"
WELCH, BOOTSTRAP = "Welch's t interval", "bootstrap of both groups, fixed seed"
WALD = "Wald's interval of both slopes"
CALIBRATION_DIFFERENCE, SLOPE_DIFFERENCE = "calibration difference", "calibration slope difference"
CONFIDENCE_DIFFERENCE = "overconfidence difference"
OF_PROBABILITIES = (CALIBRATION_DIFFERENCE, SLOPE_DIFFERENCE, CONFIDENCE_DIFFERENCE)
"""What means nothing where a model gives no probabilities."""


@dataclass(frozen=True)
class Kind:
    """A row of the table of measures."""

    name: str
    tasks: frozenset[TaskKind]
    formula: str
    sign: str
    """What a value above `equal` says."""
    range: tuple[float, float]
    equal: float
    source: str
    method: str
    """Of the 95 % interval."""
    rests_on: Callable[[Side], int]
    """The rows of a group that count for it."""
    estimate: Callable[[Side, Side], Estimate]
    tests: tuple[str, ...] = ()
    """The rates or means whose test says whether both groups are alike; the surest of several counts."""
    about: Literal["class", "all"] = "class"
    """Of more than two classes: one after the other, or together."""


def _difference(rate: Rate) -> Callable[[Side, Side], Estimate]:
    def estimate(a: Side, d: Side) -> Estimate:
        return rate_difference(*rate.counts(a.cells), *rate.counts(d.cells))

    return estimate


def _ratio(rate: Rate) -> Callable[[Side, Side], Estimate]:
    def estimate(a: Side, d: Side) -> Estimate:
        (part_a, whole_a), (part_d, whole_d) = rate.counts(a.cells), rate.counts(d.cells)
        if not part_a:
            return Estimate(None, note="Not defined: the rate of the reference group is 0.")
        ends = intervals.katz(part_a, whole_a, part_d, whole_d)
        ratio = (part_d / whole_d) / (part_a / whole_a)
        return Estimate(ratio, *ends) if ends else Estimate(ratio, note="No interval: the rate of this group is 0.")

    return estimate


def _odds_difference(a: IntArray, d: IntArray) -> FloatArray:
    """max(|TPR_a - TPR_d|, |FPR_a - FPR_d|) along the last axis."""
    gaps = [np.abs(RATES[name].of(a) - RATES[name].of(d)) for name in ("true positive rate", "false positive rate")]
    return np.asarray(np.nanmax(gaps, axis=0))


def _odds_ratio(a: IntArray, d: IntArray) -> FloatArray:
    """The smaller of both rates' ratios, each the smaller rate over the larger one; two rates of 0 are alike."""
    ratios = []
    for name in ("true positive rate", "false positive rate"):
        pair = np.stack([RATES[name].of(a), RATES[name].of(d)])
        with np.errstate(invalid="ignore"):
            ratios.append(np.nan_to_num(pair.min(axis=0) / pair.max(axis=0), nan=1.0))
    return np.asarray(np.min(ratios, axis=0))


def equalized_odds_difference(a: Side, d: Side) -> Estimate:
    """The larger of the differences of true and false positive rates, from 0; bootstrap interval."""
    gap = float(_odds_difference(a.cells, d.cells))
    return Estimate(
        gap, *intervals.bootstrap(gap, _odds_difference(a.drawn, d.drawn), 1.0, root=False, alike=_alike(a, d))
    )


def equalized_odds_ratio(a: Side, d: Side) -> Estimate:
    """The smaller of the ratios of true and false positive rates, up to 1; bootstrap interval."""
    gap = 1 - float(_odds_ratio(a.cells, d.cells))
    low, high = intervals.bootstrap(gap, 1 - _odds_ratio(a.drawn, d.drawn), 1.0, root=False, alike=_alike(a, d))
    return Estimate(1 - gap, 1 - high, 1 - low)


def _alike(a: Side, d: Side) -> bool:
    """Whether no test tells the odds of both groups apart (two tests, Bonferroni)."""
    found = [rate_p(RATES[name], a, d) for name in ("true positive rate", "false positive rate")]
    return min(found) >= (1 - intervals.CONFIDENCE) / 2


def treatment_equality(a: Side, d: Side) -> Estimate:
    """TE = FN_d / FP_d - FN_a / FP_a; percentile bootstrap interval."""

    def balance(cells: IntArray) -> FloatArray:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(cells[..., FN] / cells[..., FP])

    value = float(balance(d.cells) - balance(a.cells))
    if not math.isfinite(value):
        return Estimate(None, note="Not defined: a group has no false positives.")
    with np.errstate(invalid="ignore"):
        drawn = balance(d.drawn) - balance(a.drawn)
    low, high = (float(end) for end in np.quantile(drawn, [0.025, 0.975], method="inverted_cdf"))
    if not (math.isfinite(low) and math.isfinite(high)):
        return Estimate(value, note="No interval: in some resamples a group has no false positives.")
    return Estimate(value, low, high)


def _mean_difference(name: str) -> Callable[[Side, Side], Estimate]:
    def estimate(a: Side, d: Side) -> Estimate:
        first, second = a.moments[name], d.moments[name]
        return Estimate(first.mean - second.mean, *(intervals.welch(first, second) or (None, None)))

    return estimate


def error_ratio(a: Side, d: Side) -> Estimate:
    """MAE_d / MAE_a, from 0; interval by the delta method on the logarithm."""
    first, second = a.moments[MAE], d.moments[MAE]
    if first.mean == 0 or second.mean == 0:
        return Estimate(None, note="Not defined: the model makes no error in a group.")
    ratio = second.mean / first.mean
    error = math.hypot(*(side.deviation / (side.mean * math.sqrt(side.count)) for side in (first, second)))
    return Estimate(ratio, ratio * math.exp(-intervals.Z95 * error), ratio * math.exp(intervals.Z95 * error))


def slope_difference(a: Side, d: Side) -> Estimate:
    """The calibration slope of a minus that of d; Wald's interval."""
    if a.slope is None or d.slope is None:
        return Estimate(None, note="Not defined: in a group the probabilities do not vary, or tell all rows apart.")
    value, half = a.slope.value - d.slope.value, intervals.Z95 * math.hypot(a.slope.error, d.slope.error)
    return Estimate(value, value - half, value + half)


def rate_p(rate: Rate, a: Side, d: Side) -> float:
    """P-value of a test that both groups have the same rate; 1 where one has nothing to count."""
    (part_a, whole_a), (part_d, whole_d) = rate.counts(a.cells), rate.counts(d.cells)
    if not whole_a or not whole_d:
        return 1.0
    table = np.array([[part_a, whole_a - part_a], [part_d, whole_d - part_d]])
    return intervals.independence_p(table)[0]


def alike_p(name: str, a: Side, d: Side) -> float:
    """P-value of a test that a rate or mean is the same in both groups."""
    if name in RATES:
        return rate_p(RATES[name], a, d)
    if name == SLOPE:
        return same_slope_p(a.slope, d.slope) if a.slope and d.slope else 1.0
    return intervals.welch_p(a.moments[name], d.moments[name])


def _whole(name: str) -> Callable[[Side], int]:
    return lambda side: RATES[name].counts(side.cells)[1]


def _odds_rest_on(side: Side) -> int:
    return min(_whole("true positive rate")(side), _whole("false positive rate")(side))


def _rarer_outcome(side: Side) -> int:
    true = RATES["true positive rate"].counts(side.cells)[1]
    return min(true, side.rows - true)


def _errors(side: Side) -> int:
    return int(side.cells[FN] + side.cells[FP])


def _rows(side: Side) -> int:
    return side.rows


_HARDT = "Hardt, Price and Srebro 2016"
_PAIRS: tuple[tuple[str, str, str, frozenset[TaskKind], str], ...] = (
    ("selection rate", "DPPL", "DI", CLASSES, CLARIFY),
    ("true positive rate", "TPR difference", "TPR ratio", CLASSES, f"{_HARDT} (equal opportunity); {CLARIFY} (RD)"),
    ("false positive rate", "FPR difference", "FPR ratio", CLASSES, "Chouldechova 2017 (error rate balance)"),
    ("false negative rate", "FNR difference", "FNR ratio", BINARY, "Chouldechova 2017 (error rate balance)"),
    ("positive predictive value", "PPV difference", "PPV ratio", CLASSES, "Chouldechova 2017 (predictive parity)"),
)
"""Rate, and the names of its difference and ratio."""
_SHARED_TEST = {"false negative rate": "true positive rate"}
"""What is missed is what is not found: one test for both."""


def _of_rate(rate: str, difference: str, ratio: str, tasks: frozenset[TaskKind], source: str) -> tuple[Kind, Kind]:
    tests = (_SHARED_TEST.get(rate, rate),)
    return (
        Kind(
            difference, tasks, f"{rate}_a - {rate}_d", f"the reference group has the higher {rate}", (-1.0, 1.0), 0.0,
            source, NEWCOMBE, _whole(rate), _difference(RATES[rate]), tests,
        ),
        Kind(
            ratio, tasks & BINARY, f"{rate}_d / {rate}_a", f"the group looked at has the higher {rate}",
            (0.0, math.inf), 1.0, source, KATZ, _whole(rate), _ratio(RATES[rate]), tests,
        ),
    )  # fmt: skip


_ODDS = ("true positive rate", "false positive rate")
MEASURES: tuple[Kind, ...] = (
    *(kind for row in _PAIRS for kind in _of_rate(*row)),
    Kind(
        "equalized odds difference", CLASSES, "max(|TPR_a - TPR_d|, |FPR_a - FPR_d|)", "a rate of errors differs",
        (0.0, 1.0), 0.0, f"{_HARDT}; fairlearn", BOOTSTRAP, _odds_rest_on, equalized_odds_difference, _ODDS,
    ),
    Kind(
        "equalized odds ratio", BINARY, "min over TPR and FPR of the smaller rate / the larger rate",
        "cannot be above 1; below it a rate of errors differs", (0.0, 1.0), 1.0, f"{_HARDT}; fairlearn", BOOTSTRAP,
        _odds_rest_on, equalized_odds_ratio, _ODDS,
    ),
    Kind(
        "accuracy difference", CLASSES, "accuracy_a - accuracy_d", "the model is right more often for the other side",
        (-1.0, 1.0), 0.0, f"{CLARIFY} (AD)", NEWCOMBE, _rows, _difference(RATES["accuracy"]), ("accuracy",), "all",
    ),
    Kind(
        CALIBRATION_DIFFERENCE, CLASSES, "(mean probability - share that came true)_a - the same of d",
        "the reference group is rated higher than it turns out, compared with the other", (-2.0, 2.0), 0.0,
        "Kleinberg, Mullainathan and Raghavan 2017", WELCH, _rows, _mean_difference(CALIBRATION), (CALIBRATION,),
    ),
    Kind(
        SLOPE_DIFFERENCE, CLASSES, "b_a - b_d, with logit P(true) = c + b logit(probability) in each group",
        "probabilities of the reference group are less extreme than they should be, compared with the other",
        (-math.inf, math.inf), 0.0, "Cox 1958; Van Calster et al. 2019", WALD, _rarer_outcome, slope_difference,
        (SLOPE,),
    ),
    Kind(
        CONFIDENCE_DIFFERENCE, SEVERAL, "(mean probability of the answer - accuracy)_a - the same of d",
        "the model is surer than it is right of the reference group, compared with the other", (-2.0, 2.0), 0.0,
        "Guo et al. 2017 (confidence calibration)", WELCH, _rows, _mean_difference(OVERCONFIDENCE), (OVERCONFIDENCE,),
        "all",
    ),
    Kind(
        "treatment equality", BINARY, "FN_d / FP_d - FN_a / FP_a",
        "misses outweigh false alarms more in the group looked at", (-math.inf, math.inf), 0.0,
        f"Berk et al. 2018; {CLARIFY} (TE, d - a)", BOOTSTRAP, _errors, treatment_equality,
    ),
    Kind(
        "mean prediction difference", NUMBERS, "mean prediction_a - mean prediction_d",
        "the reference group is predicted more", (-math.inf, math.inf), 0.0, "Calders et al. 2013", WELCH, _rows,
        _mean_difference(MEAN_PREDICTION), (MEAN_PREDICTION,),
    ),
    Kind(
        "mean error difference", NUMBERS, "(mean of predicted - true)_a - the same of d",
        "the reference group is rated too high, compared with the other", (-math.inf, math.inf), 0.0,
        "Calders et al. 2013", WELCH, _rows, _mean_difference(MEAN_ERROR), (MEAN_ERROR,),
    ),
    Kind(
        "MAE difference", NUMBERS, "MAE_a - MAE_d", "the errors of the reference group are larger",
        (-math.inf, math.inf), 0.0, "Agarwal, Dudik and Wu 2019 (bounded group loss)", WELCH, _rows,
        _mean_difference(MAE), (MAE,),
    ),
    Kind(
        "MAE ratio", NUMBERS, "MAE_d / MAE_a", "the errors of the group looked at are larger", (0.0, math.inf), 1.0,
        "holisticai (MAE ratio)", "delta method on the logarithm", _rows, error_ratio, (MAE,),
    ),
)  # fmt: skip


def measures_for(task: TaskKind) -> tuple[Kind, ...]:
    """The measures that suit a task, in the order they are shown."""
    return tuple(kind for kind in MEASURES if task in kind.tasks)
