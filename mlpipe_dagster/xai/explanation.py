"""What an explanation holds: `ModelExplanation` and `DataExplanation`, frozen and JSON-able both ways.

Only the data: `explain.py` fills it, `reports/explanations.py` words and draws it. Every number a page shows is here.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, FiniteFloat

from mlpipe_dagster.automl.fairness.report import Disparity
from mlpipe_dagster.tables.profile import HistogramBin
from mlpipe_dagster.vocabulary import TaskKind

Direction = Literal["raises", "lowers", "mixed", "by value", "none"]
RowKind = Literal["typical", "borderline", "most wrong"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class Figure(_Frozen):
    """A named number with its 95 % interval, where there is one."""

    name: str
    value: FiniteFloat
    low: FiniteFloat | None = None
    high: FiniteFloat | None = None


class ValueEffect(_Frozen):
    """What one value of a column (or the lower and upper third of its numbers) does to the output, on average."""

    value: str
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


class Dependence(_Frozen):
    """Partial dependence of the predicted probability or value on one column."""

    column: str
    kind: str
    output: str
    numeric: bool
    points: tuple[DependencePoint, ...]


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
    output_name: str
    base: FiniteFloat
    output: FiniteFloat
    contributions: tuple[Contribution, ...]
    """Strongest first by SHAP; those left out are summed in `rest`."""
    rest: FiniteFloat
    lime_fidelity: FiniteFloat


class Counterfactual(_Frozen):
    """The single change to a row that turns the prediction."""

    position: int
    column: str
    before: str
    after: str
    predicted_before: str
    predicted_after: str


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


class GroupResult(_Frozen):
    """How the model does on the test rows of one group."""

    column: str
    group: str
    rows: int
    small: bool
    values: dict[str, FiniteFloat | None]
    intervals: dict[str, tuple[FiniteFloat, FiniteFloat]] = {}


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

    shap: str
    scale: str
    output: str
    """What the SHAP values add up to, in words."""
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
    seed: int
    versions: dict[str, str]


class ModelExplanation(_Frozen):
    """Everything the three pages about a model say."""

    schema_version: Literal["1.0"] = "1.0"
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
    dependence: tuple[Dependence, ...]
    local: tuple[LocalExplanation, ...]
    counterfactual: Counterfactual | None = None
    confusion: Confusion | None = None
    residuals: Residuals | None = None
    groups: tuple[GroupResult, ...]
    disparities: tuple[Disparity, ...] = ()
    """Each group against the largest one, on the test rows."""
    leaderboard: tuple[TrialResult, ...]
    method: Method
    additivity_holds: bool
    suspicions: tuple[str, ...]
    """Plain sentences about what is too good to be true."""
    notes: tuple[str, ...]


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
    reason: str


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


class DataExplanation(_Frozen):
    """Everything the three pages about a table say."""

    schema_version: Literal["1.0"] = "1.0"
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
    suspicions: tuple[Suspicion, ...]
    bias_measured: bool
    bias_verdict: str = ""
    bias_findings: tuple[BiasFinding, ...] = ()
    sensitive: tuple[SensitiveColumn, ...] = ()
    notes: tuple[str, ...]
