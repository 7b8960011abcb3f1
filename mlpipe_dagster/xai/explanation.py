"""What an explanation holds: `ModelExplanation` and `DataExplanation`, frozen and JSON-able both ways.

Only the data: `explain.py` fills it, `reports/explanations.py` words and draws it. Every number a page shows is here.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, FiniteFloat

from mlpipe_dagster.automl.fairness.report import Disparity, GroupMetrics
from mlpipe_dagster.automl.model import CONSTANT_NAME
from mlpipe_dagster.tables.profile import HistogramBin
from mlpipe_dagster.vocabulary import TaskKind

Direction = Literal["raises", "lowers", "mixed", "by value", "none"]
RowKind = Literal["typical", "borderline", "most wrong", "asked for"]
Scale = Literal["log-odds", "margin", "probability", "predicted value"]
How = Literal["exact", "sampled", "left out"]
Sign = Literal["at most", "above", "is", "is not", "is missing", "is known"]
ShapMethod = Literal["trees", "linear", "permutations"]
PartName = Literal[
    "shap",
    "permutation",
    "dependence",
    "ale",
    "interactions",
    "local",
    "counterfactuals",
    "surrogate",
    "weak segments",
    "calibration",
    "thresholds",
    "stability",
]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class Note(_Frozen):
    """Something to be said beside the numbers: the key of a sentence and what goes into it."""

    key: str
    values: dict[str, str | int | FiniteFloat] = {}


class Output(_Frozen):
    """Which output of the model a number is about: `of` is a class, or the target that is predicted."""

    scale: Scale
    of: str


class Part(_Frozen):
    """What one part of the explanation did within its share of the time."""

    name: PartName
    how: How
    used: int
    """Rows, columns or pairs it looked at, of `of` there are; both 0 where it was left out."""
    of: int
    output: Output | None = None
    """Which output of the model the part is about, where that is one."""


class Agreement(_Frozen):
    """How far two rankings of the same columns agree."""

    correlation: FiniteFloat | None
    """Spearman's, over the columns that both rank; None where one of them does not vary."""
    top: int
    shared: int
    """Of the `top` first columns of one ranking, those among the `top` first of the other."""


class Figure(_Frozen):
    """A named number with its 95 % interval, where there is one."""

    name: str
    value: FiniteFloat
    low: FiniteFloat | None = None
    high: FiniteFloat | None = None
    split: Literal["training", "validation", "test"] | None = None
    """The rows it was measured on, for scores."""


class ValueEffect(_Frozen):
    """What one value of a column (or a third of its numbers) does to the output, on average."""

    value: str
    span: tuple[str, str] | None = None
    """For a third of the numbers: above the first, up to the second; empty where it is open. `value` is empty then."""
    rows: int
    effect: FiniteFloat


class ColumnImportance(_Frozen):
    """How much one original column matters to the model."""

    name: str
    kind: str
    shap: FiniteFloat
    """Mean absolute SHAP value over the explained rows (and over the classes, where there are three or more)."""
    shap_low: FiniteFloat
    shap_high: FiniteFloat
    share: FiniteFloat
    """Of the sum over all columns."""
    permutation: FiniteFloat | None
    """How much the loss on test rows grows when the column is shuffled; None where it was not measured."""
    permutation_deviation: FiniteFloat | None
    direction: Direction
    """What higher numbers do to the output; `by value` for categories, `mixed` where it turns."""
    correlation: FiniteFloat | None
    """Spearman correlation of the column's numbers with its SHAP values."""
    effects: tuple[ValueEffect, ...] = ()
    hidden: bool = False
    """Its values identify people and are not shown."""


class DependencePoint(_Frozen):
    """The average prediction when every row had this value."""

    value: str
    position: FiniteFloat | None
    """The value as a number, for columns of numbers and dates (days since 1970)."""
    average: FiniteFloat
    low: FiniteFloat
    high: FiniteFloat
    """10th and 90th percentile over the rows."""


class LocalEffect(_Frozen):
    """Accumulated local effect up to a value: how far the average prediction has moved from its mean there."""

    position: FiniteFloat
    effect: FiniteFloat


