"""Partial dependence (Friedman 2001): the average prediction when every row had the same value in one column."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from mlpipe_dagster.xai.explanation import Dependence, DependencePoint
from mlpipe_dagster.xai.subject import Subject, answers
from mlpipe_dagster.xai.values import Column, Floats, in_numbers, shown

ROWS = 200
NUMBERS = 12
VALUES = 8


def dependences(subject: Subject, columns: Sequence[str]) -> tuple[Dependence, ...]:
    """The dependence on each of `columns` (hidden ones left out), of the predicted value or a class's probability.

    The class is the positive one of a binary model, else the one that the model predicts most often.
    """
    at = explained_class(subject)
    rows = subject.training.sample(min(ROWS, len(subject.training)), random_state=subject.seed)
    shown_columns = [name for name in columns if name not in subject.hidden]
    made = [_dependence(subject, rows, name, at) for name in shown_columns]
    return tuple(dependence for dependence in made if len(dependence.points) > 1)


def explained_class(subject: Subject) -> int | None:
    """Code of the class whose probability is drawn; None for regression."""
    if not subject.classes:
        return None
    if len(subject.classes) == 2:
        return 1
    return int(np.bincount(subject.choice, minlength=len(subject.classes)).argmax())


def _dependence(subject: Subject, rows: pd.DataFrame, name: str, at: int | None) -> Dependence:
    column = subject.training[name]
    numbers = in_numbers(column, subject.kinds[name])
    points = []
    for place in grid_positions(column, numbers):
        same = column.take(np.full(len(rows), place)).set_axis(rows.index)
        predicted = answers(subject.model, rows.assign(**{name: same}))
        asked = predicted if at is None else predicted[:, at]
        points.append(_point(shown(column.iloc[place]), None if numbers is None else float(numbers[place]), asked))
    output = subject.model.spec.target if at is None else subject.classes[at]
    return Dependence(
        column=name, kind=subject.kinds[name], output=output, numeric=numbers is not None, points=tuple(points)
    )


def _point(value: str, position: float | None, asked: Floats) -> DependencePoint:
    low, high = np.percentile(asked, [10, 90])
    return DependencePoint(
        value=value, position=position, average=float(asked.mean()), low=float(low), high=float(high)
    )


def grid_positions(column: Column, numbers: Floats | None) -> list[int]:
    """Rows of `column` that hold the values to try: spread over its numbers, or its most frequent values."""
    if numbers is not None:
        known = np.flatnonzero(np.isfinite(numbers))
        if not len(known):
            return []
        order = known[np.argsort(numbers[known], kind="stable")]
        spread = (
            np.linspace(0.02, 0.98, NUMBERS) if len(np.unique(numbers[known])) > NUMBERS else np.linspace(0, 1, 200)
        )
        chosen = order[np.round(spread * (len(order) - 1)).astype(np.intp)]
        _, first = np.unique(numbers[chosen], return_index=True)
        return [int(position) for position in chosen[first]][:NUMBERS]
    texts = pd.Series([shown(value) for value in column])
    frequent = texts.value_counts().index[:VALUES]
    return [int(np.argmax(texts.to_numpy() == text)) for text in frequent]
