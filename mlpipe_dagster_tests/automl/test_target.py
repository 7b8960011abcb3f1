"""What is refused as a target, and how rows are held out."""

import numpy as np
import pandas as pd
import pytest

from mlpipe_dagster.automl.model import TrainingSpec
from mlpipe_dagster.automl.target import (
    rare_class_note,
    read_target,
    require_columns,
    split_test,
    validation_folds,
)
from mlpipe_dagster.errors import ModelError, TargetError, TaskError
from mlpipe_dagster.vocabulary import TaskKind

BINARY, MULTICLASS, REGRESSION = TaskKind.BINARY, TaskKind.MULTICLASS, TaskKind.REGRESSION


def spec(task: TaskKind, target: str = "y") -> TrainingSpec:
    return TrainingSpec(target=target, task=task)


def test_an_absent_target_names_the_nearest_column() -> None:
    table = pd.DataFrame({"Survived": [0, 1], "Age": [1, 2]})
    with pytest.raises(TargetError, match=r"no column “survivd”\. Did you mean “Survived”"):
        require_columns(table, spec(BINARY, "survivd"))


def test_an_absent_target_like_no_column_lists_them() -> None:
    with pytest.raises(TargetError, match="Its columns are: a, b"):
        require_columns(pd.DataFrame({"a": [1], "b": [2]}), spec(BINARY, "zzzzz"))


def test_repeated_column_names_are_refused() -> None:
    with pytest.raises(ModelError, match="More than one column is called a"):
        require_columns(pd.DataFrame([[1, 2, 3]], columns=["a", "a", "y"]), spec(BINARY))


def test_an_absent_sensitive_column_is_refused() -> None:
    wanted = TrainingSpec(target="y", task=BINARY, sensitive=("gendre",))
    with pytest.raises(ModelError, match=r"no sensitive column “gendre”\. Did you mean “gender”"):
        require_columns(pd.DataFrame({"gender": [1], "y": [2]}), wanted)


@pytest.mark.parametrize("task", list(TaskKind))
def test_a_target_without_values_is_refused(task: TaskKind) -> None:
    with pytest.raises(TargetError, match="Every value of the target “y” is missing"):
        read_target(pd.Series([None] * 50, dtype=object), spec(task))


@pytest.mark.parametrize("task", list(TaskKind))
def test_a_constant_target_is_refused(task: TaskKind) -> None:
    with pytest.raises(TargetError, match="Every value of the target “y” is the same"):
        read_target(pd.Series([1] * 50), spec(task))


def test_one_class_with_two_rows_is_not_enough() -> None:
    with pytest.raises(TargetError, match="Fewer than two classes"):
        read_target(pd.Series(["a"] * 49 + ["b"]), spec(BINARY))


def test_regression_on_text_is_refused_with_an_example() -> None:
    with pytest.raises(TaskError, match="holds values such as “good”"):
        read_target(pd.Series(["good", "bad"] * 30), spec(REGRESSION))


def test_three_classes_are_not_binary() -> None:
    with pytest.raises(TaskError, match="has 3 classes"):
        read_target(pd.Series(["a", "b", "c"] * 20), spec(BINARY))


def test_hundreds_of_values_are_not_classes() -> None:
    with pytest.raises(TaskError, match="has 300 different values"):
        read_target(pd.Series(list(range(300)) * 2), spec(MULTICLASS))


def test_too_few_rows_are_refused_with_the_minimum() -> None:
    with pytest.raises(ModelError, match="12 rows have a target; training needs at least 30"):
        read_target(pd.Series(["a", "b"] * 6 + [None] * 40), spec(BINARY))


def test_rows_without_a_target_are_left_out_and_counted() -> None:
    found = read_target(pd.Series([None, 1.0, 0.0] * 20), spec(BINARY))
    assert found.classes == ("0", "1")
    assert list(found.rows[:4]) == [1, 2, 4, 5]
    assert found.notes == ("20 row(s) without a usable value of “y” were left out.",)


def test_two_classes_make_a_multiclass_task_binary() -> None:
    found = read_target(pd.Series(["a", "b"] * 20), spec(MULTICLASS))
    assert found.task is BINARY
    assert found.notes == ("“y” has two classes, so the task is binary.",)


def test_the_test_split_keeps_proportions_and_never_takes_a_single_row() -> None:
    target = read_target(pd.Series(["a"] * 60 + ["b"] * 40 + ["c"]), spec(MULTICLASS))
    training, test = split_test(target, seed=0, most=1000)
    labels, counts = np.unique(target.values[test], return_counts=True)
    assert dict(zip(labels, counts, strict=True)) == {"a": 12, "b": 8}
    assert sorted([*training, *test]) == list(range(101))


def test_a_small_limit_makes_a_smaller_test_split() -> None:
    target = read_target(pd.Series(np.arange(1000.0)), spec(REGRESSION))
    assert len(split_test(target, seed=0, most=50)[1]) == 50


@pytest.mark.parametrize("folds", [1, 3, 5])
def test_every_fold_fits_every_class_and_checks_apart(folds: int) -> None:
    target = read_target(pd.Series(["a"] * 50 + ["b"] * 20 + ["c"] * 2), spec(MULTICLASS))
    rows = np.arange(72)
    parts = validation_folds(target, rows, folds, seed=0)
    assert len(parts) == folds
    for fit, check in parts:
        assert set(target.values[fit]) == {"a", "b", "c"}
        assert not set(fit) & set(check)
        assert "c" not in set(target.values[check])


def test_rare_classes_are_named() -> None:
    target = read_target(pd.Series(["a"] * 50 + ["b"] * 20 + ["c"] * 2), spec(MULTICLASS))
    assert rare_class_note(target, np.arange(72)) == (
        "Classes with very few training rows: c (2). They are learnt, but not or hardly checked.",
    )
