"""The profile of a typed Parquet table: counts, moments, top values, histograms and the kind of each column.

Everything is counted by DuckDB in a bounded number of passes over groups of columns. The table is expected as
`convert.py` writes it: five types, neither NaN nor infinity. What the counts mean is judged in `kinds.py` and
`personal.py`.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np

from mlpipe_dagster.tables.duck import connect, literal, quote
from mlpipe_dagster.tables.kinds import ColumnFacts, kind_of
from mlpipe_dagster.tables.personal import personal_kind
from mlpipe_dagster.tables.profile import ColumnProfile, HistogramBin, Profile, ValueCount

EXACT_ROWS = 1_000_000
"""Above this many rows medians are approximate, and so are distinct counts over EXACT_DISTINCT (within a few per
cent)."""
EXACT_DISTINCT = 100_000
"""Above EXACT_ROWS a column with more distinct values than this has no top values."""
CELLS_AT_ONCE = 20_000_000
COLUMNS_AT_ONCE = 100
TOP_VALUES = 20
BINS = 20
SAMPLE_VALUES = 200
LONGEST_VALUE = 200
"""Characters of a top value that are kept."""
HUGE = 1e150
"""Numbers whose squares overflow have no standard deviation."""


@dataclass(frozen=True)
class _Column:
    """A column of the group at work, under the name `key` there."""

    key: str
    name: str
    sql_type: str

    @property
    def numeric(self) -> bool:
        return self.sql_type in ("BIGINT", "DOUBLE")


@dataclass(frozen=True)
class _Stats:
    """One row of aggregates; None where the type has no such thing or nothing is present."""

    present: int
    approximate: int
    minimum: float | None = None
    maximum: float | None = None
    mean: float | None = None
    deviation: float | None = None
    median: float | None = None
    average_length: float | None = None
    longest: int | None = None
    spaced: int | None = None


@dataclass(frozen=True)
class _Values:
    """Distinct values: their number, the most frequent ones, and whether these were counted at all."""

    distinct: int
    top: tuple[ValueCount, ...] = ()


def profile(parquet: Path, notes: Sequence[str] = ()) -> Profile:
    """Profile the table at `parquet`; `notes` are passed on.

    Top values: 20 at most, cut to 200 characters. Histograms: 20 bins of equal width, of numbers with more than one
    value. Columns that identify people have counts only. Standard deviations are of the sample (n - 1).
    """
    source = f"read_parquet({literal(str(parquet.absolute()))})"
    with connect([parquet]) as connection:
        rows = _single(connection, f"SELECT count(*) FROM {source}")
        described = connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()
        size = max(1, min(COLUMNS_AT_ONCE, CELLS_AT_ONCE // max(rows, 1)))
        whole = len(described) <= COLUMNS_AT_ONCE
        hashes = np.zeros(rows, dtype=np.uint64)
        columns: list[ColumnProfile] = []
        for start in range(0, len(described), size):
            group = [_Column(f"c{i}", row[0], row[1]) for i, row in enumerate(described[start : start + size])]
            _bring(connection, source, group, copy=not whole)
            hashes = hashes * np.uint64(0x9E3779B97F4A7C15) + _row_hashes(connection, group)
            columns += _profile_group(connection, group, rows)
    duplicates = rows - len(np.unique(hashes))
    return Profile(row_count=rows, columns=tuple(columns), duplicate_rows=duplicates, notes=tuple(notes))


def _bring(connection: duckdb.DuckDBPyConnection, source: str, group: Sequence[_Column], copy: bool) -> None:
    """Make `part` the group's columns: a view, or a copy where the Parquet footer is too long to be read for each
    query."""
    chosen = ", ".join(f"{quote(column.name)} AS {column.key}" for column in group)
    connection.execute("DROP TABLE IF EXISTS part" if copy else "DROP VIEW IF EXISTS part")
    connection.execute(f"CREATE TEMP {'TABLE' if copy else 'VIEW'} part AS SELECT {chosen} FROM {source}")


def _row_hashes(
    connection: duckdb.DuckDBPyConnection, group: Sequence[_Column]
) -> "np.ndarray[tuple[int], np.dtype[np.uint64]]":
    """A 64-bit hash of each row of `part`, in order."""
    keys = ", ".join(column.key for column in group)
    return np.asarray(connection.execute(f"SELECT hash({keys}) AS h FROM part").fetchnumpy()["h"], dtype=np.uint64)


def _profile_group(connection: duckdb.DuckDBPyConnection, group: Sequence[_Column], rows: int) -> list[ColumnProfile]:
    stats = _stats(connection, group, rows)
    values = _values(connection, group, stats, rows)
    histograms = _histograms(connection, group, stats)
    samples = _samples(connection, group, stats)
    return [
        _column_profile(
            column, rows, stats[column.key], values[column.key], histograms[column.key], samples[column.key]
        )
        for column in group
    ]


def _column_profile(
    column: _Column, rows: int, stats: _Stats, values: _Values, bins: tuple[HistogramBin, ...], sample: Sequence[str]
) -> ColumnProfile:
    span = (stats.maximum or 0.0) - (stats.minimum or 0.0)
    facts = ColumnFacts(
        column.name,
        column.sql_type,
        rows,
        stats.present,
        values.distinct,
        span,
        stats.average_length or 0.0,
        stats.longest or 0,
        stats.spaced or 0,
    )
    personal = personal_kind(column.name, sample, facts.distinct_share)
    counts = ColumnProfile(
        name=column.name,
        data_type=data_type(column.sql_type, missing=stats.present < rows),
        kind=kind_of(facts),
        missing=rows - stats.present,
        distinct=values.distinct,
        personal=personal,
    )
    if personal:
        return counts
    return counts.model_copy(
        update={
            "minimum": stats.minimum,
            "maximum": stats.maximum,
            "mean": stats.mean,
            "standard_deviation": stats.deviation,
            "median": stats.median,
            "top_values": values.top,
            "histogram": bins,
        }
    )


def data_type(sql_type: str, missing: bool) -> str:
    """The pandas 2 dtype a column of that SQL type loads as (see `load.py`)."""
    if sql_type == "BIGINT":
        return "float64" if missing else "int64"
    if sql_type == "BOOLEAN":
        return "object" if missing else "bool"
    return {"DOUBLE": "float64", "TIMESTAMP": "datetime64[ns]"}.get(sql_type, "object")


def _stats(connection: duckdb.DuckDBPyConnection, group: Sequence[_Column], rows: int) -> dict[str, _Stats]:
    median = "median" if rows <= EXACT_ROWS else "approx_quantile"
    structs = ", ".join(_aggregates(column, median, rows > EXACT_ROWS) for column in group)
    row = connection.execute(f"SELECT {structs} FROM part").fetchone() or ()
    return {column.key: _Stats(**found) for column, found in zip(group, row, strict=True)}


def _aggregates(column: _Column, median: str, approximate: bool) -> str:
    key = column.key
    entries = {"present": f"count({key})", "approximate": f"approx_count_distinct({key})" if approximate else "0"}
    if column.numeric:
        number = f"{key}::DOUBLE"
        small = f"CASE WHEN abs({number}) < {HUGE} THEN {number} END"
        entries |= {
            "minimum": f"min({key})::DOUBLE",
            "maximum": f"max({key})::DOUBLE",
            "mean": f"CASE WHEN isfinite(avg({number})) THEN avg({number}) END",
            "deviation": f"CASE WHEN max(abs({number})) < {HUGE} THEN stddev_samp({small}) END",
            "median": f"median({number})" if median == "median" else f"approx_quantile({number}, 0.5)",
        }
    if column.sql_type == "VARCHAR":
        entries |= {
            "average_length": f"avg(length({key}))",
            "longest": f"max(length({key}))",
            "spaced": f"count_if(contains({key}, ' '))",
        }
    return "{" + ", ".join(f"'{name}': {value}" for name, value in entries.items()) + "}"


def _values(
    connection: duckdb.DuckDBPyConnection, group: Sequence[_Column], stats: dict[str, _Stats], rows: int
) -> dict[str, _Values]:
    counted = [column for column in group if rows <= EXACT_ROWS or stats[column.key].approximate <= EXACT_DISTINCT]
    found = {column.key: _Values(stats[column.key].approximate) for column in group}
    top, distinct = defaultdict[str, list[ValueCount]](list), dict.fromkeys((column.key for column in counted), 0)
    query = " UNION ALL ".join(
        f"(SELECT '{key}', left(v::VARCHAR, {LONGEST_VALUE}), n, count(*) OVER () FROM "
        f"(SELECT {key} AS v, count(*) AS n FROM part WHERE {key} IS NOT NULL GROUP BY {key}) "
        f"ORDER BY n DESC, v LIMIT {TOP_VALUES})"
        for key in distinct
    )
    for key, value, count, total in connection.execute(query).fetchall() if counted else ():
        top[key].append(ValueCount(value=value, count=count))
        distinct[key] = total
    order = {key: tuple(sorted(entries, key=lambda entry: (-entry.count, entry.value))) for key, entries in top.items()}
    return found | {key: _Values(total, order.get(key, ())) for key, total in distinct.items()}


def _histograms(
    connection: duckdb.DuckDBPyConnection, group: Sequence[_Column], stats: dict[str, _Stats]
) -> dict[str, tuple[HistogramBin, ...]]:
    ranges = {key: (low, width) for key, low, width in map(_bin_width, group, (stats[c.key] for c in group)) if width}
    counts = {key: [0] * BINS for key in ranges}
    query = " UNION ALL ".join(
        f"(SELECT '{key}', least(floor(({key}::DOUBLE - ({low!r})) / {width!r}), {BINS - 1})::INTEGER AS bin, count(*) "
        f"FROM part WHERE {key} IS NOT NULL GROUP BY bin)"
        for key, (low, width) in ranges.items()
    )
    for key, index, count in connection.execute(query).fetchall() if ranges else ():
        counts[key][index] = count
    bins = {key: _bins(low, width, stats[key].maximum or 0.0, counts[key]) for key, (low, width) in ranges.items()}
    return {column.key: bins.get(column.key, ()) for column in group}


def _bin_width(column: _Column, stats: _Stats) -> tuple[str, float, float]:
    """Width 0 where there is nothing to draw: no numbers, one value, or a range beyond floating point."""
    if stats.minimum is None or stats.maximum is None:
        return column.key, 0.0, 0.0
    width = (stats.maximum - stats.minimum) / BINS
    distinguishable = math.isfinite(width) and stats.minimum + width > stats.minimum
    return column.key, stats.minimum, width if distinguishable else 0.0


def _bins(low: float, width: float, high: float, counts: Sequence[int]) -> tuple[HistogramBin, ...]:
    edges = [low + width * index for index in range(BINS)] + [high]
    return tuple(
        HistogramBin(lower=lower, upper=upper, count=count)
        for lower, upper, count in zip(edges, edges[1:], counts, strict=False)
    )


def _samples(
    connection: duckdb.DuckDBPyConnection, group: Sequence[_Column], stats: dict[str, _Stats]
) -> dict[str, list[str]]:
    """Up to 200 distinct values among the first 10,000 rows, for the columns that could identify people."""
    found = defaultdict[str, list[str]](list)
    able = [column.key for column in group if column.sql_type in ("VARCHAR", "BIGINT") and stats[column.key].present]
    query = " UNION ALL ".join(
        f"(SELECT '{key}', v FROM (SELECT DISTINCT left({key}::VARCHAR, {LONGEST_VALUE}) AS v "
        f"FROM (SELECT {key} FROM part WHERE {key} IS NOT NULL LIMIT 10000)) ORDER BY v LIMIT {SAMPLE_VALUES})"
        for key in able
    )
    for key, value in connection.execute(query).fetchall() if able else ():
        found[key].append(value)
    return {column.key: found[column.key] for column in group}


def _single(connection: duckdb.DuckDBPyConnection, query: str) -> int:
    row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0
