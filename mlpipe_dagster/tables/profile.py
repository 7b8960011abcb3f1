"""What is known of a table: the `Profile` that later stages, the agentic core and the reports read.

Only the data; `measure.py` fills it.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict

ColumnKind = Literal["number", "category", "boolean", "datetime", "text", "identifier", "constant", "empty"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class HistogramBin(_Frozen):
    """Rows with `lower <= value < upper` (the last bin includes `upper`)."""

    lower: float
    upper: float
    count: int


class ValueCount(_Frozen):
    """One value as text and how many rows have it."""

    value: str
    count: int


class ColumnProfile(_Frozen):
    """One column, in table order."""

    name: str
    data_type: str
    """pandas 2 dtype name: int64 float64 object bool datetime64[ns]."""
    kind: ColumnKind
    missing: int
    distinct: int
    """Distinct values, missing not counted."""
    minimum: float | None = None
    maximum: float | None = None
    mean: float | None = None
    standard_deviation: float | None = None
    median: float | None = None
    top_values: tuple[ValueCount, ...] = ()
    """At most 20, most frequent first; empty for personal columns."""
    histogram: tuple[HistogramBin, ...] = ()
    personal: str | None = None
    """What it holds (see personal.py) where it identifies people directly; its values are never shown."""


class Profile(_Frozen):
    """A table: its columns and what reading it had to mend."""

    row_count: int
    columns: tuple[ColumnProfile, ...]
    duplicate_rows: int
    notes: tuple[str, ...] = ()
    """Plain sentences: lines left out, encoding assumed, columns renamed."""

    def column(self, name: str) -> ColumnProfile | None:
        """The column of that exact name."""
        return next((column for column in self.columns if column.name == name), None)

    @property
    def names(self) -> list[str]:
        """Column names in table order."""
        return [column.name for column in self.columns]
