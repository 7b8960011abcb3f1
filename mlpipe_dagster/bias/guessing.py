"""How much cells tell: association of two columns, and how well one is guessed from the other on held-out rows.

Functions of arrays; nothing here knows of tables or reports but for the `Guess` it returns.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from mlpipe_dagster.bias.intervals import SEED, Z95, FloatArray, IntArray, bootstrap, wilson
from mlpipe_dagster.bias.signals import Guess

FOLDS = 5
DRAWS = 200
_PRIOR_ROWS = 5.0
"""Each group is taken to have so many rows more, spread over the cells as all rows are: rare groups vary less."""
_ALIKE = 0.05


def folds_of(rows: int, folds: int = FOLDS) -> IntArray:
    """The fold of each row: as equal as can be, at random, the same each time."""
    return np.random.default_rng(SEED).permutation(rows) % folds


def count_folds(fold: IntArray, cells: IntArray, cell_count: int, groups: IntArray, group_count: int) -> IntArray:
    """Rows by fold, cell and group: (FOLDS, cells, groups)."""
    place = (fold * cell_count + cells) * group_count + groups
    counted = np.bincount(place, minlength=FOLDS * cell_count * group_count)
    return counted.reshape(FOLDS, cell_count, group_count).astype(np.int64)


def guess_from(counted: IntArray) -> Guess:
    """How well the group is guessed from the cell, each fold by a rule made of the others; every group has rows."""
    learned = counted.sum(axis=0) - counted
    totals = learned.sum(axis=1, keepdims=True)
    spread = learned.sum(axis=2, keepdims=True) / np.maximum(learned.sum(axis=(1, 2), keepdims=True), 1)
    likely = (learned + _PRIOR_ROWS * spread) / (totals + _PRIOR_ROWS)
    known = learned.sum(axis=2) > 0
    largest = np.broadcast_to(totals[:, 0].argmax(axis=1)[:, None], known.shape)
    frequent = np.where(known, learned.argmax(axis=2), largest)
    even = np.where(known, likely.argmax(axis=2), largest)
    return guess_of(_confusion(counted, frequent), _confusion(counted, even))


def _confusion(counted: IntArray, named: NDArray[np.int64]) -> IntArray:
    """Rows by named and true group."""
    groups = counted.shape[2]
    chosen = np.eye(groups, dtype=np.int64)[named.ravel()]
    return np.asarray(chosen.T @ counted.reshape(-1, groups))


def guess_of(confusion: IntArray, even: IntArray) -> Guess:
    """The scores of two tables of rows by named and true group: of the likeliest group, and of an even-handed rule."""
    sizes, rows = confusion.sum(axis=0), int(confusion.sum())
    right = int(np.trace(confusion))
    low, high = wilson(right, rows)
    balanced, balanced_low, balanced_high = _mean_rate(np.diag(even), sizes)
    return Guess(
        rows=rows,
        groups=len(sizes),
        accuracy=right / rows,
        low=low,
        high=high,
        base_rate=float(sizes.max() / rows),
        balanced=balanced,
        balanced_low=balanced_low,
        balanced_high=balanced_high,
    )


def _mean_rate(right: IntArray, sizes: IntArray) -> tuple[float, float, float]:
    """The mean of several rates and its interval, out of Wilson's intervals of each (MOVER, Zou and Donner 2008)."""
    rates = right / sizes
    ends = np.array([wilson(int(one), int(size)) for one, size in zip(right, sizes, strict=True)])
    mean, share = float(rates.mean()), 1 / len(sizes)
    down = math.hypot(*(share * (rates - ends[:, 0])))
    up = math.hypot(*(share * (ends[:, 1] - rates)))
    return mean, max(0.0, mean - down), min(1.0, mean + up)


@dataclass(frozen=True)
class Association:
    """A measure of association with its interval."""

    value: float
    low: float
    high: float


