"""`mitigate`: a table and a method in; what it changes, measured before and after, and the changed rows out.

The table itself is never changed. The arithmetic is in `rows.py` and `columns.py`; a training applies the same to the
rows it fits on alone (automl/).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from mlpipe_dagster.automl.groups import group_labels
from mlpipe_dagster.automl.preparation import MISSING, as_number, as_text
from mlpipe_dagster.bias import intervals
from mlpipe_dagster.bias.intervals import Moments
from mlpipe_dagster.bias.mitigation.choice import EXPLAINED
from mlpipe_dagster.bias.mitigation.columns import (
    learn_trace,
    multiple_correlation,
    without_trace,
)
from mlpipe_dagster.bias.mitigation.report import Effect, Transformation, TransformationReport, Value
from mlpipe_dagster.bias.mitigation.rows import resample, reweigh
from mlpipe_dagster.bias.mitigation.signs import learn_signs, values_of
from mlpipe_dagster.bias.report import BiasReport
from mlpipe_dagster.bias.signals import Signals
from mlpipe_dagster.vocabulary import Mitigation, TaskKind

Floats = NDArray[np.float64]
SOURCE_ROW = "source_row"
"""Added to resampled rows: the number of the row they are copies of, from 1. Split by it, or copies meet again."""
FEWEST = 5
MOST_CLASSES = 5


@dataclass(frozen=True)
class Mitigated:
    """What was done, and the rows as they are then, where a mitigation changes rows."""

    report: TransformationReport
    table: pd.DataFrame | None = None


@dataclass(frozen=True)
class Subject:
    """A table with its target and groups; rows without a target are left out."""

    table: pd.DataFrame
    target: str
    task: TaskKind
    sensitive: tuple[str, ...]
    positive: str | None
    signals: Signals | None

    @cached_property
    def groups(self) -> dict[str, NDArray[np.object_]]:
        """The group of each row in each sensitive column."""
        return {name: group_labels(self.table[name]) for name in self.sensitive}

    @cached_property
    def codes(self) -> NDArray[np.int64]:
        """(rows, columns): the position of each row's group."""
        return np.column_stack([pd.factorize(labels, sort=True)[0] for labels in self.groups.values()]).astype(np.int64)

    @cached_property
    def labels(self) -> NDArray[np.object_]:
        """The class of each row."""
        return as_text(self.table[self.target])

    @cached_property
    def outcomes(self) -> NDArray[np.int64]:
        """The position of each row's class."""
        return np.asarray(pd.factorize(self.labels, sort=True)[0], dtype=np.int64)

    @cached_property
    def numbers(self) -> list[str]:
        """Columns of numbers besides target and sensitive ones."""
        types = self.table.dtypes.drop([self.target, *self.sensitive])
        return [str(name) for name, kind in types.items() if is_numeric_dtype(kind) and not is_bool_dtype(kind)]


def mitigate(table: pd.DataFrame, report: BiasReport, sensitive: Sequence[str], method: Mitigation) -> Mitigated:
    """Apply `method` to the table that `report` is about, for the groups of its `sensitive` columns.

    The method fits the task (`choice.settle_mitigation`), and there is a sensitive column.
    """
    target, task = report.target, report.task
    known = np.isfinite(as_number(table[target])) if task is TaskKind.REGRESSION else as_text(table[target]) != MISSING
    rows = table[known].reset_index(drop=True)
    subject = Subject(rows, target, task, tuple(sensitive), report.positive, report.signals)
    done = _METHODS[method](subject)
    found = TransformationReport(
        method=method,
        explained=EXPLAINED[method],
        target=target,
        task=task,
        sensitive=subject.sensitive,
        transformations=tuple(done.transformations),
        before_after=(*_outcomes(subject, done.weights), *done.effects),
        not_read=tuple(done.not_read),
        notes=tuple(done.notes),
    )
    return Mitigated(found, done.table)


@dataclass(frozen=True)
class _Done:
    transformations: Sequence[Transformation] = ()
    effects: Sequence[Effect] = ()
    weights: Floats | None = None
    """How often each row counts afterwards; None: as before."""
    not_read: Sequence[str] = ()
    notes: Sequence[str] = ()
    table: pd.DataFrame | None = None


