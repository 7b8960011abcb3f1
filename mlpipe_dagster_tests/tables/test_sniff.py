"""Formats are told by content first, by name second."""

import gzip
from pathlib import Path

import pytest

from mlpipe_dagster.tables.dialect import find_delimiter, has_header, records
from mlpipe_dagster.tables.sniff import sniff

pytestmark = pytest.mark.usefixtures("home")


@pytest.mark.parametrize(
    ("content", "filename", "expected"),
    [
        (b"\x89PNG\r\n\x1a\n" + bytes(99), "t.csv", "other"),
        (b"\xff\xd8\xff\xe0" + bytes(99), "t.csv", "other"),
        (b"GIF89a" + bytes(99), "t.parquet", "other"),
        (b"<html><body></body></html>", "t.csv", "other"),
        (b"just words\nand more\n", "notes", "other"),
        (gzip.compress(b"a,b\n1,2\n", mtime=0)[:9], "t.csv.gz", "other"),
        (b"", "picture.png", "other"),
        (b"", "t.csv", "csv"),
        (b"", "t.tsv", "tsv"),
        (b"a,b\n", "t.csv", "csv"),
        (b"BMI,age\n22,40\n", "t.csv", "csv"),
        (b"a;b\n1;2\n", "data.txt", "csv"),
        (b"a\tb\n1\t2\n", "data", "tsv"),
        (b"a,b\n1,2\n", "t.parquet", "csv"),
        (b'[{"a": 1}]', "t.csv", "json"),
        (b'{"a": 1}\n{"a": 2}\n', "t.ndjson", "json"),
        (gzip.compress(b"a,b\n1,2\n", mtime=0), "t.csv.gz", "csv"),
    ],
)
def test_file_types(tmp_path: Path, content: bytes, filename: str, expected: str) -> None:
    path = tmp_path / "upload"
    path.write_bytes(content)
    assert sniff(path, filename).file_type == expected


def test_details(tmp_path: Path) -> None:
    path = tmp_path / "upload"
    path.write_bytes(gzip.compress("größe;b\n1,5;2\n".encode("cp1252")))
    found = sniff(path, "T.CSV.GZ")
    assert (found.encoding, found.delimiter, found.compression, found.header) == ("cp1252", ";", "gzip", True)
    path.write_bytes(b'[\n{"a": 1}]')
    assert sniff(path, "t.json").layout == "array"


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ("a;b\n1,5;2,5\n", ";"),
        ("a,b\n1;2,3\n4;5,6\n", ","),
        ("t\nhello, world\nhello\n", ","),
        ('a,b\n"x;y;z",1\n"u;v;w",2\n', ","),
        ("a|b|c\n1|2|3\n", "|"),
    ],
)
def test_delimiters(text: str, delimiter: str) -> None:
    assert find_delimiter(text)[0] == delimiter


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("age,job\n39,clerk\n40,cook\n", True),
        ("39,clerk\n40,cook\n41,smith\n", False),
        ("name,city\nAnn,Oslo\n", True),
        ("0,1,2\n5.5,6.5,7\n1,2,3\n", True),
        ("country,2019,2020\nNorway,1.5,2.5\n", True),
        ("a,1\nb,2\n", False),
        ("39,?\n40,5\n41,6\n", False),
        ("1,2,3\n", True),
    ],
)
def test_headers(text: str, expected: bool) -> None:
    assert has_header(records(text, ",")) is expected
