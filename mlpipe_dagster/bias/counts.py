"""Counting: the rows of every group and intersection by outcome, out of a Parquet file in one pass of DuckDB.

GROUPING SETS count the widest combinations of features that are asked for; narrower ones are summed from these here.
How values become positions is decided in `groups.py`, what the counts mean in `compare.py`; no rows are loaded.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlpipe_dagster.bias.groups import Labels, Table
from mlpipe_dagster.bias.intervals import FloatArray, IntArray, Moments, combined
from mlpipe_dagster.tables.duck import quote

Set = tuple[int, ...]
"""The features a group is made of, by position: (0,) for a single one, (0, 2) for an intersection."""
_UNKNOWN, _ABSENT = -1, -2
"""Instead of a position: the row has no value, or the feature is not grouped by."""


@dataclass(frozen=True)
class Question:
    """What is counted: rows by feature, the target as classes or as a number in cells, and missing cells."""

    features: tuple[Labels, ...]
    sets: tuple[Set, ...]
    classes: Labels | None = None
    number: str = ""
    """SQL of a numeric target."""
    edges: FloatArray | None = None
    """Upper edges of its cells, in order."""
    strata: Labels | None = None
    """The values of the conditioning column; only with classes."""
    gaps: tuple[str, ...] = ()
    """The columns in which there are missing cells."""
    cells: int = 0
    """The cells of a row that could be missing: those of `gaps` and of the columns without gaps."""

    @property
    def widest(self) -> tuple[Set, ...]:
        """The sets that are part of no other one; at least the empty one."""
        found = [one for one in self.sets if not any(set(one) < set(other) for other in self.sets)]
        return tuple(found) or ((),)


@dataclass(frozen=True)
class Tally:
    """The groups of one set and what is counted of each; groups without rows are not there."""

    groups: IntArray
    """The positions of each group's values, (groups, features of the set), in order."""
    sizes: IntArray
    """Rows, those without a known target included."""
    counts: IntArray
    """Rows by class or cell, (groups, cells)."""
    strata: IntArray | None
    """Rows by value of the conditioning column and class, (groups, values + 1, classes); the last is: no value."""
    moments: tuple[Moments | None, ...]
    """Of a numeric target."""
    gaps: tuple[Moments | None, ...]
    """Of the share of missing cells in a row."""


@dataclass(frozen=True)
class _Answer:
    """Rows that DuckDB has answered: positions (rows, features), and the other columns."""

    positions: IntArray
    columns: dict[str, NDArray[Any]]

    def grouped(self, cover: Set, wanted: Set) -> tuple[IntArray, IntArray, "_Answer"]:
        """The groups of `wanted` in the rows that were grouped by `cover`, each row's group, and these rows."""
        others = [index for index in range(self.positions.shape[1]) if index not in cover]
        chosen = (self.positions[:, cover] != _ABSENT).all(axis=1) & (self.positions[:, others] == _ABSENT).all(axis=1)
        chosen &= (self.positions[:, wanted] >= 0).all(axis=1)
        keys = np.column_stack([np.zeros(int(chosen.sum()), dtype=np.int64), self.positions[chosen][:, wanted]])
        groups, index = np.unique(keys, axis=0, return_inverse=True)
        kept = {name: values[chosen] for name, values in self.columns.items()}
        return groups[:, 1:], index.reshape(-1), _Answer(self.positions[chosen], kept)


@dataclass(frozen=True)
class Cube:
    """All that was counted."""

    question: Question
    answer: _Answer

    def tally(self, wanted: Set) -> Tally:
        """The groups of a set that was asked for, or of a part of one; () is all rows together."""
        question = self.question
        cover = next(one for one in question.widest if set(wanted) <= set(one))
        groups, index, rows = self.answer.grouped(cover, wanted)
        shape = (len(groups),)
        sizes = _added(index, rows.columns["n"], shape)
        moments: tuple[Moments | None, ...] = (None,) * len(groups)
        if question.classes:
            strata = _by_stratum(question, index, rows, len(groups))
            counts = strata.sum(axis=1)
        else:
            strata = None
            counts = _added(index, rows.columns["cells"], (len(groups), rows.columns["cells"].shape[1]))
            moments = _moments(index, rows, len(groups))
        gaps = _gap_moments(question.cells, sizes, *(_added(index, rows.columns[name], shape) for name in ("m1", "m2")))
        return Tally(groups, sizes, counts, strata if question.strata else None, moments, gaps)


def count_rows(table: Table, question: Question) -> Cube:
    """One pass over the table."""
    aggregates = "count(*) AS n, coalesce(sum(m), 0) AS m1, coalesce(sum(m * m), 0) AS m2"
    if question.edges is None:
        return Cube(question, _answer(table, question, aggregates))
    aggregates += ", count(x) AS known, coalesce(avg(x), 0) AS mean, coalesce(stddev_samp(x), 0) AS deviation"
    cells = f"map_values(histogram(x, {question.edges.tolist()}::DOUBLE[]))"
    aggregates += f", list_resize(coalesce({cells}, []), {len(question.edges)}, 0) AS cells"  # no value: NULL
    answer = _answer(table, question, aggregates)
    answer.columns["cells"] = np.stack(list(answer.columns["cells"])).astype(np.int64)
    return Cube(question, answer)


