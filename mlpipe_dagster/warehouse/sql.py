"""One read-only SELECT in DuckDB's SQL over what the warehouse holds: its tables, leaderboards, and the datasets.

Only what a statement names is loaded. The connection sees no file but the named datasets' Parquet, and neither keys nor
sessions are among its tables.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import inspect, select
from sqlalchemy.orm import Session

from mlpipe_dagster.errors import UserError
from mlpipe_dagster.warehouse.audit_rows import AuditRow
from mlpipe_dagster.warehouse.schema import (
    BiasReportRow,
    DatasetVersion,
    Decision,
    FormerResult,
    LedgerRow,
    ModelFileRow,
    ModelRow,
    Notification,
    OutboxRow,
    Pipeline,
    Question,
    Row,
    TransformationReportRow,
    UserPolicy,
    XaiReportRow,
)
from mlpipe_dagster.warehouse.warehouse import Warehouse

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

TABLES: Mapping[str, type[Row]] = {
    "datasets": DatasetVersion,
    "pipelines": Pipeline,
    "stages": LedgerRow,
    "bias_reports": BiasReportRow,
    "transformation_reports": TransformationReportRow,
    "models": ModelRow,
    "explanations": XaiReportRow,
    "events": OutboxRow,
    "decisions": Decision,
    "questions": Question,
    "notifications": Notification,
    "history": FormerResult,
    "policies": UserPolicy,
    "audit": AuditRow,
}
LEADERBOARDS = "leaderboards"
ADVICE = f'Its tables are: {", ".join([*TABLES, LEADERBOARDS])}, and a dataset by its quoted id, such as "loans".'


@contextmanager
def answer(warehouse: Warehouse, statement: str) -> Iterator["duckdb.DuckDBPyRelation"]:
    """What the statement finds, while its sources are open.

    Raises
    ------
    UserError
        It is no single SELECT, or DuckDB refuses it; the message is DuckDB's own.
    """
    import duckdb

    from mlpipe_dagster.tables.duck import connect, literal, quote

    names = _tables_named(statement)
    with ExitStack() as stack, warehouse.reading() as session:
        files = {name: stack.enter_context(files) for name, files in _datasets(session, warehouse, names)}
        connection = stack.enter_context(connect(list(files.values())))
        for name in names & set(TABLES):
            connection.register(name, _rows(session, TABLES[name]))
        if LEADERBOARDS in names:
            connection.register(LEADERBOARDS, _leaderboards(session, warehouse))
        for name, file in files.items():
            connection.execute(f"CREATE VIEW {quote(name)} AS FROM read_parquet({literal(str(file))})")
        try:
            yield connection.sql(statement)
        except duckdb.CatalogException as error:
            raise UserError(f"{error}\n{ADVICE}") from error
        except duckdb.Error as error:
            raise UserError(str(error)) from error


def _tables_named(statement: str) -> set[str]:
    """The names of all tables that a SELECT reads, its own subqueries' names among them."""
    import duckdb

    with duckdb.connect() as parser:
        row = parser.execute("SELECT json_serialize_sql(?)", [statement]).fetchone()
    parsed = json.loads(row[0]) if row else {}
    if parsed.get("error"):
        said = parsed["error_message"].removesuffix(" to json!").replace("serialized", "asked here")
        raise UserError(f"{said}: nothing can be changed here. {ADVICE}")
    if len(parsed["statements"]) != 1:
        raise UserError("Ask one statement at a time.")
    nodes = list(_nodes(parsed))
    if any(node.get("type") == "SHOW_REF" for node in nodes):
        return {*TABLES, LEADERBOARDS}
    return {str(node["table_name"]) for node in nodes if node.get("type") == "BASE_TABLE"}


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    if isinstance(tree, dict):
        yield tree
    for branch in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        yield from _nodes(branch)


def _datasets(session: Session, warehouse: Warehouse, names: set[str]) -> Iterator[tuple[str, Any]]:
    """The latest tables of the datasets that are named, by partition key; what was not read yet is left out."""
    for name in names - {*TABLES, LEADERBOARDS}:
        query = select(DatasetVersion).where(DatasetVersion.partition_key == name)
        newest = session.scalar(query.order_by(DatasetVersion.number.desc()).limit(1))
        if newest and newest.parquet_path:
            yield name, warehouse.objects.local(newest.parquet_path)


def _rows(session: Session, kind: type[Row]) -> "pa.Table":
    """All rows of a table; what is JSON there is JSON text here."""
    import pyarrow as pa

    types = {int: pa.int64(), float: pa.float64(), str: pa.string(), bool: pa.bool_(), datetime: pa.timestamp("us")}
    columns = list(inspect(kind).columns)
    schema = pa.schema([(column.key, types.get(_type(column), pa.string())) for column in columns])
    found = session.execute(select(*columns)).all()
    arrays = [
        pa.array([_plain(value) for value in values], field.type)
        for field, values in zip(schema, zip(*found, strict=True) if found else [()] * len(columns), strict=True)
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def _type(column: Any) -> type:
    python_type: type = column.type.python_type
    return python_type


def _plain(value: object) -> object:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value


def _leaderboards(session: Session, warehouse: Warehouse) -> "pa.Table":
    """Every trial of every model of ours: the model's ids, and the trial as its leaderboard tells it."""
    import pyarrow as pa

    from mlpipe_dagster.automl.artefacts import LEADERBOARD_FILE

    query = select(ModelRow, ModelFileRow).join(ModelFileRow, ModelFileRow.model_row == ModelRow.id)
    trials = []
    for model, file in session.execute(query.where(ModelFileRow.filename == LEADERBOARD_FILE)):
        with warehouse.objects.open(file.file_path) as content:
            for trial in json.load(content):
                known = {name: _plain(value) for name, value in trial.items()}
                trials.append({"user_id": model.user_id, "model_id": model.model_id, "version": model.version} | known)
    return pa.Table.from_pylist(trials) if trials else pa.table({"model_id": pa.array([], pa.string())})
