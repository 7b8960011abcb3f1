"""What the explanation of a model holds: `ModelExplanation`, frozen and JSON-able both ways.

Only the data: `explain.py` fills it, `reports/explanations.py` words and draws it. Every number a page shows is here
or in the pieces it is made of: `pieces.py` and `quality.py`.
"""

from typing import Literal

from pydantic import FiniteFloat

from mlpipe_dagster.automl.fairness.frontier import Frontier
from mlpipe_dagster.automl.fairness.report import Disparity, GroupMetrics
from mlpipe_dagster.automl.model import CONSTANT_NAME
from mlpipe_dagster.vocabulary import TaskKind
from mlpipe_dagster.xai.pieces import Agreement, Direction, Figure, Frozen, Note, Output, Part, RowKind, ShapMethod
from mlpipe_dagster.xai.quality import (
    Calibration,
    Compactness,
    Confusion,
    Residuals,
    Stability,
    Surrogate,
    Thresholds,
    TrialResult,
    WeakSegments,
)


class ValueEffect(Frozen):
    """What one value of a column (or a third of its numbers) does to the output, on average."""

    value: str
    span: tuple[str, str] | None = None
    """For a third of the numbers: above the first, up to the second; empty where it is open. `value` is empty then."""
    rows: int
    effect: FiniteFloat


class ColumnImportance(Frozen):
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


class DependencePoint(Frozen):
    """The average prediction when every row had this value."""

    value: str
    position: FiniteFloat | None
    """The value as a number, for columns of numbers and dates (days since 1970)."""
    average: FiniteFloat
    low: FiniteFloat
    high: FiniteFloat
    """10th and 90th percentile over the rows."""


class LocalEffect(Frozen):
    """Accumulated local effect up to a value: how far the average prediction has moved from its mean there."""

    position: FiniteFloat
    effect: FiniteFloat


class Dependence(Frozen):
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


class InteractionLine(Frozen):
    """How the output moves with the first column while the second one is held at a value."""

    value: str
    points: tuple[DependencePoint, ...]


class Interaction(Frozen):
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


class Contribution(Frozen):
    """What one column added to the output for one row."""

    column: str
    value: str
    shap: FiniteFloat
    lime: FiniteFloat | None


class LocalExplanation(Frozen):
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


class Change(Frozen):
    """One value of a row replaced."""

    column: str
    before: str
    after: str


class Counterfactual(Frozen):
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


class Method(Frozen):
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


class ModelExplanation(Frozen):
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
    frontier: Frontier | None = None
    """What the model's fairness constraint costs, where it has one."""
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
