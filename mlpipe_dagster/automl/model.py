"""What a training is asked for and what it returns: specification, trials, budget ledger, scores, the trained model.

Only data, and no heavy import: who shows a training needs no scikit-learn. `train.py` fills it, `artefacts.py` writes
and reads it, `plots.py` and the reports show it.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from mlpipe_dagster.automl.fairness.constraint import Constraint
from mlpipe_dagster.automl.fairness.frontier import Frontier
from mlpipe_dagster.automl.fairness.report import Fairness, GroupMetrics
from mlpipe_dagster.vocabulary import Mitigation, TaskKind

FeatureKind = Literal["number", "category", "boolean", "datetime", "text"]
ParameterValue = int | float | str | bool | None
CONSTANT_NAME = "constant"
"""What the guess is called that gives every row the same answer."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class Estimate(_Frozen):
    """A measured value with its 95 % interval (how far another draw of test rows could move it)."""

    value: float
    low: float
    high: float


class Trial(_Frozen):
    """One candidate that was fitted and validated; baselines are trials too."""

    number: int
    algorithm: str
    parameters: dict[str, ParameterValue]
    score: float | None
    """Validation accuracy (classification) or R² (regression): higher is better. None where an engine does not say."""
    loss: float
    """Validation log loss or RMSE: what the search minimises."""
    seconds: float
    finished_at: float
    """Seconds after the start of the training."""
    baseline: bool = False
    note: str = ""
    predict_ms: float | None = None
    """Milliseconds to predict 1,000 encoded rows."""
    size_bytes: int | None = None
    """Of the fitted estimator; of the leading trials only."""


class Threshold(_Frozen):
    """A probability from which on a row is an alarm, for a goal: chosen on validation rows, measured on test rows."""

    goal: str
    threshold: float
    recall: Estimate | None
    """Share of the positive test rows that are alarms; None where there is none."""
    precision: Estimate | None
    """Share of the alarms that are positive; None where there is none."""
    alarms: float
    """Share of the test rows that are alarms."""


class Speed(_Frozen):
    """Milliseconds that the saved pipeline takes to predict, from raw columns on."""

    one_row: float
    many_rows: float
    rows: int
    """How many `many_rows` are."""


class OnnxExport(_Frozen):
    """The ONNX file beside a model, or why there is none."""

    sha256: str | None = None
    """None: there is no file."""
    difference: float | None = None
    """Largest one from the model's own answers on `rows` test rows: of probabilities, or of values in units of the
    standard deviation of the model's answers."""
    tolerance: float | None = None
    rows: int = 0
    note: str = ""


class BudgetEntry(_Frozen):
    """One line of the budget ledger."""

    what: str
    seconds: float
    note: str = ""


class CurvePoint(_Frozen):
    """A model that learnt from so many rows: its score on validation rows, and its log loss or RMSE there."""

    rows: int
    score: Estimate
    loss: float


class LearningCurve(_Frozen):
    """How the score grows with the rows, on the same validation rows."""

    points: tuple[CurvePoint, ...]
    """Fewest rows first; each about twice those before."""
    validated_on: int
    still_grows: bool
    """The last doubling lowered the mean loss of a row by more than chance (95 %, paired over the validation rows) and
    by more than 1 %."""


class FeatureColumn(_Frozen):
    """One raw column the model reads."""

    name: str
    kind: FeatureKind
    data_type: str
    """pandas dtype of the column in the table it was trained on."""
    categories: tuple[str, ...] | None = None
    """Values seen in training, where there are at most 50."""
    minimum: float | None = None
    maximum: float | None = None


class SensitiveSign(_Frozen):
    """How a sensitive column is read where its trace is taken out of numbers."""

    column: str
    values: tuple[str, ...] | None = None
    """One sign for each; None: the number itself."""
    middle: float = 0.0
    """What a missing number is taken for."""


class TraceRemoval(_Frozen):
    """What is subtracted from the numbers: (signs of the sensitive columns - means) @ slopes."""

    signs: tuple[SensitiveSign, ...]
    means: tuple[float, ...]
    slopes: tuple[tuple[float, ...], ...]
    """(signs, columns of numbers in the order of the schema)"""


class FeatureSchema(_Frozen):
    """The raw columns the model reads, in order."""

    columns: tuple[FeatureColumn, ...]
    removal: TraceRemoval | None = None
    """The linear trace of sensitive columns that is taken out of the numbers."""

    @property
    def names(self) -> list[str]:
        """Column names in order."""
        return [column.name for column in self.columns]


