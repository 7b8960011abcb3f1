"""Small decision trees over raw columns, as rules a person can read: the surrogate of a model, and where it errs.

Trees see numbers (gaps filled, and marked) and the most frequent values of other columns, never encoded features.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from mlpipe_dagster.xai.pieces import Sign
from mlpipe_dagster.xai.quality import Condition
from mlpipe_dagster.xai.subject import Subject
from mlpipe_dagster.xai.values import MISSING_TEXT, Floats, all_shown, date_text, in_numbers, shown

VALUES = 10
COLUMNS = 30


@dataclass(frozen=True)
class Coded:
    """Rows as a tree sees them."""

    matrix: Floats
    features: tuple[tuple[str, str | None], ...]
    """Column of each feature, and the value it stands for (None: the column's numbers)."""


@dataclass(frozen=True)
class Leaf:
    """A leaf of a fitted tree: its number and what leads to it."""

    number: int
    conditions: tuple[Condition, ...]


def coded(subject: Subject, columns: Sequence[str], learned: pd.DataFrame, *others: pd.DataFrame) -> list[Coded]:
    """`learned` and `others` coded alike; what is frequent is decided by `learned`. Hidden columns are left out."""
    frames = (learned, *others)
    parts: list[list[Floats]] = [[] for _ in frames]
    features: list[tuple[str, str | None]] = []
    for name in [name for name in columns if name not in subject.hidden][:COLUMNS]:
        for feature, made in _features(subject, name, frames):
            features.append(feature)
            for part, values in zip(parts, made, strict=True):
                part.append(values)
    return [
        Coded(np.column_stack(part) if part else np.zeros((len(frame), 1)), tuple(features))
        for part, frame in zip(parts, frames, strict=True)
    ]


def _features(
    subject: Subject, name: str, frames: Sequence[pd.DataFrame]
) -> list[tuple[tuple[str, str | None], list[Floats]]]:
    numbers = [in_numbers(frame[name], subject.kinds[name]) for frame in frames]
    if numbers[0] is not None:
        known = numbers[0][np.isfinite(numbers[0])]
        fill = float(np.median(known)) if len(known) else 0.0
        given = [np.zeros(0) if part is None else part for part in numbers]
        made: list[tuple[tuple[str, str | None], list[Floats]]] = [
            ((name, None), [np.nan_to_num(part, nan=fill) for part in given])
        ]
        if len(known) < len(numbers[0]):
            made.append(((name, MISSING_TEXT), [np.isnan(part).astype(np.float64) for part in given]))
        return made
    texts = [all_shown(frame[name]) for frame in frames]
    frequent = pd.Series(texts[0]).value_counts().index[:VALUES]
    return [((name, value), [(part == value).astype(np.float64) for part in texts]) for value in frequent]


def leaves(tree: DecisionTreeClassifier | DecisionTreeRegressor, subject: Subject, code: Coded) -> list[Leaf]:
    """Every leaf with its conditions, the tightest on each column only."""
    built: Any = tree.tree_
    found: list[Leaf] = []

    def descend(node: int, path: tuple[Condition, ...]) -> None:
        if built.children_left[node] < 0:
            found.append(Leaf(node, _tightest(path)))
            return
        name, value = code.features[built.feature[node]]
        below, above = _conditions(subject, name, value, float(built.threshold[node]))
        descend(int(built.children_left[node]), (*path, below))
        descend(int(built.children_right[node]), (*path, above))

    descend(0, ())
    return found


def _conditions(subject: Subject, name: str, value: str | None, threshold: float) -> tuple[Condition, Condition]:
    """What holds to the left and to the right of a split."""
    if value is None:
        text = date_text(threshold) if subject.kinds[name] == "datetime" else shown(float(f"{threshold:.4g}"))
        return Condition(column=name, sign="at most", value=text), Condition(column=name, sign="above", value=text)
    signs: tuple[Sign, Sign] = ("is known", "is missing") if value == MISSING_TEXT else ("is not", "is")
    shown_value = "" if value == MISSING_TEXT else value
    return tuple(Condition(column=name, sign=sign, value=shown_value) for sign in signs)  # type: ignore[return-value]


def _tightest(path: tuple[Condition, ...]) -> tuple[Condition, ...]:
    """The last bound on each side of a column (further down is tighter); no `is not` where an `is` says it all."""
    kept: dict[tuple[str, str, str], Condition] = {}
    for condition in path:
        bound = condition.sign in ("at most", "above")
        kept[condition.column, condition.sign, "" if bound else condition.value] = condition
    settled = {condition.column for condition in kept.values() if condition.sign == "is"}
    return tuple(
        condition for condition in kept.values() if condition.sign != "is not" or condition.column not in settled
    )


def places_of(tree: DecisionTreeClassifier | DecisionTreeRegressor, code: Coded) -> npt.NDArray[np.intp]:
    """The leaf of each row."""
    return np.asarray(tree.apply(code.matrix), dtype=np.intp)
