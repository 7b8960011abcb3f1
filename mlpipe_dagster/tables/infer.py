"""The type of every column of a source: what its values say, and the SQL that turns them into that type.

A column gets a type only where every value present has it; anything else stays text, so that nothing is lost. Parquet
holds BIGINT, DOUBLE, BOOLEAN, TIMESTAMP and VARCHAR after this, without NaN or infinity. Other formats of dates and
numbers than the plain ones are tried in `notations.py`.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import duckdb

from mlpipe_dagster.tables.duck import literal
from mlpipe_dagster.tables.notations import Notation, other_notation
from mlpipe_dagster.tables.source import WHITESPACE, Slice, SourceColumn, listed

DataType = Literal["int64", "float64", "object", "bool", "datetime64[ns]"]

BATCH_COLUMNS = 25
"""Every expression on a column takes a vector in memory."""
EXACT_DOUBLE = 2**53
NEARLY = 0.95
WHOLE = r"\s*[+-]?(0|[1-9][0-9]*)\s*"
PADDED = r"\s*[+-]?0[0-9]+\s*"
NUMBER = r"\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*|\s*[+-]?([iI]nf|INF|[iI]nfinity)\s*"
LONG = r"^\s*[+-]?0*\.?0*[1-9]([0-9]\.?){17,}"
"""More digits than a double is written with."""
FORMS = frozenset(("number", "flag", "stamp"))
FIRST_ROWS = 5_000
EARLIEST, LATEST = "TIMESTAMP '1678-01-01'", "TIMESTAMP '2262-01-01'"
"""What datetime64[ns] can hold, in whole years."""

REMARKS = {
    "words": "Blank text and words such as NA or ? were read as missing values: {}.",
    "infinite": "Infinite numbers were read as missing values: {}.",
    "big": "Whole numbers too large to be kept exactly as numbers are kept as text: {}.",
    "rounded": "Numbers with more than 15 digits were rounded: {}.",
    "zeros": "Numbers written with leading zeros are kept as text: {}.",
    "nearly": "Nearly all values are numbers but some are not, so these columns are kept as text: {}.",
    "far": "Dates before 1678 or after 2261 are kept as text: {}.",
    "ambiguous": "Dates whose day and month cannot be told apart are kept as text: {}. Write them as 2024-12-31.",
    "commas": "Numbers with commas are kept as text, since a comma may mark decimals or thousands: {}.",
    "decimal": "Commas were read as decimal points: {}.",
    "binary": "Binary values that are not text were left empty: {}.",
}
"""Kind of remark -> the note on the columns it was made on."""

SQL_OF_KIND = {
    "BOOLEAN": "BOOLEAN",
    "DATE": "TIMESTAMP",
    "FLOAT": "DOUBLE",
    "DOUBLE": "DOUBLE",
    **dict.fromkeys(("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER"), "BIGINT"),
}


@dataclass(frozen=True)
class TypedColumn:
    """A column with its type settled: `expression` yields it from the slice's relation."""

    name: str
    expression: str
    data_type: DataType
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Counts:
    """How many values of an untyped column have which form; `sample` is one of them."""

    rows: int
    present: int
    sample: str | None
    whole: int = 0
    padded: int = 0
    fits: int = 0
    exact: int = 0
    numbers: int = 0
    infinite: int = 0
    long: int = 0
    flags: int = 0
    stamps: int = 0


def settle(connection: duckdb.DuckDBPyConnection, part: Slice, comma_decimals: bool) -> Iterator[TypedColumn]:
    """The columns of a slice with their types, in order.

    `comma_decimals`: the delimiter leaves commas free, so that `1,5` may be a number.
    """
    for start in range(0, len(part.columns), BATCH_COLUMNS):
        batch = part.columns[start : start + BATCH_COLUMNS]
        untyped = [column for column in batch if column.untyped]
        found = dict(zip(untyped, _count(connection, part.relation, untyped), strict=True)) if untyped else {}
        for column in batch:
            if column in found:
                yield _settle_text(connection, part.relation, column, found[column], comma_decimals)
            else:
                yield _settle_typed(connection, part.relation, column)


def notes_on(columns: Iterable[TypedColumn]) -> tuple[str, ...]:
    """The remarks of all columns as sentences, one for each kind."""
    marked = defaultdict[str, list[str]](list)
    for column in columns:
        for remark in column.remarks:
            marked[remark].append(column.name)
    return tuple(sentence.format(listed(marked[kind])) for kind, sentence in REMARKS.items() if kind in marked)