class Dependence(_Frozen):
    """Partial dependence of the predicted probability or value on one column, beside its accumulated local effects."""

    column: str
    kind: str
    output: str
    numeric: bool
    points: tuple[DependencePoint, ...]
    curves: tuple[tuple[FiniteFloat, ...], ...] = ()
    """Individual conditional expectation: the prediction for single rows at each point."""
    effects: tuple[LocalEffect, ...] = ()
    """Columns of numbers and dates only: other values have no order to accumulate in."""
    gap: FiniteFloat | None = None
    """Largest distance between the two curves, both centred, as a share of the wider one's range."""
    differs: bool = False
    """The gap is so large that the partial dependence probably rests on rows that do not exist."""


class InteractionLine(_Frozen):
    """How the output moves with the first column while the second one is held at a value."""

    value: str
    points: tuple[DependencePoint, ...]


class Interaction(_Frozen):
    """How far the effect of one column depends on another (Friedman and Popescu 2008)."""

    first: str
    second: str
    strength: FiniteFloat
    """Root mean square of the joint effect that the two single effects do not explain, in the unit of the output."""
    low: FiniteFloat = 0.0
    high: FiniteFloat = 0.0
    share: FiniteFloat
    """H²: the same as a share of the joint effect's variance."""
    share_low: FiniteFloat = 0.0
    share_high: FiniteFloat = 0.0
    numeric: bool = False
    lines: tuple[InteractionLine, ...] = ()
    """For the strongest pair."""


class Contribution(_Frozen):
    """What one column added to the output for one row."""

    column: str
    value: str
    shap: FiniteFloat
    lime: FiniteFloat | None


class LocalExplanation(_Frozen):
    """One test row and why the model answers as it does."""

    kinds: tuple[RowKind, ...]
    position: int
    """Place in the table, counted from 1."""
    predicted: str
    actual: str
    probability: FiniteFloat | None
    """Of the predicted class."""
    explained: Output
    base: FiniteFloat
    output: FiniteFloat
    contributions: tuple[Contribution, ...]
    """Strongest first by SHAP; those left out are summed in `rest`."""
    rest: FiniteFloat
    lime_fidelity: FiniteFloat | None = None
    lime_agreement: Agreement | None = None
    """Of SHAP and LIME about this row."""


class Change(_Frozen):
    """One value of a row replaced."""

    column: str
    before: str
    after: str


class Counterfactual(_Frozen):
    """The few changes to a row that turn the prediction: no sensitive column, only values seen before."""

    position: int
    changes: tuple[Change, ...]
    """As few as were found, one to three."""
    predicted_before: str
    predicted_after: str
    before: FiniteFloat
    after: FiniteFloat
    """Probability of the new class (or the predicted value), before and after."""
    middle: FiniteFloat | None = None
    """For predicted numbers: the value that the changes carry the prediction across."""


class Condition(_Frozen):
    """One condition on a column."""

    column: str
    sign: Sign
    value: str = ""


class Rule(_Frozen):
    """A leaf of the surrogate tree: rows that meet all conditions get this answer."""

    conditions: tuple[Condition, ...]
    rows: int
    answer: str
    agreeing: FiniteFloat
    """Share of these rows for which the model says the same; for numbers the standard deviation of its answers."""


class Surrogate(_Frozen):
    """A small tree that imitates the model, to be read in place of it as far as it is faithful."""

    fidelity: Figure
    """On test rows: share of the model's answers that it gives too, or R² against the model's values."""
    learned_rows: int
    tested_rows: int
    rules: tuple[Rule, ...]


class Segment(_Frozen):
    """Rows that meet all conditions, and how the model fares on them."""

    conditions: tuple[Condition, ...]
    rows: int
    error: FiniteFloat
    low: FiniteFloat
    high: FiniteFloat
    worse: bool
    """The interval lies above the error on all rows."""


class WeakSegments(_Frozen):
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


class CalibrationBin(_Frozen):
    """Test rows with about the same prediction, and what was true of them."""

    predicted: FiniteFloat
    """Mean probability or value that was predicted."""
    observed: FiniteFloat
    """Share of the class, or mean true value."""
    low: FiniteFloat
    high: FiniteFloat
    rows: int


class Calibration(_Frozen):
    """Whether predictions mean what they say."""

    of: str
    bins: tuple[CalibrationBin, ...]
    error: FiniteFloat
    """Mean distance of predicted and observed, weighted by rows (expected calibration error)."""
    brier: Figure | None = None
    """Mean squared distance of the probability from 0 or 1."""


class Threshold(_Frozen):
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