def _reweigh(subject: Subject) -> _Done:
    weights = reweigh(subject.codes, subject.outcomes)
    note = f"The smallest weight is {weights.min():.3g}, the largest {weights.max():.3g}."
    return _Done(list(_cells(subject, Mitigation.REWEIGHING, "weight", weights)), weights=weights, notes=[note])


def _resample(subject: Subject) -> _Done:
    taken = resample(subject.codes, subject.outcomes, seed=0)
    copies = np.bincount(taken, minlength=len(subject.table)).astype(np.float64)
    note = (
        f"{int((copies == 0).sum())} rows are left out, {int((copies > 1).sum())} are repeated. In training rows are "
        "drawn inside each fold, so that no copy is validated or tested on."
    )
    rows = subject.table.iloc[taken].reset_index(drop=True)
    if SOURCE_ROW not in rows:
        rows[SOURCE_ROW] = taken + 1
    return _Done(list(_cells(subject, Mitigation.RESAMPLING, "rows", copies)), weights=copies, notes=[note], table=rows)


def _cells(subject: Subject, method: Mitigation, what: str, weights: Floats) -> Iterator[Transformation]:
    """How much the rows of each group and outcome count before and after; fewer than five rows are left out."""
    for column, labels in subject.groups.items():
        for group in sorted(set(labels)):
            for outcome in sorted(set(subject.labels)):
                here = (labels == group) & (subject.labels == outcome)
                rows = int(here.sum())
                if rows < FEWEST:
                    continue
                cell = {"group": str(group), "outcome": str(outcome)}
                total = float(weights[here].sum())
                after = {"rows": round(total)} if what == "rows" else {"weight": total / rows, "weighted_rows": total}
                yield Transformation(
                    column=column,
                    transformation=f"{'number' if what == 'rows' else what} of the rows of one group and outcome",
                    method=method,
                    original_value={**cell, "rows": rows},
                    modified_value={**cell, **after},
                )


def _remove_correlation(subject: Subject) -> _Done:
    method, names = Mitigation.CORRELATION_REMOVER, subject.numbers
    numbers = np.column_stack([as_number(subject.table[name]) for name in names]) if names else np.empty((0, 0))
    signs = learn_signs(subject.table, subject.sensitive)
    read = values_of(subject.table, signs)
    changed = without_trace(read, numbers, learn_trace(read, numbers)) if names else numbers
    effects = [
        Effect(
            column=column,
            about=name,
            measure="multiple correlation",
            before=_fisher(float(before[at]), numbers[:, at]),
            after=_fisher(float(after[at]), numbers[:, at]),
        )
        for column in subject.sensitive
        for own in [values_of(subject.table, learn_signs(subject.table, [column]))]
        for before, after in [(multiple_correlation(own, numbers), multiple_correlation(own, changed))]
        for at, name in enumerate(names)
    ]
    whole, left = multiple_correlation(read, numbers), multiple_correlation(read, changed)
    transformations = [
        Transformation(
            column=name,
            transformation="linear trace of the sensitive columns removed",
            method=method,
            original_value={"multiple_correlation": float(whole[at])},
            modified_value={"multiple_correlation": float(left[at])},
        )
        for at, name in enumerate(names)
    ]
    rows = subject.table.assign(**{name: changed[:, at] for at, name in enumerate(names)})
    return _Done(
        [*transformations, *_unread(subject.sensitive, method)],
        effects,
        not_read=subject.sensitive,
        notes=["Columns of texts keep what they say of the groups: only numbers are changed."],
        table=rows,
    )


def _drop_proxies(subject: Subject) -> _Done:
    strong = [
        (feature.column, proxy)
        for feature in (subject.signals.features if subject.signals else ())
        for proxy in feature.proxies
        if proxy.strength == "strong" and proxy.column not in {subject.target, *subject.sensitive}
    ]
    effects = [
        Effect(
            column=column,
            about=proxy.column,
            measure=proxy.measure,
            before=Value(value=proxy.association, low=proxy.low, high=proxy.high, method="bootstrap"),
            after=None,
        )
        for column, proxy in strong
    ]
    dropped = tuple(dict.fromkeys(proxy.column for _, proxy in strong))
    unread = (*subject.sensitive, *dropped)
    note = "" if dropped else "No single column gives a sensitive one away: only the sensitive columns are not read."
    return _Done(
        list(_unread(unread, Mitigation.PROXY_DROPPING)), effects, not_read=unread, notes=[note] if note else []
    )


