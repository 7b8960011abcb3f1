"""Which columns give the target away, and which rows contradict each other, on a sample of the rows.

A column is tried alone: what it tells of rows that were held out. Names and dates are clues beside that. Nothing here
says what to do about it.
"""

from collections.abc import Sequence

import numpy as np

from mlpipe_dagster.bias import guessing
from mlpipe_dagster.bias.groups import Labels, Table
from mlpipe_dagster.bias.intervals import FloatArray, IntArray
from mlpipe_dagster.bias.labels import frequencies
from mlpipe_dagster.bias.leak_words import AFTER_THE_OUTCOME, SAYS_NOTHING
from mlpipe_dagster.bias.report import TOO_FEW_BELOW
from mlpipe_dagster.bias.sample import Cells, Sample
from mlpipe_dagster.bias.signals import Conflicts, Guess, Leak, LeakKind
from mlpipe_dagster.bias.words import phrases_in, plain_words
from mlpipe_dagster.reports.wording import percent_text
from mlpipe_dagster.tables.duck import quote
from mlpipe_dagster.tables.profile import Profile

NEARLY_ALL = 0.9
"""From this `power` on a column gives the target away."""
MUCH = 0.75
"""From here on it tells so much that somebody should look at it."""
SOMETHING = 0.1
"""A suspicious name counts from here on, and a date: below, the column tells too little of the target."""
NEAR_EMPTY = 0.95
CONFLICT_ROWS = 1_000_000
_SAME = 1e-9
_FEWEST_ROWS = 50
_SEVERITY = {"warning": 0, "notice": 1}


def find_leaks(sample: Sample, target: str, classes: Labels | None) -> tuple[Leak, ...]:
    """The columns that give the target away, most serious first; none where too few rows have a known target."""
    known = np.flatnonzero(~np.isnan(sample.target))
    truth = sample.target[known]
    if classes:
        kept = guessing.large_enough(truth.astype(np.int64), TOO_FEW_BELOW)
        chosen = np.isin(truth, kept)
        known, truth = known[chosen], np.searchsorted(np.array(kept), truth[chosen]).astype(np.float64)
    if len(known) < _FEWEST_ROWS or len(np.unique(truth)) < 2:
        return ()
    fold = guessing.folds_of(len(known))
    tried = [_try(column, known, truth, fold, classes is not None) for column in sample.columns]
    leaks = [leak for one in tried if (leak := _judge(one, target)) is not None]
    return tuple(sorted(leaks, key=lambda leak: (_SEVERITY[leak.severity], -leak.power)))


class _Tried:
    """What a column told of the target."""

    def __init__(self, column: Cells, power: tuple[float, float, float], guess: Guess | None, same: bool) -> None:
        self.column, self.power, self.guess, self.same = column, power, guess, same


def _try(column: Cells, known: IntArray, truth: FloatArray, fold: IntArray, classes: bool) -> _Tried:
    codes = column.codes[known]
    if not classes:
        found = guessing.explained_by(fold, codes, column.count, truth)
        return _Tried(column, (found.value, found.low, found.high), None, _is_line(column, known, truth))
    names = int(truth.max()) + 1
    counted = guessing.count_folds(fold, codes, column.count, truth.astype(np.int64), names)
    guess = guessing.guess_from(counted)
    ends = tuple((end - guess.chance) / (1 - guess.chance) for end in (guess.balanced_low, guess.balanced_high))
    return _Tried(column, (guess.skill, ends[0], ends[1]), guess, _is_renamed(counted.sum(axis=0)))


def _is_renamed(table: IntArray) -> bool:
    """Whether each value stands for one class and each class for one value."""
    filled = table > 0
    return bool((filled.sum(axis=0) == 1).all() and (filled.sum(axis=1) <= 1).all())


def _is_line(column: Cells, known: IntArray, truth: FloatArray) -> bool:
    """Whether the column is the target itself, or the target in another unit."""
    if column.numbers is None:
        return False
    numbers = column.numbers[known]
    if np.isnan(numbers).any() or np.ptp(numbers) == 0:
        return False
    return bool(1 - abs(np.corrcoef(numbers, truth)[0, 1]) < _SAME)


