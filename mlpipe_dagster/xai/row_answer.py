"""What is asked about one row, and what is answered: travels between processes, so it imports no numerical library."""

from typing import TypeAlias

from pydantic import BaseModel, ConfigDict, FiniteFloat

from mlpipe_dagster.vocabulary import TaskKind
from mlpipe_dagster.xai.explanation import Counterfactual, LocalExplanation

Value: TypeAlias = str | int | float | bool | None


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class RowQuestion(_Frozen):
    """Which row is asked about: a table row (counted from 1), values, or a table row with some values changed."""

    position: int | None = None
    values: dict[str, Value] = {}
    hide: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    seed: int = 0


class Field(_Frozen):
    """A column the model reads, the row's value in it, and what could be there instead."""

    column: str
    kind: str
    value: str
    choices: tuple[str, ...] = ()
    """Values seen in training, for columns with few."""
    minimum: FiniteFloat | None = None
    maximum: FiniteFloat | None = None
    hidden: bool = False
    """Its values identify people: they are not shown and cannot be changed here."""


class RowAnswer(_Frozen):
    """What the model says of one row, and why."""

    target: str
    task: TaskKind
    predicted: str
    probabilities: dict[str, FiniteFloat]
    """Of each class; empty for numbers."""
    explanation: LocalExplanation
    counterfactual: Counterfactual | None
    """The fewest changes found that turn the prediction; None where three do not."""
    kept: tuple[str, ...]
    """Columns that the counterfactual was not allowed to change."""
    fields: tuple[Field, ...]
    """The strongest columns first."""
