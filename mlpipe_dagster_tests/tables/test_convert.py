"""Uploads become typed Parquet, or a sentence that says what to do."""

import datetime
import gzip
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from mlpipe_dagster.errors import TableError
from mlpipe_dagster.settings import settings
from mlpipe_dagster.tables.convert import to_parquet
from mlpipe_dagster.tables.profile import Profile

pytestmark = pytest.mark.usefixtures("home")

Rows = list[dict[str, object]]
Convert = Callable[..., tuple[Profile, Rows]]


@pytest.fixture
def convert(tmp_path: Path) -> Convert:
    """Convert bytes under a file name; gives the profile and the rows that the Parquet holds (read by Arrow)."""

    def run(content: bytes, filename: str = "table.csv") -> tuple[Profile, Rows]:
        source, target = tmp_path / "upload", tmp_path / "out" / "table.parquet"
        source.write_bytes(content)
        found = to_parquet(source, filename, target)
        return found, pq.read_table(target).to_pylist()

    return run


def types(found: Profile) -> dict[str, str]:
    return {column.name: column.data_type for column in found.columns}


def parquet_bytes(table: pa.Table) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out)
    return out.getvalue()


def workbook_bytes(*sheets: list[list[object]]) -> bytes:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for rows in sheets:
        sheet = book.create_sheet()
        for row in rows:
            sheet.append(row)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8
WORKBOOK = workbook_bytes([["a", "b"], [1, 2]])
PARQUET = parquet_bytes(pa.table({"a": list(range(5000))}))

BAD = {
    "empty": (b"", "t.csv", "The file is empty. Upload a table with a header line and at least one row."),
    "blank lines only": (b"\n\n  \n", "t.csv", "The file is empty."),
    "empty parquet": (b"", "t.parquet", "The file is empty."),
    "header only": (b"a,b\n", "t.csv", "The table has column names but no rows. Upload a table with at least one row."),
    "header without line end": (b"a,b", "t.csv", "column names but no rows"),
    "image called csv": (PNG, "t.csv", "The file is not a table. The file seems to be a PNG image. Upload a CSV"),
    "html called csv": (b"<!DOCTYPE html><html><body>Log in</body></html>", "t.csv", "an HTML or XML page"),
    "pdf": (b"%PDF-1.7 rest", "t.pdf", "a PDF document"),
    "random bytes": (bytes(range(256)) * 10, "t.csv", "binary data that is no kind of table we know"),
    "prose": (b"Dear all,\nplease find the table\nattached\n", "letter.txt", "text without columns"),
    "old excel": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512), "t.xls", "save it as XLSX without a password"),
    "zip": (None, "t.zip", "a ZIP archive or Office document; upload the table inside it"),
    "corrupt parquet": (PARQUET[:-200], "t.parquet", "The Parquet file is damaged or incomplete"),
    "parquet with damaged pages": (PARQUET[:40] + b"\xff" * 400 + PARQUET[440:], "t.parquet", "The Parquet file"),
    "parquet without rows": (parquet_bytes(pa.table({"a": pa.array([], pa.int64())})), "t.parquet", "but no rows"),
    "corrupt xlsx": (WORKBOOK[:-300], "t.xlsx", "a damaged XLSX file or ZIP archive; save and upload it again"),
    "xlsx without rows": (workbook_bytes([["a", "b"]]), "t.xlsx", "The first sheet has column names but no rows."),
    "xlsx with an empty sheet": (workbook_bytes([]), "t.xlsx", "The first sheet is empty. Put the table"),
    "broken json": (b'[{"a": 1}, {"a": ', "t.json", "The JSON file is damaged or incomplete"),
    "json of numbers": (b"[1, 2, 3]", "t.json", "JSON tables are an array of objects, or one object on each line."),
    "json without objects": (b"[]", "t.json", "JSON tables are an array of objects"),
    "cut gzip": (gzip.compress(b"a,b\n" + b"1,2\n" * 9999)[:-20], "t.csv.gz", "gzip file is damaged or was cut off"),
    "unclosed quote": (b'a,b\n1,2\n3,"4\n5,6\n7,8\n', "t.csv", 'A quote (") opened on line 3 is never closed.'),
    "binary later on": (b"a,b\n" + b"1,2\n" * 600_000 + b"\0\0\n", "t.csv", "The file has binary data among its text"),
}  # fmt: skip


