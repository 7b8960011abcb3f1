"""The groups of sensitive columns: values, bands, and what they are compared with."""

import numpy as np
import pandas as pd

from mlpipe_dagster.automl.groups import group_labels, groupings


def test_numbers_become_bands_as_in_the_bias_report() -> None:
    size = pd.Series([*range(1, 101), None], name="size")
    assert list(pd.unique(group_labels(size))) == ["1\u201324", "25\u201349", "50\u201374", "75\u2013100", "(missing)"]
    age = pd.Series([*range(18, 90), None], name="age")
    assert list(pd.unique(group_labels(age))) == [
        "under 25",
        "25\u201334",
        "35\u201344",
        "45\u201354",
        "55\u201364",
        "65 and over",
        "(missing)",
    ]


def test_rare_values_share_a_group() -> None:
    towns = pd.Series([f"t{number:02}" for number in range(30) for _ in range(number + 1)], name="town")
    assert len(set(group_labels(towns))) == 21
    assert "all others" in set(group_labels(towns))


def test_the_largest_group_of_the_table_is_the_reference() -> None:
    table = pd.DataFrame({"sex": ["f", "f", "f", "m", None, None, None, None]})
    (found,) = groupings(table, ("sex",), np.array([3, 4, 0]))
    assert (found.column, found.reference, list(found.labels)) == ("sex", "f", ["m", "(missing)", "f"])
