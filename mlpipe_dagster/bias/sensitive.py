"""Which columns are about protected traits of people, seen from their names and values.

Reads a `Profile` only, so that the agentic core can use it without loading a table. The words stand in
`sensitive_kinds.py`.
"""

from dataclasses import dataclass

from mlpipe_dagster.bias.sensitive_kinds import SENSITIVE_KINDS, SensitiveKind
from mlpipe_dagster.bias.words import plain_words
from mlpipe_dagster.tables.profile import ColumnProfile, Profile

UNSUITABLE_KINDS = frozenset({"identifier", "constant", "empty"})
_MOST = 0.8
_LONGEST_PHRASE = 4


@dataclass(frozen=True)
class SensitiveColumn:
    """A column that is about a protected trait, its kind, and a sentence part that says how that was seen."""

    column: str
    kind: str
    why: str


def find_sensitive(profile: Profile) -> tuple[SensitiveColumn, ...]:
    """The sensitive columns of a table, in table order; at most one kind for each column.

    A name is believed before values are. Columns that identify people directly (names, e-mail addresses, ids) and
    columns with a single value are left out: there are no groups in them to compare.
    """
    suitable = (column for column in profile.columns if not column.personal and column.kind not in UNSUITABLE_KINDS)
    found = (recognise(column) for column in suitable)
    return tuple(sensitive for sensitive in found if sensitive)


def recognise(column: ColumnProfile) -> SensitiveColumn | None:
    """What kind of sensitive column it is, whether or not its groups can be compared; None for any other column."""
    phrases = _phrases(plain_words(column.name))
    for kind in SENSITIVE_KINDS:
        if _name_says(phrases, kind, column):
            return SensitiveColumn(column.name, kind.kind, f"its name points to {kind.kind}")
    for kind in SENSITIVE_KINDS:
        if _values_agree(column, kind):
            shown = ", ".join(f"“{entry.value}”" for entry in column.top_values[:3])
            return SensitiveColumn(column.name, kind.kind, f"its values point to {kind.kind}: {shown}")
    return None


def _phrases(words: list[str]) -> frozenset[str]:
    """Every run of up to four neighbouring words, and the whole name without its separators."""
    runs = {
        " ".join(words[start : start + length])
        for length in range(1, _LONGEST_PHRASE + 1)
        for start in range(len(words) - length + 1)
    }
    return frozenset(runs | {"".join(words)})


def _name_says(phrases: frozenset[str], kind: SensitiveKind, column: ColumnProfile) -> bool:
    if phrases & kind.unless or not _in_range(column, kind):
        return False
    if phrases & kind.names:
        return True
    return bool(phrases & kind.uncertain_names) and (column.distinct <= 2 or _values_agree(column, kind))


def _in_range(column: ColumnProfile, kind: SensitiveKind) -> bool:
    if column.kind != "number" or kind.numeric_range is None or column.minimum is None or column.maximum is None:
        return True
    years = column.minimum >= 1850 and column.maximum <= 2100  # a year of birth is an age too
    return years or (kind.numeric_range[0] <= column.minimum and column.maximum <= kind.numeric_range[1])


def _values_agree(column: ColumnProfile, kind: SensitiveKind) -> bool:
    """At least two known values, which cover most of the rows that are listed."""
    listed = [(" ".join(plain_words(entry.value)), entry.count) for entry in column.top_values]
    known = [(value, count) for value, count in listed if value in kind.values]
    rows = sum(count for _, count in listed)
    if len(known) < 2 or sum(count for _, count in known) < _MOST * rows:
        return False
    return bool({value for value, _ in known} - _AMBIGUOUS_VALUES)


_AMBIGUOUS_VALUES = frozenset({"black", "white", "single", "m", "f", "separated", "divers", "diverse", "straight"})
"""Also colours, sizes, counts: a column needs a value beside these."""
