"""Routes of models, as foreign AutoML workers use them."""

import io
import pickle
import zipfile
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from mlpipe_dagster.warehouse import results
from mlpipe_dagster.warehouse.results import NewModel, StoredFile
from mlpipe_dagster.warehouse.warehouse import Warehouse
from mlpipe_dagster_tests.api.requests import post_model, upload
from mlpipe_dagster_tests.warehouse import scenes

KEYS = {
    "model_id", "user_id", "name", "description", "version", "framework", "model_type", "algorithm", "files",
    "primary_file_path", "model_size_mb", "training_dataset", "training_accuracy", "validation_accuracy",
    "test_accuracy", "training_loss", "python_version", "dependencies", "hardware_requirements", "tags",
    "custom_metadata", "created_at", "updated_at", "is_active", "is_production_ready", "input_shape", "output_shape",
    "num_parameters",
}  # fmt: skip


@pytest.mark.parametrize(
    "fields",
    [
        {"framework": "cobol"},
        {"model_type": "astrology"},
        {"model_id": "../m"},
        {"training_dataset": "a/b"},
        {"test_accuracy": "good"},
        {"test_accuracy": "nan"},
        {"training_loss": "inf"},
    ],
)
def test_a_field_that_does_not_fit_is_refused(client: TestClient, home: Path, fields: dict[str, str]) -> None:
    assert post_model(client, **fields).status_code == 422  # type: ignore[arg-type]
    assert client.get("/ai-models/ann").json() == []
    assert list((home / "objects").rglob("*.pkl")) == []


