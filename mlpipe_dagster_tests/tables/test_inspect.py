"""The quick look never raises, never imports pandas, and agrees with what is read later."""

import gzip
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlpipe_dagster.tables.inspect import inspect
from mlpipe_dagster.tables.inspector import TableSummary

pytestmark = pytest.mark.usefixtures("home")


@pytest.mark.parametrize(
    ("content", "filename", "file_type"),
    [
        (b"", "t.csv", "csv"),
        (b"a,b\n", "t.csv", "csv"),
        (b"\x89PNG\r\n\x1a\n" + bytes(99), "t.csv", "other"),
        (b"PAR1 nothing more", "t.parquet", "parquet"),
        (b'[{"a": ', "t.json", "json"),
        (b"a,b\n1\n2\n3\n", "t.csv", "csv"),
        (b'a,b\n1,"2\n', "t.csv", "csv"),
        (b"PK\x03\x04 nothing more", "t.xlsx", "other"),
        (gzip.compress(b"a,b\n1,2\n", mtime=0)[:-9], "t.csv.gz", "other"),
    ],
)
def test_bad_tables_have_a_type_only(tmp_path: Path, content: bytes, filename: str, file_type: str) -> None:
    path = tmp_path / "upload"
    path.write_bytes(content)
    assert inspect(path, filename) == TableSummary(file_type)


def test_pandas_stays_out_of_the_process(tmp_path: Path) -> None:
    path = tmp_path / "upload"
    path.write_bytes(b"a,b\n1,x\n2,y\n")
    code = (
        "import sys; from pathlib import Path; from mlpipe_dagster.tables.inspect import inspect; "
        "from mlpipe_dagster.tables import load; "
        f"assert inspect(Path({str(path)!r}), 't.csv').row_count == 2; assert 'pandas' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_columns_rows_and_types(tmp_path: Path) -> None:
    path = tmp_path / "upload"
    path.write_bytes(b"n,f,t,b,d,gap\n1,1.5,x,true,2024-01-01,\n2,2,y,false,2024-01-02,3\n")
    assert inspect(path, "t.csv") == TableSummary(
        "csv",
        ["n", "f", "t", "b", "d", "gap"],
        2,
        {"n": "int64", "f": "float64", "t": "object", "b": "bool", "d": "datetime64[ns]", "gap": "float64"},
    )
    pq.write_table(pa.table({"n": [1, 2, 3], "t": ["a", "b", None]}), path)
    assert inspect(path, "t.parquet") == TableSummary("parquet", ["n", "t"], 3, {"n": "int64", "t": "object"})
    path.write_bytes(b'[{"a": 1}, {"a": 2}]')
    assert inspect(path, "t.json") == TableSummary("json", ["a"], 2, {"a": "int64"})


def test_rows_of_a_large_file_are_counted_without_those_inside_quotes(tmp_path: Path) -> None:
    path = tmp_path / "upload"
    path.write_bytes(b"a,b\r\n" + b'1,"x\r\ny"\r\n\r\n' * 500_000 + b"2,z")
    assert inspect(path, "t.csv").row_count == 500_001


@pytest.mark.parametrize(
    ("name", "rows"),
    [("adult.csv", 48_842), ("compas_two_years.csv", 7_214), ("diabetes_130us.csv.gz", 101_766)],
)
def test_real_tables(shared_data: Path, name: str, rows: int) -> None:
    found = inspect(shared_data / name, name)
    assert (found.file_type, found.row_count) == ("csv", rows)
