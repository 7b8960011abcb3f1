"""Which columns give a sensitive column away, one by one and all together, on a sample of the rows.

A column that does is a proxy: leaving the sensitive column out does not hide it from a model. How cells are counted and
guessed is in `guessing.py`; nothing here says what to do about it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlpipe_dagster.bias import guessing
from mlpipe_dagster.bias.guessing import Association
from mlpipe_dagster.bias.intervals import SEED, FloatArray, IntArray
from mlpipe_dagster.bias.labels import quoted
from mlpipe_dagster.bias.report import TOO_FEW_BELOW
from mlpipe_dagster.bias.sample import Cells, Sample
from mlpipe_dagster.bias.signals import FeatureProxies, Guess, Proxy, Strength
from mlpipe_dagster.reports.wording import number_text
from mlpipe_dagster.tables.personal import masked

MOST_SHOWN = 10
STRONG, MODERATE = 0.5, 0.2
"""From which `Guess.skill` on a proxy is called so."""
TOGETHER_ROWS = 6_000
TOGETHER_COLUMNS = 200
_TOGETHER_FOLDS = 3
_ROUNDS = 30
_FEW = 1e-3


@dataclass(frozen=True)
class Subject:
    """A sensitive column whose proxies are looked for; `groups` are called as people say them."""

    column: str
    groups: Sequence[str]


def find_proxies(sample: Sample, subjects: Sequence[Subject]) -> tuple[FeatureProxies, ...]:
    """The proxies of each sensitive column; columns of fewer than two groups of 30 rows have none."""
    sensitive = {subject.column for subject in subjects}
    neutral = [column for column in sample.columns if column.column not in sensitive][:TOGETHER_COLUMNS]
    return tuple(_of(sample, subject, neutral) for subject in subjects)


@dataclass(frozen=True)
class _Rows:
    """The rows of the sample whose group is known and large enough, and their group."""

    positions: IntArray
    groups: IntArray
    names: tuple[str, ...]
    fold: IntArray


def _of(sample: Sample, subject: Subject, neutral: Sequence[Cells]) -> FeatureProxies:
    rows = _rows(sample, subject)
    if rows is None:
        return FeatureProxies(column=subject.column, proxies=(), others=0)
    others = [column for column in sample.columns if column.column != subject.column]
    guessed = [(guessing.guess_from(_counted(rows, column)), column) for column in others]
    ranked = sorted(guessed, key=lambda pair: -pair[0].skill)
    shown = [_proxy(rows, column, guess) for guess, column in ranked[:MOST_SHOWN]]
    together = _together(rows, neutral) if len(neutral) > 1 else None
    return FeatureProxies(
        column=subject.column,
        proxies=tuple(shown),
        others=len(ranked) - len(shown),
        together=together,
        together_columns=len(neutral) if together else 0,
        together_strength=strength_of(together.skill) if together else None,
    )


def strength_of(skill: float) -> Strength:
    """How a skill is called."""
    return "strong" if skill >= STRONG else "moderate" if skill >= MODERATE else "weak"


def _rows(sample: Sample, subject: Subject) -> _Rows | None:
    every = sample.groups[subject.column]
    kept = guessing.large_enough(every, TOO_FEW_BELOW)
    if len(kept) < 2:
        return None
    positions = np.flatnonzero(np.isin(every, kept))
    groups = np.searchsorted(np.array(kept), every[positions])
    names = tuple(subject.groups[group] for group in kept)
    return _Rows(positions, groups, names, guessing.folds_of(len(positions)))


def _counted(rows: _Rows, column: Cells) -> IntArray:
    codes = column.codes[rows.positions]
    return guessing.count_folds(rows.fold, codes, column.count, rows.groups, len(rows.names))


def _proxy(rows: _Rows, column: Cells, guess: Guess) -> Proxy:
    table = _counted(rows, column).sum(axis=0)
    found = _ratio(rows, column) if column.numbers is not None else _cramer(table)
    return Proxy(
        column=column.column,
        measure="Cramér's V" if column.numbers is None else "correlation ratio",
        association=found.value,
        low=found.low,
        high=found.high,
        guess=guess,
        strength=strength_of(guess.skill),
        why=_why_number(rows, column) if column.numbers is not None else _why_text(rows, column, table),
    )


def _cramer(table: IntArray) -> Association:
    value = float(guessing.cramers_v(table))
    return guessing.with_interval(value, guessing.cramers_v(guessing.drawn_tables(table)), table)


def _ratio(rows: _Rows, column: Cells) -> Association:
    """The correlation ratio of a number, over the rows that have one."""
    numbers = _numbers(rows, column)
    known = ~np.isnan(numbers)
    codes, groups, values = column.codes[rows.positions][known], rows.groups[known], numbers[known]
    if not len(values):
        return Association(0.0, 0.0, 0.0)
    values = values - values.mean()
    means, variances = guessing.cell_moments(codes, column.count, values)
    place = codes * len(rows.names) + groups
    table = np.bincount(place, minlength=column.count * len(rows.names)).reshape(column.count, -1).astype(np.int64)
    exact = guessing.correlation_ratio(np.eye(len(rows.names), dtype=np.int64)[groups], values, np.zeros(len(values)))
    drawn = guessing.correlation_ratio(guessing.drawn_tables(table), means, variances)
    return guessing.with_interval(float(exact), drawn, table)


def _numbers(rows: _Rows, column: Cells) -> FloatArray:
    if column.numbers is None:
        raise ValueError(f"“{column.column}” holds no numbers")
    return column.numbers[rows.positions]


def _why_text(rows: _Rows, column: Cells, table: IntArray) -> str:
    """The value that shifts the groups most, by its share of one group beside that group's share of all rows."""
    named = table[: len(column.names)]
    enough = named.sum(axis=1) >= TOO_FEW_BELOW
    everywhere = table.sum(axis=0) / table.sum()
    within = named / np.maximum(named.sum(axis=1, keepdims=True), 1)
    weight = np.sqrt(named.sum(axis=1, keepdims=True) / (everywhere * (1 - everywhere)))
    shift = np.where(enough[:, None], (within - everywhere) * weight, -math.inf)
    if not enough.any():
        return "No value of it stands in 30 rows or more."
    value, group = np.unravel_index(int(shift.argmax()), shift.shape)
    mine, usual = of_hundred(float(within[value, group])), of_hundred(float(everywhere[group]))
    shown = masked(column.names[value])
    return f"Where it is “{shown}”, {mine} are {quoted(rows.names[group])}; of all rows, {usual} are."


