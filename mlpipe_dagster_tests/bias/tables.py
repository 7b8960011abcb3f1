"""Small tables for the tests of bias, their Parquet files and profiles (written with pandas), and their reports."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from pandas.api.types import is_datetime64_any_dtype, is_numeric_dtype

from mlpipe_dagster.bias.measure import measure_bias
from mlpipe_dagster.bias.report import BiasReport, FeatureBias, Measure
from mlpipe_dagster.tables.profile import ColumnKind, ColumnProfile, Profile, ValueCount
from mlpipe_dagster.vocabulary import TaskKind


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


def measured(
    frame: pd.DataFrame,
    folder: Path,
    *sensitive: str,
    target: str = "y",
    task: TaskKind = TaskKind.BINARY,
    positive: str | None = None,
    conditioning: str | None = None,
    reference_shares: Mapping[str, Mapping[str, float]] | None = None,
) -> BiasReport:
    """The report of `frame`, which is written to `folder` first."""
    path = save(frame, folder)
    return measure_bias(
        path,
        profile_of(frame),
        target=target,
        task=task,
        sensitive=sensitive,
        positive=positive,
        conditioning=conditioning,
        reference_shares=reference_shares,
    )


def measure(feature: FeatureBias, name: str, group: str, versus: str = "reference") -> Measure:
    """The one measure of that name, group and comparison."""
    return next(m for m in feature.measures if (m.name, m.group, m.versus) == (name, group, versus))


def people(**counts: tuple[int, int]) -> pd.DataFrame:
    """Rows of `group` with so many yes and no."""
    rows = [
        (group, answer)
        for group, both in counts.items()
        for answer, n in zip(("yes", "no"), both, strict=True)
        for _ in range(n)
    ]
    return pd.DataFrame(rows, columns=["sex", "y"])
