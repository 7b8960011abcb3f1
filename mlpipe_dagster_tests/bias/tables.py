"""Small Parquet files and their profiles for the tests of bias, written with pandas, apart from the platform's own reader."""

from pathlib import Path

import pandas as pd
from pandas.api.types import is_datetime64_any_dtype, is_numeric_dtype

from mlpipe_dagster.tables.profile import ColumnKind, ColumnProfile, Profile, ValueCount


def save(frame: pd.DataFrame, folder: Path) -> Path:
    """`frame` as a Parquet file in `folder`."""
    path = folder / "table.parquet"
    frame.to_parquet(path, index=False)
    return path


def profile_of(frame: pd.DataFrame) -> Profile:
    """What the tests need of a profile."""
    return Profile(
        row_count=len(frame),
        columns=tuple(_column(str(name), frame[name]) for name in frame.columns),
        duplicate_rows=int(frame.duplicated().sum()),
    )


def _column(name: str, values: "pd.Series[object]") -> ColumnProfile:
    distinct = int(values.nunique())
    number = is_numeric_dtype(values) and values.dtype != bool and distinct > 0
    top = values.value_counts().head(20)
    return ColumnProfile(
        name=name,
        data_type=str(values.dtype),
        kind=_kind(values, distinct, bool(number)),
        missing=int(values.isna().sum()),
        distinct=distinct,
        minimum=float(values.min()) if number else None,
        maximum=float(values.max()) if number else None,
        top_values=tuple(ValueCount(value=str(value), count=int(count)) for value, count in top.items()),
    )


def _kind(values: "pd.Series[object]", distinct: int, number: bool) -> ColumnKind:
    if distinct < 2:
        return "constant" if distinct else "empty"
    if is_datetime64_any_dtype(values):
        return "datetime"
    return "number" if number else "category"
