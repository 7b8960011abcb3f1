"""The target column before measuring: is it there, does it vary, does it fit the task, which class is the positive one.

Works on names and on counts of classes; the counting itself is in `groups.py`.
"""

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mlpipe_dagster.bias.words import phrases_of, plain_words
from mlpipe_dagster.errors import TargetError, TaskError
from mlpipe_dagster.vocabulary import TaskKind

POSITIVE_WORDS = phrases_of(
    """yes, y, true, t, good, positive, pos, approved, approve, accepted, accept, granted, admitted, hired, hire,
    selected, promoted, pass, passed, success, successful, high, higher, survived, alive, eligible, paid, repaid, won,
    win, ja, oui, si, sim, tak, evet, wahr, vrai, gut, bestanden, да, 是"""
)
NEGATIVE_WORDS = phrases_of(
    """no, n, false, f, bad, negative, neg, denied, deny, rejected, reject, refused, declined, fail, failed, failure,
    low, lower, died, dead, ineligible, unpaid, lost, nein, non, não, nie, falsch, faux, schlecht, нет, 否"""
)
_ABOVE = re.compile(r"\s*(>|≥|over\b|above\b|more than\b)", re.IGNORECASE)
_BELOW = re.compile(r"\s*(<|≤|under\b|below\b|up to\b|at most\b|less than\b)", re.IGNORECASE)


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """` Did you mean “sex”?` where a column of a similar name exists, else nothing."""
    folded = {column.casefold().strip(): column for column in reversed(known)}
    close = difflib.get_close_matches(name.casefold().strip(), list(folded), n=1, cutoff=0.6)
    return f" Did you mean “{folded[close[0]]}”?" if close else ""


def require_column(name: str, known: Sequence[str]) -> None:
    """Raise TargetError, with the nearest name, where the table has no column of exactly that name."""
    if name not in known:
        hint = did_you_mean(name, known) or " Name one of the table's columns as the target."
        raise TargetError(f"The target column “{name}” is not in the table.{hint}")


def require_variation(target: str, distinct: int) -> None:
    """Raise TargetError where the target has fewer than two different values."""
    if distinct == 0:
        raise TargetError(f"The target column “{target}” has no values at all. Choose another target.")
    if distinct == 1:
        raise TargetError(f"The target column “{target}” has the same value in every row. Choose another target.")


def require_fitting_task(target: str, task: TaskKind, distinct: int) -> None:
    """Raise TaskError where a binary task meets a target of three or more classes."""
    if task is TaskKind.BINARY and distinct > 2:
        raise TaskError(
            f"The target column “{target}” has {distinct} classes, and a binary task needs exactly two. "
            "Use the task type multiclass_classification."
        )


def choose_positive(target: str, classes: Mapping[str, int], wanted: str | None = None) -> tuple[str, str]:
    """The positive one of two classes, and why: as named, as its word says, or the rarer one.

    `classes` maps names to counts. Raises TargetError where `wanted` is not one of them.
    """
    if wanted is not None:
        return _named(target, list(classes), wanted), "it was named as the positive outcome"
    for clue in _CLUES:
        positive = [name for name in classes if clue.says_yes(name)]
        negative = [name for name in classes if clue.says_no(name)]
        if len(positive) == 1 and (negative or not clue.needs_both):
            return positive[0], clue.reason
        if len(negative) == 1 and not positive and not clue.needs_both:
            return next(name for name in classes if name not in negative), f"the other class, “{negative[0]}”, says no"
    rarer = min(classes, key=lambda name: (classes[name], name))
    return rarer, "neither name says yes or no, and it is the rarer class"


def _named(target: str, classes: Sequence[str], wanted: str) -> str:
    same = [name for name in classes if name == wanted] or [name for name in classes if _key(name) == _key(wanted)]
    if len(same) != 1:
        listed = " and ".join(f"“{name}”" for name in classes)
        raise TargetError(f"“{wanted}” is not a class of the target column “{target}”. Its classes are {listed}.")
    return same[0]


def _key(name: str) -> str:
    """Case and the ending of a whole number do not matter: `Yes`, `yes`; `1`, `1.0`."""
    return re.sub(r"\.0+$", "", name.strip().casefold())


def _is_yes(name: str) -> bool:
    return " ".join(plain_words(name)) in POSITIVE_WORDS


def _is_no(name: str) -> bool:
    return " ".join(plain_words(name)) in NEGATIVE_WORDS


@dataclass(frozen=True)
class _Clue:
    """A way to tell the positive class by its name; `needs_both`: only where the other class fits too."""

    says_yes: Callable[[str], bool]
    says_no: Callable[[str], bool]
    needs_both: bool
    reason: str


_CLUES = (
    _Clue(_is_yes, _is_no, False, "its name says yes"),
    _Clue(lambda name: _key(name) == "1", lambda name: _key(name) in {"0", "-1"}, True, "1 stands for yes"),
    _Clue(lambda name: bool(_ABOVE.match(name)), lambda name: bool(_BELOW.match(name)), False, "it is the upper range"),
)
