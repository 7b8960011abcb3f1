"""Which columns are about protected traits of people, seen from their names and values.

Reads a `Profile` only, so that the agentic core can use it without loading a table. The words stand in
`sensitive_kinds.py`.
"""

from dataclasses import dataclass
from functools import cached_property

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
    seen = _Seen(column)
    kinds = [kind for kind in SENSITIVE_KINDS if not seen.phrases & kind.unless and _in_range(column, kind)]
    for kind in kinds:
        if _name_says(seen, kind):
            return SensitiveColumn(column.name, kind.kind, f"its name points to {kind.kind}")
    for kind in kinds if seen.has_words else ():
        if _values_say(seen, kind) or frozenset(seen.counts) in kind.whole_values:
            shown = ", ".join(f"“{entry.value}”" for entry in column.top_values[:3])
            why = f"its values point to {kind.kind}: {shown}"
            return SensitiveColumn(column.name, kind.kind, why, guessed=not _values_say(seen, kind))
    return None


def names_sex(name: str) -> bool:
    """Whether a column's name points to sex, and to no other trait."""
    bare = _Seen(ColumnProfile(name=name, data_type="string", kind="category", missing=0, distinct=_BINARY))
    return [kind.kind for kind in SENSITIVE_KINDS if not bare.phrases & kind.unless and _name_says(bare, kind)] == [
        "sex"
    ]


class _Seen:
    """A column as it is held against every kind: its name as phrases, its values in plain words."""

    def __init__(self, column: ColumnProfile) -> None:
        words = plain_words(column.name)
        self.column = column
        self.phrases = phrases_in(words)
        self.name = " ".join(words)
        self.has_words = column.kind not in ("number", "datetime")

    @cached_property
    def texts(self) -> list[str]:
        """Its most frequent values as they are written."""
        return [entry.value for entry in self.column.top_values]

    @cached_property
    def counts(self) -> dict[str, int]:
        """Rows of each of them, in plain words."""
        found: dict[str, int] = {}
        for entry in self.column.top_values:
            plain = " ".join(plain_words(entry.value))
            found[plain] = found.get(plain, 0) + entry.count
        return found

    def covered_by(self, known: frozenset[str]) -> bool:
        """Whether two known values at least cover most of the rows that are listed."""
        rows = [self.counts[value] for value in self.counts.keys() & known]
        return len(rows) >= _BINARY and sum(rows) >= _MOST * sum(self.counts.values())


def _name_says(seen: _Seen, kind: SensitiveKind) -> bool:
    if seen.phrases & kind.names or any(stem in seen.name for stem in kind.stems):
        return True
    if seen.phrases & kind.binary_names and seen.column.distinct <= _BINARY:
        return True
    return bool(seen.phrases & kind.uncertain_names) and (
        seen.covered_by(kind.named_values) or (kind.named_shape is not None and kind.named_shape(seen.texts))
    )


def _in_range(column: ColumnProfile, kind: SensitiveKind) -> bool:
    if column.kind != "number" or kind.numeric_range is None or column.minimum is None or column.maximum is None:
        return True
    years = column.minimum >= 1850 and column.maximum <= 2100  # a year of birth is an age too
    return years or (kind.numeric_range[0] <= column.minimum and column.maximum <= kind.numeric_range[1])


def _values_say(seen: _Seen, kind: SensitiveKind) -> bool:
    """Known values cover the column, and one of them is unmistakable; or their shape tells."""
    if seen.counts.keys() & kind.values - kind.ambiguous_values and seen.covered_by(kind.values):
        return True
    return kind.shape is not None and kind.shape(seen.texts)
