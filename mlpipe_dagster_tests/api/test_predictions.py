"""Rows predicted over the API and by `mlpipe predict`: JSON and CSV, within bounds, by our own models."""

import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from fastapi.testclient import TestClient

from mlpipe_dagster.api import predictions, predictor
from mlpipe_dagster.api.model_page import trials_of
from mlpipe_dagster.automl import artefacts
from mlpipe_dagster.commands import client as commands_client
from mlpipe_dagster.commands import predict as command
from mlpipe_dagster.warehouse.warehouse import Warehouse
from mlpipe_dagster_tests.api.requests import HTML, post_model
from mlpipe_dagster_tests.api.stored import FEATURES, store_trained

PREDICT = "/ai-models/ann/m/predict"
AS_CSV = {"content-type": "text/csv"}


@pytest.fixture
def table(client: TestClient, warehouse: Warehouse, tmp_path: Path) -> pd.DataFrame:
    """A table whose model is stored as one that was trained here."""
    return store_trained(client, warehouse, tmp_path)


class Through:
    """The session of the command line, led to the application under test."""

    def __init__(self, client: TestClient) -> None:
        self.client = client

    def request(self, method: str, url: str, timeout: float, **content: object) -> object:
        """As `requests` does it."""
        answer = self.client.request(method, "/" + url.split("/", 3)[3], content=content["data"], headers=content["headers"])  # type: ignore[arg-type]  # fmt: skip # noqa: E501
        answer.ok = answer.is_success  # type: ignore[attr-defined]
        return answer


def test_rows_are_predicted_as_the_model_does(
    client: TestClient, table: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = artefacts.load(tmp_path / "model")
    wanted = model.estimator.predict_proba(table[FEATURES])
    rows = json.loads(table[FEATURES].head(5).to_json(orient="records"))
    answer = client.post(PREDICT, json={"rows": rows})
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert (found["target"], found["task"]) == ("binary", "binary")
    shares = [[one["probabilities"][name] for name in model.classes or ()] for one in found["predictions"]]
    np.testing.assert_allclose(shares, wanted[:5], rtol=0, atol=1e-9)  # ten digits of JSON
    assert [one["prediction"] for one in found["predictions"]] == model.estimator.predict(table.head(5)).tolist()

    text = table.to_csv(index=False)  # the target and all
    as_csv = client.post(PREDICT, content=text, headers={**AS_CSV, "accept": "text/csv"})
    assert as_csv.headers["content-type"].startswith("text/csv")
    np.testing.assert_allclose(pd.read_csv(io.StringIO(as_csv.text)).iloc[:, 1:], wanted, rtol=0, atol=1e-12)

    monkeypatch.setattr(command, "BATCH_ROWS", 90)
    api = commands_client.ApiClient("http://localhost:8000")
    api._session = Through(client)  # type: ignore[assignment]
    monkeypatch.setattr(command, "ApiClient", lambda: api)
    (tmp_path / "rows.csv").write_text(text)
    told = CliRunner().invoke(command.predict, ["m", str(tmp_path / "rows.csv"), "--user-id", "ann"])
    assert told.output == as_csv.text


def test_what_does_not_fit_is_refused(client: TestClient, table: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predictions, "MOST_BYTES", 2_000_000)
    good = json.loads(table[FEATURES].head(1).to_json(orient="records"))[0]
    for body, status, said in (
        ({"rows": [{**good, "strong": "much"}]}, 422, "“strong” takes a number, not “much” (row 1)."),
        ({"rows": [{"strong": 1}]}, 400, "needs the column(s)"),
        ({"rows": []}, 422, "at least 1"),
        ({"rows": [good] * (predictor.MOST_ROWS + 1)}, 422, "at most 10000"),
        ({"rows": [good], "more": 1}, 422, "more"),
    ):
        refused = client.post(PREDICT, json=body)
        assert refused.status_code == status, refused.text
        assert said in refused.text
    for text, kind, status, said in (
        ("strong\n", "text/csv", 400, "no row under the header"),
        ("", "text/csv", 400, "not a CSV file"),
        (b"\xff\xfe", "text/csv", 422, "not UTF-8"),
        ("strong\n" + "1\n" * 10_001, "text/csv", 413, "At most 10,000 rows"),
        ("strong\n" + "1" * 2_000_000, "text/csv", 413, "At most 1 MB"),
        ("x", "text/plain", 422, "application/json or text/csv"),
        ("{", "application/json", 422, "JSON"),
    ):
        refused = client.post(PREDICT, content=text, headers={"content-type": kind})
        assert refused.status_code == status, refused.text
        assert said in refused.text
    assert client.post("/ai-models/ann/none/predict", json={"rows": [good]}).status_code == 404


def test_a_model_from_outside_is_never_loaded(client: TestClient) -> None:
    post_model(client, "theirs", b"cos\nsystem\n(S'true'\ntR.")
    refused = client.post("/ai-models/ann/theirs/predict", json={"rows": [{"a": 1}]})
    assert refused.status_code == 400
    assert "Download it and run it where you trust it" in refused.json()["detail"]


def test_a_browser_gets_a_page_with_the_card_and_the_files(client: TestClient, table: pd.DataFrame) -> None:
    page = client.get("/ai-models/ann/m", headers=HTML)
    assert page.headers["content-type"].startswith("text/html")
    for said in ("<h2>Quality</h2>", "<h2>Limits</h2>", "<h2>Made again</h2>", "colour (category)",
                 "/ai-models/ann/m/download?version=v1&amp;filename=model.skops"):  # fmt: skip
        assert said in page.text, said
    assert client.get("/ai-models/ann/m").json()["model_id"] == "m"
    for said in ("<h2>Leaderboard</h2>", "<svg", "The leading trials", "validation log loss"):
        assert said in page.text, said
    post_model(client, "theirs")
    theirs = client.get("/ai-models/ann/theirs", headers=HTML).text
    assert "brought no model card" in theirs
    assert "Leaderboard" not in theirs
    assert "model.pkl" in theirs


def test_a_manifest_that_does_not_read_shows_no_trials() -> None:
    assert trials_of(b"") == {}
    assert trials_of(b'{"model": {}}') == {}, "that of another version"
