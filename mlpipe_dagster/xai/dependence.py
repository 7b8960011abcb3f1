"""How the prediction moves with one column: partial dependence, single rows' curves, accumulated local effects.

Partial dependence (Friedman 2001) averages over all rows, also such as could not exist where columns go together;
accumulated local effects (Apley and Zhu 2020) move each row only a little. Where they differ, it is said.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd

from mlpipe_dagster.xai.explanation import Dependence, DependencePoint, LocalEffect
from mlpipe_dagster.xai.pieces import How, Output
from mlpipe_dagster.xai.pool import Places
from mlpipe_dagster.xai.subject import Subject
from mlpipe_dagster.xai.values import Column, Floats, all_shown, in_numbers, shown

ROWS = 200
CURVES = 20
NUMBERS = 12
VALUES = 8
EFFECT_ROWS = 1_000
EFFECT_INTERVALS = 16
FEWEST = 20
CLEAR_GAP = 0.4
"""Of the wider curve's range: beyond it the two curves tell different stories."""


def dependences(subject: Subject, columns: Sequence[str]) -> tuple[Dependence, ...]:
    """The dependence on each of `columns`, of the predicted value or a class's probability.

    Hidden columns and texts are left out. The class is the positive one of a binary model, else the one that the model
    predicts most often.
    """
    shown_columns = [name for name in columns if name not in subject.hidden and subject.kinds[name] != "text"]
    wanted = min(ROWS, len(subject.learned))
    rows = subject.budget.afford("dependence", wanted, NUMBERS * len(shown_columns), least=min(FEWEST, wanted))
    _note(subject, "dependence", rows)
    wanted = min(EFFECT_ROWS, len(subject.learned))
    moved = subject.budget.afford("ale", wanted, 2 * len(shown_columns), least=min(FEWEST, wanted))
    _note(subject, "ale", moved)
    if not rows:
        return ()
    made = [_dependence(subject, name, subject.learned[:rows], subject.learned[:moved]) for name in shown_columns]
    return tuple(dependence for dependence in made if len(dependence.points) > 1)


def _note(subject: Subject, part: Literal["dependence", "ale"], rows: int) -> None:
    whole = len(subject.training)
    how: How = "left out" if not rows else "exact" if rows == whole else "sampled"
    subject.budget.did(part, how, rows, whole if rows else 0, described(subject))


def explained_class(subject: Subject) -> int | None:
    """Code of the class whose probability is drawn; None for regression."""
    if not subject.classes:
        return None
    if len(subject.classes) == 2:
        return subject.model.positive_code
    return int(np.bincount(subject.choice, minlength=len(subject.classes)).argmax())


def described(subject: Subject) -> Output:
    """The probability or value that dependence, calibration and the like are about."""
    at = explained_class(subject)
    if at is None:
        return Output(scale="predicted value", of=subject.model.spec.target)
    return Output(scale="probability", of=subject.classes[at])


def _asked(subject: Subject, places: Places) -> Floats:
    """The described probability or value of mixed rows."""
    at = explained_class(subject)
    answers = subject.pool.ask(subject.answers_of, places)
    return answers if at is None else answers[:, at]


def _dependence(subject: Subject, name: str, rows: Places, moved: Places) -> Dependence:
    column = subject.pool.frame[name].iloc[subject.learned]
    numbers = in_numbers(column, subject.kinds[name])
    grid = grid_positions(column, numbers)
    places = np.concatenate([subject.pool.rows(rows) for _ in grid]) if grid else subject.pool.rows(rows[:0])
    places[:, subject.pool.at(name)] = np.repeat(subject.learned[grid], len(rows))
    answers = _asked(subject, places).reshape(len(grid), len(rows)) if grid else np.zeros((0, len(rows)))
    points = [
        point(shown(column.iloc[at]), None if numbers is None else float(numbers[at]), answers[place])
        for place, at in enumerate(grid)
    ]
    effects = () if numbers is None else _local_effects(subject, name, moved)
    gap = _gap(points, effects)
    return Dependence(
        column=name,
        kind=subject.kinds[name],
        output=described(subject).of,
        numeric=numbers is not None,
        points=tuple(points),
        curves=tuple(tuple(curve) for curve in answers[:, :CURVES].T.tolist()),
        effects=effects,
        gap=gap,
        differs=gap is not None and gap > CLEAR_GAP,
    )


