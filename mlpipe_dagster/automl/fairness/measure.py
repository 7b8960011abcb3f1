"""`measure_fairness`: groups and a model's answers in, rates of each group and disparities between groups out.

The order of work: count every group, compare it with the reference group, correct all tests together. Formulas are in
`measures.py`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from mlpipe_dagster.automl.fairness.calibration import calibration_slope, expected_calibration_error, reliability
from mlpipe_dagster.automl.fairness.measures import Kind, alike_p, measures_for
from mlpipe_dagster.automl.fairness.overall import generalized_entropy
from mlpipe_dagster.automl.fairness.rates import (
    MAE,
    MEAN_ERROR,
    MEAN_PREDICTION,
    RATES,
    Side,
    cells_of,
    moments_of,
)
from mlpipe_dagster.automl.fairness.report import (
    CALIBRATION,
    ECE,
    OVERCONFIDENCE,
    SLOPE,
    ClassMetrics,
    Disparity,
    Fairness,
    GroupMetrics,
    ReliabilityBin,
)
from mlpipe_dagster.automl.metrics import Outcome
from mlpipe_dagster.bias import intervals
from mlpipe_dagster.bias.intervals import FloatArray
from mlpipe_dagster.bias.report import SUPPRESSED_BELOW, TOO_FEW_BELOW
from mlpipe_dagster.vocabulary import TaskKind

MOST_CLASSES = 10
"""Of more classes the most frequent ones are compared."""
HIDDEN = f"Not shown: it rests on fewer than {SUPPRESSED_BELOW} rows of a group."
RATES_SHOWN: Mapping[TaskKind, tuple[str, ...]] = {
    TaskKind.BINARY: tuple(RATES),
    TaskKind.MULTICLASS: ("accuracy",),
    TaskKind.REGRESSION: (),
}
"""The rates of each group that are shown beside its means."""
CLASS_RATES = ("selection rate", "true positive rate", "false positive rate", "positive predictive value")
"""Those of one of several classes."""
Mask = NDArray[np.bool_]
Sides = Mapping[str, Side]


@dataclass(frozen=True)
class Grouping:
    """The groups of one sensitive column: each row's, and the one that the others are compared with."""

    column: str
    labels: NDArray[np.object_]
    """Of the rows of the outcome, in their order."""
    reference: str


def measure_fairness(groupings: Sequence[Grouping], outcome: Outcome, classes: Sequence[str] = ()) -> Fairness:
    """What the answers in `outcome` mean for the groups of each sensitive column.

    Rates of a binary model are about the last of `classes`; `classes` is empty where a number is predicted.
    """
    task = _task(classes)
    groups: list[GroupMetrics] = []
    found: list[tuple[Disparity, tuple[str, ...]]] = []
    for grouping in groupings:
        masks = {str(name): grouping.labels == name for name in sorted(set(grouping.labels))}
        groups += [_group(grouping.column, name, outcome, mask, classes, task) for name, mask in masks.items()]
        found += _compare(grouping, masks, outcome, classes, task)
    entropy = generalized_entropy(outcome.truth == 1, outcome.choice == 1) if task is TaskKind.BINARY else None
    return Fairness(groups=tuple(groups), disparities=_corrected(found), overall=(entropy,) if entropy else ())


def _task(classes: Sequence[str]) -> TaskKind:
    if not classes:
        return TaskKind.REGRESSION
    return TaskKind.BINARY if len(classes) == 2 else TaskKind.MULTICLASS


def _side(outcome: Outcome, rows: Mask, task: TaskKind, code: int | None = None) -> Side:
    """What is counted of some rows: of the class `code`, of the positive class, or of right and wrong answers."""
    truth, count = outcome.truth[rows], int(rows.sum())
    if task is TaskKind.REGRESSION:
        predicted = outcome.predicted[rows]
        errors = predicted - truth
        values = {MEAN_PREDICTION: predicted, MEAN_ERROR: errors, MAE: np.abs(errors)}
        return Side(count, moments={name: moments_of(value) for name, value in values.items()})
    choice = outcome.choice[rows]
    chances, true = _chances(outcome, rows, task, code)
    off = moments_of(chances - true)
    if task is TaskKind.MULTICLASS and code is None:
        return Side(count, cells_of(np.ones(count, dtype=bool), true), {OVERCONFIDENCE: off})
    said = choice == (1 if code is None else code)
    return Side(count, cells_of(true, said), {CALIBRATION: off}, calibration_slope(chances, true))


def _chances(outcome: Outcome, rows: Mask, task: TaskKind, code: int | None) -> tuple[FloatArray, Mask]:
    """Probability of a class, and where it was true: of `code`, of the positive class, or of the one answered."""
    truth, predicted = outcome.truth[rows], outcome.predicted[rows]
    if task is TaskKind.MULTICLASS and code is None:
        return predicted.max(axis=1), outcome.choice[rows] == truth
    of = 1 if code is None else code
    return predicted[:, of], truth == of


def _group(
    column: str, name: str, outcome: Outcome, rows: Mask, classes: Sequence[str], task: TaskKind
) -> GroupMetrics:
    count = int(rows.sum())
    codes = [code for code in _codes(outcome, classes, task) if code is not None]
    return GroupMetrics(
        column=column,
        group=name,
        rows=0 if count < SUPPRESSED_BELOW else count,
        small=count < TOO_FEW_BELOW,
        **_figures(outcome, rows, task),
        classes=tuple(ClassMetrics(outcome=classes[code], **_figures(outcome, rows, task, code)) for code in codes),
    )


