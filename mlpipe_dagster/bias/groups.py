"""Counting: the rows of every group by outcome, out of a Parquet file with DuckDB.

Here are the SQL expressions that turn values into groups and classes, and the small arrays they yield. What the counts
mean is decided in `measures.py`; nothing here loads rows into memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from mlpipe_dagster.bias.bands import choose_banding
from mlpipe_dagster.bias.intervals import IntArray, Moments
from mlpipe_dagster.bias.sensitive_kinds import POSTCODE
from mlpipe_dagster.tables.duck import literal, quote

LARGEST = 20
_LONGEST_AREA = 5
MOST_CELLS = 1000
"""A numeric target with more distinct values is cut at this many quantiles where distributions are compared."""
_UNBANDED_NUMBERS = 10
_FLOATING = ("FLOAT", "DOUBLE", "DECIMAL")
_WHOLE = (
    "TINYINT",
    "SMALLINT",
    "INTEGER",
    "BIGINT",
    "HUGEINT",
    "UTINYINT",
    "USMALLINT",
    "UINTEGER",
    "UBIGINT",
    "UHUGEINT",
)
_DATES = ("DATE", "TIMESTAMP")


@dataclass(frozen=True)
class Table:
    """A Parquet file open for counting: connection, SQL of the source, DuckDB types by column, number of rows."""

    connection: duckdb.DuckDBPyConnection
    source: str
    types: dict[str, str]
    row_count: int

    def rows(self, select: str, after: str = "", parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """The rows of `SELECT {select} FROM the file {after}`."""
        return self.connection.execute(f"SELECT {select} FROM {self.source} {after}", list(parameters)).fetchall()


@dataclass(frozen=True)
class Labels:
    """How a column becomes a few names: SQL that yields the position of a row's name, NULL where it has no value."""

    position: str
    parameters: tuple[object, ...]
    names: tuple[str, ...]
    note: str = ""
    """How values became names, where that is not one name for each value."""


def open_table(connection: duckdb.DuckDBPyConnection, parquet: Path) -> Table:
    """The Parquet file as a `Table`; the connection must be allowed to read it."""
    source = f"read_parquet({literal(str(parquet.absolute()))})"
    types = {name: kind for name, kind, *_ in connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()}
    table = Table(connection, source, types, 0)
    return Table(connection, source, types, table.rows("count(*)")[0][0])


def text_of(table: Table, column: str) -> str:
    """SQL of the value as text: whole numbers without a decimal point; blank, NULL, NaN and infinite are NULL."""
    number = f"CAST({quote(column)} AS DOUBLE)"
    if not _is_of(table, column, _FLOATING):
        return f"nullif(trim(CAST({quote(column)} AS VARCHAR)), '')"
    whole = f"{number} = trunc({number}) AND abs({number}) < 1e15"
    return (
        f"CASE WHEN NOT isfinite({number}) THEN NULL WHEN {whole} THEN CAST(CAST({number} AS BIGINT) AS VARCHAR) "
        f"ELSE CAST({number} AS VARCHAR) END"
    )


def number_of(table: Table, column: str) -> str | None:
    """SQL of the value as a finite DOUBLE, of dates their year; None where the column holds neither."""
    name = quote(column)
    if _is_of(table, column, _DATES):
        return f"CAST(year({name}) AS DOUBLE)"
    if _is_of(table, column, (*_FLOATING, *_WHOLE)):
        return f"CASE WHEN isfinite(CAST({name} AS DOUBLE)) THEN CAST({name} AS DOUBLE) END"
    return None


def _is_of(table: Table, column: str, families: tuple[str, ...]) -> bool:
    """Whether the column's type is of one of the families; a list of numbers is no number."""
    return table.types[column].startswith(families) and not table.types[column].endswith("]")


def label_groups(table: Table, column: str, kind: str) -> Labels:
    """The groups of a sensitive column: its values, bands of numbers and dates with many, areas of postcodes."""
    if kind == POSTCODE:
        return _areas(table, column)
    number = number_of(table, column)
    return (_bands(table, number, kind) if number else None) or label_values(table, column)


def label_values(table: Table, column: str) -> Labels:
    """One name for each value, most frequent first; beyond the 20 largest, the others together."""
    return _label_texts(table, text_of(table, column))


def _areas(table: Table, column: str) -> Labels:
    """Postcodes by their beginning, as long as there are few enough of those; numbers with their leading zeros."""
    text = text_of(table, column)
    longest = table.rows(f"max(length({text}))")[0][0] or 0
    code = text if number_of(table, column) is None else f"lpad({text}, {longest}, '0')"
    lengths = range(1, min(longest, _LONGEST_AREA) + 1)
    counted = table.rows(", ".join(["0", *(f"count(DISTINCT left({code}, {length}))" for length in lengths)]))[0]
    most = max((areas for areas in counted[1:] if areas <= LARGEST), default=0)
    kept = counted.index(most) if most else 1
    if kept >= longest:
        return _label_texts(table, code)
    labels = _label_texts(table, f"left({code}, {kept})")
    note = f"Postcodes are grouped by their first {f'{kept} signs' if kept > 1 else 'sign'}. {labels.note}"
    return replace(labels, note=note.rstrip())