def point(value: str, position: float | None, asked: Floats) -> DependencePoint:
    """The mean of answers, with their 10th and 90th percentile."""
    low, high = np.percentile(asked, [10, 90])
    return DependencePoint(
        value=value, position=position, average=float(asked.mean()), low=float(low), high=float(high)
    )


def _local_effects(subject: Subject, name: str, moved: Places) -> tuple[LocalEffect, ...]:
    """Differences over each interval of the column, for the rows inside it, averaged, summed up and centred."""
    numbers = in_numbers(subject.pool.frame[name].iloc[moved], subject.kinds[name])
    if numbers is None or np.isfinite(numbers).sum() < FEWEST:
        return ()
    known = moved[np.isfinite(numbers)]
    numbers = numbers[np.isfinite(numbers)]
    order = np.argsort(numbers, kind="stable")
    at = np.unique(np.round(np.linspace(0, len(order) - 1, EFFECT_INTERVALS + 1)).astype(np.intp))
    edges, first = np.unique(numbers[order[at]], return_index=True)
    if len(edges) < 3:
        return ()
    holders = known[order[at][first]]
    inside = np.clip(np.searchsorted(edges, numbers, side="left"), 1, len(edges) - 1)
    lower, upper = subject.pool.rows(known), subject.pool.rows(known)
    lower[:, subject.pool.at(name)], upper[:, subject.pool.at(name)] = holders[inside - 1], holders[inside]
    answers = _asked(subject, np.concatenate([upper, lower]))
    steps = answers[: len(known)] - answers[len(known) :]
    counts = np.bincount(inside, minlength=len(edges))[1:]
    means = np.bincount(inside, weights=steps, minlength=len(edges))[1:] / np.maximum(counts, 1)
    curve = np.concatenate([[0.0], np.cumsum(means)])
    centre = float((counts * (curve[1:] + curve[:-1]) / 2).sum() / counts.sum())
    return tuple(
        LocalEffect(position=float(edge), effect=float(effect))
        for edge, effect in zip(edges, curve - centre, strict=True)
    )


def _gap(points: Sequence[DependencePoint], effects: Sequence[LocalEffect]) -> float | None:
    """Largest distance of the centred curves where both are known, as a share of the wider one's range."""
    if len(points) < 3 or len(effects) < 3:
        return None
    places = np.array([place.position for place in points], dtype=np.float64)
    edges = np.array([effect.position for effect in effects])
    both = (places >= edges[0]) & (places <= edges[-1])
    if both.sum() < 3:
        return None
    partial = np.array([place.average for place in points])[both]
    local = np.interp(places[both], edges, [effect.effect for effect in effects])
    wide = max(float(np.ptp(partial)), float(np.ptp(local)))
    apart = np.abs((partial - partial.mean()) - (local - local.mean())).max()
    return float(apart / wide) if wide > 0 else 0.0


def grid_positions(column: Column, numbers: Floats | None, most: int = NUMBERS) -> list[int]:
    """Rows of `column` that hold the values to try: spread over its numbers, or its most frequent values."""
    if numbers is not None:
        known = np.flatnonzero(np.isfinite(numbers))
        if not len(known):
            return []
        order = known[np.argsort(numbers[known], kind="stable")]
        few = len(np.unique(numbers[known])) <= most
        spread = np.linspace(0, 1, 200) if few else np.linspace(0.02, 0.98, most)
        chosen = order[np.round(spread * (len(order) - 1)).astype(np.intp)]
        _, first = np.unique(numbers[chosen], return_index=True)
        return [int(position) for position in chosen[first]][:most]
    texts = pd.Series(all_shown(column))
    frequent = texts.value_counts().index[:VALUES]
    return [int(np.argmax(texts.to_numpy() == text)) for text in frequent]
