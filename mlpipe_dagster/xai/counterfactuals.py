"""What would have to be different for another answer: the fewest, smallest changes to a row that turn the prediction.

Only values that occur in the table are tried, so that types and ranges hold; sensitive and identifying columns are
never changed. After Wachter, Mittelstadt and Russell 2018 and dice-ml, by a beam search over single changes.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from mlpipe_dagster.automl.model import TrainedModel
from mlpipe_dagster.xai.dependence import grid_positions
from mlpipe_dagster.xai.explanation import Change, Counterfactual
from mlpipe_dagster.xai.pool import Places, Pool
from mlpipe_dagster.xai.values import Floats, all_shown, in_numbers, shown

POOL_ROWS = 500
COLUMNS = 40
"""Beyond these (the most important first) no column is tried."""
LATER_COLUMNS = 10
VALUES = 10
MOST_CHANGES = 3
BEAM = 6
NEAR_THE_MIDDLE = 0.1


@dataclass(frozen=True)
class _Goal:
    """What counts as another answer."""

    code: int | None
    """The predicted class that is to be left; None for numbers."""
    middle: float = 0.0
    up: bool = True

    def progress(self, answers: Floats) -> Floats:
        """Higher is nearer to another answer."""
        if self.code is not None:
            others = np.delete(answers, self.code, axis=1).max(axis=1)
            return np.asarray(others - answers[:, self.code])
        return answers - self.middle if self.up else self.middle - answers

    def reached(self, answers: Floats) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
        """Which answers are another one."""
        if self.code is not None:
            return np.asarray(answers.argmax(axis=1) != self.code)
        return self.progress(answers) > 0


@dataclass(frozen=True)
class _State:
    """The row with some columns taken from other rows of the pool."""

    places: Places
    changed: tuple[int, ...] = ()
    cost: float = 0.0
    progress: float = -np.inf


@dataclass(frozen=True)
class _Search:
    model: TrainedModel
    pool: Pool
    """The row itself, then rows to take values from."""
    goal: _Goal
    costs: dict[int, Floats]
    """Of each changeable column: the cost of taking each row's value (0 the same, about 1 a usual distance)."""
    candidates: dict[int, list[int]]

    def ask(self, places: Places) -> Floats:
        """Probabilities or values."""
        final = self.model.estimator[-1]
        question = final.predict_proba if self.model.classes else final.predict
        return self.pool.ask(lambda features: np.asarray(question(features), dtype=np.float64), places)


def counterfactual(
    model: TrainedModel,
    row: pd.DataFrame,
    others: pd.DataFrame,
    columns: Sequence[str],
    *,
    keep: Collection[str] = (),
    position: int = 0,
) -> Counterfactual | None:
    """The change to `row` (one line) that turns the prediction, or None where three changes do not.

    Values come from `others`; of `columns`, the most important first, those in `keep` stay as they are. Another answer
    is another class; of a predicted number, one on the other side of the median of what is predicted for `others`.
    """
    pool = Pool.of(model.estimator, pd.concat([row, others.head(POOL_ROWS)]), model.feature_origins)
    search = _opened(model, pool, [name for name in columns if name not in keep][:COLUMNS])
    beam = [_State(pool.rows([0])[0])]
    for depth in range(MOST_CHANGES):
        steps = _steps(search, beam, depth)
        if not steps:
            return None
        answers = search.ask(np.array([step.places for step in steps]))
        progress, reached = search.goal.progress(answers), search.goal.reached(answers)
        steps = [replace(step, progress=float(gain)) for step, gain in zip(steps, progress, strict=True)]
        there = [step for step, done in zip(steps, reached, strict=True) if done]
        if there:
            return _told(search, _smallest(search, min(there, key=lambda step: step.cost)), position)
        beam = sorted(steps, key=lambda step: -step.progress)[:BEAM]
        if beam[0].progress <= float(search.goal.progress(search.ask(pool.rows([0])))[0]):
            return None
    return None


