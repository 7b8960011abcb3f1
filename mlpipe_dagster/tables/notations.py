"""Notations of numbers and dates beyond the plain ones: decimal commas, and dates written day or month first.

Tried only on columns of which one value looks the part. A reading is taken only where it fits every value and no
other does.
"""

import re
from dataclasses import dataclass
from itertools import product

import duckdb

from mlpipe_dagster.tables.duck import literal

COMMA_SAMPLE = re.compile(r"[+-]?\d+(,\d+)*(\.\d+)?")
COMMA_DECIMAL = r"[+-]?[0-9]+(,[0-9]+)?"
COMMA_ANY = r"[+-]?[0-9]+(,[0-9]+)*(\.[0-9]+)?"
DATE_SAMPLE = re.compile(
    r"(\d{1,2}[/.-](\d{1,2}|[A-Za-z]{3})[/.-]\d{4}|\d{4}/\d{1,2}/\d{1,2})( \d{1,2}:\d{2}(:\d{2})?)?"
)
DAYS = ("%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d", "%d-%b-%Y", "%d/%b/%Y")
TIMES = ("", " %H:%M", " %H:%M:%S")
EARLIEST_YEAR, LATEST_YEAR = 1678, 2261


@dataclass(frozen=True)
class Notation:
    """How to read a column: SQL type and expression, or no kind where it stays text for the reason in `remark`."""

    kind: str | None
    expression: str
    remark: str | None = None


def other_notation(
    connection: duckdb.DuckDBPyConnection, relation: str, text: str, present: int, sample: str, comma_decimals: bool
) -> Notation | None:
    """The notation of the column whose trimmed values are the SQL `text`, `present` of them not missing; None: none
    of these."""
    if COMMA_SAMPLE.fullmatch(sample.strip()):
        return _commas(connection, relation, text, present, comma_decimals)
    if DATE_SAMPLE.fullmatch(sample.strip()):
        return _dates(connection, relation, text, present)
    return None


def _commas(
    connection: duckdb.DuckDBPyConnection, relation: str, text: str, present: int, comma_decimals: bool
) -> Notation | None:
    """Decimal commas are clear where commas do not delimit and not every comma is followed by just three digits."""
    decimal, grouped, commas, thousands = connection.execute(
        f"SELECT count_if(regexp_full_match(t, '{COMMA_DECIMAL}')), count_if(regexp_full_match(t, '{COMMA_ANY}')), "
        f"count_if(contains(t, ',')), count_if(regexp_matches(t, ',[0-9]{{3}}$')) "
        f"FROM (SELECT trim({text}) AS t FROM {relation})"
    ).fetchone() or (0, 0, 0, 0)
    if grouped < present or not commas:
        return None
    if comma_decimals and decimal == present and thousands < commas:
        return Notation("DOUBLE", f"replace({text}, ',', '.')", "decimal")
    return Notation(None, text, "commas")


def _dates(connection: duckdb.DuckDBPyConnection, relation: str, text: str, present: int) -> Notation | None:
    formats = [day + time for day, time in product(DAYS, TIMES)]
    counts = ", ".join(
        f"count_if(year(try_strptime(t, {literal(form)})) BETWEEN {EARLIEST_YEAR} AND {LATEST_YEAR})"
        for form in formats
    )
    row = connection.execute(f"SELECT {counts} FROM (SELECT trim({text}) AS t FROM {relation})").fetchone() or ()
    fitting = [form for form, count in zip(formats, row, strict=True) if count == present]
    if len(fitting) > 1:
        return Notation(None, text, "ambiguous")
    return Notation("TIMESTAMP", f"strptime(trim({text}), {literal(fitting[0])})") if fitting else None
