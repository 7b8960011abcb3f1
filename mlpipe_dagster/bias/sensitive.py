"""Which columns are about protected traits of people, seen from their names and values.

Reads a `Profile` only, so that the agentic core can use it without loading a table. The words stand in
`sensitive_kinds.py`.
"""

from dataclasses import dataclass

from mlpipe_dagster.bias.sensitive_kinds import SENSITIVE_KINDS, SensitiveKind
from mlpipe_dagster.bias.words import phrases_in, plain_words
from mlpipe_dagster.tables.profile import ColumnProfile, Profile

UNSUITABLE_KINDS = frozenset({"identifier", "constant", "empty"})
_MOST = 0.8
_BINARY = 2


@dataclass(frozen=True)
class SensitiveColumn:
    """A column that is about a protected trait, its kind, and a sentence part that says how that was seen."""

    column: str
    kind: str
    why: str
    guessed: bool = False
    """Seen by values that mean other things elsewhere: M and F."""


def find_sensitive(profile: Profile) -> tuple[SensitiveColumn, ...]:
    """The sensitive columns of a table, in table order; at most one kind for each column.

    A name is believed before values are. Columns that identify people directly (names, e-mail addresses, ids) and
    columns with a single value are left out: there are no groups in them to compare.
    """
    suitable = (column for column in profile.columns if not column.personal and column.kind not in UNSUITABLE_KINDS)
    found = [sensitive for sensitive in map(recognise, suitable) if sensitive]
    sure = {sensitive.kind for sensitive in found if not sensitive.guessed}
    return tuple(sensitive for sensitive in found if not (sensitive.guessed and sensitive.kind in sure))


def recognise(column: ColumnProfile) -> SensitiveColumn | None:
    """What kind of sensitive column it is, whether or not its groups can be compared; None for any other column."""
    phrases = phrases_in(plain_words(column.name))
    kinds = [kind for kind in SENSITIVE_KINDS if not phrases & kind.unless and _in_range(column, kind)]
    for kind in kinds:
        if _name_says(phrases, kind, column):
            return SensitiveColumn(column.name, kind.kind, f"its name points to {kind.kind}")
    for kind in kinds:
        if _values_say(column, kind) or _are_whole(column, kind):
            shown = ", ".join(f"“{entry.value}”" for entry in column.top_values[:3])
            why = f"its values point to {kind.kind}: {shown}"
            return SensitiveColumn(column.name, kind.kind, why, guessed=not _values_say(column, kind))
    return None


def _name_says(phrases: frozenset[str], kind: SensitiveKind, column: ColumnProfile) -> bool:
    if phrases & kind.names or any(stem in phrase for stem in kind.stems for phrase in phrases):
        return True
    if phrases & kind.binary_names and column.distinct <= _BINARY:
        return True
    return bool(phrases & kind.uncertain_names) and (
        _cover(column, kind.named_values) or (kind.named_shape is not None and kind.named_shape(_texts(column)))
    )


def _in_range(column: ColumnProfile, kind: SensitiveKind) -> bool:
    if column.kind != "number" or kind.numeric_range is None or column.minimum is None or column.maximum is None:
        return True
    years = column.minimum >= 1850 and column.maximum <= 2100  # a year of birth is an age too
    return years or (kind.numeric_range[0] <= column.minimum and column.maximum <= kind.numeric_range[1])


def _values_say(column: ColumnProfile, kind: SensitiveKind) -> bool:
    """Known values cover the column, and one of them is unmistakable; or their shape tells."""
    if kind.shape is not None and kind.shape(_texts(column)):
        return True
    seen = {_plain(text) for text in _texts(column)}
    return bool((seen & kind.values) - kind.ambiguous_values) and _cover(column, kind.values)


def _are_whole(column: ColumnProfile, kind: SensitiveKind) -> bool:
    return frozenset(_plain(text) for text in _texts(column)) in kind.whole_values


def _cover(column: ColumnProfile, known: frozenset[str]) -> bool:
    """Whether two known values at least cover most of the rows that are listed."""
    listed = [(_plain(entry.value), entry.count) for entry in column.top_values]
    found = [(value, count) for value, count in listed if value in known]
    return len(found) >= _BINARY and sum(count for _, count in found) >= _MOST * sum(count for _, count in listed)


def _texts(column: ColumnProfile) -> list[str]:
    return [entry.value for entry in column.top_values]


def _plain(value: str) -> str:
    return " ".join(plain_words(value))