def of_hundred(rate: float) -> str:
    """`67 of 100`; what rounds to none or all of them, but is not, in words."""
    count = round(100 * rate)
    if count in (0, 100):
        return {0.0: "none", 1.0: "all"}.get(rate, "nearly all" if count else "hardly any")
    return f"{count} of 100"


def _why_number(rows: _Rows, column: Cells) -> str:
    """The groups with the lowest and the highest mean."""
    numbers = _numbers(rows, column)
    known = ~np.isnan(numbers)
    counts = np.bincount(rows.groups[known], minlength=len(rows.names))
    sums = np.bincount(rows.groups[known], numbers[known], len(rows.names))
    held = np.flatnonzero(counts >= TOO_FEW_BELOW)
    if len(held) < 2:
        missing = np.bincount(rows.groups[~known], minlength=len(rows.names)) / np.bincount(rows.groups)
        most, least = of_hundred(float(missing.max())), of_hundred(float(missing.min()))
        return f"It is missing for {most} among {quoted(rows.names[int(missing.argmax())])}, elsewhere for {least}."
    means = sums[held] / counts[held]
    low, high = int(means.argmin()), int(means.argmax())
    texts = [date_text(mean) if column.dates else number_text(mean) for mean in (means[high], means[low])]
    first, last = quoted(rows.names[held[high]]), quoted(rows.names[held[low]])
    return f"On average it is {texts[0]} for {first} and {texts[1]} for {last}."


def date_text(milliseconds: float) -> str:
    """The day of a moment counted from 1970."""
    return str(np.datetime64(int(milliseconds), "ms").astype("datetime64[D]"))


def _together(rows: _Rows, columns: Sequence[Cells]) -> Guess:
    """How well boosted trees guess the group from all the columns, by three-fold cross-validation on 6,000 rows."""
    drawn = np.random.default_rng(SEED).permutation(len(rows.positions))[:TOGETHER_ROWS]
    features = np.stack([_feature(column)[rows.positions[drawn]] for column in columns], axis=1)
    kept, groups = np.unique(rows.groups[drawn], return_inverse=True)
    names = len(kept)
    fold = _stratified(groups, _TOGETHER_FOLDS)
    confusion, even = np.zeros((names, names), dtype=np.int64), np.zeros((names, names), dtype=np.int64)
    for held in range(_TOGETHER_FOLDS):
        training, test = fold != held, fold == held
        likely = _fitted(features[training], groups[training], features[test], names)
        prior = np.maximum(np.bincount(groups[training], minlength=names), 1) / training.sum()
        np.add.at(confusion, (likely.argmax(axis=1), groups[test]), 1)
        np.add.at(even, ((likely / prior).argmax(axis=1), groups[test]), 1)
    return guessing.guess_of(confusion, even)


def _feature(column: Cells) -> FloatArray:
    return column.numbers if column.numbers is not None else column.codes.astype(np.float64)


def _stratified(groups: IntArray, folds: int) -> IntArray:
    """The fold of each row, with the groups spread evenly."""
    order = np.argsort(groups, kind="stable")
    fold = np.empty(len(groups), dtype=np.int64)
    fold[order] = np.arange(len(groups)) % folds
    return fold


def _fitted(features: FloatArray, groups: IntArray, unseen: FloatArray, names: int) -> FloatArray:
    """The probability of each group for unseen rows, (rows, groups)."""
    from mlpipe_dagster.automl.algorithms import lightgbm  # a second thread waits longer than it works on so few rows

    settings: Mapping[str, Any] = {"learning_rate": 0.15, "random_state": SEED}
    model: Any
    if lightgbm is not None:
        model = lightgbm.LGBMClassifier(
            n_estimators=_ROUNDS, num_leaves=15, max_bin=63, n_jobs=1, verbose=-1, **settings
        )
    else:
        from sklearn.ensemble import HistGradientBoostingClassifier

        model = HistGradientBoostingClassifier(
            max_iter=_ROUNDS, max_leaf_nodes=15, max_bins=63, early_stopping=False, **settings
        )
    model.fit(features, groups)
    found = np.zeros((len(unseen), names))
    found[:, model.classes_] = model.predict_proba(unseen)
    return found + _FEW / names
