"""Models that a foreign AutoML worker stored, before our explanations: ONNX is explained, a pickle is left alone."""

import hashlib
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from mlpipe_dagster.settings import settings
from mlpipe_dagster.vocabulary import Role
from mlpipe_dagster.warehouse import pipelines, reports, results
from mlpipe_dagster.warehouse.results import NewModel, StoredFile
from mlpipe_dagster.warehouse.warehouse import set_player
from mlpipe_dagster_tests.defs.flow import Flow, records
from mlpipe_dagster_tests.xai.outside.files import as_matrix_onnx


def wait_for_a_model(flow: Flow, table: Path) -> None:
    """Until a foreign worker has been asked for one."""
    with flow.warehouse.transaction() as session:
        set_player(session, Role.AUTOML, "foreign")
    flow.upload(table, "small")
    for _ in range(5):
        flow.turn()
        if any(row["stage"] == "automl" for row in status(flow)["stages"]):
            return
    raise AssertionError(status(flow))


def status(flow: Flow) -> dict[str, Any]:
    with flow.warehouse.reading() as session:
        return pipelines.pipeline_object(session, flow.warehouse.settings, "small")


def bring(flow: Flow, file: Path, filename: str | None = None) -> None:
    """What the API does with a foreign worker's model; then our explanations, until the pipeline has ended."""
    flow.warehouse.objects.put(f"theirs/{file.name}", file)
    digest, name = hashlib.sha256(file.read_bytes()).hexdigest(), filename or file.name
    stored = StoredFile(name, f"theirs/{file.name}", file.stat().st_size, digest, "", is_primary=True)
    model = NewModel("theirs", "Theirs", "other", "classification", (stored,))
    results.receive_model(flow.warehouse, "ada", "small", model)
    flow.flush()
    for _ in range(5):
        flow.turn()
        if status(flow)["status"] != "running":
            break
    flow.turn()


def told(topic: str) -> list[dict[str, Any]]:
    return [json.loads(record.value or b"") for record in records(topic)]


def last_stage(flow: Flow) -> tuple[str, str, str]:
    row = status(flow)["stages"][-1]
    return row["stage"], row["state"], row["note"]


class Evil:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark: str) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path(self.mark),)


REFUSAL = "cannot be explained safely: upload ONNX or skops"


@pytest.mark.parametrize(
    ("filename", "said"),
    [
        ("model.pkl", REFUSAL),
        pytest.param("model.onnx", "model.onnx is not an ONNX model", marks=pytest.mark.long),
    ],
)
def test_of_a_pickle_the_data_are_explained_and_the_model_is_refused(
    flow: Flow, small_table: Path, tmp_path: Path, filename: str, said: str
) -> None:
    wait_for_a_model(flow, small_table)
    file = tmp_path / "theirs.bin"
    file.write_bytes(pickle.dumps(Evil(str(tmp_path / "mark"))))
    bring(flow, file, filename)
    assert not (tmp_path / "mark").exists(), "a foreign pickle was loaded"
    assert [(it["report_type"], it["level"]) for it in told("xai-events")] == [("data_explanation", "beginner")]
    (failure,) = told("pipeline-failed-events")
    assert (failure["stage"], failure["error_type"]) == ("xai", "bad_model")
    assert said in failure["error_message"]
    stage, state, note = last_stage(flow)
    assert (stage, state) == ("xai", "failed") and said in note
    pipeline = status(flow)
    assert pipeline["status"] == "failed"
    assert [note["body"] for note in pipeline["notifications"] if note["severity"] == "error"] == [
        failure["error_message"]
    ]
    assert not flow.runs[-1].success
    with flow.warehouse.reading() as session:
        page = reports.get_explanation(session, "ada", "small", "theirs", "data_explanation", "expert")
        assert reports.get_explanation(session, "ada", "small", "theirs", "model_explanation", "expert") is None
    assert page is not None
    with flow.warehouse.objects.open(page.file_path) as content:
        assert "target" in content.read().decode()


@pytest.mark.long
def test_an_onnx_model_is_explained(flow: Flow, small_table: Path, tmp_path: Path) -> None:
    wait_for_a_model(flow, small_table)
    table = pd.read_csv(small_table)
    model = LogisticRegression().fit(table[["age", "hours"]].to_numpy(np.float32), table["target"])
    bring(flow, as_matrix_onnx(model, 2, tmp_path / "model.onnx"))
    pipeline = status(flow)
    assert pipeline["status"] == "done", pipeline
    assert {it["report_type"] for it in told("xai-events")} == {"data_explanation", "model_explanation"}
    with flow.warehouse.reading() as session:
        page = reports.get_explanation(session, "ada", "small", "theirs", "model_explanation", "beginner")
    assert page is not None
    with flow.warehouse.objects.open(page.file_path) as content:
        text = content.read().decode()
    assert "Trained elsewhere." in text and "hours" in text


@pytest.mark.long
def test_a_model_that_is_too_large_is_not_fetched(
    flow: Flow, small_table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLPIPE_MAX_FOREIGN_MODEL_BYTES", "1000")
    settings.cache_clear()
    wait_for_a_model(flow, small_table)
    (tmp_path / "model.onnx").write_bytes(bytes(1001))
    bring(flow, tmp_path / "model.onnx")
    (failure,) = told("pipeline-failed-events")
    assert "has 1001 bytes; at most 1000 are loaded" in failure["error_message"]