class Bomb:
    """Would write a file when unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return (open, (str(self.path), "w"))


def test_a_pickle_is_stored_and_served_and_never_loaded(client: TestClient, tmp_path: Path) -> None:
    content = pickle.dumps(Bomb(tmp_path / "exploded"))
    assert post_model(client, content=content).status_code == 200
    assert client.get("/ai-models/ann/m/download").content == content
    assert not (tmp_path / "exploded").exists()


def test_a_model_is_stored_and_announced(client: TestClient, warehouse: Warehouse) -> None:
    upload(client)
    answer = post_model(
        client,
        training_dataset="loans",
        test_accuracy="0.75",
        tags="a, b",
        model_type="Binary_Classification",
        algorithm="LR",
    )
    model = answer.json()
    assert answer.status_code == 200
    assert set(model) == KEYS
    given = ("version", "model_type", "training_dataset", "test_accuracy", "training_accuracy", "tags", "is_active")
    assert [model[key] for key in given] == ["v1", "classification", "loans", 0.75, None, ["a", "b"], True]
    (file,) = model["files"]
    # SHA-256 of the five bytes `model`, from sha256sum
    assert file["file_hash"] == "9372c470eeadd5ecd9c3c74c2b3cb633f8e2f2fad799250a0f70d652b6b825e4"
    assert (file["filename"], file["file_size"], file["file_type"], file["is_primary"]) == ("model.pkl", 5, "pkl", True)
    assert set(file) == {
        "filename", "file_path", "file_size", "file_type", "file_hash", "content_type", "is_primary", "description",
    }  # fmt: skip
    event = scenes.value_of(scenes.outbox_rows(warehouse, "model.uploaded")[0])
    assert (event["dataset_id"], event["model_id"], event["version"], event["test_accuracy"]) == (
        "loans",
        "m",
        "v1",
        0.75,
    )
    assert scenes.outbox_rows(warehouse, "model.uploaded")[0].record_key == "ann_m"


@pytest.mark.parametrize("word", ["multiclass", "classification", "BINARY", "multiclass_classification"])
def test_aliases_of_tasks_are_model_types(client: TestClient, word: str) -> None:
    assert post_model(client, model_type=word).json()["model_type"] == "classification"


@pytest.mark.parametrize("word", ["regression", "clustering", "time_series", "reinforcement_learning", "other"])
def test_other_model_types_stay(client: TestClient, word: str) -> None:
    assert post_model(client, model_type=word).json()["model_type"] == word


def test_unknown_models_are_said_to_be_unknown(client: TestClient) -> None:
    post_model(client)
    for path in ("/nothing", "/nothing/files", "/nothing/download", "/m?version=v2", "/m/download?filename=x"):
        assert client.get(f"/ai-models/ann{path}").status_code == 404
    assert client.get("/ai-models/bob/m").status_code == 404
    assert client.put("/ai-models/ann/nothing", json={"name": "x"}).status_code == 404
    assert client.delete("/ai-models/ann/nothing").status_code == 404
    assert client.get("/ai-models/ann?limit=1001").status_code == 422


def test_a_change_needs_a_version_when_there_are_several(client: TestClient) -> None:
    post_model(client)
    assert client.put("/ai-models/ann/m", json={}).status_code == 400
    assert client.put("/ai-models/ann/m", json={"name": None}).status_code == 400
    assert client.put("/ai-models/ann/m", json={"model_type": "astrology"}).status_code == 422
    assert client.put("/ai-models/ann/m", json={"name": "New", "is_production_ready": True}).json()["name"] == "New"
    post_model(client)
    for answer in (client.put("/ai-models/ann/m", json={"name": "x"}), client.delete("/ai-models/ann/m")):
        assert answer.status_code == 409
        assert "?version=" in answer.json()["detail"]
    assert client.put("/ai-models/ann/m?version=v1", json={"tags": ["old"]}).json()["tags"] == ["old"]
    assert client.get("/ai-models/ann/m").json()["version"] == "v2"
    assert list(client.delete("/ai-models/ann/m?version=v2").json()) == ["message"]
    assert client.get("/ai-models/ann/m").json()["version"] == "v1"
    client.delete("/ai-models/ann/m")
    assert post_model(client).json()["version"] == "v3"


def test_lists_are_narrowed(client: TestClient) -> None:
    post_model(client, "one", tags="a", framework="onnx", description="the first")
    post_model(client, "two", model_type="regression")
    post_model(client, "two", model_type="regression")

    def found(path: str) -> list[tuple[str, str]]:
        return [(model["model_id"], model["version"]) for model in client.get(f"/ai-models/{path}").json()]

    assert found("ann") == [("two", "v2"), ("one", "v1")]
    assert found("ann?framework=onnx") == [("one", "v1")]
    assert found("ann?model_type=regression&tags=a") == []
    assert found("ann?skip=1&limit=1") == [("one", "v1")]
    assert found("search/ann?query=FIRST") == [("one", "v1")]
    assert found("search/ann?query=first&tags=b") == []
    assert found("nobody") == []


def test_several_files_come_as_a_zip(client: TestClient, warehouse: Warehouse, tmp_path: Path) -> None:
    stored = []
    for filename, content in (("model.skops", b"a" * 3_000_000), ("card/../../card.md", b"card")):
        file = tmp_path / "file"
        file.write_bytes(content)
        warehouse.objects.put(f"models/{len(stored)}", file)
        stored.append(
            StoredFile(filename, f"models/{len(stored)}", len(content), "0" * 64, "text/plain", is_primary=not stored)
        )
    results.receive_model(warehouse, "ann", None, NewModel("m", "M", "sklearn", "other", tuple(stored)))
    answer = client.get("/ai-models/ann/m/download")
    assert answer.headers["content-disposition"] == 'attachment; filename="m_v1.zip"'
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    assert archive.testzip() is None
    assert archive.namelist() == ["model.skops", "card/card.md"]
    assert archive.read("model.skops") == b"a" * 3_000_000
    one = client.get("/ai-models/ann/m/download?filename=model.skops")
    assert len(one.content) == 3_000_000
    assert [file["filename"] for file in client.get("/ai-models/ann/m/files").json()] == [
        "model.skops",
        "card/../../card.md",
    ]
