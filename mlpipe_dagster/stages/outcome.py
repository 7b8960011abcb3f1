"""What a stage tells about its work: a summary, numbers, links, checks.

The Dagster UI shows it; nothing is decided by it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

Say = Callable[[str], None]
"""Takes a line for the run's log."""


@dataclass(frozen=True)
class Check:
    """One statement about the result that a person may want to look at."""

    name: str
    passed: bool
    description: str
    severity: Literal["warn", "error"] = "warn"


@dataclass(frozen=True)
class Column:
    """A column of a table as people see it."""

    name: str
    data_type: str
    description: str


@dataclass(frozen=True)
class StageOutcome:
    """The result in words and numbers. `summary` is plain text, a paragraph a line; `numbers` in the order to show."""

    summary: str
    data_version: str
    numbers: Mapping[str, float | int | str] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    checks: tuple[Check, ...] = ()
    row_count: int | None = None
    columns: tuple[Column, ...] = ()
    table: tuple[Mapping[str, str | float | int], ...] = ()
    """Rows of one table worth showing, called `table_name`: a leaderboard, groups, factors."""
    table_name: str = "table"
