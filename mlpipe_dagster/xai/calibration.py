"""Whether predictions mean what they say, and what the choice of a threshold costs. All on test rows.

Reliability in bins of equal size (Naeini et al. 2015 for the expected calibration error), Brier score (Brier 1950).
"""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from mlpipe_dagster.automl import model
from mlpipe_dagster.automl.fairness.calibration import equal_parts, reliability
from mlpipe_dagster.automl.fairness.report import ReliabilityBin
from mlpipe_dagster.bias.intervals import Z95
from mlpipe_dagster.xai.dependence import described, explained_class
from mlpipe_dagster.xai.performance import figure
from mlpipe_dagster.xai.pieces import Figure
from mlpipe_dagster.xai.quality import Calibration, CostChoice, GoalThreshold, Threshold, Thresholds
from mlpipe_dagster.xai.subject import Subject
from mlpipe_dagster.xai.values import Floats

Flags: TypeAlias = npt.NDArray[np.bool_]

STEPS = tuple(round(0.1 * step, 1) for step in range(1, 10))
FINE_STEPS = np.arange(1, 100) / 100
MISS_COSTS = (0.2, 1.0, 5.0, 10.0)


def calibration(subject: Subject) -> Calibration | None:
    """Predicted beside observed, for the described class or the value; None with fewer than 40 test rows."""
    at = explained_class(subject)
    predicted = subject.predicted if at is None else subject.predicted[:, at]
    parts = equal_parts(predicted)
    if not parts:
        subject.budget.did("calibration", "left out")
        return None
    truth = subject.truth if at is None else (subject.truth == at).astype(np.float64)
    subject.budget.did("calibration", "exact", len(truth), len(truth), described(subject))
    if at is None:
        bins = tuple(_bin(predicted[part], truth[part]) for part in parts)
    else:
        bins = reliability(predicted, truth == 1)
    error = sum(held.rows * abs(held.predicted - held.observed) for held in bins) / len(truth)
    return Calibration(
        of=described(subject).of,
        bins=bins,
        error=error,
        brier=None if at is None else _mean_figure("Brier score", (predicted - truth) ** 2),
    )


def _bin(predicted: Floats, truth: Floats) -> ReliabilityBin:
    seen, rows = _mean_figure("", truth), len(truth)
    low, high = seen.low or 0.0, seen.high or 0.0
    return ReliabilityBin(predicted=float(predicted.mean()), observed=seen.value, low=low, high=high, rows=rows)


def _mean_figure(name: str, values: Floats) -> Figure:
    """A mean with its normal 95 % interval."""
    mean, half = float(values.mean()), Z95 * float(values.std(ddof=1)) / len(values) ** 0.5
    return Figure(name=name, value=mean, low=mean - half, high=mean + half)


def thresholds(subject: Subject) -> Thresholds | None:
    """What each threshold does and which suits which costs; for two classes, both of which occur."""
    positive = subject.truth == subject.model.positive_code
    if len(subject.classes) != 2 or not 0 < positive.sum() < len(positive):
        subject.budget.did("thresholds", "left out")
        return None
    chances = subject.predicted[:, subject.model.positive_code]
    subject.budget.did("thresholds", "exact", len(chances), len(chances), described(subject))
    return Thresholds(
        positive=subject.classes[subject.model.positive_code],
        steps=tuple(_step(chances >= threshold, positive, threshold) for threshold in STEPS),
        costs=tuple(_cheapest(chances, positive, miss) for miss in MISS_COSTS),
        goals=tuple(_goal(chosen) for chosen in subject.model.thresholds),
    )


def _goal(chosen: model.Threshold) -> GoalThreshold:
    """As the training chose and measured it."""
    found, right = (
        None if rate is None else figure(name, rate)
        for name, rate in (("recall", chosen.recall), ("precision", chosen.precision))
    )
    return GoalThreshold(goal=chosen.goal, threshold=chosen.threshold, flagged=chosen.alarms, found=found, right=right)


def _step(flagged: Flags, positive: Flags, threshold: float) -> Threshold:
    hits = int((flagged & positive).sum())
    return Threshold(
        threshold=threshold,
        flagged=float(flagged.mean()),
        found=hits / int(positive.sum()),
        right=hits / int(flagged.sum()) if flagged.any() else None,
        false_alarms=int((flagged & ~positive).sum()) / int((~positive).sum()),
        accuracy=float((flagged == positive).mean()),
    )


def _cheapest(chances: Floats, positive: Flags, miss: float) -> CostChoice:
    """The threshold with the lowest mean cost (of equals the one nearest to a half)."""
    costs = np.array([_costs(chances >= threshold, positive, miss).mean() for threshold in FINE_STEPS])
    equal = np.flatnonzero(costs <= costs.min() + 1e-12)
    best = int(equal[np.argmin(np.abs(FINE_STEPS[equal] - 0.5))])
    chosen = _mean_figure("", _costs(chances >= FINE_STEPS[best], positive, miss) * 100)
    return CostChoice(
        miss=miss,
        threshold=float(FINE_STEPS[best]),
        cost=chosen.value,
        low=max(chosen.low or 0.0, 0.0),
        high=chosen.high or 0.0,
        cost_at_half=float(_costs(chances >= 0.5, positive, miss).mean() * 100),
    )


def _costs(flagged: Flags, positive: Flags, miss: float) -> Floats:
    """Of each row: 1 for a false alarm, `miss` for a missed case."""
    return (flagged & ~positive).astype(np.float64) + miss * (~flagged & positive)