def _unread(columns: Sequence[str], method: Mitigation) -> Iterator[Transformation]:
    for name in columns:
        yield Transformation(
            column=name,
            transformation="not read by the model",
            method=method,
            original_value="read",
            modified_value="not read",
        )


_METHODS = {
    Mitigation.REWEIGHING: _reweigh,
    Mitigation.RESAMPLING: _resample,
    Mitigation.CORRELATION_REMOVER: _remove_correlation,
    Mitigation.PROXY_DROPPING: _drop_proxies,
}


def _outcomes(subject: Subject, weights: Floats | None) -> Iterator[Effect]:
    """The differences of the outcome between groups, in the table as it is and as the model learns from it."""
    for column, labels in subject.groups.items():
        sizes = pd.Series(labels[labels != MISSING]).value_counts()
        names = sorted(
            (str(name) for name in sizes.index if sizes[name] >= FEWEST), key=lambda name: (-sizes[name], name)
        )
        for name in names[1:]:
            pair = labels == names[0], labels == name
            for about in _classes(subject):
                before = _difference(subject, pair, about, None)
                yield Effect(
                    column=column,
                    group=name,
                    reference=names[0],
                    about=about,
                    measure="mean difference" if about is None else "DPL",
                    before=before,
                    after=before if weights is None else _difference(subject, pair, about, weights),
                )


def _classes(subject: Subject) -> list[str | None]:
    if subject.task is TaskKind.REGRESSION:
        return [None]
    counts = pd.Series(subject.labels).value_counts()
    if subject.task is TaskKind.BINARY:
        return [subject.positive if subject.positive in counts.index else str(max(counts.index))]
    return [str(name) for name in counts.index[:MOST_CLASSES]]


def _difference(
    subject: Subject, pair: tuple[NDArray[np.bool_], NDArray[np.bool_]], about: str | None, weights: Floats | None
) -> Value:
    """Of the first minus the second side; weighted rows count as many as carry the same certainty (Kish 1965)."""
    if about is None:
        values = as_number(subject.table[subject.target])
        sides = [Moments(int(one.sum()), float(values[one].mean()), float(values[one].std(ddof=1))) for one in pair]
        low, high = intervals.welch(*sides) or (None, None)
        return Value(value=sides[0].mean - sides[1].mean, low=low, high=high, method="Welch's t interval")
    counted = np.ones(len(subject.table)) if weights is None else weights
    rates, rows = [], []
    for one in pair:
        here = counted[one]
        rates.append(float(np.average(subject.labels[one] == about, weights=here)) if here.sum() else 0.0)
        rows.append(max(1, round(here.sum() ** 2 / max((here**2).sum(), 1e-12))))
    hits = [min(count, round(rate * count)) for rate, count in zip(rates, rows, strict=True)]
    low, high = intervals.newcombe(hits[0], rows[0], hits[1], rows[1])
    value = rates[0] - rates[1]
    method = "Newcombe's hybrid score interval" + ("" if weights is None else " of Kish's effective rows")
    return Value(value=value, low=min(low, value), high=max(high, value), method=method)


def _fisher(correlation: float, numbers: Floats) -> Value:
    """Fisher's z interval, not below 0: approximate, as a multiple correlation is estimated a little too high."""
    rows = int(np.isfinite(numbers).sum())
    if rows < FEWEST or correlation >= 1:
        return Value(value=min(correlation, 1.0))
    middle, half = np.arctanh(correlation), intervals.Z95 / np.sqrt(rows - 3)
    low, high = max(0.0, float(np.tanh(middle - half))), float(np.tanh(middle + half))
    return Value(value=correlation, low=low, high=high, method="Fisher's z interval (approximate)")
