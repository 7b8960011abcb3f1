"""The target: what is refused and how it is said, and which class is taken as the positive one."""

import pytest

from mlpipe_dagster.bias.target import choose_positive, require_column, require_fitting_task, require_variation
from mlpipe_dagster.errors import TargetError, TaskError
from mlpipe_dagster.vocabulary import TaskKind


def test_an_absent_target_names_the_nearest_column() -> None:
    with pytest.raises(TargetError, match=r"“incme” is not in the table\. Did you mean “Income”\?"):
        require_column("incme", ["age", "Income"])


def test_an_absent_target_without_a_near_column_says_what_to_do() -> None:
    with pytest.raises(TargetError, match="Name one of the table's columns"):
        require_column("zzz", ["age", "income"])


def test_a_constant_and_an_empty_target_are_refused() -> None:
    with pytest.raises(TargetError, match="same value in every row"):
        require_variation("y", 1)
    with pytest.raises(TargetError, match="no values at all"):
        require_variation("y", 0)


def test_three_classes_are_not_binary() -> None:
    with pytest.raises(TaskError, match="has 3 classes"):
        require_fitting_task("y", TaskKind.BINARY, 3)


def test_a_positive_class_that_does_not_exist_is_refused() -> None:
    with pytest.raises(TargetError, match="Its classes are “good” and “bad”"):
        choose_positive("credit", {"good": 7, "bad": 3}, "excellent")


@pytest.mark.parametrize(
    ("classes", "positive", "reason"),
    [
        ({"good": 700, "bad": 300}, "good", "its name says yes"),
        ({"<=50K": 37155, ">50K": 11687}, ">50K", "it is the upper range"),
        ({"<=50K.": 9, ">50K.": 2}, ">50K.", "it is the upper range"),
        ({"0": 10, "1": 90}, "1", "1 stands for yes"),
        ({"-1": 10, "1": 90}, "1", "1 stands for yes"),
        ({"false": 10, "true": 90}, "true", "its name says yes"),
        ({"No": 1, "Yes": 9}, "Yes", "its name says yes"),
        ({"nein": 1, "ja": 9}, "ja", "its name says yes"),
        ({"fully repaid": 9, "denied": 1}, "fully repaid", "the other class, “denied”, says no"),
        ({"1": 70, "2": 30}, "2", "neither name says yes or no, and it is the rarer class"),
        ({"b": 5, "a": 5}, "a", "neither name says yes or no, and it is the rarer class"),
    ],
)
def test_the_positive_class_is_inferred(classes: dict[str, int], positive: str, reason: str) -> None:
    assert choose_positive("y", classes) == (positive, reason)


@pytest.mark.parametrize(("wanted", "chosen"), [("bad", "bad"), ("BAD", "bad"), (" bad ", "bad")])
def test_the_positive_class_can_be_named(wanted: str, chosen: str) -> None:
    assert choose_positive("credit", {"good": 7, "bad": 3}, wanted) == (chosen, "it was named as the positive outcome")


def test_a_whole_number_is_the_same_class_with_and_without_its_point() -> None:
    assert choose_positive("y", {"0": 7, "1": 3}, "0.0")[0] == "0"
