"""A bounded sample of a table as cells: every column a few numbered cells, missing values one of them.

Here rows are read and cut into cells. What cells tell of each other is for `guessing.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlpipe_dagster.bias.groups import Labels, Table, number_of, text_of
from mlpipe_dagster.bias.intervals import FloatArray, IntArray
from mlpipe_dagster.tables.duck import quote
from mlpipe_dagster.tables.profile import ColumnProfile, Profile

MOST_ROWS = 20_000
MOST_VALUES = 4_000_000
"""Of a wide table fewer rows are read, so that rows times columns stay below this."""
FEWEST_ROWS = 2_000
NUMBER_CELLS = 50
"""A number with more distinct values is cut at quantiles into so many cells."""
TEXT_CELLS = 200
"""The most frequent values of a text have a cell each, all others one together."""
_UNSEEN_KINDS = frozenset({"constant", "empty", "text"})
_ROW = "file_row_number"


@dataclass(frozen=True)
class Cells:
    """A column of the sample."""

    column: str
    codes: IntArray
    """The cell of each row."""
    count: int
    names: tuple[str, ...] = ()
    """Of the cells of a text, in their order; a cell beyond them is of missing or rare values."""
    numbers: FloatArray | None = None
    """The values, NaN where missing."""
    dates: bool = False


@dataclass(frozen=True)
class Sample:
    """Some rows of a table."""

    rows: int
    of: int
    columns: tuple[Cells, ...]
    groups: Mapping[str, IntArray]
    """By sensitive column the position of each row's group, -1 where it has none."""
    target: FloatArray
    """Position of the class, or the number itself; NaN where missing."""
    left_out: tuple[str, ...]
    """Columns that were not read: they identify people, or are free text."""


def read_sample(
    table: Table, profile: Profile, target: str, classes: Labels | None, features: Mapping[str, Labels]
) -> Sample:
    """About 20,000 rows at most, the same ones each time; `classes` is None where the target is a number."""
    chosen, left_out = _choose(profile, table, target)
    wanted = [_Wanted(_expression(table, column.name)) for column in chosen]
    wanted += [_Wanted(labels.position, labels.parameters) for labels in features.values()]
    told = classes.position if classes else number_of(table, target) or "NULL"
    wanted.append(_Wanted(told, classes.parameters if classes else ()))
    read = _read(table, wanted, len(profile.columns))
    width = len(chosen)
    columns = tuple(_cells(table, column.name, values) for column, values in zip(chosen, read[:width], strict=True))
    positions = (pc.fill_null(values, -1).to_numpy().astype(np.int64) for values in read[width:-1])
    truth = pc.cast(read[-1], pa.float64()).to_numpy(zero_copy_only=False)
    return Sample(len(truth), table.row_count, columns, dict(zip(features, positions, strict=True)), truth, left_out)


def _choose(profile: Profile, table: Table, target: str) -> tuple[list[ColumnProfile], tuple[str, ...]]:
    others = [column for column in profile.columns if column.name != target and column.name in table.types]
    chosen = [column for column in others if not column.personal and column.kind not in _UNSEEN_KINDS]
    chosen = [column for column in chosen if column.kind != "identifier" or number_of(table, column.name)]
    left_out = [column.name for column in others if column not in chosen and column.kind not in ("constant", "empty")]
    return chosen, tuple(left_out)


def _expression(table: Table, column: str) -> str:
    if table.types[column].startswith(("DATE", "TIMESTAMP")):
        return f"CAST(epoch_ms(CAST({quote(column)} AS TIMESTAMP)) AS DOUBLE)"
    return number_of(table, column) or text_of(table, column)


@dataclass(frozen=True)
class _Wanted:
    """An SQL expression of each row, and its parameters."""

    expression: str
    parameters: tuple[object, ...] = ()


def _read(table: Table, wanted: Sequence[_Wanted], width: int) -> list[Any]:
    """The values of each expression in the rows of the sample, as Arrow arrays."""
    most = min(MOST_ROWS, max(FEWEST_ROWS, MOST_VALUES // max(width, 1)))
    source = table.source
    if table.row_count > most and _ROW not in (name.casefold() for name in table.types):
        numbered = f"{source.removesuffix(')')}, {_ROW} = true)"
        source = f"(SELECT * FROM {numbered} WHERE hash({_ROW}) % {table.row_count} < {most} ORDER BY {_ROW})"
    select = ", ".join(f"{one.expression} AS c{index}" for index, one in enumerate(wanted))
    parameters = [parameter for one in wanted for parameter in one.parameters]
    found = table.connection.sql(f"SELECT {select} FROM {source}", params=parameters).to_arrow_table()
    return [column.combine_chunks() for column in found.columns]


def _cells(table: Table, column: str, values: Any) -> Cells:
    if pa.types.is_floating(values.type):
        numbers = values.to_numpy(zero_copy_only=False).astype(np.float64)
        codes, count = cut_number(numbers)
        dates = table.types[column].startswith(("DATE", "TIMESTAMP"))
        return Cells(column, codes, count, numbers=numbers, dates=dates)
    encoded = pc.dictionary_encode(values)
    found = pc.fill_null(encoded.indices, -1).to_numpy().astype(np.int64)
    codes, kept = _most_frequent(found, len(encoded.dictionary))
    names = tuple(encoded.dictionary.take(pa.array(kept)).to_pylist())
    return Cells(column, codes, len(names) + 2, names=names)


def cut_number(numbers: FloatArray) -> tuple[IntArray, int]:
    """The cell of each number and how many cells there are: one a value, or quantiles; the last is for missing ones."""
    known = numbers[~np.isnan(numbers)]
    edges = np.unique(known)
    if len(edges) > NUMBER_CELLS:
        edges = np.unique(np.quantile(known, np.arange(NUMBER_CELLS) / NUMBER_CELLS, method="inverted_cdf"))
    codes = np.searchsorted(edges, numbers, side="right") - 1
    codes[np.isnan(numbers)] = len(edges)
    return codes.astype(np.int64), len(edges) + 1


def _most_frequent(found: IntArray, distinct: int) -> tuple[IntArray, IntArray]:
    """Codes in the order of frequency, rare values and missing ones in two cells behind them; what is kept."""
    counts = np.bincount(found[found >= 0], minlength=distinct)
    kept = np.argsort(-counts, kind="stable")[:TEXT_CELLS]
    place = np.full(distinct + 1, len(kept))
    place[kept] = np.arange(len(kept))
    place[-1] = len(kept) + 1  # where -1, a missing value, points to
    return place[found], kept
