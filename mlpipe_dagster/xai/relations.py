"""What single columns say about the target, and how the rows a model learned from differ from its test rows.

Theil's U (classes: share of the entropy) and Kelley's epsilon squared (numbers: share of the variance), both less
what chance would give; Kolmogorov-Smirnov and chi-squared tests for drift, with Benjamini-Hochberg over the columns.
"""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import chi2_contingency, false_discovery_control, ks_2samp

from mlpipe_dagster.automl.preparation import as_number, as_text
from mlpipe_dagster.bias.intervals import Z95
from mlpipe_dagster.tables.profile import ColumnProfile, Profile
from mlpipe_dagster.vocabulary import TaskKind
from mlpipe_dagster.xai.data_explanation import Drift, Relation
from mlpipe_dagster.xai.values import Floats

ROWS = 20_000
COLUMNS = 500
FEWEST_ROWS = 20
BINS = 10
VALUES = 20
DRAWS = 200
LEAKS = 0.95
FALSE_DISCOVERIES = 0.05
_SKIPPED = {"empty", "constant", "identifier", "text"}
Codes = npt.NDArray[np.intp]


def compared(profile: Profile, left_out: Collection[str]) -> list[ColumnProfile]:
    """The columns that may be compared with others: not free text, not running numbers, not `left_out`."""
    kept = [column for column in profile.columns if column.kind not in _SKIPPED and column.name not in left_out]
    return kept[:COLUMNS]


def sampled(table: pd.DataFrame, seed: int) -> pd.DataFrame:
    """At most 20,000 rows."""
    return table if len(table) <= ROWS else table.sample(ROWS, random_state=seed)


def relations(
    table: pd.DataFrame, columns: Sequence[ColumnProfile], target: str, task: TaskKind, seed: int = 0
) -> tuple[Relation, ...]:
    """What each of `columns` alone says about the target, the strongest first; nothing with fewer than 20 rows."""
    regression = task is TaskKind.REGRESSION
    truth = as_number(table[target]) if regression else _codes(table[target], most=50).astype(np.float64)
    known = np.isfinite(truth) & (table[target].notna().to_numpy())
    if known.sum() < FEWEST_ROWS or np.ptp(truth[known]) == 0:
        return ()
    found = []
    for column in columns:
        codes = _grouped(table[column.name], column.kind)[known]
        measured = _variance(codes, truth[known]) if regression else _entropy(codes, truth[known], seed)
        share, low, high = (min(max(value, 0.0), 1.0) for value in measured)
        found.append(
            Relation(
                column=column.name,
                kind=column.kind,
                share=share,
                low=min(low, share),
                high=max(high, share),
                groups=len(np.unique(codes)),
                leaks=share >= LEAKS,
            )
        )
    return tuple(sorted(found, key=lambda relation: -relation.share))


def _grouped(column: "pd.Series[Any]", kind: str) -> Codes:
    """Tenths of numbers and dates with many values, else values; missing ones are a group of their own."""
    numbers = as_number(column) if kind == "number" else None
    if kind == "datetime":
        numbers = as_number(pd.to_datetime(column, errors="coerce").astype("int64").where(column.notna()))
    if numbers is None or len(np.unique(numbers[np.isfinite(numbers)])) <= BINS:
        return _codes(column, VALUES)
    edges = np.unique(np.nanquantile(numbers, np.linspace(0, 1, BINS + 1)[1:-1]))
    return np.where(np.isnan(numbers), len(edges) + 1, np.searchsorted(edges, numbers, side="left")).astype(np.intp)


def _codes(column: "pd.Series[Any]", most: int) -> Codes:
    """Codes of the most frequent values; the rest shares one."""
    _, inverse, counts = np.unique(as_text(column).astype(str), return_inverse=True, return_counts=True)
    rank = np.argsort(np.argsort(-counts, kind="stable"), kind="stable")
    return np.minimum(rank[inverse], most).astype(np.intp)


