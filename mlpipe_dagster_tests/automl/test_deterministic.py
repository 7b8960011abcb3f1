"""The engine `deterministic`: trials in place of seconds, and the same bits in another process."""

import json
import shutil
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlpipe_dagster.automl import artefacts
from mlpipe_dagster.automl.apart import NOT_REPRODUCIBLE, Budget, Trained, train_apart
from mlpipe_dagster.automl.engines.known import known_engine, parse_engine
from mlpipe_dagster.automl.model import DataSource, TrainedModel, TrainingSpec
from mlpipe_dagster.automl.replay import Replay, changes, replay
from mlpipe_dagster.automl.train import train
from mlpipe_dagster.errors import EngineError
from mlpipe_dagster.vocabulary import TaskKind

SPEC = TrainingSpec(target="bought", task=TaskKind.BINARY, engine="deterministic:4", sensitive=("town",), threads=2,
                    data=DataSource(dataset_id="loans", version="v2", file_hash="0" * 32, rows=200))  # fmt: skip


@pytest.fixture(scope="module")
def table(planted: pd.DataFrame) -> pd.DataFrame:
    return planted.head(200).reset_index(drop=True)


@pytest.fixture(scope="module")
def here(table: pd.DataFrame) -> TrainedModel:
    """Trained in this process, with a clock that says that no time is left."""
    return train(table, SPEC, budget_seconds=0.001)


@pytest.fixture(scope="module")
def there(table: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Trained in a process of its own."""
    folder = tmp_path_factory.mktemp("there")
    table.to_parquet(folder / "table.parquet")
    (folder / "work").mkdir()
    return train_apart(folder / "table.parquet", SPEC, Budget(time.monotonic(), 300), folder / "work")


def test_predictions_are_equal_to_the_last_bit(here: TrainedModel, there: Trained, table: pd.DataFrame) -> None:
    loaded = artefacts.load(there.files[0].parent)
    np.testing.assert_array_equal(loaded.estimator.predict_proba(table), here.estimator.predict_proba(table))
    assert (loaded.algorithm, loaded.parameters) == (here.algorithm, here.parameters)
    assert (loaded.test_score, loaded.metrics) == (here.test_score, here.metrics)
    assert loaded.onnx is not None and loaded.onnx.difference is not None


@pytest.mark.long
def test_a_replay_finds_the_same_bits(there: Trained, tmp_path: Path) -> None:
    folder = there.files[0].parent
    found = replay(folder, folder.parent.parent / "table.parquet", tmp_path, "0" * 32)
    assert (found.largest, found.rows) == (0.0, len(there.model.test_rows))
    assert (found.promised, found.kept) == (True, True)
    assert "Bit-equal: all answers on 40 test rows are the same." in found.told()
    assert "The model can be made again." in found.told()


def test_a_replay_says_what_has_changed_and_how_far_answers_differ(there: Trained, tmp_path: Path) -> None:
    shutil.copytree(there.files[0].parent, tmp_path / "model")
    file = tmp_path / "model" / "manifest.json"
    manifest = json.loads(file.read_text())
    manifest["libraries"]["lightgbm"] = "3.0.0"
    file.write_text(json.dumps(manifest))
    said = changes(tmp_path / "model", there.model, "f" * 32)
    assert said[0].startswith("lightgbm was 3.0.0 and is 4.")
    assert said[1] == f"The table is not the one it was trained from: its MD5 is {'f' * 32}, not {'0' * 32}."
    manifest["libraries"] |= {"lightgbm": artefacts.libraries()["lightgbm"], "boosting-that-went": "1.0"}
    file.write_text(json.dumps(manifest))
    (went,) = changes(tmp_path / "model", there.model, "0" * 32)
    assert went == "boosting-that-went was 1.0 and is not installed now."
    other = Replay(there.model, there.model, said, 40, 0.25, 0.1)
    assert (other.promised, other.kept) == (False, True)
    assert "differ by up to 0.25, by 0.1 on average" in other.told()
    assert "the same bits were not to be expected" in other.told()
    unkept = Replay(there.model, there.model, (), 40, 1e-16, 1e-17)
    assert not unkept.kept
    assert "This is a fault of mlpipe." in unkept.told()
    timed = replace(there.model, spec=there.model.spec.model_copy(update={"engine": "portfolio"}))
    assert "the intervals of the two scores overlap" in Replay(timed, timed, (), 40, 0.2, 0.1).told()


def test_the_card_says_what_it_was_made_from_and_how_to_make_it_again(there: Trained) -> None:
    card = (there.files[0].parent / "model_card.md").read_text()
    for said in (
        "of “loans”, version v2 (200 rows), MD5 of the file 0000",
        "## Limits",
        "left -",
        "Groups were compared in the sensitive columns alone",
        "Engine deterministic:4, seed 0, python 3.",
        "It counts trials (4) in place of seconds",
        "`mlpipe replay MODEL_ID --user-id USER`",
    ):
        assert said in card, said


def test_trials_are_counted_and_seconds_are_not(here: TrainedModel) -> None:
    searched = [trial for trial in here.leaderboard if not trial.baseline and trial.algorithm != "ensemble"]
    assert len(searched) == 4
    assert here.spec.engine == "deterministic:4"
    assert here.spec.threads == 1
    assert [entry.note for entry in here.budget if entry.what == "search"] == ["4 trials"]
    assert not any("budget allows" in note for note in here.notes)


def test_the_number_of_trials_is_part_of_the_word() -> None:
    assert known_engine("deterministic").trials == 20
    assert known_engine("deterministic").word == "deterministic"
    assert known_engine(" Deterministic:040 ").word == "deterministic:40"
    for word in ("deterministic:0", "deterministic:many", "deterministic:", "portfolio:3", "deterministic:10001"):
        with pytest.raises(EngineError, match="alone takes a number of trials, from 1 to 10,000"):
            parse_engine(word)


def test_what_was_cut_off_is_not_called_reproducible(here: TrainedModel, tmp_path: Path) -> None:
    from mlpipe_dagster.automl.apart import _described

    artefacts.save(here, tmp_path)
    cut = _described(tmp_path, Budget(time.monotonic(), 60), ("The training did not end in time and was cut off.",))
    assert NOT_REPRODUCIBLE in cut.model.notes
    assert NOT_REPRODUCIBLE in json.loads((tmp_path / "manifest.json").read_text())["model"]["notes"]
