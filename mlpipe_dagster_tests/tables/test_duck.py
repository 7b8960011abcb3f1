"""The sandbox holds: nothing outside the named paths, and no way to widen it."""

from pathlib import Path

import duckdb
import pytest

from mlpipe_dagster.tables.duck import connect, literal, quote

pytestmark = pytest.mark.usefixtures("home")


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM read_csv('{outside}/secret.csv')",
        "SELECT * FROM read_csv('{inside}/../outside/secret.csv')",
        "SELECT * FROM read_text('/proc/self/environ')",
        "COPY (SELECT 1) TO '{outside}/new.csv'",
        "ATTACH '{outside}/new.db'",
        "SET memory_limit = '100GB'",
        "SET enable_external_access = true",
        "INSTALL httpfs",
    ],
)
def test_what_is_not_allowed_fails(tmp_path: Path, statement: str) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    (outside / "secret.csv").write_text("a\n1\n")
    with connect([inside]) as connection, pytest.raises(duckdb.Error):
        connection.execute(statement.format(inside=inside, outside=outside))


def test_allowed_folders_and_single_files_work(tmp_path: Path) -> None:
    folder = tmp_path / "it's"
    folder.mkdir()
    (tmp_path / "one.csv").write_text("a\n1\n")
    with connect([folder, tmp_path / "one.csv"]) as connection:
        connection.execute(f"COPY (SELECT 7 AS x) TO {literal(str(folder / 'x.parquet'))}")
        assert connection.execute(f"SELECT a FROM read_csv({literal(str(tmp_path / 'one.csv'))})").fetchall() == [(1,)]
    assert (folder / "x.parquet").exists()


def test_settings_are_applied(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLPIPE_DUCKDB_MEMORY", "300MB")
    monkeypatch.setenv("MLPIPE_THREADS", "1")
    with connect([]) as connection:
        names = "'threads', 'memory_limit', 'temp_directory'"
        query = f"SELECT value FROM duckdb_settings() WHERE name IN ({names}) ORDER BY name"
        memory, spill, threads = (row[0] for row in connection.execute(query).fetchall())
    assert (memory, threads) == ("286.1 MiB", "1")
    assert Path(spill).parent == (home / "spill").absolute()


def test_names_are_quoted() -> None:
    with connect([]) as connection:
        name = 'a"b; DROP TABLE x'
        assert [column[0] for column in connection.execute(f"SELECT 1 AS {quote(name)}").description or ()] == [name]
