"""Raw values as numbers and as text for readers."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlpipe_dagster.xai.values import all_shown, date_text, in_numbers, shown


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "missing"),
        (math.nan, "missing"),
        (pd.NaT, "missing"),
        (pd.NA, "missing"),
        (3, "3"),
        (3.0, "3"),
        (0.1234567, "0.123457"),
        (1234567.4, "1234567"),
        (True, "True"),
        (pd.Timestamp("2020-01-02"), "2020-01-02 00:00:00"),
        ("x" * 100, "x" * 79 + "\u2026"),
    ],
)
def test_values_as_text(value: object, text: str) -> None:
    assert shown(value) == text


def test_dates_count_days_since_1970() -> None:
    days = in_numbers(pd.Series(["1970-01-03", None]), "datetime")
    assert days is not None
    assert days[0] == 2.0
    assert np.isnan(days[1])
    assert date_text(2.0) == "1970-01-03"


def test_categories_have_no_order() -> None:
    assert in_numbers(pd.Series(["a"]), "category") is None


_MIXED = st.one_of(st.none(), st.booleans(), st.integers(0, 2), st.floats(), st.text(max_size=3))


@given(st.one_of(*(st.lists(st.one_of(st.none(), kind), max_size=8) for kind in (st.text(), st.booleans(), _MIXED))))
def test_a_whole_column_as_text_is_each_value_as_text(values: list[object]) -> None:
    assert all_shown(pd.Series(values, dtype=object)).tolist() == [shown(value) for value in values]
