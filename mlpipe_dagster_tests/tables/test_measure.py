"""Profiles: numbers worked out by hand, and kinds that say what a column is for."""

import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlpipe_dagster.tables import measure
from mlpipe_dagster.tables.measure import profile
from mlpipe_dagster.tables.profile import ColumnProfile, HistogramBin, ValueCount

pytestmark = pytest.mark.usefixtures("home")


def column(tmp_path: Path, values: list[object], name: str = "x", kind: pa.DataType | None = None) -> ColumnProfile:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({name: pa.array(values, kind)}), path)
    return profile(path).columns[0]


def test_numbers_by_hand(tmp_path: Path) -> None:
    found = column(tmp_path, [2, 4, 4, 4, 5, 5, 7, 9, None])
    assert (found.missing, found.distinct, found.data_type, found.kind) == (1, 5, "float64", "number")
    assert (found.minimum, found.maximum, found.mean, found.median) == (2, 9, 5, 4.5)
    assert found.standard_deviation == pytest.approx((32 / 7) ** 0.5)
    assert found.top_values[:2] == (ValueCount(value="4", count=3), ValueCount(value="5", count=2))


def test_histograms_have_twenty_equal_bins_and_the_last_one_is_closed(tmp_path: Path) -> None:
    bins = column(tmp_path, [float(number) for number in range(21)]).histogram
    assert len(bins) == 20
    assert bins[0] == HistogramBin(lower=0, upper=1, count=1)
    assert bins[-1] == HistogramBin(lower=19, upper=20, count=2)
    assert sum(entry.count for entry in bins) == 21
    assert column(tmp_path, [3, 3]).histogram == ()


def test_extreme_numbers_have_no_infinite_statistics(tmp_path: Path) -> None:
    found = column(tmp_path, [1.7e308, -1.7e308, 1.7e308])
    assert (found.minimum, found.maximum, found.standard_deviation, found.histogram) == (-1.7e308, 1.7e308, None, ())


def test_duplicate_rows_are_those_beyond_the_first(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"a": [1, 1, 1, 2, None, None], "b": ["x", "x", "x", "x", "y", "y"]}), path)
    assert profile(path).duplicate_rows == 3


def test_wide_tables_count_duplicates_across_all_groups_of_columns(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    columns = {f"c{index}": [1, 1, 1] for index in range(250)} | {"last": [5, 6, 5]}
    pq.write_table(pa.table(columns), path)
    found = profile(path)
    assert (len(found.columns), found.duplicate_rows, found.columns[250].distinct) == (251, 1, 2)


def test_at_most_twenty_values_most_frequent_first_then_by_name(tmp_path: Path) -> None:
    found = column(tmp_path, [f"v{index:02}" for index in range(30)] + ["v29", "v07"])
    assert [(entry.value, entry.count) for entry in found.top_values[:3]] == [("v07", 2), ("v29", 2), ("v00", 1)]
    assert (len(found.top_values), found.distinct) == (20, 30)


def test_large_tables_are_approximate_within_a_few_per_cent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "EXACT_ROWS", 10_000)
    monkeypatch.setattr(measure, "EXACT_DISTINCT", 5_000)
    many = column(tmp_path, list(range(20_000)))
    assert many.distinct == pytest.approx(20_000, rel=0.1)
    assert many.median == pytest.approx(9_999.5, rel=0.05)
    assert many.top_values == ()
    assert column(tmp_path, [index % 7 for index in range(20_000)]).distinct == 7


PROSE = [f"The applicant number {index} said that the loan was needed soon" for index in range(40)]
KINDS = [
    ("empty", "x", [None, None]),
    ("constant", "x", ["a", "a"]),
    ("category", "x", ["a", None]),
    ("boolean", "x", [True, False]),
    ("number", "x", [0, 1, 1]),
    ("datetime", "x", [datetime.datetime(2024, 1, 1), datetime.datetime(2024, 1, 2)]),
    ("identifier", "PassengerId", [11, 25, 37]),
    ("identifier", "row", list(range(1, 41))),
    ("identifier", "code", [f"K-{index}" for index in range(40)]),
    ("identifier", "patient_nbr", [index // 2 * 7 for index in range(40)]),
    ("number", "paid", [index * 7 for index in range(40)]),
    ("number", "income", [index * 7 for index in range(40)]),
    ("number", "price", [index + 0.5 for index in range(40)]),
    ("category", "x", ["red", "blue"] * 20),
    ("category", "job", ["self employed", "public service"] * 20),
    ("text", "remark", PROSE),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "name", "values"), KINDS)
def test_kinds(tmp_path: Path, kind: str, name: str, values: list[object]) -> None:
    assert column(tmp_path, values, name, pa.int64() if kind == "empty" else None).kind == kind


PERSONAL = [
    ("email", "contact", [f"p{index}@mail.org" for index in range(30)]),
    ("phone", "reach", [f"+47 22 33 {index:02} 10" for index in range(30)]),
    ("phone", "Mobile", [4_790_000_000 + index for index in range(30)]),
    ("national id", "tax", [f"123-45-{index:04}" for index in range(30)]),
    ("national id", "SSN", [f"12345678{index:02}" for index in range(30)]),
    ("name", "lastName", ["O'Neil", "Müller", "Smith-Jones"]),
    ("name", "Name", ["Braund, Mr. Owen Harris", 'Hays, Miss. "Maggie" Ann', "Li, Wei"]),
    (None, "name", ["red", "blue"] * 20),
    (None, "product_name", [f"Lamp {chr(65 + index)}" for index in range(20)]),
    (None, "passport", ["yes", "no"] * 20),
    (None, "telephone", ["yes, registered", "none"] * 20),
    (None, "population", [1_000_000 + index * 977 for index in range(30)]),
    (None, "PhoneService", ["Yes", "No"] * 20),
]


@pytest.mark.parametrize(("kind", "name", "values"), PERSONAL)
def test_direct_identifiers(tmp_path: Path, kind: str | None, name: str, values: list[object]) -> None:
    found = column(tmp_path, values, name)
    assert found.personal == kind
    if kind:
        assert (found.top_values, found.histogram, found.minimum, found.mean) == ((), (), None, None)


def test_notes_are_passed_on(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"a": [1]}), path)
    assert profile(path, ["Something was mended."]).notes == ("Something was mended.",)
