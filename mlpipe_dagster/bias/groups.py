"""Groups and classes: how the values of a column of a Parquet file become a few names, or a number a few cells.

Here are the SQL expressions that do so in DuckDB; `counts.py` counts what they yield.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from mlpipe_dagster.bias.bands import choose_banding
from mlpipe_dagster.bias.intervals import FloatArray
from mlpipe_dagster.bias.sensitive_kinds import POSTCODE
from mlpipe_dagster.tables.duck import literal, quote

LARGEST = 20
"""Values of a column that are kept apart, the most frequent ones."""
_LONGEST_AREA = 5
MOST_CELLS = 1000
"""A numeric target with more distinct values is cut at this many quantiles where distributions are compared."""
_SORTED_ROWS = 1_000_000
"""The quantiles are those of about so many rows."""
_HUGE = 1e150
"""Numbers whose squares overflow are taken as missing."""
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

    def thinned(self, most: int) -> str:
        """SQL of a source with about `most` of the rows, the same ones each time, or all where there are fewer."""
        step = 1 + self.row_count // most
        taken = any(name.casefold() == "file_row_number" for name in self.types)  # DuckDB's name for what is used here
        if step == 1 or taken:
            return self.source
        numbered = self.source.removesuffix(")") + ", file_row_number = true)"
        return f"(SELECT * FROM {numbered} WHERE hash(file_row_number) % {step} = 0)"


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
        return f"CASE WHEN abs(CAST({name} AS DOUBLE)) < {_HUGE} THEN CAST({name} AS DOUBLE) END"
    return None


def _is_of(table: Table, column: str, families: tuple[str, ...]) -> bool:
    """Whether the column's type is of one of the families; a list of numbers is no number."""
    return table.types[column].startswith(families) and not table.types[column].endswith("]")


def label_groups(table: Table, column: str, kind: str) -> Labels:
    """The groups of a sensitive column: its values, bands of numbers and dates with many, areas of postcodes."""
    if kind == POSTCODE:
        return _areas(table, column)
    number = number_of(table, column)
    banded = _bands(table, number, kind) if number else None
    if banded is None and _is_of(table, column, _DATES):
        years = _label_texts(table, f"CAST(year({quote(column)}) AS VARCHAR)")
        return replace(years, note="Dates are grouped by their year.")
    return banded or label_values(table, column)


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
    if (
        len(table.rows(f"DISTINCT {number}", f"WHERE ({number}) IS NOT NULL LIMIT {_UNBANDED_NUMBERS + 1}"))
        <= _UNBANDED_NUMBERS
    ):
        return None
    lowest, highest, quartiles, whole = table.rows(
        f"min({number}), max({number}), quantile_disc({number}, [0.25, 0.5, 0.75]), "
        f"bool_and({number} = trunc({number}))"
    )[0]
    banding = choose_banding(kind, lowest, highest, quartiles, whole=whole)
    cases = "".join(f" WHEN {number} < {edge!r} THEN {index}" for index, edge in enumerate(banding.edges))
    position = f"CASE WHEN ({number}) IS NULL THEN NULL{cases} ELSE {len(banding.edges)} END"
    return Labels(position, (), banding.names, banding.note)


@dataclass(frozen=True)
class Cells:
    """How a number is cut into cells: their upper edges, where the rows of each stand, and whether that is exact."""

    edges: FloatArray
    points: FloatArray
    exact: bool
    """Each cell is one value; else they are about 1,000 quantiles, and their points the means of the values."""


def choose_cells(table: Table, number: str) -> Cells:
    """The cells of a number: its values, or quantiles where there are more than 1,000; none where it has no value."""
    known = f"WHERE ({number}) IS NOT NULL"
    values = sorted(value for (value,) in table.rows(f"DISTINCT {number}", f"{known} LIMIT {MOST_CELLS + 1}"))
    if len(values) <= MOST_CELLS:
        return Cells(np.array(values), np.array(values), True)
    sampled = f"SELECT {number} AS x FROM {table.thinned(_SORTED_ROWS)} {known}"
    seen = table.connection.execute(sampled).fetchnumpy()["x"]
    ordered = np.sort(np.append(seen, table.rows(f"max({number})")[0][0]))
    starts = np.searchsorted(ordered, np.unique(ordered[np.arange(MOST_CELLS) * len(ordered) // MOST_CELLS]))
    ends = np.append(starts[1:], len(ordered))
    return Cells(ordered[ends - 1], np.add.reduceat(ordered, starts) / (ends - starts), False)
