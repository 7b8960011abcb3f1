"""Models on disk: tampered and foreign files are refused, and what is saved comes back the same."""

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from mlpipe_dagster.automl.algorithms import EXTRA_TREES, HISTOGRAM, LIGHTGBM, LINEAR, Algorithm, Limits
from mlpipe_dagster.automl.artefacts import TRUSTED_TYPES, load, model_size_mb, save
from mlpipe_dagster.automl.bench import Source, open_bench
from mlpipe_dagster.automl.columns import usable_columns
from mlpipe_dagster.automl.model import TrainedModel, TrainingSpec
from mlpipe_dagster.automl.target import read_target
from mlpipe_dagster.errors import ModelError
from mlpipe_dagster.vocabulary import TaskKind


@pytest.fixture
def saved(planted_model: TrainedModel, tmp_path: Path) -> Path:
    save(planted_model, tmp_path)
    return tmp_path


def test_a_changed_model_file_is_refused(saved: Path) -> None:
    path = saved / "model.skops"
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(ModelError, match="SHA-256 differs"):
        load(saved)


def test_a_foreign_type_is_refused_by_name(saved: Path) -> None:
    path = saved / "model.skops"
    skops.io.dump(Pipeline([("call", FunctionTransformer(os.system))]), path)
    manifest = json.loads((saved / "manifest.json").read_text())
    manifest["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    (saved / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ModelError, match=r"holds the type posix\.system, which is not trusted"):
        load(saved)


@pytest.mark.parametrize("name", ["manifest.json", "model.skops"])
def test_an_absent_file_is_named(saved: Path, name: str) -> None:
    (saved / name).unlink()
    with pytest.raises(ModelError, match=f"There is no {name}"):
        load(saved)


@pytest.mark.parametrize("text", ["{", "[]", '{"sha256": 1}'])
def test_a_damaged_manifest_is_refused(saved: Path, text: str) -> None:
    (saved / "manifest.json").write_text(text)
    with pytest.raises(ModelError):
        load(saved)


def test_a_manifest_of_another_kind_of_model_is_refused(saved: Path) -> None:
    manifest = json.loads((saved / "manifest.json").read_text())
    del manifest["model"]["spec"]
    (saved / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ModelError, match="does not describe a model of this version"):
        load(saved)


def test_what_is_saved_comes_back(saved: Path, planted_model: TrainedModel, planted: pd.DataFrame) -> None:
    loaded = load(saved)
    np.testing.assert_array_equal(
        loaded.estimator.predict_proba(planted), planted_model.estimator.predict_proba(planted)
    )
    for name in planted_model.__dataclass_fields__:
        if name != "estimator":
            assert getattr(loaded, name) == getattr(planted_model, name), name
    assert model_size_mb(saved) == pytest.approx((saved / "model.skops").stat().st_size / 1_000_000)


def test_the_files_beside_the_model(saved: Path) -> None:
    assert sorted(path.name for path in saved.iterdir()) == [
        "leaderboard.json",
        "manifest.json",
        "mlpipe_code.zip",
        "model.skops",
        "model_card.md",
        "predict.py",
        "requirements.txt",
    ]
    card = (saved / "model_card.md").read_text()
    assert "By log loss it beats the best baseline" in card
    assert "\\<b\\>Ulm\\</b\\>" in card
    assert "<b>" not in card
    assert "scikit-learn==" in (saved / "requirements.txt").read_text()


@pytest.mark.parametrize("algorithm", [LINEAR, EXTRA_TREES, LIGHTGBM, HISTOGRAM], ids=lambda algorithm: algorithm.name)
@pytest.mark.parametrize("task", [TaskKind.BINARY, TaskKind.REGRESSION])
def test_pipelines_of_every_algorithm_hold_only_trusted_types(
    algorithm: Algorithm, task: TaskKind, planted: pd.DataFrame, tmp_path: Path
) -> None:
    target = "bought" if task is TaskKind.BINARY else "right"
    table = planted.assign(part=[f"p{number % 40}" for number in range(len(planted))])  # encoded by average target
    spec = TrainingSpec(target=target, task=task)
    schema, _ = usable_columns(table, [target])
    found = read_target(table[target], spec)
    bench = open_bench(Source(table, found, schema, np.arange(len(found.rows))), budget=2, seed=0)
    fitted = algorithm.fit(algorithm.start, bench.data(algorithm.family, 0), Limits(float("inf"), 0, 1, rounds=8))
    pipeline = bench.pipeline(algorithm.family, 0, fitted.estimator)
    skops.io.dump(pipeline, tmp_path / "m.skops")
    foreign = skops.io.get_untrusted_types(file=tmp_path / "m.skops")
    assert set(foreign) <= TRUSTED_TYPES
    again = skops.io.load(tmp_path / "m.skops", trusted=foreign)
    np.testing.assert_array_equal(again.predict(table), pipeline.predict(table))