def _opened(model: TrainedModel, pool: Pool, columns: Sequence[str]) -> _Search:
    kinds = {column.name: column.kind for column in model.schema.columns}
    costs, candidates = {}, {}
    for name in columns:
        at, column = pool.at(name), pool.frame[name]
        numbers = in_numbers(column, kinds[name])
        tried = [
            place + 1 for place in grid_positions(column.iloc[1:], None if numbers is None else numbers[1:], VALUES)
        ]
        costs[at] = _distances(column, numbers)
        candidates[at] = [place for place in tried if costs[at][place] > 0]
    search = _Search(model, pool, _Goal(None), costs, candidates)
    answers = search.ask(pool.rows(np.arange(len(pool.frame))))
    return replace(search, goal=_goal(answers, bool(model.classes)))


def _distances(column: "pd.Series[Any]", numbers: Floats | None) -> Floats:
    """Of each row's value to that of the first row: in spreads of the column's numbers, else 1 for another value."""
    if numbers is None:
        texts = all_shown(column)
        return np.asarray(texts != texts[0], dtype=np.float64)
    if np.isnan(numbers[0]):
        return np.where(np.isnan(numbers), 0.0, 1.0)
    low, high = np.nanpercentile(numbers, [10, 90])
    spread = (high - low) or 1.0
    return np.asarray(np.nan_to_num(np.abs(numbers - numbers[0]) / spread, nan=1.0))


def _goal(answers: Floats, classes: bool) -> _Goal:
    if classes:
        return _Goal(int(answers[0].argmax()))
    own, rest = float(answers[0]), answers[1:]
    low, middle, high = (float(part) for part in np.percentile(rest, [25, 50, 75]))
    if abs(own - middle) < NEAR_THE_MIDDLE * (high - low):  # a change that can hardly be seen explains nothing
        return _Goal(None, high, up=True)
    return _Goal(None, middle, up=own < middle)


def _steps(search: _Search, beam: Sequence[_State], depth: int) -> list[_State]:
    """Each state with one more column changed; after the first change only to the columns that moved it most."""
    columns = list(search.candidates)
    if depth:
        columns = list(dict.fromkeys(column for state in beam for column in state.changed)) + columns
        columns = list(dict.fromkeys(columns))[:LATER_COLUMNS]
    made = []
    for state in beam:
        for column in columns:
            for place in search.candidates[column] if column not in state.changed else ():
                places = state.places.copy()
                places[column] = place
                cost = state.cost + 1.0 + float(search.costs[column][place])
                made.append(_State(places, (*state.changed, column), cost))
    return made


def _smallest(search: _Search, found: _State) -> _State:
    """`found` with each changed number brought as near to its own value as still turns the prediction."""
    for column in found.changed:
        nearer = _between(search, column, int(found.places[column]))
        low, high = 0, len(nearer)
        while low < high:  # the nearest that turns it, if turning is monotone along the way; else one that does
            middle = (low + high) // 2
            places = found.places.copy()
            places[column] = nearer[middle]
            if search.goal.reached(search.ask(places[None, :]))[0]:
                found, high = replace(found, places=places), middle
            else:
                low = middle + 1
    return found


def _between(search: _Search, column: int, place: int) -> Places:
    """Rows of the pool whose number lies between the row's own and that of `place`, nearest to its own first."""
    name = search.pool.columns[column]
    kind = next(known.kind for known in search.model.schema.columns if known.name == name)
    numbers, costs = in_numbers(search.pool.frame[name], kind), search.costs[column]
    if numbers is None or not np.isfinite(numbers[[0, place]]).all():
        return np.zeros(0, dtype=np.intp)
    low, high = sorted(numbers[[0, place]].tolist())
    inside = np.flatnonzero((numbers > low) & (numbers < high))
    return inside[np.argsort(costs[inside], kind="stable")].astype(np.intp)


def _told(search: _Search, found: _State, position: int) -> Counterfactual:
    before, after = search.ask(np.array([search.pool.rows([0])[0], found.places]))
    classes = search.model.classes
    new = int(np.argmax(after)) if classes else 0
    frame = search.pool.frame
    return Counterfactual(
        position=position,
        changes=tuple(
            Change(
                column=search.pool.columns[column],
                before=shown(frame[search.pool.columns[column]].iloc[0]),
                after=shown(frame[search.pool.columns[column]].iloc[found.places[column]]),
            )
            for column in found.changed
        ),
        predicted_before=classes[int(np.argmax(before))] if classes else shown(float(before)),
        predicted_after=classes[new] if classes else shown(float(after)),
        before=float(before[new]) if classes else float(before),
        after=float(after[new]) if classes else float(after),
        middle=None if classes else search.goal.middle,
    )
