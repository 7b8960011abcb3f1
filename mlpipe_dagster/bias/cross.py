"""Intersections: which sensitive columns are taken together, and what their groups are called.

Two and three columns of the first four are crossed. The largest groups of each intersection are kept apart; all rows
count in “everyone else”.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

from mlpipe_dagster.bias.compare import GroupName, Subject
from mlpipe_dagster.bias.counts import Set, Tally
from mlpipe_dagster.bias.groups import Cells
from mlpipe_dagster.bias.intervals import combined
from mlpipe_dagster.bias.report import FeatureBias

KIND = "intersection"
MOST_CROSSED = 4
"""Columns that are crossed; more would make hundreds of comparisons."""
MOST_TOGETHER = 3
LARGEST_CROSSED = 24
"""Groups of an intersection that are kept apart."""
MOST_CROSSED_CLASSES = 5
"""Of so many classes rates are compared in intersections, the most frequent ones."""
MOST_CROSSED_CELLS = 250
"""A number's distribution is compared at so many quantiles between the groups of intersections."""


def crossings(features: int) -> tuple[Set, ...]:
    """The intersections of so many features: pairs, then threes."""
    crossed = range(min(features, MOST_CROSSED))
    return tuple(one for size in range(2, MOST_TOGETHER + 1) for one in combinations(crossed, size))


def cross_note(columns: Sequence[str]) -> str:
    """What is said where not all columns are crossed; empty otherwise."""
    if len(columns) <= MOST_CROSSED:
        return ""
    named = ", ".join(f"“{column}”" for column in columns[:MOST_CROSSED])
    return f"Intersections are measured of the first {MOST_CROSSED} sensitive columns: {named}."


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
