"""What an explanation holds about how good a model is: errors, thresholds, imitation, stability; only the data."""

from typing import Literal

from pydantic import FiniteFloat

from mlpipe_dagster.automl.fairness.report import ReliabilityBin
from mlpipe_dagster.tables.profile import HistogramBin
from mlpipe_dagster.xai.pieces import Agreement, Figure, Frozen, Sign


class Condition(Frozen):
    """One condition on a column."""

    column: str
    sign: Sign
    value: str = ""


class Rule(Frozen):
    """A leaf of the surrogate tree: rows that meet all conditions get this answer."""

    conditions: tuple[Condition, ...]
    rows: int
    answer: str
    agreeing: FiniteFloat
    """Share of these rows for which the model says the same; for numbers the standard deviation of its answers."""


class Surrogate(Frozen):
    """A small tree that imitates the model, to be read in place of it as far as it is faithful."""

    fidelity: Figure
    """On test rows: share of the model's answers that it gives too, or R² against the model's values."""
    learned_rows: int
    tested_rows: int
    rules: tuple[Rule, ...]


class Segment(Frozen):
    """Rows that meet all conditions, and how the model fares on them."""

    conditions: tuple[Condition, ...]
    rows: int
    error: FiniteFloat
    low: FiniteFloat
    high: FiniteFloat
    worse: bool
    """The interval lies above the error on all rows."""


class WeakSegments(Frozen):
    """Where the model errs most: found by a tree on one half of the test rows, measured on the other."""

    measure: Literal["share wrong", "mean absolute error"]
    overall: Figure
    """On the measured half."""
    learned_rows: int
    measured_rows: int
    confidence: FiniteFloat
    """Of each segment's interval, so that all of them hold together with 95 %."""
    segments: tuple[Segment, ...]
    """The worst first."""


class Calibration(Frozen):
    """Whether predictions mean what they say."""

    of: str
    bins: tuple[ReliabilityBin, ...]
    error: FiniteFloat
    """Mean distance of predicted and observed, weighted by rows (expected calibration error)."""
    brier: Figure | None = None
    """Mean squared distance of the probability from 0 or 1."""


class Threshold(Frozen):
    """What happens when the positive class is answered from this probability on. Rates are None where undefined."""

    threshold: FiniteFloat
    flagged: FiniteFloat
    found: FiniteFloat | None
    """Recall."""
    right: FiniteFloat | None
    """Precision."""
    false_alarms: FiniteFloat | None
    """False positive rate."""
    accuracy: FiniteFloat


class CostChoice(Frozen):
    """The threshold that costs least when a missed case costs `miss` times a false alarm."""

    miss: FiniteFloat
    threshold: FiniteFloat
    cost: FiniteFloat
    """For 100 test rows, in false alarms."""
    low: FiniteFloat
    high: FiniteFloat
    cost_at_half: FiniteFloat


class GoalThreshold(Frozen):
    """A threshold for a goal that people state: chosen on validation rows, measured on the test rows."""

    goal: str
    threshold: FiniteFloat
    flagged: FiniteFloat
    found: Figure | None
    """Recall; None where it is undefined."""
    right: Figure | None
    """Precision; None where it is undefined."""


class Thresholds(Frozen):
    """What the choice of a threshold does, and which one suits which costs; chosen and measured on the test rows."""

    positive: str
    steps: tuple[Threshold, ...]
    costs: tuple[CostChoice, ...]
    goals: tuple[GoalThreshold, ...] = ()
    """Empty for a model from outside: what is chosen on test rows flatters itself on them."""


class Stability(Frozen):
    """Whether the same story is told with other rows and another seed."""

    resampled_top: int
    resampled_same: FiniteFloat
    """Share of bootstrap draws of the explained rows whose `resampled_top` first columns are the same set."""
    refitted: Agreement | None = None
    """The ranking beside that of the same algorithm fitted anew, on resampled rows with another seed."""
    refitted_rows: int = 0


class Compactness(Frozen):
    """How few columns tell the story."""

    columns_for_80: int
    """Columns that carry 80 % of the influence."""
    top: int
    rows_told: FiniteFloat
    """Share of the explained rows whose `top` strongest columns carry 90 % of what moves their output."""


class ClassResult(Frozen):
    """How one class fares on the test rows."""

    name: str
    rows: int
    predicted: int
    right: int


class Confusion(Frozen):
    """Actual by predicted classes on the test rows."""

    classes: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    """One row for each actual class, one column for each predicted class, in the order of `classes`."""
    results: tuple[ClassResult, ...]


class Residuals(Frozen):
    """How far predictions of a number are off on the test rows (predicted minus actual)."""

    median_absolute: FiniteFloat
    percentile_90: FiniteFloat
    """Nine of ten predictions are off by no more."""
    mean: FiniteFloat
    baseline_median_absolute: FiniteFloat
    """Median absolute error of always answering the median of the training rows."""
    within_10_percent: FiniteFloat
    """Share of predictions off by at most 10 % of the actual value."""
    target_minimum: FiniteFloat
    target_maximum: FiniteFloat
    histogram: tuple[HistogramBin, ...]


class TrialResult(Frozen):
    """A line of the leaderboard."""

    number: int
    algorithm: str
    score: FiniteFloat | None
    loss: FiniteFloat | None
    seconds: FiniteFloat
    baseline: bool
    note: str
    parameters: dict[str, str]
