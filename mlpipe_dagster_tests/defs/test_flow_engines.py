"""An engine with an interpreter of its own, from the upload that names it to the explanations of its model.

With auto-sklearn where MLPIPE_AUTOSKLEARN_PYTHON names it, else with the stand-in of the engine tests.
"""

import os
from pathlib import Path

import pytest

from mlpipe_dagster.automl import artefacts
from mlpipe_dagster.automl.algorithms import HISTOGRAM, LINEAR
from mlpipe_dagster.automl.model import TrainedModel
from mlpipe_dagster.choices import Wishes
from mlpipe_dagster.settings import settings
from mlpipe_dagster.vocabulary import Stage
from mlpipe_dagster.warehouse import again, models
from mlpipe_dagster_tests.automl.conftest import planted_table
from mlpipe_dagster_tests.automl.fake_engines import stand_in
from mlpipe_dagster_tests.defs.flow import Flow
from mlpipe_dagster_tests.defs.test_flow import failed, records, state

REAL = os.environ.get("MLPIPE_AUTOSKLEARN_PYTHON")


def upload(flow: Flow, folder: Path, **wishes: str) -> None:
    table = folder / "planted.csv"
    planted_table().to_csv(table, index=False)
    flow.upload(table, "planted", target_column_name="bought", **wishes)


@pytest.mark.long
def test_auto_sklearn_from_the_upload_to_the_explanations(
    flow: Flow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLPIPE_AUTOSKLEARN_PYTHON", REAL or str(stand_in(tmp_path)))
    settings.cache_clear()
    upload(flow, tmp_path, engine="autosklearn", time_budget="60")
    flow.turn(2)
    found = state(flow, "planted")
    assert found["status"] == "done", found
    assert found["choices"]["engine"] == "autosklearn"
    assert len(records("xai-events")) == 2
    with flow.warehouse.reading() as session:
        row = models.model_of(session, "ada", "automl_planted")
        names = {file.filename for file in models.model_files(session, row)}
    assert {"model.skops", "leaderboard.json"} <= names
    if not REAL or row.algorithm == "auto-sklearn":
        assert row.algorithm == "auto-sklearn" and "engine_model.joblib" in names
    else:  # on a slow machine a baseline may be the better one, and is taken then
        assert row.algorithm in (LINEAR.name, HISTOGRAM.name)


def test_a_budget_below_the_engines_least_ends_before_anything_is_measured(flow: Flow, tmp_path: Path) -> None:
    upload(flow, tmp_path, engine="autosklearn", time_budget="10")
    flow.tick("dataset_events")
    assert [(one["stage"], one["error_type"]) for one in failed()] == [("dataset", "bad_time_budget")]
    assert "needs a time budget of at least 30 seconds, not 10" in failed()[0]["error_message"]


def test_an_engine_that_is_not_here_fails_in_words(flow: Flow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLPIPE_AUTOSKLEARN_PYTHON", raising=False)
    settings.cache_clear()
    upload(flow, tmp_path, engine="autosklearn", time_budget="10", short_budget="raise")
    flow.turn()
    found = state(flow, "planted")
    assert (found["choices"]["time_budget"], found["status"]) == ("30s", "failed")
    assert [(one["stage"], one["error_type"]) for one in failed()] == [("automl", "bad_engine")]
    assert "`mlpipe engines install autosklearn`" in failed()[0]["error_message"]


@pytest.mark.long
def test_a_deterministic_model_is_trained_on_as_a_new_version(flow: Flow, tmp_path: Path) -> None:
    upload(flow, tmp_path, engine="deterministic:2", time_budget="10m")
    flow.turn(2)
    first = described(flow, "v1", tmp_path / "v1")
    assert (first.spec.engine, first.spec.continues) == ("deterministic:2", None)
    assert first.spec.data is not None and first.spec.data.version == "v1"
    again.run_again(flow.warehouse, "planted", "ada", Wishes(continue_from="v1", time_budget="5m"), Stage.AUTOML, "ada")
    flow.turn(2)
    second = described(flow, "v2", tmp_path / "v2")
    best = next(trial for trial in first.leaderboard if not trial.baseline)
    assert (second.spec.continues, second.spec.kept[0].parameters) == ("v1", best.parameters)
    assert best.parameters in [trial.parameters for trial in second.leaderboard if not trial.baseline]
    assert any("went on from the" in note and "of version v1" in note for note in second.notes)


def described(flow: Flow, version: str, folder: Path) -> TrainedModel:
    """What the stored version says of itself."""
    folder.mkdir()
    with flow.warehouse.reading() as session:
        row = models.model_of(session, "ada", "automl_planted", version)
        files = models.model_files(session, row)
    assert {"model.onnx", "predict.py", "mlpipe_code.zip"} <= {file.filename for file in files}
    for file in files:
        with flow.warehouse.objects.local(file.file_path) as path:
            (folder / file.filename).write_bytes(path.read_bytes())
    return artefacts.load(folder)