class CostChoice(_Frozen):
    """The threshold that costs least when a missed case costs `miss` times a false alarm."""

    miss: FiniteFloat
    threshold: FiniteFloat
    cost: FiniteFloat
    """For 100 test rows, in false alarms."""
    low: FiniteFloat
    high: FiniteFloat
    cost_at_half: FiniteFloat


class GoalThreshold(_Frozen):
    """A threshold for a goal that people state: chosen on validation rows, measured on the test rows."""

    goal: str
    threshold: FiniteFloat
    flagged: FiniteFloat
    found: Figure | None
    """Recall; None where it is undefined."""
    right: Figure | None
    """Precision; None where it is undefined."""


class Thresholds(_Frozen):
    """What the choice of a threshold does, and which one suits which costs; chosen and measured on the test rows."""

    positive: str
    steps: tuple[Threshold, ...]
    costs: tuple[CostChoice, ...]
    goals: tuple[GoalThreshold, ...] = ()
    """Empty for a model from outside: what is chosen on test rows flatters itself on them."""


class Stability(_Frozen):
    """Whether the same story is told with other rows and another seed."""

    resampled_top: int
    resampled_same: FiniteFloat
    """Share of bootstrap draws of the explained rows whose `resampled_top` first columns are the same set."""
    refitted: Agreement | None = None
    """The ranking beside that of the same algorithm fitted anew, on resampled rows with another seed."""
    refitted_rows: int = 0


class Compactness(_Frozen):
    """How few columns tell the story."""

    columns_for_80: int
    """Columns that carry 80 % of the influence."""
    top: int
    rows_told: FiniteFloat
    """Share of the explained rows whose `top` strongest columns carry 90 % of what moves their output."""


class ClassResult(_Frozen):
    """How one class fares on the test rows."""

    name: str
    rows: int
    predicted: int
    right: int


class Confusion(_Frozen):
    """Actual by predicted classes on the test rows."""

    classes: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    """One row for each actual class, one column for each predicted class, in the order of `classes`."""
    results: tuple[ClassResult, ...]


class Residuals(_Frozen):
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


class TrialResult(_Frozen):
    """A line of the leaderboard."""

    number: int
    algorithm: str
    score: FiniteFloat | None
    loss: FiniteFloat | None
    seconds: FiniteFloat
    baseline: bool
    note: str
    parameters: dict[str, str]


class Method(_Frozen):
    """How the numbers were made, so that they can be made again."""

    shap: ShapMethod
    explained: Output
    """What the SHAP values add up to; `of` is empty where there is one output for each class."""
    explained_rows: int
    background_rows: int
    base: tuple[FiniteFloat, ...]
    additivity_error: FiniteFloat
    additivity_tolerance: FiniteFloat
    bootstrap_draws: int
    permutation_repeats: int
    permutation_loss: str
    lime_samples: int
    lime_kernel_width: FiniteFloat
    sampling_error: FiniteFloat | None = None
    """Standard error of a single sampled SHAP value (root mean square); None where they are exact."""
    parts: tuple[Part, ...] = ()
    budget_seconds: FiniteFloat = 0.0
    seed: int
    versions: dict[str, str]


class ModelExplanation(_Frozen):
    """Everything the three pages about a model say."""

    schema_version: Literal["2.0"] = "2.0"
    target: str
    task: TaskKind
    classes: tuple[str, ...] = ()
    positive: str | None = None
    """The class that a binary model's probability is about."""
    described: str | None = None
    """The class that directions and partial dependence are about: `positive`, or the one predicted most often."""
    algorithm: str
    parameters: dict[str, str]
    trained_rows: int
    test_rows: int
    held_out: bool = True
    """False: the model came from outside and may have learned from the test rows; `trained_rows` is not known."""
    score: Figure
    baseline_score: Figure
    baseline_algorithm: str
    beats_baseline: bool
    is_baseline: bool = False
    """The model is the best simple method itself: nothing that was tried was better on validation rows."""
    scores: tuple[Figure, ...]
    """Training, validation and further test scores."""
    right: int | None = None
    """Test rows predicted right; None for regression."""
    right_share: FiniteFloat | None = None
    guess_right: int | None = None
    """Test rows that always answering the most common class would get right."""
    columns: tuple[ColumnImportance, ...]
    """Most important first."""
    unused_columns: tuple[str, ...]
    """Columns of the table that do not reach the model."""
    importance_agreement: Agreement | None = None
    """Of the SHAP values and shuffling."""
    compactness: Compactness | None = None
    stability: Stability | None = None
    dependence: tuple[Dependence, ...]
    interactions: tuple[Interaction, ...] = ()
    local: tuple[LocalExplanation, ...]
    counterfactuals: tuple[Counterfactual, ...] = ()
    kept: tuple[str, ...] = ()
    """Columns that no counterfactual changes: sensitive, or identifying people."""
    surrogate: Surrogate | None = None
    weak: WeakSegments | None = None
    calibration: Calibration | None = None
    thresholds: Thresholds | None = None
    confusion: Confusion | None = None
    residuals: Residuals | None = None
    groups: tuple[GroupMetrics, ...]
    disparities: tuple[Disparity, ...] = ()
    """Each group against the largest one, on the test rows."""
    leaderboard: tuple[TrialResult, ...]
    method: Method
    additivity_holds: bool
    suspicions: tuple[Note, ...]
    """What is too good to be true."""
    notes: tuple[Note, ...]

    @property
    def is_constant(self) -> bool:
        """Whether there is no model of ours but a constant guess, since nothing was better."""
        return self.held_out and self.algorithm == CONSTANT_NAME


