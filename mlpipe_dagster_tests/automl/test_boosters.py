"""XGBoost and CatBoost, as far as they are installed: fitted by a deadline, searched, saved, exported and explained."""

import importlib.util
import io
import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax

from mlpipe_dagster.automl import artefacts
from mlpipe_dagster.automl.algorithms import Algorithm, FitData, Limits, predict
from mlpipe_dagster.automl.boosters import MODULES, installed_boosting
from mlpipe_dagster.automl.model import TrainedModel, TrainingSpec
from mlpipe_dagster.automl.onnx_model import boosters as onnx_trees
from mlpipe_dagster.automl.onnx_model import run
from mlpipe_dagster.automl.onnx_model.export import TOLERANCE, export, largest_difference
from mlpipe_dagster.automl.predicting import ask
from mlpipe_dagster.automl.replay import changes
from mlpipe_dagster.automl.train import train
from mlpipe_dagster.errors import ModelError
from mlpipe_dagster.vocabulary import TaskKind
from mlpipe_dagster.xai.explainers import attribute
from mlpipe_dagster_tests.xai.models import trained

TARGETS = {"kind": TaskKind.BINARY, "third": TaskKind.MULTICLASS, "size": TaskKind.REGRESSION}


@pytest.fixture(params=MODULES)
def algorithm(request: pytest.FixtureRequest) -> Algorithm:
    if importlib.util.find_spec(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    return MODULES[request.param]


def data(labels: np.ndarray, truth: np.ndarray, **more: np.ndarray) -> FitData:
    """The first 150 rows are for fitting, the last 50 for stopping."""
    return FitData(X[:150], labels[:150], X[150:], labels[150:], truth[150:].astype(float), **more)


X = np.random.default_rng(0).normal(size=(200, 4))
X[::9, 1] = np.nan
SIGNAL = X[:, 0] + 0.5 * X[:, 2]
CODES = np.digitize(SIGNAL, [-0.5, 0.5])
LABELLED = {
    "two": data(np.where(SIGNAL > 0, "yes", "no"), SIGNAL > 0),
    "three": data(np.array(["low", "mid", "top"])[CODES], CODES),
    "number": data(SIGNAL, SIGNAL),
}


@pytest.mark.parametrize("labels", LABELLED)
def test_rounds_are_found_on_the_check_rows_and_honoured_in_the_last_fit(algorithm: Algorithm, labels: str) -> None:
    rows = LABELLED[labels]
    found = algorithm.fit({**algorithm.start, "learning_rate": 0.2}, rows, Limits(time.monotonic() + 60, 0, 1))
    assert found.rounds is not None and 5 < found.rounds < 500
    assert not found.cut
    if labels != "number":
        assert list(found.estimator.classes_) == sorted(set(rows.labels))
    said, truth = predict(found.estimator, rows.check_features), rows.truth_to_check()
    right = (said.argmax(axis=1) == truth).mean() if said.ndim == 2 else np.corrcoef(said, truth)[0, 1]
    assert right > 0.75
    assert algorithm.up_to is not None
    fewer = predict(found.estimator, rows.check_features, **algorithm.up_to(found.estimator, 3))
    last = algorithm.fit({**algorithm.start, "learning_rate": 0.2}, rows, Limits(time.monotonic() + 60, 0, 1, 3))
    again = algorithm.fit({**algorithm.start, "learning_rate": 0.2}, rows, Limits(time.monotonic() + 60, 0, 1, 3))
    assert last.rounds == again.rounds == 3
    np.testing.assert_array_equal(
        predict(last.estimator, rows.check_features), predict(again.estimator, rows.check_features)
    )
    np.testing.assert_array_equal(predict(last.estimator, rows.check_features), fewer)
    more = predict(found.estimator, rows.check_features, **algorithm.up_to(found.estimator, 10_000))
    assert more.shape == said.shape


def test_of_a_fit_that_stopped_early_the_best_rounds_are_exported() -> None:
    pytest.importorskip("xgboost", reason="xgboost is not installed")
    found = MODULES["xgboost"].fit(MODULES["xgboost"].start, LABELLED["three"], Limits(time.monotonic() + 60, 0, 1))
    booster = found.estimator.estimator.get_booster()
    assert found.rounds is not None and found.rounds < booster.num_boosted_rounds()
    assert len(onnx_trees.xgboost(booster).trees) == 3 * found.rounds


def test_a_fit_past_its_deadline_ends_early_and_says_so(algorithm: Algorithm) -> None:
    fitted = algorithm.fit(algorithm.start, LABELLED["two"], Limits(0.0, 0, 1))
    assert (fitted.cut, fitted.rounds) == (True, 1)


@pytest.mark.parametrize("labels", [np.array(["no", "yes"] * 60), np.array([0.0, 1.0] * 60)], ids=["class", "number"])
def test_weights_are_learnt_from_where_features_say_nothing(algorithm: Algorithm, labels: np.ndarray) -> None:
    """Rows that are all alike: what is predicted is the weighted share of the second label, 0.9."""
    weights = np.where(np.arange(120) % 2 == 1, 1.8, 0.2)
    limits = Limits(time.monotonic() + 60, 0, 1, 30)
    fitted = algorithm.fit(algorithm.start, FitData(np.zeros((120, 2)), labels, weights=weights), limits)
    said = predict(fitted.estimator, np.zeros((1, 2))).ravel()[-1]
    assert said > 0.7


def test_numbers_beyond_32_bits_are_read(algorithm: Algorithm) -> None:
    features = X.copy()
    features[3, 1], features[4, 1] = 1e300, -1e300
    fitted = algorithm.fit(algorithm.start, FitData(features, SIGNAL), Limits(time.monotonic() + 60, 0, 1, 5))
    assert np.isfinite(predict(fitted.estimator, features)).all()


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    draw = np.random.default_rng(3)
    left, town = draw.normal(size=240), draw.choice(["Ulm", "Bonn", "Rom"], 240)
    signal = left + 1.5 * (town == "Ulm")
    return pd.DataFrame(
        {
            "left": np.where(draw.random(240) < 0.1, np.nan, left),
            "town": town,
            "other": draw.normal(size=240),
            "kind": np.where(signal > 0.5, "yes", "no"),
            "third": np.array(["low", "mid", "top"])[np.digitize(signal, [0, 1])],
            "size": signal + 3,
        }
    )


def model_of(algorithm: Algorithm, table: pd.DataFrame, target: str) -> TrainedModel:
    """Fitted on three of four rows; its scores are not looked at."""
    limits = Limits(time.monotonic() + 60, 0, 1, 12)

    class Fitting:
        def fit(self, features: np.ndarray, labels: np.ndarray) -> object:
            return algorithm.fit(algorithm.start, FitData(features, labels), limits).estimator

    others = [name for name in TARGETS if name != target]
    model = trained(table.drop(columns=others), target, TARGETS[target], Fitting())
    return replace(model, algorithm=algorithm.name)


@pytest.fixture(params=TARGETS)
def model(request: pytest.FixtureRequest, algorithm: Algorithm, table: pd.DataFrame) -> TrainedModel:
    return model_of(algorithm, table, request.param)


def test_a_saved_model_comes_back_and_names_its_library(
    model: TrainedModel, algorithm: Algorithm, table: pd.DataFrame, tmp_path: Path
) -> None:
    artefacts.save(model, tmp_path)
    again = artefacts.load(tmp_path)
    np.testing.assert_array_equal(predict(again.estimator, table), predict(model.estimator, table))
    assert again.estimator.predict(table).tolist() == model.estimator.predict(table).tolist()
    names = artefacts.WHERE_INSTALLED[algorithm.name]
    assert any(f"{name}==" in (tmp_path / "requirements.txt").read_text() for name in names)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    (name,) = (name for name in names if name in manifest["libraries"])
    del manifest["libraries"][name]
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    assert changes(tmp_path, model, None)[0].startswith(f"{name} was not installed and is ")
    with pytest.raises(ModelError, match="is not trusted"):
        artefacts.read_estimator(tmp_path / "model.skops")  # as files from outside are read


def test_the_onnx_file_answers_alike(model: TrainedModel, table: pd.DataFrame, tmp_path: Path) -> None:
    made = export(model, table, tmp_path / "m.onnx")
    assert made.note == ""
    assert made.difference is not None and made.difference < TOLERANCE / 5  # XGBoost itself adds up in 32 bits
    odd = table.head(6).assign(
        town=[None, "", "Rom", "Oslo", "Ulm", "Ulm"], left=[np.nan, 1e30, -1e30, 0.0, -0.0, np.inf]
    )  # fmt: skip
    said = run.predict(tmp_path / "m.onnx", model.schema, odd)
    assert largest_difference(ask(model, odd), said) < TOLERANCE


def test_values_are_exact_and_add_up(model: TrainedModel, table: pd.DataFrame) -> None:
    """Held against the definition: of a model's average over the weights of its training rows nothing is known outside,
    of what the values add up to all is."""
    made = attribute(model.estimator, table[:30], table, model.feature_origins)
    assert made.method == "trees"
    assert made.notes == ()
    assert made.additivity_error < 1e-5
    scores = made.base + made.values.sum(axis=1)
    said = predict(model.estimator, table[:30])
    if model.classes is None:
        np.testing.assert_allclose(scores[:, 0], said, rtol=1e-5)
    else:
        odds = np.hstack([np.zeros_like(scores), scores]) if scores.shape[1] == 1 else scores
        np.testing.assert_allclose(softmax(odds, axis=1), said, atol=1e-5)
    assert np.abs(made.values).mean(axis=(0, 2)).argmin() == made.columns.index("other")


def test_the_search_tries_what_is_installed(table: pd.DataFrame) -> None:
    """As its openings, so that five trials suffice: the first boosting, linear, extra trees and these."""
    installed, _ = installed_boosting()
    if not installed:
        pytest.skip("neither XGBoost nor CatBoost is installed")
    spec = TrainingSpec(target="kind", task=TaskKind.BINARY, engine="deterministic:5", seed=1)
    searched = train(table[["left", "town", "kind"]], spec, 60)
    assert {algorithm.name for algorithm in installed} <= {trial.algorithm for trial in searched.leaderboard}


@pytest.mark.long  # a process that imports everything anew
def test_predict_py_runs_alone(algorithm: Algorithm, table: pd.DataFrame, tmp_path: Path) -> None:
    model = model_of(algorithm, table, "third")
    artefacts.save(model, tmp_path)
    table.head(20).to_csv(tmp_path / "rows.csv", index=False)
    (module,) = (name for name, known in MODULES.items() if known is algorithm)
    found = importlib.util.find_spec(module)
    assert found is not None and found.origin is not None
    where = {"PYTHONPATH": str(Path(found.origin).parent.parent)}
    ended = subprocess.run(
        [sys.executable, "predict.py", "rows.csv"], cwd=tmp_path, env=where, check=False, capture_output=True, text=True
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    said = pd.read_csv(io.StringIO(ended.stdout))
    assert said["prediction"].tolist() == model.estimator.predict(table.head(20)).tolist()
    np.testing.assert_allclose(said.iloc[:, 1:], predict(model.estimator, table.head(20)), atol=1e-7)


def test_what_cannot_be_loaded_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "xgboost.py").write_text("raise OSError('libgomp.so.1: cannot open shared object file')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "xgboost", raising=False)
    found, notes = installed_boosting()
    assert MODULES["xgboost"] not in found
    assert notes == (
        "XGBoost is installed and cannot be loaded here (libgomp.so.1: cannot open shared object file): "
        "it is not searched.",
    )