def cramers_v(tables: IntArray) -> FloatArray:
    """Cramér's V of (..., rows, columns) tables of counts, corrected for what chance alone gives (Bergsma 2013).

    Empty rows and columns do not count; 0 where a side does not vary.
    """
    total = tables.sum(axis=(-2, -1), keepdims=True)
    along, down = tables.sum(axis=-1, keepdims=True), tables.sum(axis=-2, keepdims=True)
    expected = along * down / np.maximum(total, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        phi2 = np.where(expected > 0, (tables - expected) ** 2 / expected, 0.0).sum(axis=(-2, -1)) / total[..., 0, 0]
        rows, columns, less = (along > 0).sum(axis=(-2, -1)), (down > 0).sum(axis=(-2, -1)), total[..., 0, 0] - 1.0
        corrected = np.maximum(0.0, phi2 - (rows - 1) * (columns - 1) / less)
        smaller = np.minimum(rows - (rows - 1) ** 2 / less, columns - (columns - 1) ** 2 / less) - 1
        value = np.sqrt(np.where(smaller > 0, corrected / smaller, 0.0))
    return np.asarray(np.clip(np.nan_to_num(value), 0.0, 1.0))


def correlation_ratio(tables: IntArray, means: FloatArray, variances: FloatArray) -> FloatArray:
    """The correlation ratio (Fisher 1925): root of the share of a number's variance that lies between the groups.

    `tables`: rows by cell and group, (..., cells, groups); of each cell the mean and the variance of the number.
    """
    sizes = tables.sum(axis=-2)
    total = sizes.sum(axis=-1)
    sums = np.einsum("...cg,c->...g", tables, means)
    mean = sums.sum(axis=-1) / total
    between = (sums**2 / np.maximum(sizes, 1)).sum(axis=-1) - total * mean**2
    whole = np.einsum("...cg,c->...", tables, variances + means**2) - total * mean**2
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(whole > 0, between / whole, 0.0)
    return np.asarray(np.sqrt(np.clip(share, 0.0, 1.0)))


def drawn_tables(table: IntArray) -> IntArray:
    """Multinomial resamples of a table of counts, the same each time: (DRAWS, rows, columns)."""
    flat = table.ravel()
    filled = np.flatnonzero(flat)
    drawn = np.zeros((DRAWS, len(flat)), dtype=np.int64)
    total = int(flat.sum())
    drawn[:, filled] = np.random.default_rng(SEED).multinomial(total, flat[filled] / total, size=DRAWS)
    return drawn.reshape(DRAWS, *table.shape)


def with_interval(value: float, drawn: FloatArray, table: IntArray) -> Association:
    """A value with the bootstrap interval of its resamples; it begins at 0 where chance explains the table."""
    low, high = bootstrap(value, drawn, 1.0, root=False, alike=chance_explains(table))
    return Association(value, low, high)


def chance_explains(table: IntArray) -> bool:
    """Whether Pearson's chi-squared test does not tell the table from one without association."""
    seen = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0]
    return min(seen.shape) < 2 or float(stats.chi2_contingency(seen, correction=False).pvalue) >= _ALIKE


@dataclass(frozen=True)
class Explained:
    """R² on held-out rows with its interval."""

    value: float
    low: float
    high: float


def explained_by(fold: IntArray, cells: IntArray, cell_count: int, numbers: FloatArray) -> Explained:
    """How much of a number the means of the cells explain on held-out rows: R², with its delta-method interval."""
    place = fold * cell_count + cells
    sums = np.bincount(place, numbers, FOLDS * cell_count).reshape(FOLDS, cell_count)
    rows = np.bincount(place, minlength=FOLDS * cell_count).reshape(FOLDS, cell_count)
    learned_sums, learned_rows = sums.sum(axis=0) - sums, rows.sum(axis=0) - rows
    overall = (learned_sums.sum(axis=1) / learned_rows.sum(axis=1))[:, None]
    means = np.where(learned_rows > 0, learned_sums / np.maximum(learned_rows, 1), overall)
    errors = (numbers - means[fold, cells]) ** 2
    spreads = (numbers - numbers.mean()) ** 2
    unexplained = float(errors.mean() / spreads.mean())
    half = Z95 * float(np.std(errors - unexplained * spreads) / spreads.mean() / math.sqrt(len(numbers)))
    return Explained(1 - unexplained, 1 - unexplained - half, min(1.0, 1 - unexplained + half))


def cell_moments(codes: IntArray, count: int, numbers: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean and variance of a number in each of its cells; 0 for empty ones."""
    rows = np.maximum(np.bincount(codes, minlength=count), 1)
    means = np.bincount(codes, numbers, count) / rows
    variances = np.bincount(codes, (numbers - means[codes]) ** 2, count) / rows
    return means, variances


def large_enough(positions: IntArray, fewest: int) -> Sequence[int]:
    """The groups with `fewest` rows or more; -1, no group, is none."""
    counts = np.bincount(positions[positions >= 0])
    return [int(group) for group in np.flatnonzero(counts >= fewest)]