def _stamp(text: str) -> str:
    """SQL of an ISO date or time; an offset is taken to UTC. Casting with time zones is slow, hence only where there
    is one."""
    zoned = f"TRY_CAST(TRY_CAST({text} AS TIMESTAMPTZ) AS TIMESTAMP)"
    plain = f"TRY_CAST({text} AS TIMESTAMP)"
    has_offset = f"length({text}) > 19 AND regexp_matches({text}, '[+-][0-9]{{2}}(:?[0-9]{{2}})?[[:space:]]*$')"
    starts = f"regexp_matches({text}, '^[[:space:]]*[0-9]{{4}}-')"
    return f"CASE WHEN NOT {starts} THEN NULL WHEN {has_offset} THEN {zoned} ELSE {plain} END"


def _count(connection: duckdb.DuckDBPyConnection, relation: str, columns: Sequence[SourceColumn]) -> list[_Counts]:
    """The counts of each column: all of them on the first rows, then on every row those that can still decide."""
    first = f"(SELECT * FROM {relation} LIMIT {FIRST_ROWS})"
    glimpsed = _run_counts(connection, first, columns, [FORMS] * len(columns))
    if glimpsed[0].rows < FIRST_ROWS:
        return glimpsed
    return _run_counts(connection, relation, columns, [_undecided(counts) for counts in glimpsed])


def _run_counts(
    connection: duckdb.DuckDBPyConnection,
    relation: str,
    columns: Sequence[SourceColumn],
    forms: Sequence[frozenset[str]],
) -> list[_Counts]:
    inner = ", ".join(f"{column.expression} AS t{index}" for index, column in enumerate(columns))
    structs = ", ".join(_aggregates(f"t{index}", wanted) for index, wanted in enumerate(forms))
    row = connection.execute(f"SELECT {structs} FROM (SELECT {inner} FROM {relation})").fetchone() or ()
    return [_Counts(**found) for found in row]


def _undecided(first: _Counts) -> frozenset[str]:
    """The forms that a column may have as a whole, by its first rows."""
    if not first.present:
        return FORMS
    shares = {"number": first.numbers / NEARLY, "flag": first.flags, "stamp": first.stamps}
    return frozenset(form for form, matching in shares.items() if matching >= first.present)


def _aggregates(text: str, wanted: frozenset[str]) -> str:
    number = f"TRY_CAST({text} AS BIGINT)"
    decimal = f"CASE WHEN regexp_full_match({text}, '{NUMBER}') THEN TRY_CAST({text} AS DOUBLE) END"
    by_form = {
        "number": {
            "whole": f"count_if(regexp_full_match({text}, '{WHOLE}'))",
            "padded": f"count_if(regexp_full_match({text}, '{PADDED}'))",
            "fits": f"count({number})",
            "exact": f"count_if({number} BETWEEN {-EXACT_DOUBLE} AND {EXACT_DOUBLE})",
            "numbers": f"count({decimal})",
            "infinite": f"count_if(isinf({decimal}))",
            "long": f"count_if(length({text}) > 17 AND regexp_matches({text}, '{LONG}'))",
        },
        "flag": {"flags": f"count_if(regexp_full_match({text}, '(?i)\\s*(true|false)\\s*'))"},
        "stamp": {
            "stamps": f"count({_stamp(text)})",
        },
    }
    entries = {
        "rows": "count(*)",
        "present": f"count({text})",
        "sample": f"any_value({text})",
    }
    for form, aggregates in by_form.items():
        entries |= aggregates if form in wanted else {}
    return "{" + ", ".join(f"'{name}': {aggregate}" for name, aggregate in entries.items()) + "}"


def _settle_text(
    connection: duckdb.DuckDBPyConnection, relation: str, column: SourceColumn, counts: _Counts, comma_decimals: bool
) -> TypedColumn:
    text, present = column.expression, counts.present
    words = ("words",) if column.words else ()
    kind, remarks = _plain_kind(counts)
    if kind == "TIMESTAMP":
        stamped = _settle_stamp(connection, relation, column, _stamp(text))
        return replace(stamped, remarks=words + stamped.remarks)
    if kind:
        return _typed(column.name, kind, text, counts.present < counts.rows, words + remarks)
    other: Notation | None = None
    if counts.sample is not None and not remarks:
        other = other_notation(connection, relation, text, present, counts.sample, comma_decimals)
        remarks = (other.remark,) if other and other.remark else ()
    if other and other.kind:
        return _typed(column.name, other.kind, other.expression, present < counts.rows, words + remarks)
    if not remarks and counts.numbers >= NEARLY * present:
        remarks = ("nearly",)
    return TypedColumn(column.name, text, "object", words + remarks)


