"""Which columns become features, and as what."""

import numpy as np
import pandas as pd
import pytest

from mlpipe_dagster.automl.columns import narrow, usable_columns
from mlpipe_dagster.errors import ModelError

ROWS = 60


def kinds(table: pd.DataFrame) -> dict[str, str]:
    schema, _ = usable_columns(table, ())
    return {column.name: column.kind for column in schema.columns}


def test_a_table_of_unique_texts_has_nothing_to_learn_from() -> None:
    table = pd.DataFrame({"note": [f"case {n} was closed" for n in range(ROWS)], "y": [0, 1] * 30})
    with pytest.raises(ModelError, match=r"No column is left to learn from.*“note”: nearly every row has its own text"):
        usable_columns(table, ["y"])


@pytest.mark.parametrize(
    ("name", "values", "reason"),
    [
        ("blank", [np.nan] * ROWS, "it is empty"),
        ("same", ["x"] * ROWS, "every row has the same value"),
        ("PassengerId", list(range(500, 500 + ROWS)), "it numbers the rows"),
        ("patient_nbr", [7 * n for n in range(ROWS)], "it numbers the rows"),
        ("row", list(range(ROWS)), "it numbers the rows"),
        ("list", [[1, 2]] * ROWS, "it holds nested values"),
        ("infinite", [np.inf, -np.inf] * 30, "it has no finite number"),
    ],
)
def test_columns_left_out(name: str, values: list[object], reason: str) -> None:
    table = pd.DataFrame({name: values, "x": np.linspace(0, 1, ROWS)})
    schema, notes = usable_columns(table, ())
    assert schema.names == ["x"]
    assert notes == (f"Left out “{name}”: {reason}.",)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1.5, 2.5, None] * 20, "number"),
        (["a", "b", None] * 20, "category"),
        ([True, False, True] * 20, "boolean"),
        ([True, None, False] * 20, "boolean"),
        (pd.date_range("2020-01-01", periods=ROWS), "datetime"),
        (pd.date_range("2020-01-01", periods=ROWS, tz="Europe/Berlin"), "datetime"),
        ([f"2020-01-{1 + n % 28:02}" for n in range(ROWS)], "datetime"),
        (["", *[f"{n}.5" for n in range(ROWS - 1)]], "number"),
        ([f"0{n}" for n in range(ROWS // 2)] * 2, "category"),
        (pd.to_timedelta(np.arange(ROWS) ** 2, unit="s"), "number"),
        (pd.Series([1, 2, None] * 20, dtype="Int64"), "number"),
        (pd.Series(["lo", "hi"] * 30, dtype="category"), "category"),
    ],
)
def test_kinds(values: object, kind: str) -> None:
    assert kinds(pd.DataFrame({"v": values})) == {"v": kind}


def test_measurements_that_are_all_different_are_kept() -> None:
    assert kinds(pd.DataFrame({"income": np.arange(ROWS) * 37 + 5, "size": np.linspace(0, 1, ROWS)})) == {
        "income": "number",
        "size": "number",
    }


def test_the_schema_knows_ranges_and_categories() -> None:
    schema, _ = usable_columns(pd.DataFrame({"n": [3.0, 1.0, None] * 20, "c": ["b", "a", None] * 20}), ())
    assert (schema.columns[0].minimum, schema.columns[0].maximum) == (1.0, 3.0)
    assert schema.columns[1].categories == ("a", "b")


def test_a_very_wide_table_keeps_texts_and_the_numbers_that_go_with_the_target() -> None:
    truth = np.arange(ROWS, dtype=float)
    table = pd.DataFrame(
        {
            "none": [np.nan] * ROWS,
            "against": -truth,
            "same": 1.0,
            "with": np.where(truth % 7 == 0, np.nan, truth),
            "alternates": truth % 2,
            "word": ["a", "b"] * 30,
            "y": truth,
        }
    )
    names, notes = narrow(table, ["y"], truth, most=3)
    assert names == ["against", "with", "word"]
    assert notes[0].startswith("3 of 6 columns were left out: those least correlated with the target.")
    assert narrow(table, ["y"], truth, most=6) == (["none", "against", "same", "with", "alternates", "word"], ())