def _entropy(codes: Codes, truth: Floats, seed: int) -> tuple[float, float, float]:
    """Theil's U with the Miller-Madow correction, and its percentile bootstrap interval over rows."""
    table = np.zeros((codes.max() + 1, int(truth.max()) + 1))
    np.add.at(table, (codes, truth.astype(np.intp)), 1)
    table = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0]
    rows = table.sum()
    chance = (table.shape[0] - 1) * (table.shape[1] - 1) / (2 * rows)
    drawn = np.random.default_rng(seed).multinomial(int(rows), (table / rows).ravel(), size=DRAWS)
    draws = _information(drawn.reshape(DRAWS, *table.shape) / rows)
    # a resampled table carries the bias of the first sample and its own once more
    low, high = np.percentile((draws[0] - 2 * chance) / draws[1], [2.5, 97.5])
    information, entropy = _information(table[None] / rows)
    return float((information[0] - chance) / entropy[0]), float(low), float(high)


def _information(shares: Floats) -> tuple[Floats, Floats]:
    """Mutual information of rows and columns, and entropy of the columns, of each table (draws x rows x columns)."""

    def entropy(parts: Floats) -> Floats:
        return np.asarray(-(parts * np.log(np.where(parts > 0, parts, 1.0))).reshape(len(parts), -1).sum(axis=1))

    of_columns = entropy(shares.sum(axis=1))
    return entropy(shares.sum(axis=2)) + of_columns - entropy(shares), np.maximum(of_columns, 1e-12)


def _variance(codes: Codes, truth: Floats) -> tuple[float, float, float]:
    """Epsilon squared, with the interval of a correlation of its root (Fisher)."""
    counts = np.bincount(codes)
    counts = counts[counts > 0]
    _, codes = np.unique(codes, return_inverse=True)
    means = np.bincount(codes, weights=truth) / counts
    whole = float(((truth - truth.mean()) ** 2).sum())
    within = float(((truth - means[codes]) ** 2).sum())
    groups, rows = len(counts), len(truth)
    if rows <= groups:
        return 0.0, 0.0, 0.0
    share = max(1 - (within / (rows - groups)) / (whole / (rows - 1)), 0.0)
    root, half = np.arctanh(min(share, 1 - 1e-12) ** 0.5), Z95 / max(rows - 3, 1) ** 0.5
    return share, float(np.tanh(max(root - half, 0.0)) ** 2), float(np.tanh(root + half) ** 2)


def drift(learned: pd.DataFrame, tested: pd.DataFrame, columns: Sequence[ColumnProfile]) -> tuple[Drift, ...]:
    """How far each column differs between two sets of rows, the largest distance first; nothing for tiny sets."""
    if min(len(learned), len(tested)) < FEWEST_ROWS:
        return ()
    measured = [_distance(learned[column.name], tested[column.name], column.kind) for column in columns]
    if not measured:
        return ()
    adjusted = false_discovery_control([p_value for _, p_value in measured])
    found = [
        Drift(column=column.name, distance=distance, p_value=p_value, clear=bool(corrected < FALSE_DISCOVERIES))
        for column, (distance, p_value), corrected in zip(columns, measured, adjusted, strict=True)
    ]
    return tuple(sorted(found, key=lambda one: -one.distance))


def _distance(learned: "pd.Series[Any]", tested: "pd.Series[Any]", kind: str) -> tuple[float, float]:
    if kind == "number":
        first, second = (part[np.isfinite(part)] for part in (as_number(learned), as_number(tested)))
        if min(len(first), len(second)) < FEWEST_ROWS:
            return 0.0, 1.0
        made = ks_2samp(first, second, method="asymp")
        return float(made.statistic), float(made.pvalue)
    codes = _grouped(pd.concat([learned, tested], ignore_index=True), kind)
    table = np.stack([np.bincount(part, minlength=codes.max() + 1) for part in np.split(codes, [len(learned)])])
    table = table[:, table.sum(axis=0) > 0]
    shares = table / table.sum(axis=1, keepdims=True)
    distance = float(np.abs(shares[0] - shares[1]).sum() / 2)
    return distance, float(chi2_contingency(table).pvalue) if table.shape[1] > 1 else 1.0