def zip_bytes() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("t.csv", "a,b\n1,2\n")
    return out.getvalue()


@pytest.mark.parametrize("case", BAD)
def test_bad_uploads_say_what_to_do(convert: Convert, tmp_path: Path, case: str) -> None:
    content, filename, message = BAD[case]
    with pytest.raises(TableError) as caught:
        convert(content if content is not None else zip_bytes(), filename)
    assert message in str(caught.value)
    assert not (tmp_path / "out" / "table.parquet").exists()
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("filename", ["t.csv.gz", "t.csv.zst"])
def test_a_compressed_file_that_unpacks_beyond_the_limit_is_refused(
    convert: Convert, monkeypatch: pytest.MonkeyPatch, filename: str
) -> None:
    monkeypatch.setenv("MLPIPE_MAX_UPLOAD_BYTES", "3000000")
    settings.cache_clear()
    text = b"a,b\n" + b"0,0\n" * 1_000_000
    packed = gzip.compress(text) if filename.endswith("gz") else pa.compress(text, "zstd", asbytes=True)
    assert len(packed) < 10_000
    with pytest.raises(TableError, match=r"unpacks to more than the limit of 3,000,000 bytes\. Upload a smaller table"):
        convert(packed, filename)


def test_a_workbook_bomb_is_refused(convert: Convert, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLPIPE_MAX_UPLOAD_BYTES", "5000")
    settings.cache_clear()
    with pytest.raises(TableError, match="unpacks to more than the limit of 5,000 bytes"):
        convert(workbook_bytes([["a", "b"], *([i, i] for i in range(2000))]), "t.xlsx")


def test_many_ragged_rows_are_an_error_that_names_the_first_line(convert: Convert) -> None:
    with pytest.raises(TableError) as caught:
        convert(b"a,b,c\n1,2,3\n\n4,5\n" + b"6,7,8\n" * 6)
    assert "1 of 8 rows do not have 3 fields like the header; the first is line 4 with 2" in str(caught.value)


def test_few_ragged_rows_are_left_out_with_their_line_numbers(convert: Convert) -> None:
    lines = ["name,a,b"] + [f"x{i},{i},{i}" for i in range(100)]
    lines[10] = '"two\nlines",1,2'  # lines 11 and 12 of the file: every later line is one further down
    lines[20], lines[30], lines[40], lines[50] = "short", "a,b,c,d", "e,f", "g,h"
    found, rows = convert("\n".join(lines).encode())
    assert len(rows) == 96
    assert "4 rows were left out for not having 3 fields (line 22, 32, 42 and others)." in found.notes
    assert types(found) == {"name": "object", "a": "int64", "b": "int64"}


def test_one_ragged_row_near_the_top_does_not_make_a_table_of_one_column(convert: Convert) -> None:
    found, rows = convert(b"a,b,c\n1,2\n" + b"1,2,3\n" * 50)
    assert found.names == ["a", "b", "c"]
    assert len(rows) == 50
    assert found.notes == ("1 row was left out for not having 3 fields (line 2).",)


@pytest.mark.parametrize(
    ("encoding", "note"),
    [
        ("cp1252", "The text is not UTF-8; it was read as Windows-1252."),
        ("utf-16", "The text was read as UTF-16."),
        ("utf-16-le", "The text was read as UTF-16."),
        ("utf-8-sig", None),
        ("utf-8", None),
    ],
)
def test_encodings(convert: Convert, encoding: str, note: str | None) -> None:
    found, rows = convert("städte,preis\nMünchen,5 €\nZürich,7 €\n".encode(encoding))
    assert rows == [{"städte": "München", "preis": "5 €"}, {"städte": "Zürich", "preis": "7 €"}]
    assert [line[: len(note or "")] for line in found.notes] == ([note] if note else [])


def test_a_letter_that_is_not_utf8_far_down_changes_the_encoding_of_all(convert: Convert) -> None:
    found, rows = convert(b"a,b\n" + b"x,1\n" * 600_000 + "é,2\n".encode("latin-1"))
    assert (len(rows), rows[-1]) == (600_001, {"a": "é", "b": 2})
    assert "Windows-1252" in found.notes[0]


def test_bytes_that_windows_1252_lacks_are_read_as_latin_1(convert: Convert) -> None:
    _, rows = convert(b"a,b\n\xe9\x81,1\n\xe8,2\n")
    assert rows[0]["a"] == "é\x81"


def test_line_ends_of_all_kinds_and_quoted_line_breaks(convert: Convert) -> None:
    found, rows = convert(b'a,b\r\n1,"x\ny"\n2,"say ""hi"", he said"\r\n\r\n3,z\n')
    assert [row["b"] for row in rows] == ["x\ny", 'say "hi", he said', "z"]
    assert found.notes == ()
    assert convert(b"a,b\r1,2\r3,4\r")[1] == [{"a": 1, "b": 2}, {"a": 3, "b": 4}]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiters(convert: Convert, delimiter: str) -> None:
    text = "a,b\n1,x y\n2,z\n".replace(",", delimiter)
    assert convert(text.encode())[1] == [{"a": 1, "b": "x y"}, {"a": 2, "b": "z"}]


def test_excel_names_its_separator_in_the_first_line(convert: Convert) -> None:
    assert convert(b"sep=;\r\na;b\r\n1;2\r\n")[1] == [{"a": 1, "b": 2}]


def test_decimal_commas_are_numbers_only_where_that_is_clear(convert: Convert) -> None:
    found, rows = convert(b"clear;thousands;mixed\n1,5;1,234;1,5\n-2;5,678;1.5\n3,125;7,000;2\n")
    assert [row["clear"] for row in rows] == [1.5, -2.0, 3.125]
    assert [row["thousands"] for row in rows] == ["1,234", "5,678", "7,000"]
    assert types(found)["mixed"] == "object"
    assert "Commas were read as decimal points: clear." in found.notes
    assert any("a comma may mark decimals or thousands: thousands" in note for note in found.notes)


def test_every_word_for_missing(convert: Convert) -> None:
    words = ["NA", "N/A", "null", "?", "", "   ", "NaN", "<NA>"]
    found, rows = convert(("n,t,k\n1,x,1\n" + "".join(f"{word},{word},2\n" for word in words)).encode())
    assert [row["n"] for row in rows] == [1] + [None] * 8
    assert [row["t"] for row in rows] == ["x"] + [None] * 8
    assert types(found) == {"n": "float64", "t": "object", "k": "int64"}
    assert found.notes == ("Blank text and words such as NA or ? were read as missing values: n, t.",)


def test_only_true_and_false_are_truth_values(convert: Convert) -> None:
    found, rows = convert(b"b,gap,yes\ntrue,TRUE,Yes\nFalse,,No\ntrue,false,No\n")
    assert types(found) == {"b": "bool", "gap": "object", "yes": "object"}
    assert rows == [
        {"b": True, "gap": True, "yes": "Yes"},
        {"b": False, "gap": None, "yes": "No"},
        {"b": True, "gap": False, "yes": "No"},
    ]


def test_dates_and_times(convert: Convert) -> None:
    found, rows = convert(
        b"iso,stamp,zone,german,late,either,far\n"
        b"2024-02-29,2024-02-29 13:45:10,2024-01-01T00:30:00+02:00,31.12.2023,13/01/2024,01/02/2024,2024-01-01\n"
        b"2023-01-05,2024-03-01T00:00:00Z,2024-06-01T12:00:00Z,01.02.2023,01/02/2024,03/04/2024,9999-12-31\n"
    )
    stamp = datetime.datetime
    assert rows[0] == {
        "iso": stamp(2024, 2, 29),
        "stamp": stamp(2024, 2, 29, 13, 45, 10),
        "zone": stamp(2023, 12, 31, 22, 30),
        "german": stamp(2023, 12, 31),
        "late": stamp(2024, 1, 13),
        "either": "01/02/2024",
        "far": "2024-01-01",
    }
    assert types(found)["zone"] == "datetime64[ns]"
    assert "Dates whose day and month cannot be told apart are kept as text: either." in " ".join(found.notes)
    assert "Dates before 1678 or after 2261 are kept as text: far." in found.notes


def test_numbers_lose_nothing(convert: Convert) -> None:
    found, rows = convert(
        b"max,over,zip,gap,tiny,inf,word\n"
        b"9223372036854775807,9223372036854775808,00501,9007199254740993,1e-300,1.5,1\n"
        b"-9223372036854775808,1,10001,,.5,inf,1_000\n"
    )
    assert [row["max"] for row in rows] == [9223372036854775807, -9223372036854775808]
    assert [row["over"] for row in rows] == ["9223372036854775808", "1"]
    assert [row["zip"] for row in rows] == ["00501", "10001"]
    assert [row["gap"] for row in rows] == ["9007199254740993", None]
    assert [row["tiny"] for row in rows] == [1e-300, 0.5]
    assert [row["inf"] for row in rows] == [1.5, None]
    assert [row["word"] for row in rows] == ["1", "1_000"]
    assert "Whole numbers too large to be kept exactly as numbers are kept as text: over, gap." in found.notes
    assert "Numbers written with leading zeros are kept as text: zip." in found.notes
    assert "Infinite numbers were read as missing values: inf." in found.notes


def test_a_late_value_changes_the_type(convert: Convert) -> None:
    found, rows = convert(b"n,flag,day\n" + b"1,true,2024-01-01\n" * 50_000 + b"x,maybe,soon\n")
    assert types(found) == {"n": "object", "flag": "object", "day": "object"}
    assert rows[-1] == {"n": "x", "flag": "maybe", "day": "soon"}
    assert any(note.startswith("Nearly all values are numbers but some are not") for note in found.notes)


def test_column_names(convert: Convert) -> None:
    found, rows = convert("a, a ,A,,a_2,größe,\u540d\n1,2,3,4,5,6,7\n1,2,3,4,5,6,7\n".encode())
    assert found.names == ["a", "a_3", "A_4", "column_4", "a_2", "größe", "名"]
    assert list(rows[0].values()) == [1, 2, 3, 4, 5, 6, 7]
    assert "Repeated column names were changed: a to a_3, A to A_4." in found.notes
    assert "Columns without a name were called column_4." in found.notes


def test_a_table_without_a_header_keeps_its_first_row(convert: Convert) -> None:
    found, rows = convert(b"5.1,3.5,Iris-setosa\n4.9,3.0,Iris-setosa\n")
    assert found.names == ["column_1", "column_2", "column_3"]
    assert rows[0] == {"column_1": 5.1, "column_2": 3.5, "column_3": "Iris-setosa"}


def test_one_column(convert: Convert) -> None:
    assert convert(b"n\n1\n\n2\n")[1] == [{"n": 1}, {"n": 2}]


@pytest.mark.parametrize("width", [300, pytest.param(2_000, marks=pytest.mark.long)])
def test_wide_tables(convert: Convert, width: int) -> None:
    header = ",".join(f"c{i}" for i in range(width))
    row = ",".join(str(i) for i in range(width))
    found, rows = convert(f"{header}\n{row}\n{row}\n".encode())
    assert (found.row_count, len(found.columns), found.duplicate_rows) == (2, width, 1)
    assert rows[1][f"c{width - 1}"] == width - 1
    assert found.names[250] == "c250"


def test_json_arrays_and_lines_nested_one_level(convert: Convert) -> None:
    rows_text = ['{"id": "007", "n": 1, "at": {"city": "Oslo", "geo": {"x": 1}}, "tags": ["a", "b"], "v": "?"}',
                 '{"id": "008", "n": 2.5, "at": null, "v": "w"}']  # fmt: skip
    for content in ("[" + ",\n".join(rows_text) + "]", "\n".join(rows_text)):
        found, rows = convert(content.encode(), "t.json")
        assert rows == [
            {"id": "007", "n": 1.0, "at_city": "Oslo", "at_geo": '{"x":1}', "tags": '["a","b"]', "v": None},
            {"id": "008", "n": 2.5, "at_city": None, "at_geo": None, "tags": None, "v": "w"},
        ]
        assert "Nested objects were spread over columns of their own: at." in found.notes
        assert "Lists are kept as text: tags." in found.notes


def test_workbooks_keep_types_and_only_the_first_sheet_is_read(convert: Convert) -> None:
    day = datetime.datetime(2024, 5, 1, 8, 30)
    content = workbook_bytes(
        [
            ["n", "f", "b", "d", "t", None],
            [1, 0.1, True, day, "x", None],
            [2, 2.5, False, day, None, "late"],
            [None] * 6,
        ],
        [["other"]],
    )
    found, rows = convert(content, "t.xlsx")
    assert types(found) == {
        "n": "int64", "f": "float64", "b": "bool", "d": "datetime64[ns]", "t": "object", "column_6": "object",
    }  # fmt: skip
    assert rows[0] == {"n": 1, "f": 0.1, "b": True, "d": day, "t": "x", "column_6": None}
    assert len(rows) == 2
    assert "Only the first of 2 sheets was read (Sheet)." in found.notes


def test_parquet_types_become_the_five(convert: Convert) -> None:
    table = pa.table({
        "small": pa.array([1, 2], pa.int8()),
        "huge": pa.array([2**64 - 1, 1], pa.uint64()),
        "f": pa.array([float("nan"), float("inf")], pa.float32()),
        "ok": pa.array([0.5, None], pa.float64()),
        "day": pa.array([datetime.date(2024, 1, 1), None]),
        "word": pa.array(["NA", " "]).dictionary_encode(),
        "at": pa.array([{"x": 1, "y": "a"}, None]),
        "tags": pa.array([["a"], []]),
        "old": pa.array([b"text", b"\xff"]),
        "__index_level_0__": [5, 6],
    })  # fmt: skip
    found, rows = convert(parquet_bytes(table), "t.parquet")
    assert rows == [
        {"small": 1, "huge": "18446744073709551615", "f": None, "ok": 0.5, "day": datetime.datetime(2024, 1, 1),
         "word": "NA", "at_x": 1, "at_y": "a", "tags": '["a"]', "old": "text"},
        {"small": 2, "huge": "1", "f": None, "ok": None, "day": None,
         "word": None, "at_x": None, "at_y": None, "tags": "[]", "old": None},
    ]  # fmt: skip
    assert "Infinite numbers were read as missing values: f." in found.notes
    assert "The row index that pandas had written was left out." in found.notes


@pytest.mark.parametrize("packed", [gzip.compress, lambda text: pa.compress(text, "zstd", asbytes=True)])
def test_compressed_text(convert: Convert, packed: Callable[[bytes], bytes]) -> None:
    assert convert(packed(b"a,b\n1,2\n"), "t.csv.gz")[1] == [{"a": 1, "b": 2}]
    assert convert(packed(b'{"a": 1}\n{"a": 2}\n'), "t.jsonl.gz")[1] == [{"a": 1}, {"a": 2}]


TEXT = st.text(alphabet="abcXYZ äé€,;|\t\"'\n-_", min_size=1, max_size=8).map(lambda text: f"t{text}t")
CELLS = {
    "whole": (st.integers(-(2**63), 2**63 - 1), "int64"),
    "number": (st.floats(allow_nan=False, allow_infinity=False, width=64), "float64"),
    "flag": (st.booleans(), "bool"),
    "word": (TEXT, "object"),
    "day": (st.datetimes(datetime.datetime(1700, 1, 1), datetime.datetime(2200, 1, 1)), "datetime64[ns]"),
}
CELL_ROWS = st.lists(st.tuples(*(strategy for strategy, _ in CELLS.values())), min_size=2, max_size=12)


@given(rows=CELL_ROWS, gap=st.integers(0, 11), delimiter=st.sampled_from([",", ";", "\t", "|"]))
@hypothesis_settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_frame_written_as_csv_comes_back_with_the_same_values(
    convert: Convert, rows: list[tuple[object, ...]], gap: int, delimiter: str
) -> None:
    frame = pd.DataFrame(rows, columns=list(CELLS))
    frame["number"] = frame["number"] + 0.0  # -0.0 and 0.0 are one value
    frame["gappy"] = [None if index == gap else 0.5 for index in range(len(frame))]
    found, back = convert(frame.to_csv(index=False, sep=delimiter).encode())
    expected = [
        {**dict(zip(CELLS, row, strict=True)), "gappy": None if index == gap else 0.5} for index, row in enumerate(rows)
    ]
    assert back == expected
    if all(float(row[1]) != int(float(row[1])) for row in rows):  # type: ignore[arg-type]
        assert types(found) == {name: dtype for name, (_, dtype) in CELLS.items()} | {"gappy": "float64"}


@pytest.mark.parametrize(
    ("name", "rows", "target", "positive", "count"),
    [
        ("adult.csv", 48_842, "income", ">50K", 11_687),
        ("bank_full_semicolon_original.csv", 45_211, "y", "yes", 5_289),
        ("compas_two_years.csv", 7_214, "two_year_recid", 1, 3_251),
        ("german_credit.csv", 1_000, "credit", "bad", 300),
    ],
)
def test_published_counts(
    shared_data: Path, tmp_path: Path, name: str, rows: int, target: str, positive: object, count: int
) -> None:
    out = tmp_path / "t.parquet"
    assert to_parquet(shared_data / name, name, out).row_count == rows
    assert pq.read_table(out, columns=[target]).column(target).to_pylist().count(positive) == count


def test_compas_has_two_pairs_of_equal_names(shared_data: Path, tmp_path: Path) -> None:
    found = to_parquet(shared_data / "compas_two_years.csv", "compas.csv", tmp_path / "t.parquet")
    assert len(found.columns) == 53
    assert {"decile_score", "decile_score_2", "priors_count", "priors_count_2"} <= set(found.names)
    assert {name: found.column(name).personal for name in ("name", "first", "last")} == dict.fromkeys(
        ("name", "first", "last"), "name"
    )
    assert found.column("name").top_values == ()


def test_telco_has_eleven_blanks_in_a_column_of_numbers(shared_data: Path, tmp_path: Path) -> None:
    found = to_parquet(shared_data / "telco_churn.csv", "telco.csv", tmp_path / "t.parquet")
    charges = found.column("TotalCharges")
    assert (charges.data_type, charges.missing, charges.kind) == ("float64", 11, "number")
    assert (found.column("customerID").kind, found.column("Churn").data_type) == ("identifier", "object")


def test_titanic(shared_data: Path, tmp_path: Path) -> None:
    found = to_parquet(shared_data / "titanic.csv", "titanic.csv", tmp_path / "t.parquet")
    assert found.row_count == 891
    assert {name: found.column(name).missing for name in ("Age", "Cabin", "Embarked")} == {
        "Age": 177, "Cabin": 687, "Embarked": 2,
    }  # fmt: skip
    assert (found.column("Survived").kind, found.column("PassengerId").kind) == ("number", "identifier")


def test_diabetes_marks_missing_by_question_marks(shared_data: Path, tmp_path: Path) -> None:
    name = "diabetes_130us.csv.gz"
    found = to_parquet(shared_data / name, name, tmp_path / "t.parquet")
    assert (found.row_count, len(found.columns)) == (101_766, 50)
    # published (Strack et al. 2014, table 1), missing: weight 97 %, medical specialty 49 %, payer code 40 %, race 2 %
    shares = {
        column: found.column(column).missing / 101_766
        for column in ("weight", "medical_specialty", "payer_code", "race")
    }
    assert {column: round(share * 100) for column, share in shares.items()} == {
        "weight": 97, "medical_specialty": 49, "payer_code": 40, "race": 2,
    }  # fmt: skip