def _plain_kind(counts: _Counts) -> tuple[str | None, tuple[str, ...]]:
    """SQL type of a column by its counts alone, None for text, and the remarks to make."""
    present, missing = counts.present, counts.rows - counts.present
    if not present:
        return "DOUBLE", ()
    if counts.flags == present:
        return "BOOLEAN", ()
    if counts.whole == present:
        exact = counts.fits == present and (not missing or counts.exact == present)
        return ("BIGINT", ()) if exact else (None, ("big",))
    if counts.whole + counts.padded == present:
        return None, ("zeros",)
    if counts.numbers == present > counts.infinite:
        rounded = ("rounded",) if counts.long else ()
        return "DOUBLE", rounded + (("infinite",) if counts.infinite else ())
    if counts.stamps == present:
        return "TIMESTAMP", ()
    return None, ()


def _typed(name: str, kind: str, text: str, missing: bool, remarks: tuple[str, ...] = ()) -> TypedColumn:
    """A column of SQL type `kind`; whole numbers with gaps are float64 and truth values with gaps object, as in
    pandas."""
    if kind == "BOOLEAN":
        return TypedColumn(name, f"CAST({text} AS BOOLEAN)", "object" if missing else "bool", remarks)
    if kind == "BIGINT":
        return TypedColumn(name, f"CAST({text} AS BIGINT)", "float64" if missing else "int64", remarks)
    if kind == "DOUBLE":
        number = f"CAST({text} AS DOUBLE)"
        return TypedColumn(name, f"CASE WHEN isfinite({number}) THEN {number} END", "float64", remarks)
    return TypedColumn(name, text, "datetime64[ns]", remarks)


def _settle_typed(connection: duckdb.DuckDBPyConnection, relation: str, column: SourceColumn) -> TypedColumn:
    value = column.expression
    kind = SQL_OF_KIND.get(column.type) or ("TIMESTAMP" if column.type.startswith("TIMESTAMP") else None)
    if kind == "TIMESTAMP":
        return _settle_stamp(connection, relation, column, f"CAST({value} AS TIMESTAMP)")
    if column.type.startswith("DECIMAL"):
        kind = "DOUBLE"
    if column.type in ("HUGEINT", "UHUGEINT", "UBIGINT"):
        kind = "BIGINT"
    if kind is None:
        return _settle_kept_text(connection, relation, column)
    rows, present, fits, exact, finite = connection.execute(
        f"SELECT count(*), count(v), count(TRY_CAST(v AS BIGINT)), "
        f"count_if(TRY_CAST(v AS BIGINT) BETWEEN {-EXACT_DOUBLE} AND {EXACT_DOUBLE}), "
        f"count_if(isfinite(TRY_CAST(v AS DOUBLE))) FROM (SELECT {value} AS v FROM {relation})"
    ).fetchone() or (0, 0, 0, 0, 0)
    if kind == "BIGINT" and (fits < present or (exact < present < rows)):
        return TypedColumn(column.name, f"CAST({value} AS VARCHAR)", "object", ("big",))
    lost = kind == "DOUBLE" and finite < present
    return _typed(
        column.name,
        kind,
        value,
        present < rows,
        ("infinite",) if lost and _has_infinity(connection, relation, value) else (),
    )


def _has_infinity(connection: duckdb.DuckDBPyConnection, relation: str, value: str) -> bool:
    query = f"SELECT count_if(isinf(CAST({value} AS DOUBLE))) > 0 FROM {relation}"
    return bool((connection.execute(query).fetchone() or (False,))[0])


def _settle_stamp(
    connection: duckdb.DuckDBPyConnection, relation: str, column: SourceColumn, stamp: str
) -> TypedColumn:
    query = f"SELECT coalesce(bool_and({stamp} >= {EARLIEST} AND {stamp} < {LATEST}), true) FROM {relation}"
    if (connection.execute(query).fetchone() or (False,))[0]:
        return TypedColumn(column.name, stamp, "datetime64[ns]")
    return TypedColumn(column.name, f"CAST({column.expression} AS VARCHAR)", "object", ("far",))


def _settle_kept_text(connection: duckdb.DuckDBPyConnection, relation: str, column: SourceColumn) -> TypedColumn:
    """Text of a typed source: only blank counts as missing there. Bytes are read as UTF-8."""
    binary = column.type == "BLOB"
    text = f"TRY(decode({column.expression}))" if binary else f"CAST({column.expression} AS VARCHAR)"
    kept = f"CASE WHEN trim({text}, {literal(WHITESPACE)}) <> '' THEN {text} END"
    query = f"SELECT count({column.expression}) > count({text}) FROM {relation}"
    lost = binary and bool((connection.execute(query).fetchone() or (False,))[0])
    return TypedColumn(column.name, kept, "object", ("binary",) if lost else ())