def _judge(tried: _Tried, target: str) -> Leak | None:
    power = tried.power[0]
    after = _named_after(tried.column.column, target)
    if tried.same:
        return _leak(
            tried, "same", "warning", "In every row it says the same as the target, under other names or units."
        )
    if power >= NEARLY_ALL:
        return _leak(tried, "gives away", "warning", f"By itself {_tells(tried)}.")
    if power >= SOMETHING and after:
        why = f"{after} By itself {_tells(tried)}."
        return _leak(tried, "named after the outcome", "warning" if power >= MUCH else "notice", why)
    if power >= MUCH:
        return _leak(tried, "strong", "notice", f"By itself {_tells(tried)}.")
    if power >= SOMETHING and tried.column.dates:
        return _leak(
            tried, "orders in time", "notice", f"The target changes with time: by the date alone {_tells(tried)}."
        )
    return None


def _leak(tried: _Tried, kind: LeakKind, severity: str, why: str) -> Leak:
    power, low, high = tried.power
    return Leak.model_validate(
        {
            "column": tried.column.column,
            "kind": kind,
            "severity": severity,
            "power": power,
            "low": max(low, -1.0),
            "high": high,
            "guess": tried.guess,
            "why": why,
        }
    )


def _tells(tried: _Tried) -> str:
    if tried.guess is None:
        return f"it explains {percent_text(max(tried.power[0], 0.0))} of the differences in rows that were held out"
    right, blind = frequencies([tried.guess.balanced, tried.guess.chance], apart=True)
    return f"it tells {right} rows right that were held out, each class counted alike; a blind guess {blind}"


def _named_after(column: str, target: str) -> str:
    """Why its name makes one think of the outcome; empty where it does not."""
    phrases = phrases_in(plain_words(column))
    if phrases & AFTER_THE_OUTCOME:
        return "Its name is that of something written down when the outcome is known."
    spoken = " ".join(plain_words(target))
    if len(spoken) > 2 and spoken not in SAYS_NOTHING and spoken in phrases:
        return "It is named after the target."
    return ""


def find_conflicts(table: Table, profile: Profile, target: str, classes: Labels | None) -> Conflicts | None:
    """Rows that are alike in all columns but identifiers and the target, and have different classes.

    Of a table of more than a million rows, its first million are looked at. None where there are no such rows.
    """
    identifiers = {column.name for column in profile.columns if column.kind == "identifier" or column.personal}
    features = [quote(name) for name in table.types if name != target and name not in identifiers]
    if classes is None or not features:
        return None
    rows = min(table.row_count, CONFLICT_ROWS)
    source = f"(SELECT * FROM {table.source} LIMIT {rows})" if rows < table.row_count else table.source
    alike = (
        f"SELECT hash({', '.join(features)}) AS h, {classes.position} AS t, count(*) AS n FROM {source} GROUP BY 1, 2"
    )
    grouped = f"SELECT sum(n) AS n, max(n) AS most, count(*) AS k FROM ({alike}) WHERE t IS NOT NULL GROUP BY h"
    counted = "coalesce(sum(n) FILTER (k > 1), 0), sum(most), sum(n)"
    found = table.connection.execute(f"SELECT {counted} FROM ({grouped})", list(classes.parameters)).fetchone()
    if found is None or not found[0]:
        return None
    best = float(found[1] / found[2])
    return Conflicts(rows=int(found[0]), looked_at=int(found[2]), of=table.row_count, best=best)


def near_empty(profile: Profile) -> tuple[str, ...]:
    """Columns with a value in fewer than 5 of 100 rows, but in some."""
    return tuple(
        column.name
        for column in profile.columns
        if column.kind != "empty" and column.missing > NEAR_EMPTY * profile.row_count
    )


def identifiers(profile: Profile) -> tuple[str, ...]:
    """Columns that number or name the rows or the people in them."""
    return tuple(column.name for column in profile.columns if column.kind == "identifier" or column.personal)


def droppable(leaks: Sequence[Leak]) -> tuple[str, ...]:
    """The columns whose leaks are warnings: what to leave out unless somebody knows better."""
    return tuple(leak.column for leak in leaks if leak.severity == "warning")
