"""Values of raw columns as an explanation handles them: as numbers to order, as text to show."""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api.types import infer_dtype

from mlpipe_dagster.automl.model import FeatureKind
from mlpipe_dagster.automl.preparation import as_dates, as_number, value_text
from mlpipe_dagster.tables.personal import masked

Floats: TypeAlias = npt.NDArray[np.float64]
Texts: TypeAlias = npt.NDArray[np.object_]
Column: TypeAlias = "pd.Series[Any]"
MISSING_TEXT = "missing"
LONGEST_TEXT = 80


def in_numbers(column: Column, kind: FeatureKind) -> Floats | None:
    """Numbers (dates: days since 1970) with NaN for missing ones; None for a kind that has no order."""
    if kind == "number":
        return as_number(column)
    if kind == "datetime":
        days = (as_dates(column) - pd.Timestamp(0)) / pd.Timedelta(days=1)
        return np.asarray(days, dtype=np.float64)
    return None


def date_text(days: float) -> str:
    """The date that many days after the start of 1970, as 2020-12-31."""
    return f"{pd.Timestamp(0) + pd.Timedelta(days=days):%Y-%m-%d}"


def shown(value: Any) -> str:
    """One raw value as text for a reader, at most 80 characters long; addresses and numbers of people in it masked."""
    if value is None or value is pd.NaT or value is pd.NA or value != value:  # noqa: PLR0124 - NaN
        return MISSING_TEXT
    if isinstance(value, float | np.floating):
        number = float(value)
        return f"{number:.0f}" if 1e6 <= abs(number) < 1e15 else f"{number:.6g}"
    text = value.isoformat(sep=" ") if isinstance(value, pd.Timestamp) else masked(value_text(value))
    return text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 1] + "\u2026"


def all_shown(column: Column) -> Texts:
    """Every value as `shown` shows it, each distinct one made only once."""
    mixed = column.dtype == object and infer_dtype(column, skipna=True) not in ("string", "boolean", "empty")
    if mixed:  # may hold 1 beside True, which count as the same value
        return np.array([shown(value) for value in column], dtype=object)
    codes, distinct = pd.factorize(column, use_na_sentinel=False)
    return np.array([shown(value) for value in distinct], dtype=object)[codes]
