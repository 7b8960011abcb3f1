"""Raw columns to numbers: what was not seen in training, and the way back to the raw columns."""

import numpy as np
import pandas as pd
import pytest

from mlpipe_dagster.automl.columns import usable_columns
from mlpipe_dagster.automl.preparation import (
    Family,
    as_number,
    as_text,
    as_truth,
    encoder,
    feature_names,
    typed_columns,
)
from mlpipe_dagster.errors import ModelError

ROWS = 120


@pytest.fixture
def table() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "size_c1": [1.0, np.nan, 3.0] * 40,
            "col_our": ["red", "blue", None] * 40,
            "part": [f"p{n % 40}" for n in range(ROWS)],
            "when": pd.to_datetime(["2024-02-29 13:30", "2023-12-31 00:00", None] * 40),
            "flag": [True, False] * 60,
        }
    )


def test_a_missing_column_is_named(table: pd.DataFrame) -> None:
    schema, _ = usable_columns(table, ())
    with pytest.raises(ModelError, match="needs the column\\(s\\) part, which the table does not have"):
        typed_columns(schema).transform(table.drop(columns="part"))


def test_values_read_as_they_are_meant() -> None:
    assert list(as_text(pd.Series([1.0, 1, " a ", "", None], dtype=object))) == [
        "1",
        "1",
        "a",
        "(missing)",
        "(missing)",
    ]
    np.testing.assert_array_equal(as_number(pd.Series(["1.5", "x", None, "inf"])), [1.5, np.nan, np.nan, np.nan])
    np.testing.assert_array_equal(
        as_truth(pd.Series([True, "no", 1, "?", None], dtype=object)), [1, 0, 1, np.nan, np.nan]
    )


def test_a_few_rows_are_read_as_many_are() -> None:
    day = pd.Timestamp("2024-02-29")
    for values, kind in (
        ([1.5, 2.0, np.nan], "float32"), ([0.1, 2.0], "float64"), ([1, 2], "int64"), ([1, None], "Int64"),
        (["a ", " ", None], "str"), (["a", None], "category"), ([True, False], "bool"),
        ([day, pd.NaT], "datetime64[ns]"), ([1, "x", None, 2.0, day], "object"),
    ):  # fmt: skip
        few = pd.Series(values, dtype=kind)
        many = pd.concat([few] * 30, ignore_index=True)
        assert list(as_text(few)) == list(as_text(many))[: len(few)], kind


def test_dates_become_their_parts(table: pd.DataFrame) -> None:
    schema, _ = usable_columns(table[["when"]], ())
    typed = typed_columns(schema).transform(table)
    first = typed.iloc[0]
    # 29 February 2024 was a Thursday (3), 19,782 days after 1 January 1970
    assert list(first[["c0:year", "c0:month", "c0:day", "c0:weekday", "c0:hour"]]) == [2024, 2, 29, 3, 13]
    assert first["c0:days"] == pytest.approx(19782.5625)
    assert typed.iloc[2].isna().all()


@pytest.mark.parametrize("family", ["trees", "linear"])
@pytest.mark.parametrize("classes", [0, 2, 3, 12])
def test_every_feature_is_traced_to_its_column(table: pd.DataFrame, family: Family, classes: int) -> None:
    schema, _ = usable_columns(table, ())
    typed = typed_columns(schema).transform(table)
    labels = np.arange(ROWS, dtype=float) if classes == 0 else np.array([f"k{n % classes:02}" for n in range(ROWS)])
    fitted = encoder(family, typed, classes, seed=0)
    features = fitted.fit_transform(typed, labels)
    names, origins = feature_names(schema, fitted)
    assert features.shape == (ROWS, len(names)) == (ROWS, len(origins))
    assert set(origins) == set(table.columns)
    colour = features[:, names.index("col_our = red")]
    np.testing.assert_array_equal(colour, table["col_our"].eq("red"))
    if family == "trees":
        np.testing.assert_array_equal(features[:, names.index("size_c1")], table["size_c1"])
        assert "when: weekday" in names
    else:
        np.testing.assert_array_equal(features[:, names.index("size_c1 is missing")], table["size_c1"].isna())


def test_unseen_categories_and_types_are_read(table: pd.DataFrame) -> None:
    schema, _ = usable_columns(table, ())
    typed = typed_columns(schema).transform(table)
    fitted = encoder("linear", typed, 2, seed=0).fit(typed, np.array(["a", "b"] * 60))
    strange = pd.DataFrame({"size_c1": ["2"], "col_our": ["mauve"], "part": [None], "when": ["?"], "flag": ["maybe"]})
    assert np.isfinite(fitted.transform(typed_columns(schema).transform(strange))).all()
