"""What the explanation of a table holds: `DataExplanation`, frozen and JSON-able both ways; only the data."""

from typing import Literal

from pydantic import FiniteFloat

from mlpipe_dagster.tables.profile import HistogramBin
from mlpipe_dagster.vocabulary import TaskKind
from mlpipe_dagster.xai.pieces import Frozen, Note


class ColumnSummary(Frozen):
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


class Suspicion(Frozen):
    """A column that deserves a look before anybody relies on it."""

    column: str
    reason: Note


class BiasFinding(Frozen):
    """A finding of the bias report."""

    severity: str
    headline: str
    detail: str
    advice: str
    column: str | None


class SensitiveColumn(Frozen):
    """A column that tells groups of people apart, with its groups (None where too few rows to show)."""

    column: str
    kind: str
    groups: tuple[tuple[str, int | None], ...]


class Relation(Frozen):
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


class Drift(Frozen):
    """How far a column differs between the rows a model learned from and its test rows."""

    column: str
    distance: FiniteFloat
    """Kolmogorov-Smirnov distance of numbers, total variation distance of other values: 0 same, 1 nothing in common."""
    p_value: FiniteFloat
    clear: bool
    """Beyond chance, over all columns (Benjamini-Hochberg, 5 %)."""


class DataExplanation(Frozen):
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