class ColumnSummary(_Frozen):
    """One column of the table."""

    name: str
    kind: str
    data_type: str
    missing: int
    missing_share: FiniteFloat
    distinct: int
    minimum: FiniteFloat | None = None
    maximum: FiniteFloat | None = None
    mean: FiniteFloat | None = None
    standard_deviation: FiniteFloat | None = None
    median: FiniteFloat | None = None
    top: tuple[tuple[str, int], ...] = ()
    personal: str | None = None


class Suspicion(_Frozen):
    """A column that deserves a look before anybody relies on it."""

    column: str
    reason: Note


class BiasFinding(_Frozen):
    """A finding of the bias report."""

    severity: str
    headline: str
    detail: str
    advice: str
    column: str | None


class SensitiveColumn(_Frozen):
    """A column that tells groups of people apart, with its groups (None where too few rows to show)."""

    column: str
    kind: str
    groups: tuple[tuple[str, int | None], ...]


class Relation(_Frozen):
    """How much one column alone says about the target."""

    column: str
    kind: str
    share: FiniteFloat
    low: FiniteFloat
    high: FiniteFloat
    """Of the target's uncertainty (entropy) or variance that knowing the column removes, less what chance would."""
    groups: int
    """Values, or ranges of numbers, that were told apart."""
    leaks: bool = False
    """It says nearly everything: it may hold the answer in another form."""


class Drift(_Frozen):
    """How far a column differs between the rows a model learned from and its test rows."""

    column: str
    distance: FiniteFloat
    """Kolmogorov-Smirnov distance of numbers, total variation distance of other values: 0 same, 1 nothing in common."""
    p_value: FiniteFloat
    clear: bool
    """Beyond chance, over all columns (Benjamini-Hochberg, 5 %)."""


class DataExplanation(_Frozen):
    """Everything the three pages about a table say."""

    schema_version: Literal["2.0"] = "2.0"
    target: str | None
    task: TaskKind | None
    row_count: int
    column_count: int
    duplicate_rows: int
    duplicate_share: FiniteFloat
    cells: int
    missing_cells: int
    missing_share: FiniteFloat
    kinds: dict[str, int]
    """How many columns of each kind."""
    columns: tuple[ColumnSummary, ...]
    target_values: tuple[tuple[str, int], ...] = ()
    """Classes of the target with their rows, most frequent first."""
    target_known: int = 0
    target_other: int = 0
    """Rows with a class that is not listed."""
    target_smallest_share: FiniteFloat | None = None
    target_largest_share: FiniteFloat | None = None
    target_histogram: tuple[HistogramBin, ...] = ()
    relations: tuple[Relation, ...] = ()
    """The strongest first; empty without a target."""
    relations_rows: int = 0
    drift: tuple[Drift, ...] = ()
    """The largest first; empty where no rows were held out."""
    drift_rows: tuple[int, int] | None = None
    """Training and test rows that were compared."""
    suspicions: tuple[Suspicion, ...]
    bias_measured: bool
    bias_verdict: str = ""
    bias_findings: tuple[BiasFinding, ...] = ()
    sensitive: tuple[SensitiveColumn, ...] = ()
    notes: tuple[Note, ...]
