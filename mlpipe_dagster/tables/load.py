"""Rows of a typed Parquet table: as a pandas frame for models, or as a few rows of text for people.

pandas is imported inside `load` only, so that the API can show a preview without it.
"""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from mlpipe_dagster.errors import TableError
from mlpipe_dagster.tables.duck import connect, literal, quote
from mlpipe_dagster.tables.personal import MASK

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

LONGEST_CELL = 200


def load(
    parquet: Path,
    columns: Sequence[str] | None = None,
    limit: int | None = None,
    seed: int = 0,
    rows: "NDArray[np.int64] | None" = None,
) -> "pd.DataFrame":
    """The table, or some `columns` of it, or a random sample of `limit` rows (without replacement; the same for the
    same `seed`), or the `rows` at these positions, which rise.

    Rows keep the order of the file, and the index counts from 0. Dtypes are those of the profile, whichever rows are
    drawn: int64, float64 (also whole numbers with gaps), bool, datetime64[ns], and object for text and for true/false
    with gaps. Missing is NaN in float64, NaT in datetime64[ns], None in object columns.

    Raises:
        TableError: a column is not in the table.
    """
    with pq.ParquetFile(parquet) as file:
        chosen = list(columns) if columns is not None else file.schema_arrow.names
        if unknown := [name for name in chosen if name not in file.schema_arrow.names]:
            raise TableError(
                f"The table has no column {', '.join(unknown)}. Its columns are {', '.join(file.schema_arrow.names)}."
            )
        if rows is None and limit is not None:
            rows = _random_rows(file.metadata.num_rows, limit, seed)
        table = file.read(columns=chosen) if rows is None else _at(file, chosen, rows)
        return _frame(table.select(chosen), _gappy(file))


def load_row(parquet: Path, position: int) -> "pd.DataFrame":
    """The row at `position` (counted from 0), with that index and the dtypes of `load`.

    Raises:
        TableError: the table has no such row.
    """
    with pq.ParquetFile(parquet) as file:
        start = 0
        for index in range(file.num_row_groups):
            stop = start + file.metadata.row_group(index).num_rows
            if start <= position < stop:
                found = _frame(file.read_row_group(index).slice(position - start, 1), _gappy(file))
                return found.set_axis([position])
            start = stop
    raise TableError(f"The table has no row {position + 1}: its {start:,} rows are counted from 1.")


def preview(parquet: Path, rows: int = 10, hide: Collection[str] = ()) -> list[dict[str, str]]:
    """The first `rows` rows as text, column by column; missing is empty, columns in `hide` say "•••".

    Cells are cut to 200 characters.
    """
    relation = f"read_parquet({literal(str(parquet.absolute()))})"
    with connect([parquet]) as connection:
        names = [row[0] for row in connection.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()]
        cells = ", ".join(
            literal(MASK) if name in hide else f"coalesce(left({quote(name)}::VARCHAR, {LONGEST_CELL}), '')"
            for name in names
        )
        found = connection.execute(f"SELECT {cells} FROM {relation} LIMIT {int(rows)}").fetchall()
    return [dict(zip(names, row, strict=True)) for row in found]


def _random_rows(total: int, limit: int, seed: int) -> "NDArray[np.int64] | None":
    """None: all."""
    import numpy as np

    if limit >= total:
        return None
    return np.sort(np.random.default_rng(seed).choice(total, size=limit, replace=False, shuffle=False))


def _at(file: pq.ParquetFile, columns: Sequence[str], rows: "NDArray[np.int64]") -> pa.Table:
    """One row group after the other."""
    import numpy as np

    parts, start = [file.schema_arrow.empty_table().select(columns)], 0
    for index in range(file.num_row_groups):
        stop = start + file.metadata.row_group(index).num_rows
        here = rows[np.searchsorted(rows, start) : np.searchsorted(rows, stop)] - start
        if len(here):
            parts.append(file.read_row_group(index, columns=columns).take(here))
        start = stop
    return pa.concat_tables(parts)


def _gappy(file: pq.ParquetFile) -> set[str]:
    """Columns with missing values anywhere in the file, by its statistics."""
    names, found = file.schema_arrow.names, set[str]()
    for group in (file.metadata.row_group(index) for index in range(file.num_row_groups)):
        for position, name in enumerate(names):
            statistics = group.column(position).statistics
            if statistics is not None and statistics.null_count:
                found.add(name)
    return found


def _frame(table: pa.Table, gappy: Collection[str]) -> "pd.DataFrame":
    import pandas as pd

    columns = {
        name: pd.Series(column.to_numpy(), dtype=_dtype(column.type, name in gappy))
        for name, column in zip(table.column_names, table.columns, strict=True)
    }
    return pd.DataFrame(columns, index=pd.RangeIndex(table.num_rows))


def _dtype(kind: pa.DataType, gaps: bool) -> str:
    if pa.types.is_integer(kind):
        return "float64" if gaps else "int64"
    if pa.types.is_boolean(kind):
        return "object" if gaps else "bool"
    if pa.types.is_timestamp(kind):
        return "datetime64[ns]"
    return "float64" if pa.types.is_floating(kind) else "object"
