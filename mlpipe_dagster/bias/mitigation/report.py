"""What a mitigation did: `TransformationReport`, frozen and JSON-able both ways.

Only the data: `apply.py` fills it, and adds what a model then does once there is one.
"""

from typing import Any

from pydantic import BaseModel, ConfigDict, FiniteFloat

from mlpipe_dagster.vocabulary import Mitigation, TaskKind


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class Transformation(_Frozen):
    """One change: of a column, or of the rows that share a group and an outcome."""

    column: str
    transformation: str
    method: Mitigation
    original_value: Any
    modified_value: Any


class Value(_Frozen):
    """A value with its 95 % interval, where there is one."""

    value: FiniteFloat
    low: FiniteFloat | None = None
    high: FiniteFloat | None = None
    method: str = ""


class Effect(_Frozen):
    """One line of the table before -> mitigation -> after. Differences are of the reference group minus this group."""

    column: str
    """The sensitive column."""
    group: str | None = None
    """None where all groups count together."""
    reference: str | None = None
    about: str | None = None
    """The outcome that a difference is about, or the column that gives groups away."""
    measure: str
    before: Value
    after: Value | None
    """In the table as the model learns from it; None where the column is not read any more."""
    model: Value | None = None
    """The same of a model's predictions on rows it has not seen, as they were uploaded."""


class TransformationReport(_Frozen):
    """All that was done to a dataset version for the sake of a model, and what it changed."""

    schema_version: str = "1.0"
    method: Mitigation
    explained: str
    target: str
    task: TaskKind
    sensitive: tuple[str, ...]
    transformations: tuple[Transformation, ...]
    before_after: tuple[Effect, ...]
    not_read: tuple[str, ...] = ()
    """Columns that the model does not read."""
    mitigated_version: str | None = None
    """The dataset version with the changed rows, where rows are changed."""
    model: str | None = None
    """The model that the last column of `before_after` is about."""
    notes: tuple[str, ...] = ()
