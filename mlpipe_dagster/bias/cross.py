"""Intersections: which sensitive columns are taken together, and what their groups are called.

Two and three columns are crossed, as many as a budget allows. The largest groups of each intersection are kept apart;
all rows count in “everyone else”.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from mlpipe_dagster.bias.compare import GroupName, Subject
from mlpipe_dagster.bias.counts import Set, Tally
from mlpipe_dagster.bias.groups import Cells, Labels
from mlpipe_dagster.bias.intervals import combined
from mlpipe_dagster.bias.report import TOO_FEW_BELOW, FeatureBias
from mlpipe_dagster.bias.sample import Sample
from mlpipe_dagster.reports.wording import list_text

KIND = "intersection"
MOST_INTERSECTIONS = 20
"""All pairs and threes of five columns; each further one makes the tests of all others less sharp."""
MOST_CROSSED_GROUPS = 20_000
"""So many groups the intersections of a report can have together, with rows or without."""
MOST_TOGETHER = 3
_MOST_NAMED = 5
LARGEST_CROSSED = 24
"""Groups of an intersection that are kept apart."""
MOST_CROSSED_CLASSES = 5
"""Of so many classes rates are compared in intersections, the most frequent ones."""
MOST_CROSSED_CELLS = 250
"""A number's distribution is compared at so many quantiles between the groups of intersections."""


@dataclass(frozen=True)
class Crossings:
    """The intersections that are measured, pairs first, and what is said of those that are not."""

    sets: tuple[Set, ...]
    note: str = ""


def choose_crossings(sample: Sample, labels: Mapping[str, Labels]) -> Crossings:
    """All pairs, then all threes; where not all fit in the budget, first those with most rows in large groups.

    `sample` has the groups of the columns of `labels`. The outcome has no say: intersections that were chosen by it
    would look worse than chance makes them.
    """
    names, room = list(labels), MOST_CROSSED_GROUPS
    chosen: list[Set] = []
    said, left_out = [], []
    for size, called in zip(range(2, MOST_TOGETHER + 1), ("pairs", "threes"), strict=True):
        before, possible = len(chosen), math.comb(len(names), size)
        if before < MOST_INTERSECTIONS:
            for parts in sorted(combinations(range(len(names)), size), key=lambda one: -_in_large_groups(sample, one)):
                groups = math.prod(len(labels[names[part]].names) for part in parts)
                if len(chosen) < MOST_INTERSECTIONS and groups <= room:
                    chosen.append(parts)
                    room -= groups
                else:
                    left_out.append(" \u00d7 ".join(names[part] for part in parts))
        said.append(f"{len(chosen) - before} of {possible:,} {called}")
    every = sum(math.comb(len(names), size) for size in range(2, MOST_TOGETHER + 1))
    note = _note(len(names), said, left_out, every - len(chosen)) if len(chosen) < every else ""
    return Crossings(tuple(sorted(chosen, key=lambda parts: (len(parts), parts))), note)


def _in_large_groups(sample: Sample, parts: Set) -> float:
    """The share of rows in groups of the intersection that have 30 rows or more in the table, by the sample."""
    columns = list(sample.groups.values())
    codes, known = np.zeros(sample.rows, dtype=np.int64), np.ones(sample.rows, dtype=np.bool_)
    for part in parts:
        codes = codes * (int(columns[part].max(initial=0)) + 1) + columns[part]
        known &= columns[part] >= 0
    counts = np.bincount(codes[known])
    return float(counts[counts * sample.of >= TOO_FEW_BELOW * sample.rows].sum() / max(sample.rows, 1))


def _note(columns: int, said: Sequence[str], left_out: Sequence[str], missing: int) -> str:
    named = [f"“{one}”" for one in left_out[:_MOST_NAMED]]
    named += [f"{missing - len(named):,} more"] if missing > len(named) else []
    return (
        f"Of the intersections of {columns} sensitive columns, {' and '.join(said)} are measured: those with most rows "
        f"in groups of {TOO_FEW_BELOW} or more. Not measured: {list_text(named)}. Name fewer sensitive columns to "
        "have theirs measured."
    )


def largest(tally: Tally) -> Tally:
    """The largest groups, first the largest, and all others merged into one more group at the end."""
    order = np.lexsort((*tally.groups.T[::-1], -tally.sizes))
    kept, others = order[:LARGEST_CROSSED], order[LARGEST_CROSSED:]
    chosen = _picked(tally, kept)
    return _with_merged(chosen, _picked(tally, others)) if len(others) else chosen


def _picked(tally: Tally, rows: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Tally:
    return Tally(
        groups=tally.groups[rows],
        sizes=tally.sizes[rows],
        counts=tally.counts[rows],
        strata=None if tally.strata is None else tally.strata[rows],
        moments=tuple(tally.moments[row] for row in rows),
        gaps=tuple(tally.gaps[row] for row in rows),
    )


def _with_merged(kept: Tally, others: Tally) -> Tally:
    moments, gaps = ([one for one in column if one] for column in (others.moments, others.gaps))
    return Tally(
        groups=kept.groups,
        sizes=np.append(kept.sizes, others.sizes.sum()),
        counts=np.vstack([kept.counts, others.counts.sum(axis=0)]),
        strata=None
        if kept.strata is None or others.strata is None
        else np.concatenate([kept.strata, others.strata.sum(axis=0, keepdims=True)]),
        moments=(*kept.moments, combined(moments) if moments else None),
        gaps=(*kept.gaps, combined(gaps) if gaps else None),
    )


def coarser(tally: Tally, cells: Cells) -> tuple[Tally, Cells]:
    """The counts in fewer cells of a number, where there are many."""
    step = -(-len(cells.edges) // MOST_CROSSED_CELLS)
    starts = np.arange(0, len(cells.edges), step)
    lasts = np.append(starts[1:], len(cells.edges)) - 1
    whole = tally.counts.sum(axis=0)
    rows = np.add.reduceat(whole, starts)
    points = np.add.reduceat(whole * cells.points, starts) / np.maximum(rows, 1)
    joined = replace(tally, counts=np.add.reduceat(tally.counts, starts, axis=1))
    return joined, Cells(cells.edges[lasts], points, cells.exact and step == 1)


def crossed_names(parts: Sequence[FeatureBias], groups: Sequence[Sequence[str]]) -> tuple[GroupName, ...]:
    """What groups are called that are made of a group of each part."""
    taken = [name for group in groups for name in group]
    separator = next(
        mark for mark in (" \u00d7 " * (size + 1) for size in range(9)) if not any(mark in name for name in taken)
    )
    return tuple(
        GroupName(
            name=separator.join(group),
            label=" \u00d7 ".join(part.group(name).label for part, name in zip(parts, group, strict=True)),
            parts=tuple(group),
        )
        for group in groups
    )


def crossed_subject(
    parts: Sequence[FeatureBias], names: Sequence[Sequence[str]], tally: Tally, row_count: int
) -> Subject:
    """The intersection of the features `parts`, whose groups have these names by position."""
    kept = largest(tally)
    groups = [[names[column][position] for column, position in enumerate(group)] for group in kept.groups.tolist()]
    further = len(tally.sizes) - len(groups)
    note = f"The {LARGEST_CROSSED} largest groups are kept apart; {further:,} more count in “everyone else” only."
    return Subject(
        column=" \u00d7 ".join(part.column for part in parts),
        columns=tuple(part.column for part in parts),
        kind=KIND,
        why="groups may be treated unlike the groups they are made of",
        groups=crossed_names(parts, groups),
        tally=kept,
        missing=row_count - int(tally.sizes.sum()),
        note=note if further else "",
    )
