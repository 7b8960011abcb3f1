"""A model stored as one that was trained here, with its table, for tests of the routes that ask it."""

from pathlib import Path

import pandas as pd
from fastapi.testclient import TestClient
from sklearn.linear_model import LogisticRegression

from mlpipe_dagster.automl import artefacts
from mlpipe_dagster.tables.convert import to_parquet
from mlpipe_dagster.vocabulary import TaskKind
from mlpipe_dagster.warehouse import datasets, results
from mlpipe_dagster.warehouse.objects import object_name
from mlpipe_dagster.warehouse.results import NewModel, StoredFile
from mlpipe_dagster.warehouse.schema import ModelRow
from mlpipe_dagster.warehouse.warehouse import Warehouse
from mlpipe_dagster_tests.api.requests import upload
from mlpipe_dagster_tests.xai.models import planted, trained

FEATURES = ["noise", "weak", "strong", "colour"]


def store_trained(client: TestClient, warehouse: Warehouse, folder: Path) -> pd.DataFrame:
    """The table of the model `m` of ann: 200 rows, a binary target; `colour` is sensitive."""
    table = planted(200)[[*FEATURES, "binary"]]
    upload(client, content=table.to_csv(index=False).encode())
    file = folder / "loans.csv"
    table.to_csv(file, index=False)
    profile = to_parquet(file, "loans.csv", folder / "table.parquet")
    with warehouse.reading() as session:
        version = datasets.get_version(session, "ann", "loans")
    results.ensure_table(warehouse, version, folder / "table.parquet", profile)
    model = trained(table, "binary", TaskKind.BINARY, LogisticRegression(), sensitive=["colour"])
    files = tuple(_stored(warehouse, path) for path in artefacts.save(model, folder / "model"))
    new = NewModel("m", "M", "sklearn", "classification", files)
    row = results.receive_model(warehouse, "ann", "loans", new)
    with warehouse.transaction() as session:
        stored = session.get(ModelRow, row.id)
        assert stored is not None
        stored.run_id = "run-1"
    return table


def _stored(warehouse: Warehouse, path: Path) -> StoredFile:
    name = object_name("models", "ann", "m", path.name)
    warehouse.objects.put(name, path, given=False)
    return StoredFile(path.name, name, path.stat().st_size, "0" * 64, "application/octet-stream")
