"""The promise: whatever the training process does, its group is gone in time, and the best so far is kept or the reason
said.
"""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlpipe_dagster.automl import apart, artefacts
from mlpipe_dagster.automl.apart import Budget, train_apart
from mlpipe_dagster.automl.model import TrainedModel, TrainingSpec, Trial
from mlpipe_dagster.automl.onnx_model import run as onnx_run
from mlpipe_dagster.automl.worker import NO_TIME
from mlpipe_dagster.errors import BudgetError, ModelError, TargetError
from mlpipe_dagster.vocabulary import TaskKind
from mlpipe_dagster_tests.automl.broken_worker import KEPT_MODEL

BROKEN = "mlpipe_dagster_tests.automl.broken_worker"


def spec(target: str) -> TrainingSpec:
    return TrainingSpec(target=target, task=TaskKind.BINARY)


def budget(seconds: float) -> Budget:
    """With grace: these machines are busy."""
    return Budget(time.monotonic(), seconds, grace_seconds=60.0)


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"


def wait_until(condition: object, seconds: float = 60) -> None:
    give_up = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < give_up
        time.sleep(0.02)


@pytest.fixture
def breaking(tmp_path: Path, planted_model: TrainedModel, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a model to be left as the best so far, for a worker that then breaks."""
    monkeypatch.setattr(apart, "PROGRAM", BROKEN)
    artefacts.save(planted_model, tmp_path / KEPT_MODEL)
    return tmp_path


@pytest.fixture
def processes() -> Path:
    """Where a worker that hangs says who it and its child are."""
    file = Path(f"/tmp/mlpipe-test-{os.getpid()}")
    file.unlink(missing_ok=True)
    return file


def test_a_training_that_hangs_is_ended_with_all_it_started(breaking: Path, processes: Path) -> None:
    trained = train_apart(Path("none"), spec("hang"), budget(2), breaking)
    assert trained.model.notes[0] == (
        "The training did not end in time and was cut off. The best model found until then is kept."
    )
    last = trained.model.budget[-1]
    assert (last.what, last.note) == ("cut off", trained.model.notes[0])
    assert artefacts.load(breaking / "best-0").estimator is not None
    assert [file.name for file in trained.files] == [
        "model.skops", "manifest.json", "model_card.md", "leaderboard.json", "requirements.txt", "predict.py",
        "mlpipe_code.zip",
    ]  # fmt: skip
    wait_until(lambda: all(is_gone(int(pid)) for pid in processes.read_text().split()))


def test_without_a_best_so_far_a_training_that_hangs_has_failed(breaking: Path) -> None:
    shutil.rmtree(breaking / KEPT_MODEL)
    with pytest.raises(ModelError, match=r"no model yet: libraries and table were still being loaded\. Allow"):
        train_apart(Path("none"), spec("hang"), Budget(time.monotonic(), 2), breaking)


@pytest.mark.parametrize(
    ("wish", "reason"),
    [
        ("hoard", "ran out of the memory it may take (MLPIPE_TRAINING_MEMORY)"),
        ("die", "was killed, most likely because the machine ran out of memory"),
        ("crash", "broke down (SIGABRT)"),
    ],
)
def test_what_breaks_keeps_the_best_so_far(breaking: Path, wish: str, reason: str) -> None:
    trained = train_apart(Path("none"), spec(wish), budget(60), breaking, memory_bytes=256 << 20)
    assert trained.model.notes[0] == f"The training {reason}. The best model found until then is kept."


def test_a_fault_of_ours_is_no_result(breaking: Path) -> None:
    with pytest.raises(RuntimeError, match="exit code 1: ZeroDivisionError: division by zero"):
        train_apart(Path("none"), spec("raise"), budget(60), breaking)


def test_a_cancelled_step_leaves_no_process(breaking: Path, processes: Path) -> None:
    def interrupt() -> None:
        wait_until(processes.exists)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        train_apart(Path("none"), spec("hang"), budget(300), breaking)
    wait_until(lambda: all(is_gone(int(pid)) for pid in processes.read_text().split()))


def test_a_killed_parent_leaves_no_process(breaking: Path) -> None:
    code = f"""
import time
from pathlib import Path
from mlpipe_dagster.automl import apart
from mlpipe_dagster.automl.model import TrainingSpec
apart.PROGRAM = {BROKEN!r}
apart.train_apart(Path("none"), TrainingSpec(target="hang", task="binary"), apart.Budget(time.monotonic(), 300),
                  Path({str(breaking)!r}))
"""
    parent = subprocess.Popen([sys.executable, "-c", code])
    said = Path(f"/tmp/mlpipe-test-{parent.pid}")
    wait_until(said.exists)
    parent.kill()
    parent.wait()
    wait_until(lambda: all(is_gone(int(pid)) for pid in said.read_text().split()))
    said.unlink()


@pytest.fixture(scope="module")
def parquet(planted: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("apart") / "planted.parquet"
    planted.to_parquet(file)
    return file


def test_the_real_one_trains_and_tells(parquet: Path, tmp_path: Path, planted: pd.DataFrame) -> None:
    seen: list[Trial] = []
    trained = train_apart(parquet, spec("bought"), budget(8), tmp_path, seen.append)
    assert trained.model.estimator is None
    loaded = artefacts.load(trained.files[0].parent)
    assert loaded.estimator.predict(planted).shape == (600,)
    ledger = [entry.what for entry in loaded.budget]
    assert ledger[:2] == ["start", "preparation"]
    assert ledger[2:] in (
        ["baselines", "best so far", "search", "last fit", "learning curve", "evaluation", "group metrics", "saving"],
        ["baselines", "evaluation", "group metrics", "cut off"],  # on a machine with other things to do
        ["evaluation", "group metrics", "cut off"],  # with very many
    )
    assert loaded.budget_seconds == 8
    assert loaded.onnx is not None
    if loaded.onnx.sha256:  # else no time was left on a busy machine
        found = onnx_run.predict(artefacts.onnx_file(trained.files[0].parent, loaded), loaded.schema, planted)
        np.testing.assert_allclose(found, loaded.estimator.predict_proba(planted), atol=loaded.onnx.tolerance)
    else:
        assert loaded.onnx.note == NO_TIME
        assert NO_TIME in loaded.notes
    assert {trial.number for trial in seen} >= {trial.number for trial in loaded.leaderboard}


def test_what_a_person_can_mend_is_said_whatever_was_kept(breaking: Path) -> None:
    with pytest.raises(TargetError, match="Choose another column"):
        train_apart(Path("none"), spec("refuse"), budget(60), breaking)


def test_a_forked_training_ends_alike(breaking: Path, processes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "FORKS", True)
    from mlpipe_dagster_tests.automl import broken_worker

    monkeypatch.setattr(apart.worker, "_train", broken_worker.train)
    trained = train_apart(Path("none"), spec("hang"), budget(2), breaking)
    assert trained.model.budget[-1].what == "cut off"
    wait_until(lambda: all(is_gone(int(pid)) for pid in processes.read_text().split()))


@pytest.mark.parametrize(
    ("seconds", "opening", "trained_until", "killed_at"),
    [
        (10, 0.1, 9.6, 10.5),  # 0.2 s + 2 % for the commit; half a second for a last save
        (10, 0.6, 9.4, 10.3),  # 10 x 1.05 + 1 is 11.5, of which two commits as slow as the opening stay
        (10, 2.0, 8.0, 8.0),  # a busy machine: killed with the training's own end, a commit of 3.5 s is in time
        (10, 9.0, 7.5, 7.5),  # at most a quarter is kept back
        (60, 1.0, 58.6, 61.2),
        (7200, 20.0, 7180.0, 7210.0),
    ],
)
def test_the_deadline_leaves_time_for_a_commit_as_slow_as_the_opening(
    seconds: float, opening: float, trained_until: float, killed_at: float
) -> None:
    asked = Budget(0.0, seconds, opening)
    assert asked.for_training == pytest.approx(trained_until)
    assert asked.killed_at == pytest.approx(killed_at)


def test_a_budget_under_two_seconds_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BudgetError, match=r"1\.5 s is too short: training needs at least 2 seconds"):
        train_apart(Path("none"), spec("y"), budget(1.5), tmp_path)