def _label_texts(table: Table, text: str) -> Labels:
    kept = f"WHERE ({text}) IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {LARGEST + 1}"
    found = table.rows(f"{text}, count(*)", kept)
    names = tuple(name for name, _ in found[:LARGEST])
    position = f"list_position(?, {text}) - 1"
    if len(found) <= LARGEST:
        return Labels(position, (list(names),), names)
    others = next(name for name in _NAMES_OF_OTHERS if name not in names)
    note = f"The {LARGEST} most frequent values are kept apart; the others are taken together as “{others}”."
    position = f"CASE WHEN {text} IS NOT NULL THEN coalesce({position}, {LARGEST}) END"
    return Labels(position, (list(names),), (*names, others), note)


_NAMES_OF_OTHERS = ("all others", *(f"all others ({number})" for number in range(LARGEST)))
"""One more than there can be values of such a name."""


def _bands(table: Table, number: str, kind: str) -> Labels | None:
    distinct, lowest, highest, quartiles, whole = table.rows(
        f"count(DISTINCT {number}), min({number}), max({number}), quantile_disc({number}, [0.25, 0.5, 0.75]), "
        f"bool_and({number} = trunc({number}))"
    )[0]
    if distinct <= _UNBANDED_NUMBERS:
        return None
    banding = choose_banding(kind, lowest, highest, quartiles, whole=whole)
    cases = "".join(f" WHEN {number} < {edge!r} THEN {index}" for index, edge in enumerate(banding.edges))
    position = f"CASE WHEN ({number}) IS NULL THEN NULL{cases} ELSE {len(banding.edges)} END"
    return Labels(position, (), banding.names, banding.note)


def count_labels(table: Table, labels: Labels) -> IntArray:
    """Rows of each name; what is left of all rows has no value."""
    counts = np.zeros(len(labels.names), dtype=np.int64)
    for position, rows in table.rows(f"{labels.position}, count(*)", "GROUP BY 1", labels.parameters):
        if position is not None:
            counts[position] = rows
    return counts


def count_cross(table: Table, groups: Labels, classes: Labels) -> IntArray:
    """Rows by group and class, (groups, classes); rows without a value in either are left out."""
    counts = np.zeros((len(groups.names), len(classes.names)), dtype=np.int64)
    select = f"{groups.position}, {classes.position}, count(*)"
    for group, outcome, rows in table.rows(select, "GROUP BY 1, 2", (*groups.parameters, *classes.parameters)):
        if group is not None and outcome is not None:
            counts[group, outcome] = rows
    return counts


def choose_edges(table: Table, number: str) -> tuple[list[float], bool]:
    """Upper edges of cells of a number, and whether each cell is one exact value: else they are 1,000 quantiles."""
    edges = [value for (value,) in table.rows(f"DISTINCT {number}", f"ORDER BY 1 NULLS LAST LIMIT {MOST_CELLS + 2}")]
    exact = [value for value in edges if value is not None]
    if len(exact) <= MOST_CELLS:
        return exact, True
    steps = [step / MOST_CELLS for step in range(1, MOST_CELLS + 1)]
    return sorted(set(table.rows(f"quantile_disc({number}, {steps})")[0][0])), False


def count_cells(table: Table, groups: Labels, number: str, edges: Sequence[float]) -> IntArray:
    """Rows by group and cell of a number, (groups, cells)."""
    counts = np.zeros((len(groups.names), len(edges)), dtype=np.int64)
    cells = {edge: index for index, edge in enumerate(edges)}
    select = f"{groups.position}, histogram({number}, ?)"
    for group, histogram in table.rows(select, "GROUP BY 1", (*groups.parameters, list(edges))):
        for edge, rows in (histogram or {}).items() if group is not None else ():
            if rows:
                counts[group, cells[edge]] += rows
    return counts


def moments_by(table: Table, groups: Labels, number: str) -> list[Moments | None]:
    """Count, mean and deviation of a number in each group; None where a group has no value."""
    found: list[Moments | None] = [None] * len(groups.names)
    select = f"{groups.position}, count({number}), avg({number}), stddev_samp({number})"
    for group, count, mean, deviation in table.rows(select, "GROUP BY 1", groups.parameters):
        if group is not None and count:
            found[group] = Moments(count, mean, deviation or 0.0)
    return found


def moments_of(table: Table, number: str) -> Moments | None:
    """Count, mean and deviation of a number in all rows; None where there is no value."""
    count, mean, deviation = table.rows(f"count({number}), avg({number}), stddev_samp({number})")[0]
    return Moments(count, mean, deviation or 0.0) if count else None
