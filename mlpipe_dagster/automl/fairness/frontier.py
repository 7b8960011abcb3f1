"""What a fairness constraint costs: models that were tried, each with its accuracy and how alike it answers groups.

Only the data: `automl/constrained.py` fills it; the model card and the pages show it.
"""

from pydantic import BaseModel, ConfigDict, FiniteFloat

from mlpipe_dagster.automl.fairness.constraint import Constraint


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class Share(_Frozen):
    """A share of rows with its 95 % interval."""

    value: FiniteFloat
    low: FiniteFloat
    high: FiniteFloat


class Difference(Share):
    """The largest difference of a rate between two groups, with its 95 % interval and where it is found."""

    column: str
    rate: str
    highest: str
    """The group with the largest rate."""
    lowest: str


class Measured(_Frozen):
    """What a model comes to on some rows, its most probable class taken for its answer."""

    accuracy: Share
    difference: Difference
    loss: FiniteFloat
    """Log loss. A model trained under prices answers for them: its probabilities are no longer those of the classes."""


class FrontierPoint(Measured):
    """One model on the validation rows."""

    strength: FiniteFloat
    """0: without the constraint; 1: with the prices that leave no difference, were the first model's chances true."""
    chosen: bool = False
    dominated: bool = False
    """Another point is at least as accurate and as alike, and better in one of both."""


class Frontier(_Frozen):
    """The trade between accuracy and alikeness, and what was taken of it."""

    constraint: Constraint
    points: tuple[FrontierPoint, ...] = ()
    """From the weakest to the strongest; empty where none could be measured."""
    test_without: Measured | None = None
    """On the test rows: the model that would have been taken without the constraint."""
    test_with: Measured | None = None
    """On the test rows: the model that is kept."""
    notes: tuple[str, ...] = ()

    @property
    def unconstrained(self) -> FrontierPoint | None:
        """The model that would have been taken without the constraint."""
        return next((point for point in self.points if point.strength == 0), None)

    @property
    def chosen(self) -> FrontierPoint | None:
        """What was taken."""
        return next((point for point in self.points if point.chosen), None)

    @property
    def met(self) -> bool:
        """Whether what was taken keeps the allowed difference on validation rows."""
        return self.chosen is not None and self.chosen.difference.value <= self.constraint.allowed
