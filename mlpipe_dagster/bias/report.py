"""What a bias measurement found: `BiasReport` and its parts, frozen and JSON-able both ways.

Only the data: `measure.py` fills it, `findings.py` words it, the reports draw it. Every number a page shows stands
here.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, FiniteFloat

from mlpipe_dagster.bias.signals import Signals
from mlpipe_dagster.vocabulary import TaskKind

Severity = Literal["info", "notice", "warning"]
Versus = Literal["reference", "rest", "expected"]
"""What a group is compared with: the reference group, everyone else, or its expected share of the rows."""
FindingKind = Literal["difference", "leak", "proxy", "quality"]

SCHEMA_VERSION = "1.2"
"""Of `BiasReport` as JSON: the first number changes where a reader of the older form would fail. docs/bias-report.md
says what changed, docs/bias-report.schema.json is the JSON Schema."""
SUPPRESSED_BELOW = 5
"""Groups with fewer rows are named, and none of their figures is shown."""
TOO_FEW_BELOW = 30
"""Groups with fewer rows are measured, flagged, and never the subject of a warning."""
SIGNIFICANT = 0.05
"""Of corrected p-values: what is below is not put down to chance."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class Outcome(_Frozen):
    """One outcome within some rows, with its interval: the rate of a class (0 to 1), or the mean of a number."""

    label: str
    count: int
    """Rows with that class; for a numeric target all rows with a known value."""
    value: FiniteFloat
    low: FiniteFloat | None = None
    high: FiniteFloat | None = None
    method: str = ""


class Group(_Frozen):
    """Rows that share a value of a sensitive column, or of each column of an intersection."""

    name: str
    label: str
    """The name as people say it: `women` for `Female` in a column of sexes, `male = 1` for a bare number."""
    count: int | None
    """Rows, those with a missing target included; None where it is below `SUPPRESSED_BELOW`."""
    share: FiniteFloat | None
    """Of the rows whose group is known."""
    missing: int | None
    """Rows of the group whose target is missing."""
    missing_cells: FiniteFloat | None = None
    """Mean share of missing cells in its rows, the target and the sensitive columns apart; None where too small to
    show, or where the table has no other columns."""
    parts: tuple[str, ...] = ()
    """Of an intersection: the group's name in each of its columns, in the order of `FeatureBias.columns`."""
    outcomes: tuple[Outcome, ...] = ()
    """Binary: the positive class; multiclass: each class; regression: the mean. Empty where too small to show."""
    too_few: bool = False
    suppressed: bool = False


class Measure(_Frozen):
    """One measure for one group (d) against the reference group or everyone else (a)."""

    name: str
    group: str
    versus: Versus
    outcome: str | None = None
    """The class it is about; None where it is about all classes, or about group sizes."""
    value: FiniteFloat | None
    low: FiniteFloat | None = None
    high: FiniteFloat | None = None
    method: str = ""
    too_few: bool = False
    note: str = ""
    """Why there is no value or no interval."""


class OutcomeTest(_Frozen):
    """A test of equal outcomes in one group (d) and in the reference group or everyone else (a)."""

    group: str
    versus: Versus
    method: str
    p_value: FiniteFloat
    p_adjusted: FiniteFloat
    """Holm's correction over all tests of the report with the same `versus`, those of intersections apart."""


class Representation(_Frozen):
    """How the groups' shares of the rows compare with a reference distribution; the differences themselves are
    measures of the name `representation`, against `expected`."""

    against: Literal["equal shares", "given shares"]
    expected: dict[str, FiniteFloat]
    """The expected share of each group; they add up to one."""
    distance: FiniteFloat
    """Total variation distance of the shares and the expected ones, from 0 to 1."""
    method: str
    p_value: FiniteFloat
    """Of a test that the rows were drawn with the expected shares."""
    p_adjusted: FiniteFloat
    """Holm's correction over the features of the report, those of intersections apart."""


