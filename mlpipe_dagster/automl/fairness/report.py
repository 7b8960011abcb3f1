"""What is known of a model's groups: rates of each group, differences between groups, measures of all rows.

Only the data: `measure.py` fills it; the model card, the explanations and the checks show it.
"""

from pydantic import BaseModel, ConfigDict, FiniteFloat

from mlpipe_dagster.bias.report import SIGNIFICANT

CALIBRATION = "calibration error"
"""Mean predicted probability minus the share that came true: above 0 the group is rated too high."""
OVERCONFIDENCE = "overconfidence"
"""Of several classes: mean probability of the class that is answered minus the share that is right."""
ECE, SLOPE = "expected calibration error", "calibration slope"
"""How far probabilities are off, bin by bin; whether they are spread as they should be. See `calibration.py`."""
CALIBRATIONS = (CALIBRATION, OVERCONFIDENCE, ECE, SLOPE)
"""What means nothing where a model gives no probabilities."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class ReliabilityBin(_Frozen):
    """Test rows with about the same prediction, and what was true of them."""

    predicted: FiniteFloat
    """Mean probability of a class, or mean value, that was predicted."""
    observed: FiniteFloat
    """Share of the class, or mean true value."""
    low: FiniteFloat
    high: FiniteFloat
    rows: int


class Figures(_Frozen):
    """How the model does on some rows."""

    values: dict[str, FiniteFloat | None]
    """By the names in `rates.py`; None where fewer than five rows count for it."""
    intervals: dict[str, tuple[FiniteFloat, FiniteFloat]] = {}
    """95 % intervals of the values: Wilson's of rates, Student's t of means, and those of docs/model-fairness.md."""
    reliability: tuple[ReliabilityBin, ...] = ()
    """Of two classes by probability, of more by that of the class that is answered; empty for fewer than 40 rows."""


class ClassMetrics(Figures):
    """How the model does on a group's test rows for one of several classes, held against all others."""

    outcome: str


class GroupMetrics(Figures):
    """How the model does on the test rows of one group of a sensitive column."""

    column: str
    group: str
    rows: int
    """Test rows; 0 where they are fewer than five and not shown."""
    small: bool
    """Fewer than 30 test rows: the numbers say little."""
    classes: tuple[ClassMetrics, ...] = ()
    """Of several classes: each of the ten most frequent."""


class Disparity(_Frozen):
    """One measure of one group (d) against the reference group (a)."""

    column: str
    group: str
    reference: str
    measure: str
    """A name in the table of measures."""
    outcome: str | None = None
    """The class it is about; None for all classes together, or a number."""
    value: FiniteFloat | None
    low: FiniteFloat | None = None
    high: FiniteFloat | None = None
    equal: float
    """Its value when both groups are treated alike."""
    method: str = ""
    too_few: bool = False
    p_value: FiniteFloat | None = None
    """Of a test that both groups are alike; None where there is none."""
    p_adjusted: FiniteFloat | None = None
    """After Holm's correction for all tests of the model."""
    note: str = ""
    """Why there is no value or no interval."""

    @property
    def clear(self) -> bool:
        """Whether chance is no good explanation: the interval leaves equality out, and so does the corrected test."""
        if self.too_few or self.low is None or self.high is None or self.p_adjusted is None:
            return False
        return not self.low <= self.equal <= self.high and self.p_adjusted < SIGNIFICANT


class Overall(_Frozen):
    """A measure of all test rows together."""

    measure: str
    value: FiniteFloat
    low: FiniteFloat | None = None
    high: FiniteFloat | None = None
    method: str = ""


class Fairness(_Frozen):
    """All that is compared between the groups of a model."""

    groups: tuple[GroupMetrics, ...] = ()
    disparities: tuple[Disparity, ...] = ()
    overall: tuple[Overall, ...] = ()

    @property
    def clear(self) -> tuple[Disparity, ...]:
        """The disparities that are not put down to chance, the surest first."""
        return tuple(sorted((one for one in self.disparities if one.clear), key=lambda one: one.p_adjusted or 0.0))
