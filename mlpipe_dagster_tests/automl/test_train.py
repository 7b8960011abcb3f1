"""Training as a whole: planted signal, noise, leakage, the budget ledger, and published tables."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import shap
from lightgbm import LGBMClassifier
from sklearn.ensemble import ExtraTreesClassifier

from mlpipe_dagster.automl.card import model_card
from mlpipe_dagster.automl.clock import Clock
from mlpipe_dagster.automl.engines import portfolio
from mlpipe_dagster.automl.job import TEST_ROWS_A_SECOND
from mlpipe_dagster.automl.model import TrainedModel, TrainingSpec, Trial
from mlpipe_dagster.automl.target import read_target, split_test
from mlpipe_dagster.automl.train import _sized_for, train
from mlpipe_dagster.errors import ModelError, TargetError
from mlpipe_dagster.vocabulary import TaskKind

BINARY, MULTICLASS, REGRESSION = TaskKind.BINARY, TaskKind.MULTICLASS, TaskKind.REGRESSION


def noise(rows: int = 500) -> pd.DataFrame:
    draw = np.random.default_rng(5)
    table = pd.DataFrame(draw.normal(size=(rows, 6)), columns=list("abcdef"))
    return table.assign(y=draw.choice(["no", "yes"], size=rows))


def test_an_absent_target_is_refused() -> None:
    with pytest.raises(TargetError, match="no column “z”"):
        train(noise(), TrainingSpec(target="z", task=BINARY), 5)


def test_a_table_with_nothing_but_keys_is_refused() -> None:
    table = noise()[["y"]].assign(key=[f"k-{number}" for number in range(500)])
    with pytest.raises(ModelError, match="No column is left to learn from"):
        train(table, TrainingSpec(target="y", task=BINARY), 5)


def test_a_target_that_hardly_varies_is_refused() -> None:
    table = noise().assign(y=[1.0, *[0.0] * 499])
    with pytest.raises(ModelError, match="The target is the same in nearly every row"):
        train(table, TrainingSpec(target="y", task=REGRESSION), 3)


def test_of_noise_a_constant_guess_is_kept_and_called_one() -> None:
    model = train(noise(300), TrainingSpec(target="y", task=BINARY), 3)
    assert model.is_constant and model.is_baseline and not model.beats_baseline
    assert any("That constant guess is what is kept" in note for note in model.notes)
    assert np.ptp(model.estimator.predict_proba(noise(300)), axis=0).max() == 0
    assert model.thresholds == ()
    assert "It is no model" in model_card(model, {}) and "A constant model" not in model_card(model, {})


def test_noise_in_regression_does_not_beat_the_baseline() -> None:
    table = noise().assign(y=np.random.default_rng(6).normal(size=500))
    model = train(table, TrainingSpec(target="y", task=REGRESSION), 3)
    assert model.test_score.low < 0.05


def test_nothing_is_learnt_from_the_test_split() -> None:
    table = noise()
    spec = TrainingSpec(target="y", task=BINARY)
    budget = 3
    target = read_target(table["y"], spec)
    _, test = split_test(target, spec.seed, most=TEST_ROWS_A_SECOND * budget)
    rows = target.rows[test]
    answer = (table["y"] == "yes").to_numpy()
    late, huge, word = np.zeros(500), table["a"].to_numpy().copy(), np.full(500, "seen", dtype=object)
    word[::2] = "also seen"
    late[rows], huge[rows], word[rows] = answer[rows], 1e9 * answer[rows], np.where(answer[rows], "after", "before")
    model = train(table.assign(late=late, a=huge, word=word), spec, budget)

    assert model.test_rows == tuple(rows)
    assert "Left out “late”: every row has the same value." in model.notes
    columns = {column.name: column for column in model.schema.columns}
    assert "late" not in columns
    assert (columns["a"].maximum or 0) < 10
    assert columns["word"].categories == ("also seen", "seen")
    assert not {"word = after", "word = before"} & set(model.feature_names)


def test_a_planted_signal_is_found(planted_model: TrainedModel, planted: pd.DataFrame) -> None:
    # scores above 0 by 3 signs product: the planted rule alone is right in more than nine of ten complete rows
    assert planted_model.test_score.value > 0.85
    assert planted_model.beats_baseline
    assert planted_model.algorithm in {"LightGBM", "extra trees", "ensemble"}
    assert planted_model.classes == ("no", "yes")
    assert planted_model.schema.names == ["left", "right", "town", "seen", "member"]
    for name, reason in [
        ("row_id", "numbers the rows"),
        ("same", "same value"),
        ("nothing", "is empty"),
        ("street", "own text"),
    ]:
        assert any(f"“{name}”" in note and reason in note for note in planted_model.notes)


def test_the_test_split_is_the_one_that_was_scored(planted_model: TrainedModel, planted: pd.DataFrame) -> None:
    held_out = planted.iloc[list(planted_model.test_rows)]
    right = planted_model.estimator.predict(held_out) == held_out["bought"]
    assert len(held_out) == 120
    assert planted_model.test_score.value == pytest.approx(right.mean())
    assert planted_model.metrics["accuracy"] == planted_model.test_score


def test_features_map_to_columns_and_shap_adds_up(planted_model: TrainedModel, planted: pd.DataFrame) -> None:
    features = planted_model.estimator[:-1].transform(planted.head(50))
    assert features.shape[1] == len(planted_model.feature_origins) == len(planted_model.feature_names)
    assert set(planted_model.feature_origins) == {"left", "right", "town", "seen", "member"}
    last = planted_model.estimator[-1]
    last = next(
        one for one in getattr(last, "members", [last]) if isinstance(one, LGBMClassifier | ExtraTreesClassifier)
    )
    explanation = shap.TreeExplainer(last)(features)
    values = explanation.values[..., -1] if explanation.values.ndim == 3 else explanation.values
    base = np.ravel(explanation.base_values[0])[-1]
    output = (
        last.predict(features, raw_score=True)
        if isinstance(last, LGBMClassifier)
        else last.predict_proba(features)[:, 1]
    )
    np.testing.assert_allclose(values.sum(axis=1) + base, output, atol=1e-6)


def test_unseen_values_are_predicted(planted_model: TrainedModel) -> None:
    strange = pd.DataFrame({"left": ["?"], "right": [1e12], "town": ["Atlantis"], "seen": [None], "member": [None]})
    assert planted_model.estimator.predict_proba(strange).sum() == pytest.approx(1)


def test_groups_are_measured(planted_model: TrainedModel) -> None:
    groups = [group for group in planted_model.group_metrics if group.column == "member"]
    assert [group.group for group in groups] == ["False", "True"]
    assert sum(group.rows for group in groups) == 120


def test_progress_sees_every_trial() -> None:
    seen: list[Trial] = []
    model = train(noise(80), TrainingSpec(target="y", task=BINARY, threads=1), 2, seen.append)
    told = [trial.model_copy(update={"size_bytes": None}) for trial in model.leaderboard]  # weighed at the end
    assert sorted(seen, key=lambda trial: trial.number) == sorted(told, key=lambda trial: trial.number)


def test_before_an_engine_begins_a_baseline_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever an engine does with its time: `apart` ends it, and takes what was kept."""
    monkeypatch.setattr(portfolio, "search", lambda search, reserve: "its own end")
    draw = np.random.default_rng(0)
    table = noise(150).assign(y=lambda table: np.where(table["a"] + draw.normal(size=150) > 0, "yes", "no"))
    kept: list[TrainedModel] = []
    early = train(table, TrainingSpec(target="y", task=BINARY), 60, keep=kept.append)
    assert [model.algorithm for model in kept] == ["linear"] and early.is_baseline
    kept.clear()
    late = Clock(60, started_at=time.monotonic() - 45)
    train(table, TrainingSpec(target="y", task=BINARY), 60, keep=kept.append, clock=late)
    assert [model.algorithm for model in kept] == ["constant", "linear"], "a late start keeps the constant guess first"