class DataSource(_Frozen):
    """The file that a model was trained from, as it was uploaded."""

    dataset_id: str
    version: str
    file_hash: str
    """MD5, as the catalogue has it."""
    rows: int | None = None


class TrainingSpec(_Frozen):
    """What to train: target, task, columns to watch and to leave out."""

    target: str
    task: TaskKind
    sensitive: tuple[str, ...] = ()
    """Columns whose groups are compared on the test split. They stay features unless they are in `drop` as well."""
    drop: tuple[str, ...] = ()
    positive: str | None = None
    """Of two classes the one that rates, thresholds and fairness are about; None: the last in alphabetical order."""
    mitigation: Mitigation | None = None
    """What is done to the rows to fit on about bias in `sensitive`; never to rows that are validated or tested on."""
    constraint: Constraint | None = None
    """How alike the groups of `sensitive` have to be answered; for two classes."""
    engine: str = "portfolio"
    """A name of `engines/known.py`."""
    seed: int = 0
    split: Literal["auto", "random"] = "auto"
    """How rows are held out: as an id or a date column says, or at random whatever they say."""
    threads: int = 2
    continues: str | None = None
    """Version of the model whose search this one goes on from."""
    kept: tuple[Trial, ...] = ()
    """The best trials of that search, which are tried first."""
    data: DataSource | None = None
    """Where the table comes from, for those who want to train it again."""

    @property
    def trials(self) -> int | None:
        """How many candidates a deterministic training tried; None where it went by the clock."""
        count = self.engine.partition(":")[2]
        return int(count) if count else None


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """A fitted pipeline and all that is known about how it came to be and how good it is."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(arbitrary_types_allowed=True)

    estimator: Any
    """A scikit-learn Pipeline that takes a DataFrame of raw columns; `estimator[:-1].transform` gives the features
    named by `feature_names`. None where only the description of a model was read."""
    spec: TrainingSpec
    schema: FeatureSchema
    classes: tuple[str, ...] | None
    """Class labels as text, in the order of `predict_proba`; None for regression."""
    algorithm: str
    parameters: dict[str, ParameterValue]
    framework: str
    """`sklearn`: the saved thing is a scikit-learn pipeline, whatever estimator ends it."""
    feature_names: tuple[str, ...]
    feature_origins: tuple[str, ...]
    """The raw column each transformed feature comes from."""
    metric_name: str
    """`accuracy` or `R²`: the metric of the scores below and of `Trial.score`."""
    loss_name: str
    training_score: Estimate
    validation_score: Estimate
    test_score: Estimate
    metrics: dict[str, Estimate]
    """Further metrics on the test split."""
    baseline_algorithm: str
    baseline_score: Estimate
    """The best baseline other than the model itself, on the same test split."""
    beats_baseline: bool
    """On the test split: lower loss than that baseline, and clearly (95 %) lower than a constant guess."""
    leaderboard: tuple[Trial, ...]
    """Every trial, best validation loss first; abandoned trials last."""
    budget_seconds: float
    budget: tuple[BudgetEntry, ...]
    notes: tuple[str, ...]
    trained_rows: int
    test_rows: tuple[int, ...]
    """Positions (iloc) in the table handed to `train` of the rows no fitting or selection has seen."""
    is_baseline: bool = False
    """The model is itself the best baseline: nothing that was searched was better on validation rows."""
    speed: Speed | None = None
    thresholds: tuple[Threshold, ...] = ()
    """For two classes."""
    held_out: bool = True
    """False for a model from outside: it may have learned from its `test_rows`, and `trained_rows` is not known."""
    onnx: OnnxExport | None = None
    """None: not tried."""
    learning_curve: LearningCurve | None = None
    """None: there was no time, or too few rows."""
    fairness: Fairness = field(default_factory=Fairness)
    """How the groups of the sensitive columns fare on the test rows."""
    frontier: Frontier | None = None
    """What the fairness constraint costs; None where none was asked for, or no time was left for it."""

    @property
    def is_constant(self) -> bool:
        """Whether it gives every row the same answer: nothing beat that, and it is no model of the table."""
        return self.algorithm == CONSTANT_NAME

    @property
    def group_metrics(self) -> tuple[GroupMetrics, ...]:
        """How the model does for each group."""
        return self.fairness.groups

    @property
    def positive_class(self) -> str | None:
        """The class that rates of a binary model are about: as it was named, else the last in `classes`."""
        return self.classes[self.positive_code] if self.classes and len(self.classes) == 2 else None

    @property
    def positive_code(self) -> int:
        """Place of the positive class in `classes`; 1 where none was named."""
        return self.classes.index(self.spec.positive) if self.classes and self.spec.positive in self.classes else 1
