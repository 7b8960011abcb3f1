"""Frames and previews of typed Parquet."""

import datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlpipe_dagster.errors import TableError
from mlpipe_dagster.tables.load import load, preview

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture
def parquet(tmp_path: Path) -> Path:
    path = tmp_path / "t.parquet"
    table = pa.table({
        "n": [1, 2, 3],
        "gap": [1, None, 3],
        "f": [0.5, None, 1.5],
        "b": [True, False, True],
        "maybe": [True, None, False],
        "t": ["x", None, "z"],
        "d": pa.array([datetime.datetime(2024, 1, 1), None, datetime.datetime(2024, 1, 2, 3, 4)], pa.timestamp("us")),
    })  # fmt: skip
    pq.write_table(table, path)
    return path


def test_unknown_columns_are_named(parquet: Path) -> None:
    with pytest.raises(TableError, match="The table has no column nope, neither"):
        load(parquet, columns=["n", "nope", "neither"])


def test_dtypes_and_missing_values(parquet: Path) -> None:
    frame = load(parquet)
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == {
        "n": "int64", "gap": "float64", "f": "float64", "b": "bool", "maybe": "object", "t": "object",
        "d": "datetime64[ns]",
    }  # fmt: skip
    assert frame["t"].tolist() == ["x", None, "z"]
    assert frame["maybe"].tolist() == [True, None, False]
    assert frame["gap"].isna().tolist() == [False, True, False]
    assert frame["d"][1] is pd.NaT
    assert frame["d"][2] == pd.Timestamp("2024-01-02 03:04")


def test_dtypes_do_not_depend_on_the_sample(parquet: Path) -> None:
    for seed in range(6):
        assert load(parquet, limit=1, seed=seed).dtypes.equals(load(parquet).dtypes)


def test_columns_come_in_the_order_asked_for(parquet: Path) -> None:
    assert list(load(parquet, columns=["t", "n"]).columns) == ["t", "n"]
    assert load(parquet, columns=[]).shape == (3, 0)


def test_samples_are_reproducible_without_repeats_in_file_order(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"n": list(range(10_000))}), path, row_group_size=1_000)
    drawn = load(path, limit=500, seed=3)["n"]
    assert drawn.tolist() == load(path, limit=500, seed=3)["n"].tolist()
    assert drawn.tolist() != load(path, limit=500, seed=4)["n"].tolist()
    assert len(set(drawn)) == 500
    assert drawn.is_monotonic_increasing
    assert drawn.index.tolist() == list(range(500))
    assert abs(drawn.mean() - 4999.5) < 500  # 4 standard errors: 2887 / sqrt(500) = 129
    assert load(path, limit=99_999)["n"].tolist() == list(range(10_000))
    assert load(path, limit=0).empty


def test_preview_hides_and_shows_text_only(parquet: Path) -> None:
    assert preview(parquet, rows=2, hide={"t"}) == [
        {"n": "1", "gap": "1", "f": "0.5", "b": "true", "maybe": "true", "t": "•••", "d": "2024-01-01 00:00:00"},
        {"n": "2", "gap": "", "f": "", "b": "false", "maybe": "", "t": "•••", "d": ""},
    ]