@pytest.mark.parametrize(("late", "seconds"), [(0, 10.0), (1, 10.0), (4, 7.5), (9, 5.0), (12, 5.0)])
def test_a_search_that_starts_late_sees_fewer_rows(late: float, seconds: float) -> None:
    assert _sized_for(Clock(10, now=lambda: 100.0, started_at=100.0 - late)) == pytest.approx(seconds)
    assert _sized_for(Clock(10, now=lambda: 100.0, started_at=0.0, counts=False)) == 10


def test_columns_to_drop_are_no_features_but_may_be_watched(planted: pd.DataFrame) -> None:
    spec = TrainingSpec(target="bought", task=BINARY, sensitive=("town",), drop=("town", "seen"))
    model = train(planted, spec, 2)
    assert model.schema.names == ["left", "right", "member"]
    assert "Left out “seen”: as was asked." in model.notes
    assert {group.column for group in model.group_metrics} == {"town"}


@pytest.mark.long
def test_a_machine_without_libgomp_uses_another_boosting(shared_data: Path) -> None:
    code = f"""
import sys
class NoLibgomp:
    def find_spec(self, name, path=None, target=None):
        if name == "lightgbm":
            raise OSError("libgomp.so.1: cannot open shared object file")
sys.meta_path.insert(0, NoLibgomp())
import pandas
from mlpipe_dagster.automl.model import TrainingSpec
from mlpipe_dagster.automl.train import train
table = pandas.read_csv({str(shared_data / "titanic.csv")!r})
model = train(table, TrainingSpec(target="Survived", task="binary"), 8)
print(sorted({{trial.algorithm for trial in model.leaderboard}}), model.notes, model.beats_baseline)
"""
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "histogram gradient boosting" in shown.stdout
    assert "LightGBM cannot be loaded here (libgomp.so.1: cannot open shared object file)" in shown.stdout
    assert shown.stdout.strip().endswith("True")


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "target", "task", "sensitive", "budget", "least"),
    [
        # least: what a first published model of each table reaches, well above a constant guess (0.62, 0.44, 0); of
        # german_credit (0.70) single splits are that far off
        ("titanic", "Survived", BINARY, ("Sex", "Age"), 5, 0.75),
        ("german_credit", "credit", BINARY, ("sex", "age"), 10, 0.6),
        ("wine_quality", "quality", MULTICLASS, ("colour",), 5, 0.55),
        ("california_housing", "median_house_value", REGRESSION, (), 5, 0.6),
    ],
)
def test_published_tables(
    shared_data: Path, name: str, target: str, task: TaskKind, sensitive: tuple[str, ...], budget: float, least: float
) -> None:
    table = pd.read_csv(shared_data / f"{name}.csv")
    model = train(table, TrainingSpec(target=target, task=task, sensitive=sensitive), budget)
    assert model.test_score.value > least
    assert model.test_score.low < model.test_score.value < model.test_score.high
    ledger = {entry.what: entry for entry in model.budget}
    assert list(ledger) == [
        "preparation",
        "baselines",
        "best so far",
        "search",
        "last fit",
        "learning curve",
        "evaluation",
        "group metrics",
    ]
    assert ledger["search"].note.startswith(("stopped by the clock", "stopped early"))
    finished = [trial.loss for trial in model.leaderboard if not trial.note.startswith("abandoned")]
    assert finished == sorted(finished)
    assert [trial.algorithm for trial in model.leaderboard if trial.baseline].count("constant") == 1
    assert {group.column for group in model.group_metrics} == set(sensitive)
    if name == "wine_quality":
        assert any("very few training rows: 9 (4)" in note for note in model.notes)
        assert model.classes == ("3", "4", "5", "6", "7", "8", "9")
