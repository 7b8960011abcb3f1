"""What a column is for, judged by its name, type and counts: the `kind` of a `ColumnProfile`.

A column of 0 and 1 is a `number` (with two distinct values): whether it means a class is for those who know the task.
Only true/false is `boolean`. A single value beside missing ones is still a category: that it is missing says
something.
"""

from dataclasses import dataclass

from mlpipe_dagster.tables.personal import words_of
from mlpipe_dagster.tables.profile import ColumnKind

NEARLY_ALL = 0.95
"""Distinct share from which values tell rows apart."""
ID_BY_NAME = 0.5
"""Distinct share from which a column named like an id is one (ids of people may repeat)."""
ENOUGH_ROWS = 20
"""Fewer values say nothing by being distinct."""
LONGEST_ID = 64
LONG_TEXT = 100
FREE_TEXT = 0.5
"""Distinct share from which text with spaces is prose rather than categories."""
ID_WORDS = frozenset(["id", "ids", "uuid", "guid", "uid", "key", "nbr", "pk", "rowid"])


@dataclass(frozen=True)
class ColumnFacts:
    """The counts that decide; lengths are in characters and of text only."""

    name: str
    sql_type: str
    rows: int
    present: int
    distinct: int
    span: float = 0.0
    """Maximum minus minimum, of whole numbers."""
    average_length: float = 0.0
    longest: int = 0
    spaced: int = 0
    """Values with white space inside."""

    @property
    def distinct_share(self) -> float:
        """Distinct values over values present."""
        return self.distinct / self.present if self.present else 0.0


def kind_of(facts: ColumnFacts) -> ColumnKind:
    """The kind of the column."""
    if not facts.present:
        return "empty"
    if facts.distinct == 1 and facts.present == facts.rows:
        return "constant"
    if facts.sql_type == "BOOLEAN":
        return "boolean"
    if facts.sql_type == "TIMESTAMP":
        return "datetime"
    if _is_identifier(facts):
        return "identifier"
    if facts.sql_type in ("BIGINT", "DOUBLE"):
        return "number"
    return "text" if _is_prose(facts) else "category"


def _is_identifier(facts: ColumnFacts) -> bool:
    whole, text = facts.sql_type == "BIGINT", facts.sql_type == "VARCHAR"
    short = text and facts.longest <= LONGEST_ID and not facts.spaced
    named = bool(ID_WORDS & set(words_of(facts.name)))
    if named and (whole or short) and facts.distinct_share >= ID_BY_NAME:
        return True
    if facts.present < ENOUGH_ROWS or facts.distinct_share < NEARLY_ALL:
        return False
    counter = whole and facts.distinct == facts.present and facts.span == facts.distinct - 1
    return short or counter


def _is_prose(facts: ColumnFacts) -> bool:
    if facts.average_length > LONG_TEXT:
        return True
    mostly_spaced = facts.spaced > 0.5 * facts.present
    return facts.present >= ENOUGH_ROWS and mostly_spaced and facts.distinct_share > FREE_TEXT