class GapShare(_Frozen):
    """How often one column is missing in one group."""

    group: str
    missing: int
    share: FiniteFloat
    low: FiniteFloat
    high: FiniteFloat
    """Wilson's interval of the share."""


class Gaps(_Frozen):
    """The column that is missing most unequally between the groups of a feature."""

    column: str
    groups: tuple[GapShare, ...]
    """Groups with 30 rows or more, in the order of the feature."""
    method: str
    p_value: FiniteFloat
    p_adjusted: FiniteFloat
    """Bonferroni's correction over the columns it was chosen from."""
    chosen_from: int
    """Columns with missing cells."""

    @property
    def spread(self) -> float:
        """The largest share minus the smallest."""
        shares = [group.share for group in self.groups]
        return max(shares) - min(shares)


class Conditioning(_Frozen):
    """The column within whose values groups are compared for CDDL."""

    column: str
    proposed: bool
    """Whether it was proposed here rather than named by a person."""
    why: str
    values: tuple[str, ...]
    """Its values, or bands, as they were told apart; rows without a value are a part of their own."""


class FeatureBias(_Frozen):
    """All that was measured for one sensitive column, or for an intersection of two or three."""

    column: str
    """The column's name; of an intersection all of them: `sex` and `race` joined by a multiplication sign."""
    columns: tuple[str, ...] = ()
    """Of an intersection, its columns; empty for a single column."""
    kind: str
    """`sex`, `age`, …, `named` where a person named it and its kind is not known, or `intersection`."""
    why: str
    groups: tuple[Group, ...]
    reference: str | None
    """Name of the group the others are compared with; None where there is nothing to compare."""
    reference_reason: str = ""
    missing: int = 0
    """Rows whose group is not known."""
    grouping: str = ""
    """How values became groups, where that is not one group for each value."""
    measures: tuple[Measure, ...] = ()
    tests: tuple[OutcomeTest, ...] = ()
    representation: Representation | None = None
    """None where there is one group, or none."""
    gaps: Gaps | None = None
    """None where no column but the target has missing cells, for an intersection, or where groups are too small."""

    def group(self, name: str) -> Group:
        """The group of that name; KeyError where there is none."""
        for group in self.groups:
            if group.name == name:
                return group
        raise KeyError(name)


class Finding(_Frozen):
    """One thing a person should know, in words."""

    severity: Severity
    headline: str
    detail: str
    meaning: str = ""
    """What it may mean."""
    limits: str = ""
    """What it cannot mean."""
    advice: str = ""
    kind: FindingKind = "difference"
    column: str | None = None


class Quality(_Frozen):
    """What is wrong with the table apart from its groups."""

    duplicate_rows: int
    constant_columns: tuple[str, ...]
    empty_columns: tuple[str, ...]
    missing_target: int


class BiasReport(_Frozen):
    """Bias of a table before anything is trained on it."""

    schema_version: str = SCHEMA_VERSION
    row_count: int
    target: str
    task: TaskKind
    positive: str | None = None
    """The class that counts as the positive outcome, for a binary target."""
    positive_reason: str = ""
    overall: tuple[Outcome, ...]
    """The outcome in all rows with a known target: each class, most frequent first, or the mean."""
    features: tuple[FeatureBias, ...]
    """One for each sensitive column."""
    intersections: tuple[FeatureBias, ...] = ()
    """One for each two and each three of them (see `cross.py`), with the same measures."""
    conditioning: Conditioning | None = None
    """None where the target is a number, or where no column was named and none suggests itself."""
    findings: tuple[Finding, ...]
    """Most serious first."""
    verdict: str
    notes: tuple[str, ...] = ()
    quality: Quality
    signals: Signals | None = None
    """What single columns give away; None in reports that were made before it was looked for."""

    def feature(self, column: str) -> FeatureBias:
        """The part about that column; KeyError where there is none."""
        for feature in self.features:
            if feature.column == column:
                return feature
        raise KeyError(column)
