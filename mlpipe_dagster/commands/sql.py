"""`mlpipe sql`: asks the warehouse in SQL, on the platform's own machine; nothing can be changed."""

import csv
import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from mlpipe_dagster.warehouse import sql as asking
from mlpipe_dagster.warehouse.warehouse import open_warehouse

if TYPE_CHECKING:
    import duckdb

ROWS_AT_ONCE = 1000


@click.command()
@click.argument("statement")
@click.option("--format", "form", type=click.Choice(["table", "csv", "json"]), default="table", show_default=True)
def sql(statement: str, form: str) -> None:
    """Answer one SELECT in DuckDB's SQL over datasets, reports, leaderboards, events, the audit trail and more.

    A dataset's own rows are a table under its quoted id: mlpipe sql 'SELECT avg(age) FROM "loans"'
    """
    with asking.answer(open_warehouse(), statement) as found:
        if form == "csv":
            _write_csv(found)
        elif form == "json":
            _write_json(found)
        else:
            click.echo(str(found).rstrip())


def _write_csv(found: "duckdb.DuckDBPyRelation") -> None:
    writer = csv.writer(sys.stdout)
    writer.writerow(found.columns)
    writer.writerows(row.values() for row in _rows(found))


def _write_json(found: "duckdb.DuckDBPyRelation") -> None:
    """One object a line; times as text."""
    for row in _rows(found):
        click.echo(json.dumps(row, ensure_ascii=False, default=str))


def _rows(found: "duckdb.DuckDBPyRelation") -> Iterator[dict[str, Any]]:
    for batch in found.to_arrow_reader(ROWS_AT_ONCE) or ():
        yield from batch.to_pylist()
