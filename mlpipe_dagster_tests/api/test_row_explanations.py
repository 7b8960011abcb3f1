"""One row explained over the API, on the page where values are changed, and by the command line's words."""

from pathlib import Path

import pandas as pd
import pytest
from fastapi.testclient import TestClient
from sklearn.linear_model import LogisticRegression

from mlpipe_dagster.automl import artefacts
from mlpipe_dagster.commands.explain import told
from mlpipe_dagster.tables.convert import to_parquet
from mlpipe_dagster.vocabulary import TaskKind
from mlpipe_dagster.warehouse import datasets, results
from mlpipe_dagster.warehouse.objects import object_name
from mlpipe_dagster.warehouse.results import NewModel, StoredFile
from mlpipe_dagster.warehouse.schema import ModelRow
from mlpipe_dagster.warehouse.warehouse import Warehouse
from mlpipe_dagster_tests.api.requests import HTML, post_model, upload
from mlpipe_dagster_tests.xai.models import planted, trained

FEATURES = ["noise", "weak", "strong", "colour"]
EXPLAIN = "/ai-models/ann/m/explain"


@pytest.fixture
def table(client: TestClient, warehouse: Warehouse, tmp_path: Path) -> pd.DataFrame:
    """A table whose model is stored as one that was trained here; `colour` is sensitive."""
    table = planted(200)[[*FEATURES, "binary"]]
    upload(client, content=table.to_csv(index=False).encode())
    file = tmp_path / "loans.csv"
    table.to_csv(file, index=False)
    profile = to_parquet(file, "loans.csv", tmp_path / "table.parquet")
    with warehouse.reading() as session:
        version = datasets.get_version(session, "ann", "loans")
    results.ensure_table(warehouse, version, tmp_path / "table.parquet", profile)
    model = trained(table, "binary", TaskKind.BINARY, LogisticRegression(), sensitive=["colour"])
    files = tuple(_stored(warehouse, path) for path in artefacts.save(model, tmp_path / "model"))
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


def test_a_row_is_explained_changed_and_turned(client: TestClient, table: pd.DataFrame) -> None:
    answer = client.post(EXPLAIN, json={"row": 5})
    assert answer.status_code == 200, answer.text
    found = answer.json()
    local = found["explanation"]
    assert local["actual"] == table["binary"].iloc[4]
    added = local["base"] + sum(part["shap"] for part in local["contributions"]) + local["rest"]
    assert added == pytest.approx(local["output"], abs=1e-9)
    assert found["kept"] == ["colour"]
    changes = {change["column"]: change["after"] for change in found["counterfactual"]["changes"]}
    assert "colour" not in changes
    turned = client.post(EXPLAIN, json={"row": 5, "values": changes}).json()
    assert turned["predicted"] == found["counterfactual"]["predicted_after"] != found["predicted"]
    assert turned["explanation"]["actual"] == "missing"
    assert f"binary: {found['predicted']}" in told(found)

    values = table[FEATURES].iloc[4].to_dict()
    assert client.post(EXPLAIN, json={"values": values}).json()["predicted"] == found["predicted"]

    for body, status, said in (
        ({"row": 999}, 400, "no row 999"),
        ({"row": 5, "values": {"strong": "much"}}, 422, "takes a number"),
        ({"row": 5, "values": {"weight": 1}}, 422, "reads no column"),
        ({"values": {"strong": 1}}, 422, "Give a value"),
        ({}, 422, "Give a value"),
    ):
        refused = client.post(EXPLAIN, json=body)
        assert (refused.status_code, said in refused.text) == (status, True), refused.text

    page = client.get("/what-if/ann/m?row=5", headers=HTML)
    assert page.status_code == 200
    assert "Nothing is changed yet." in page.text
    assert 'method="post"' in page.text
    changed = client.post(
        "/what-if/ann/m?row=5", data={"column": list(changes), "value": list(changes.values())}, headers=HTML
    )
    assert "Nothing is changed yet." not in changed.text
    wrong = client.post("/what-if/ann/m?row=5", data={"column": "strong", "value": "<b>"}, headers=HTML)
    assert wrong.status_code == 422
    assert "takes a number, not “&lt;b&gt;”" in wrong.text


def test_a_model_from_outside_is_refused_plainly(client: TestClient) -> None:
    upload(client)
    post_model(client, training_dataset="loans")
    answer = client.post(EXPLAIN, json={"row": 1})
    assert answer.status_code == 400
    assert "came from outside" in answer.json()["detail"]
    assert client.post("/ai-models/ann/none/explain", json={"row": 1}).status_code == 404