class _Figures(TypedDict):
    """What is shown of a group, of all its classes or one."""

    values: dict[str, float | None]
    intervals: dict[str, intervals.Interval]
    reliability: tuple[ReliabilityBin, ...]


def _figures(outcome: Outcome, rows: Mask, task: TaskKind, code: int | None = None) -> _Figures:
    side = _side(outcome, rows, task, code)
    bins = () if task is TaskKind.REGRESSION else reliability(*_chances(outcome, rows, task, code))
    rates = RATES_SHOWN[task] if code is None else CLASS_RATES
    shown = [*_shown(side, rates), *(_of_probabilities(side, bins) if task is not TaskKind.REGRESSION else ())]
    return {
        "values": {name: value for name, _, value in shown},
        "intervals": {name: ends for name, ends, _ in shown if ends},
        "reliability": bins,
    }


def _shown(side: Side, rates: Iterable[str]) -> Iterator[tuple[str, intervals.Interval | None, float | None]]:
    """Name, interval and value of each rate or mean of a group; a few rows hide it."""
    for name in rates:
        part, whole = RATES[name].counts(side.cells)
        enough = whole >= SUPPRESSED_BELOW
        yield name, intervals.wilson(part, whole) if enough else None, part / whole if enough else None
    for name, moments in side.moments.items():
        enough = moments.count >= SUPPRESSED_BELOW
        yield name, intervals.student(moments) if enough else None, moments.mean if enough else None


def _of_probabilities(
    side: Side, bins: tuple[ReliabilityBin, ...]
) -> Iterator[tuple[str, intervals.Interval | None, float | None]]:
    """Calibration error, and slope of a single class; too few rows hide both."""
    found = expected_calibration_error(bins) if bins else None
    ends = (found.low, found.high) if found and found.low is not None and found.high is not None else None
    yield ECE, ends, found.value if found else None
    if OVERCONFIDENCE in side.moments:
        return
    slope = side.slope if bins else None
    yield SLOPE, slope.ends if slope else None, slope.value if slope else None


def _compare(
    grouping: Grouping, masks: Mapping[str, Mask], outcome: Outcome, classes: Sequence[str], task: TaskKind
) -> Iterator[tuple[Disparity, tuple[str, ...]]]:
    """Every measure of every group against the reference, with the names of its tests."""
    compared = {name: rows for name, rows in masks.items() if int(rows.sum()) >= SUPPRESSED_BELOW}
    if grouping.reference not in compared:
        return
    for code in _codes(outcome, classes, task):
        sides = {name: _side(outcome, rows, task, code) for name, rows in compared.items()}
        for kind in measures_for(task):
            if (kind.about == "all") is not (code is None) and task is TaskKind.MULTICLASS:
                continue
            about = None if code is None and task is not TaskKind.BINARY else classes[1 if code is None else code]
            yield from _pairs(grouping, kind, sides, about)


def _codes(outcome: Outcome, classes: Sequence[str], task: TaskKind) -> list[int | None]:
    """The classes to compare, most frequent first, after all of them together (None)."""
    if task is not TaskKind.MULTICLASS:
        return [None]
    counts = np.bincount(outcome.truth.astype(np.int64), minlength=len(classes))
    return [None, *(int(code) for code in np.argsort(-counts, kind="stable")[:MOST_CLASSES])]


def _pairs(
    grouping: Grouping, kind: Kind, sides: Sides, outcome: str | None
) -> Iterator[tuple[Disparity, tuple[str, ...]]]:
    a = sides[grouping.reference]
    for name, d in sides.items():
        if name != grouping.reference:
            yield _disparity(grouping, name, kind, (a, d), outcome), kind.tests


def _disparity(grouping: Grouping, name: str, kind: Kind, pair: tuple[Side, Side], outcome: str | None) -> Disparity:
    rests_on = min(kind.rests_on(side) for side in pair)
    shown = rests_on >= SUPPRESSED_BELOW
    found = kind.estimate(*pair) if shown else None
    p_values = [alike_p(test, *pair) for test in kind.tests] if shown else []
    return Disparity(
        column=grouping.column,
        group=name,
        reference=grouping.reference,
        measure=kind.name,
        outcome=outcome,
        value=found.value if found else None,
        low=found.low if found else None,
        high=found.high if found else None,
        equal=kind.equal,
        method=kind.method,
        too_few=rests_on < TOO_FEW_BELOW,
        p_value=min(p_values, default=None),
        note=found.note if found else HIDDEN,
    )


def _corrected(found: Sequence[tuple[Disparity, tuple[str, ...]]]) -> tuple[Disparity, ...]:
    """The disparities with p-values after Holm's correction; measures that share a test count once.

    What has several tests is told apart when one of them tells it: the smaller of their p-values stays the smaller.
    """
    tests = {_test_of(one, names): one.p_value for one, names in found if one.p_value is not None and not one.too_few}
    single = {key: p for key, p in tests.items() if len(key[3]) == 1 and p is not None}
    adjusted = dict(zip(single, intervals.holm(list(single.values())), strict=True))
    return tuple(one.model_copy(update={"p_adjusted": _adjusted(one, names, adjusted)}) for one, names in found)


_Test = tuple[str, str, str | None, tuple[str, ...]]


def _test_of(one: Disparity, names: tuple[str, ...]) -> _Test:
    return one.column, one.group, one.outcome, names


def _adjusted(one: Disparity, names: tuple[str, ...], adjusted: Mapping[_Test, float]) -> float | None:
    if one.too_few:
        return None
    known = [adjusted.get(_test_of(one, (name,))) for name in names]
    return min((p for p in known if p is not None), default=None)
