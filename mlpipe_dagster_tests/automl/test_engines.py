"""What holds for every engine that is installed; one with an interpreter of its own is tried with a stand-in, too."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlpipe_dagster.automl import artefacts
from mlpipe_dagster.automl.algorithms import predict
from mlpipe_dagster.automl.apart import Budget, train_apart
from mlpipe_dagster.automl.engines.known import (
    KNOWN,
    KnownEngine,
    enough_seconds,
    known_engine,
    parse_engine,
    require_installed,
)
from mlpipe_dagster.automl.model import TrainedModel, TrainingSpec
from mlpipe_dagster.automl.train import train
from mlpipe_dagster.errors import BudgetError, EngineError, ModelError
from mlpipe_dagster.settings import settings
from mlpipe_dagster.vocabulary import TaskKind
from mlpipe_dagster_tests.automl.fake_engines import stand_in

AUTOSKLEARN = KNOWN["autosklearn"]


@pytest.fixture
def fresh_settings() -> Iterator[None]:
    settings.cache_clear()
    yield
    settings.cache_clear()


def test_an_unknown_engine_is_refused_with_those_there_are() -> None:
    with pytest.raises(
        EngineError, match=r"no engine “h2o”\. Use one of: auto, portfolio, deterministic, flaml, autosklearn"
    ):
        parse_engine("h2o")


def test_auto_is_the_portfolio() -> None:
    assert known_engine(" Auto ").name == "portfolio"


def test_an_engine_that_is_not_installed_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fresh_settings: None
) -> None:
    monkeypatch.setenv("MLPIPE_HOME", str(tmp_path))
    monkeypatch.delenv("MLPIPE_AUTOSKLEARN_PYTHON", raising=False)
    with pytest.raises(EngineError, match="`mlpipe engines install autosklearn`, or choose the engine portfolio"):
        require_installed(AUTOSKLEARN)


def test_a_short_budget_is_refused_or_raised() -> None:
    with pytest.raises(BudgetError, match="autosklearn needs a time budget of at least 30 seconds, not 10"):
        enough_seconds(AUTOSKLEARN, 10, "refuse")
    assert enough_seconds(AUTOSKLEARN, 10, "raise") == 30
    assert enough_seconds(AUTOSKLEARN, 60, "refuse") == 60


@pytest.fixture
def other_interpreter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh_settings: None) -> None:
    monkeypatch.setenv("MLPIPE_AUTOSKLEARN_PYTHON", str(stand_in(tmp_path)))


def trained(planted: pd.DataFrame, folder: Path, **more: object) -> TrainedModel:
    spec = TrainingSpec(target="bought", task=TaskKind.BINARY, engine="autosklearn", **more)
    return train(planted, spec, 60, scratch=folder)


def test_a_model_of_another_interpreter_is_compared_saved_and_asked(
    other_interpreter: None, planted: pd.DataFrame, tmp_path: Path
) -> None:
    model = trained(planted, tmp_path)
    assert model.algorithm == "auto-sklearn" and model.beats_baseline
    assert model.parameters == {"members": 1, "trials": 1}
    told = [trial for trial in model.leaderboard if trial.score is None]
    assert [(trial.algorithm, trial.parameters, trial.loss) for trial in told] == [
        ("auto-sklearn: sgd", {"classifier:sgd:alpha": 0.1}, 0.4)
    ]
    files = artefacts.save(model, tmp_path / "saved")
    assert "engine_model.joblib" in {file.name for file in files}
    loaded = artefacts.load(tmp_path / "saved")
    rows = planted.head(50)
    np.testing.assert_allclose(predict(loaded.estimator, rows), predict(model.estimator, rows), atol=1e-12)
    assert set(loaded.estimator.predict(rows)) <= {"no", "yes"}
    outside = loaded.estimator[-1]
    first = outside._server.process
    first.kill()
    first.wait()
    assert predict(loaded.estimator, rows).shape == (50, 2), "a server that is gone is started again"
    second = outside._server.process
    outside.close()
    assert second.poll() is not None
    model.estimator[-1].close()
    (tmp_path / "saved" / "engine_model.joblib").write_bytes(b"changed")
    with pytest.raises(ModelError, match=r"engine_model\.joblib is not the file that was saved"):
        artefacts.load(tmp_path / "saved")


@pytest.mark.parametrize(
    ("wish", "reason"),
    [
        ("dummy", r"found nothing better than a dummy in \d+ s \(auto-sklearn results: Number of successful"),
        ("break", r"broke \(exit code 1\): UnboundLocalError: local variable 'result'"),
        ("mute", r"auto-sklearn broke off while it answered: FloatingPointError: no answer to these rows"),
    ],
)
def test_a_dummy_and_a_fault_are_failures(
    other_interpreter: None,
    planted: pd.DataFrame,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    wish: str,
    reason: str,
) -> None:
    monkeypatch.setenv("FAKE_ENGINE", wish)
    with pytest.raises(EngineError, match=reason):
        trained(planted, tmp_path)


@pytest.mark.long
@pytest.mark.parametrize(
    ("target", "task", "least", "shape"),
    [("bought", TaskKind.BINARY, 0.8, (5, 2)), ("spent", TaskKind.REGRESSION, 0.5, (5,))],
    ids=["classes", "numbers"],
)
@pytest.mark.parametrize("engine", KNOWN.values(), ids=lambda engine: engine.name)
def test_every_engine_that_is_installed_keeps_the_promise(
    engine: KnownEngine,
    planted: pd.DataFrame,
    tmp_path: Path,
    target: str,
    task: TaskKind,
    least: float,
    shape: tuple[int, ...],
) -> None:
    """Within the budget, a model that finds the signal on rows it never saw; no process is left."""
    if not engine.is_installed():
        pytest.skip(f"{engine.name} is not installed: {engine.installing}")
    noise = np.random.default_rng(0).normal(size=len(planted))
    table = planted.assign(spent=50 + 10 * planted["right"].abs() + 5 * (planted["town"] == "Bonn") + noise)
    file = tmp_path / "planted.parquet"
    table.to_parquet(file)
    seconds = max(25.0, 2 * engine.smallest_budget)
    budget = Budget(time.monotonic(), seconds)
    spec = TrainingSpec(target=target, task=task, engine=engine.word, drop=tuple({"bought", "spent"} - {target}))
    (tmp_path / "work").mkdir()
    result = train_apart(file, spec, budget, tmp_path / "work")
    assert time.monotonic() - budget.started_at < 1.05 * seconds + 1
    assert result.model.spec.engine.partition(":")[0] == engine.name
    assert result.model.test_score.value > least and not result.model.is_constant
    loaded = artefacts.load(result.files[0].parent)
    assert predict(loaded.estimator, table.head(5)).shape == shape
    getattr(loaded.estimator[-1], "close", lambda: None)()
    left = subprocess.run(["pgrep", "-f", str(tmp_path)], capture_output=True, text=True, check=False).stdout.split()
    assert [pid for pid in left if int(pid) != os.getpid()] == []
