"""Tables that break trainings: each ends in a model, or in words that say what to do."""

import numpy as np
import pandas as pd
import pytest

from mlpipe_dagster.automl.model import TrainedModel, TrainingSpec
from mlpipe_dagster.automl.train import train
from mlpipe_dagster.errors import ModelError, TargetError, TaskError
from mlpipe_dagster.vocabulary import TaskKind

BINARY, MULTICLASS, REGRESSION = TaskKind.BINARY, TaskKind.MULTICLASS, TaskKind.REGRESSION
SECONDS = 1.0


def table(rows: int = 200) -> pd.DataFrame:
    """`y` follows from the sign of `a`."""
    draw = np.random.default_rng(0)
    found = pd.DataFrame(draw.normal(size=(rows, 3)), columns=list("abc"))
    return found.assign(y=np.where(found["a"] + 0.3 * draw.normal(size=rows) > 0, "yes", "no"))


def trained(given: pd.DataFrame, task: TaskKind = BINARY) -> TrainedModel:
    return train(given, TrainingSpec(target="y", task=task, threads=1), SECONDS)


@pytest.mark.parametrize(
    ("y", "task", "error", "words"),
    [
        (None, BINARY, TargetError, "Every value of the target “y” is missing"),
        ("same", BINARY, TargetError, "Every value of the target “y” is the same"),
        (range(200), MULTICLASS, TargetError, "Fewer than two classes"),
        ([f"r{n}" for n in range(200)], MULTICLASS, TargetError, "Fewer than two classes"),
        ([f"c{n // 2}" for n in range(200)], BINARY, TaskError, "has 100 classes"),
        (["1e400"] * 100 + ["x"] * 100, REGRESSION, TaskError, "Regression needs a target of numbers"),
    ],
    ids=["missing", "constant", "one per row", "one name per row", "two rows per class", "no numbers"],
)
def test_targets_that_cannot_be_learnt(y: object, task: TaskKind, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        trained(table().assign(y=y), task)


def test_two_rows_of_each_class_are_too_few_to_check_on() -> None:
    with pytest.raises(ModelError, match="100 classes has only a few rows: none can be held out"):
        trained(table().assign(y=[f"c{n // 2:03}" for n in range(200)]), MULTICLASS)


def test_a_class_of_two_rows_among_others_is_learnt_and_said_to_be_rare() -> None:
    model = trained(table().assign(y=lambda found: np.where(np.arange(200) < 2, "rare", found["y"])), MULTICLASS)
    assert model.classes == ("no", "rare", "yes")
    assert any("very few training rows: rare (2)" in note for note in model.notes)


def test_one_feature_is_enough() -> None:
    model = trained(table()[["a", "y"]])
    assert model.schema.names == ["a"] and model.test_score.value > 0.8


@pytest.mark.long
def test_twenty_thousand_columns_are_narrowed_to_those_that_speak() -> None:
    draw = np.random.default_rng(1)
    wide = pd.DataFrame(draw.normal(size=(120, 20_000)).astype("float32").astype("float64"))
    wide.columns = [f"x{n}" for n in range(20_000)]
    wide["y"] = np.where(wide["x7"] > 0, "yes", "no")
    model = trained(wide)
    assert "x7" in model.schema.names and len(model.schema.names) <= 200
    assert any("of 20000 columns were left out" in note for note in model.notes)


@pytest.mark.parametrize(
    ("column", "values", "is_kept"),
    [
        ("empty", np.full(200, np.nan), False),
        ("infinite", np.where(np.arange(200) % 3 == 0, np.inf, np.arange(200) % 7), True),
        ("huge", np.where(np.arange(200) % 2 == 0, 1e30, -1e30), True),
        ("only infinite", np.full(200, -np.inf), False),
    ],
)
def test_strange_numbers_neither_break_nor_decide(column: str, values: np.ndarray, is_kept: bool) -> None:
    given = table().assign(**{column: values})
    model = trained(given)
    assert (column in model.schema.names) is is_kept
    assert model.test_score.value > 0.8
    assert np.isfinite(model.estimator.predict_proba(given)).all()


def test_a_column_that_is_there_twice_does_no_harm() -> None:
    model = trained(table().assign(twin=lambda found: found["a"]))
    assert model.test_score.value > 0.8


def test_a_table_of_empty_columns_is_refused() -> None:
    with pytest.raises(ModelError, match="No column is left to learn from"):
        trained(table()[["y"]].assign(u=np.nan, v=None))


def test_numbers_beyond_bounds_can_be_a_target() -> None:
    given = table().assign(y=lambda found: 1e30 * found["a"])
    assert trained(given, REGRESSION).test_score.value > 0.8


def test_infinite_targets_are_left_out_and_counted() -> None:
    given = table().assign(y=lambda found: np.where(np.arange(200) == 5, np.inf, found["a"]))
    model = trained(given, REGRESSION)
    assert any("1 row(s) without a usable value of “y” were left out" in note for note in model.notes)