def count_gaps(table: Table, features: Sequence[Labels], columns: Sequence[str]) -> list[tuple[IntArray, IntArray]]:
    """For each feature its rows by group, and its missing cells by group and column, (groups, columns)."""
    question = Question(tuple(features), tuple((index,) for index in range(len(features))))
    present = [f"count(v{index}) AS v{index}" for index in range(len(columns))]
    kept = [f"{quote(column)} AS v{index}" for index, column in enumerate(columns)]
    answer = _answer(table, question, ", ".join(("count(*) AS n", *present)), kept)
    counted = []
    for index, labels in enumerate(features):
        groups, place, rows = answer.grouped((index,), (index,))
        sizes = np.zeros(len(labels.names), dtype=np.int64)
        missing = np.zeros((len(labels.names), len(columns)), dtype=np.int64)
        sizes[groups[place, 0]] = rows.columns["n"]
        there = np.column_stack([rows.columns[f"v{column}"] for column in range(len(columns))])
        missing[groups[place, 0]] = rows.columns["n"][:, None] - there
        counted.append((sizes, missing))
    return counted


def _answer(table: Table, question: Question, aggregates: str, also: Sequence[str] = ()) -> _Answer:
    """`aggregates` of the rows by the widest sets; `also` are further columns that they are taken of.

    The rows have the columns `g0`, `g1`, … for the features, `y` and `c` for class and stratum, `x` for the number and
    `m` for the missing cells of a row.
    """
    names = [f"g{index}" for index in range(len(question.features))]
    codes = [(labels, _UNKNOWN) for labels in question.features]
    if question.classes:
        names.append("y")
        codes.append((question.classes, len(question.classes.names)))
    if question.strata:
        names.append("c")
        codes.append((question.strata, len(question.strata.names)))
    coded = [
        f"coalesce({labels.position}, {otherwise}) AS {name}"
        for name, (labels, otherwise) in zip(names, codes, strict=True)
    ]
    missing = " + ".join(f"CAST({quote(column)} IS NULL AS INTEGER)" for column in question.gaps)
    inner = ", ".join((*coded, f"{question.number or 'NULL'} AS x", f"{missing or 0} AS m", *also))
    features, finer = names[: len(question.features)], names[len(question.features) :]
    sets = ", ".join(f"({', '.join((*(features[index] for index in one), *finer))})" for one in question.widest)
    groups = [f"coalesce({name}, {_ABSENT}) AS {name}" for name in features]
    sql = f"SELECT {', '.join((*groups, *finer, aggregates))} FROM (SELECT {inner} FROM {table.source}) "
    parameters = [value for labels, _ in codes for value in labels.parameters]
    answered = table.connection.execute(f"{sql}GROUP BY GROUPING SETS ({sets})", parameters).fetchnumpy()
    found = {name: np.asarray(values) for name, values in answered.items()}
    positions = np.zeros((len(next(iter(found.values()))), len(features)), dtype=np.int64)
    for index, name in enumerate(features):
        positions[:, index] = found.pop(name)
    return _Answer(positions, found)


def _added(place: Any, amounts: NDArray[Any], shape: tuple[int, ...]) -> IntArray:
    """`amounts` added up by place."""
    total = np.zeros(shape, dtype=np.int64)
    np.add.at(total, place, amounts.astype(np.int64))
    return total


def _by_stratum(question: Question, index: IntArray, rows: _Answer, groups: int) -> IntArray:
    """Rows by group, value of the conditioning column and class; rows without a class are left out."""
    classes = len(question.classes.names) if question.classes else 0
    values = len(question.strata.names) + 1 if question.strata else 1
    stratum = rows.columns["c"] if question.strata else 0
    return _added((index, stratum, rows.columns["y"]), rows.columns["n"], (groups, values, classes + 1))[..., :classes]


def _moments(index: IntArray, rows: _Answer, groups: int) -> tuple[Moments | None, ...]:
    """The number's moments in each group, joined from those of its rows; None where it has no value."""
    parts: list[list[Moments]] = [[] for _ in range(groups)]
    columns = (rows.columns[name].tolist() for name in ("known", "mean", "deviation"))
    for group, known, mean, deviation in zip(index.tolist(), *columns, strict=True):
        if known:
            parts[group].append(Moments(known, mean, deviation))
    return tuple(combined(part) if part else None for part in parts)


def _gap_moments(cells: int, sizes: IntArray, first: IntArray, second: IntArray) -> tuple[Moments | None, ...]:
    """Moments of the share of missing cells, out of the sums of a row's missing cells and of their squares."""
    if not cells:
        return (None,) * len(sizes)
    squares = np.maximum(second - first**2 / sizes, 0.0)
    deviations = np.sqrt(squares / np.maximum(sizes - 1, 1)) / cells
    means = first / sizes / cells
    return tuple(map(Moments, sizes.tolist(), means.tolist(), deviations.tolist()))
