"""One row explained over the API, on the page where values are changed, and by the command line's words."""

from pathlib import Path
from typing import cast

import pandas as pd
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from mlpipe_dagster.commands.explain import told
from mlpipe_dagster.warehouse.warehouse import Warehouse
from mlpipe_dagster_tests.api.requests import HTML, post_model, upload
from mlpipe_dagster_tests.api.stored import FEATURES, store_trained

EXPLAIN = "/ai-models/ann/m/explain"


@pytest.fixture
def table(client: TestClient, warehouse: Warehouse, tmp_path: Path) -> pd.DataFrame:
    """A table whose model is stored as one that was trained here; `colour` is sensitive."""
    return store_trained(client, warehouse, tmp_path)


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


def test_who_opens_a_model_finds_it_loaded(client: TestClient, table: pd.DataFrame) -> None:
    at_hand = cast(FastAPI, client.app).state.explainer.folder
    assert list(at_hand.iterdir()) == []
    assert client.get("/ai-models/ann/m", headers=HTML).status_code == 200
    assert sorted(path.name.partition("-")[0] for path in at_hand.iterdir()) == ["model", "table"]
    assert client.post(EXPLAIN, json={"row": 5}).status_code == 200


def test_a_model_from_outside_is_refused_plainly(client: TestClient) -> None:
    upload(client)
    post_model(client, training_dataset="loans")
    answer = client.post(EXPLAIN, json={"row": 1})
    assert answer.status_code == 400
    assert "came from outside" in answer.json()["detail"]
    assert client.post("/ai-models/ann/none/explain", json={"row": 1}).status_code == 404
