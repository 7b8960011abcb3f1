"""`mlpipe sql`: what can be asked, that nothing can be changed or reached besides, and how answers are printed."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from mlpipe_dagster.commands.sql import sql as command
from mlpipe_dagster.errors import UserError
from mlpipe_dagster.tables.duck import connect
from mlpipe_dagster.warehouse import results, sql
from mlpipe_dagster.warehouse.warehouse import Warehouse
from mlpipe_dagster_tests.warehouse import scenes


def ask(warehouse: Warehouse, statement: str) -> list[tuple[object, ...]]:
    with sql.answer(warehouse, statement) as found:
        rows: list[tuple[object, ...]] = found.fetchall()
    return rows


@pytest.fixture
def loans(warehouse: Warehouse, tmp_path: Path) -> Path:
    """A table of which a real Parquet is stored."""
    version = scenes.upload(warehouse, tmp_path)
    parquet = tmp_path / "real.parquet"
    with connect([tmp_path]) as connection:
        connection.execute(f"COPY (SELECT 10 * i AS income FROM range(1, 5) t(i)) TO '{parquet}'")
    results.ensure_table(warehouse, version, parquet, scenes.profile())
    return tmp_path


def test_the_catalogue_the_audit_trail_and_the_rows_join(warehouse: Warehouse, loans: Path) -> None:
    assert ask(warehouse, 'SELECT dataset_id, sum(income) FROM datasets, "loans" GROUP BY ALL') == [("loans", 100)]
    assert ask(warehouse, "SELECT a.what FROM audit a JOIN events e ON a.cause = e.ce_id") == [("dataset.uploaded",)]
    found = ask(warehouse, "SELECT value->>'$.dataset.name', created_at > '2026-01-01' FROM events")
    assert found == [("Loans", True)]


@pytest.mark.parametrize("table", [*sql.TABLES, sql.LEADERBOARDS])
def test_every_table_can_be_asked_when_nothing_is_in_it(warehouse: Warehouse, table: str) -> None:
    assert ask(warehouse, f"SELECT * FROM {table}") == []


def test_which_tables_there_are(warehouse: Warehouse) -> None:
    assert {row[0] for row in ask(warehouse, "SHOW TABLES")} == {*sql.TABLES, sql.LEADERBOARDS}
    with pytest.raises(UserError, match=r"api_keys does not exist(.|\n)*leaderboards, and a dataset by its quoted id"):
        ask(warehouse, "SELECT * FROM api_keys")


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("DELETE FROM audit", "nothing can be changed"),
        ("DROP TABLE datasets", "nothing can be changed"),
        ("COPY audit TO '/tmp/stolen.csv'", "nothing can be changed"),
        ("ATTACH '/tmp/other.db'", "nothing can be changed"),
        ("SET enable_external_access = true", "nothing can be changed"),
        ("SELECT 1; SELECT 2", "one statement at a time"),
        ("", "one statement at a time"),
        ("SELEC 1", "syntax error"),
        ("SELECT * FROM read_csv('/etc/passwd')", "disabled by configuration"),
        ("SELECT * FROM '/etc/passwd'", "does not exist"),
        ("SELECT nothing FROM audit", "nothing"),
    ],
)
def test_nothing_else_is_done(warehouse: Warehouse, statement: str, why: str) -> None:
    with pytest.raises(UserError, match=why):
        ask(warehouse, statement)


def test_answers_as_a_table_csv_and_json(warehouse: Warehouse, loans: Path) -> None:
    run = CliRunner()
    statement = 'SELECT income, income / 3 AS third FROM "loans" ORDER BY 1 LIMIT 2'
    assert "│     10 │" in run.invoke(command, [statement]).output
    assert run.invoke(command, [statement, "--format", "csv"]).output.splitlines()[0] == "income,third"
    lines = run.invoke(command, [statement, "--format", "json"]).output.splitlines()
    assert [json.loads(line)["income"] for line in lines] == [10, 20]
