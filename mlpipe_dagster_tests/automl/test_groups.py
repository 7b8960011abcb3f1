"""Group metrics on counts that are small enough to work out by hand."""

import numpy as np
import pandas as pd
import pytest

from mlpipe_dagster.automl.groups import group_labels, measure_groups
from mlpipe_dagster.automl.metrics import Outcome


def two_classes(choice: list[int]) -> np.ndarray:
    return np.column_stack([1 - np.array(choice), np.array(choice)]).astype(float)


def test_a_rate_without_rows_is_unknown_not_zero() -> None:
    table = pd.DataFrame({"sex": ["f", "f", "m", "m"]})
    found = measure_groups(table, ("sex",), Outcome(np.array([0.0, 0, 1, 0]), two_classes([1, 0, 1, 1])))
    assert [group.group for group in found] == ["f", "m"]
    assert found[0].values == {
        "selection rate": 0.5,
        "accuracy": 0.5,
        "true positive rate": None,
        "false positive rate": 0.5,
    }
    assert found[1].values["true positive rate"] == 1.0


def test_small_groups_are_marked() -> None:
    table = pd.DataFrame({"sex": ["f"] * 29 + ["m"] * 30})
    found = measure_groups(table, ("sex",), Outcome(np.zeros(59), two_classes([0] * 59)))
    assert [(group.rows, group.small) for group in found] == [(29, True), (30, False)]


def test_regression_groups() -> None:
    table = pd.DataFrame({"sex": ["f", "f", None]})
    found = measure_groups(table, ("sex",), Outcome(np.array([1.0, 2, 3]), np.array([2.0, 0, 3])))
    assert [group.group for group in found] == ["(missing)", "f"]
    assert found[1].values == {"MAE": pytest.approx(1.5), "mean error": pytest.approx(-0.5)}


def test_many_numbers_become_quarters_and_many_values_share_a_group() -> None:
    ages = pd.Series([*range(1, 101), None])
    assert list(pd.unique(group_labels(ages))) == [
        "up to 26",
        "over 26 to 50",
        "over 50 to 75",
        "over 75 to 100",
        "(missing)",
    ]
    towns = pd.Series([f"t{number:02}" for number in range(20) for _ in range(number + 1)])
    assert len(set(group_labels(towns))) == 12
    assert "(other)" in set(group_labels(towns))
