"""Features of categories are those of scikit-learn's encoders, for values they have seen, rare ones and new ones."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.base import clone
from sklearn.model_selection import KFold
from sklearn.preprocessing import OneHotEncoder, TargetEncoder

from mlpipe_dagster.automl import artefacts
from mlpipe_dagster.automl.encoders import TargetAverages, ValueIndicators

SEEN = pd.DataFrame(
    {"town": ["Bonn", "Ulm", "Bonn", "Jena", "Bonn", "Ulm"], "colour": ["red"] * 6, "size": list("SMLXMS")},
    dtype=object,
)
ASKED = pd.DataFrame(
    {"town": ["Jena", "Rom", "", "Ulm"], "colour": ["red", "(missing)", "blue", "red"], "size": ["X", "S", "?", "Q"]},
    dtype=object,
)
ODD = SEEN.assign(town=["Bonn", "Bonn\0", "Ulm", "Ulm " + "x" * 500, "Jena", "Bonn"])
SETTINGS: list[dict[str, Any]] = [{}, {"min_frequency": 2}, {"max_categories": 2, "min_frequency": 2}]


@pytest.mark.parametrize("rare", SETTINGS)
def test_indicators_are_those_of_the_parent(rare: dict[str, Any]) -> None:
    settings = {"handle_unknown": "infrequent_if_exist", "sparse_output": False} | rare
    parent, own = OneHotEncoder(**settings), ValueIndicators(**settings)
    np.testing.assert_array_equal(own.fit_transform(SEEN), parent.fit_transform(SEEN))
    assert list(own.get_feature_names_out()) == list(parent.get_feature_names_out())
    for asked in (ASKED, ASKED.head(1), ASKED.head(0)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the parent warns of unknown categories
            expected = parent.transform(asked) if len(asked) else np.zeros((0, own.width_))
        np.testing.assert_array_equal(own.transform(asked), expected)


@pytest.mark.parametrize("target", [[0.5, 1.0, 2.5, 3.0, 1.5, 2.0], list("nynnyy"), list("abcabc")])
def test_averages_are_those_of_the_parent(target: list[Any]) -> None:
    parent, own = TargetEncoder(cv=KFold(2)), TargetAverages(cv=KFold(2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of folds of so few rows
        np.testing.assert_array_equal(own.fit_transform(SEEN, target), parent.fit_transform(SEEN, target))
    for asked in (SEEN, ASKED, ASKED.head(1)):
        np.testing.assert_array_equal(own.transform(asked), parent.transform(asked))


@pytest.mark.parametrize(
    "encoder", [ValueIndicators(handle_unknown="ignore", sparse_output=False), TargetAverages(cv=KFold(2))]
)
def test_they_are_saved_and_read(encoder: Any, tmp_path: Path) -> None:
    fitted = clone(encoder).fit(SEEN, list("abcabc"))
    skops.io.dump(fitted, tmp_path / "encoder.skops")
    read = artefacts.read_estimator(tmp_path / "encoder.skops")
    np.testing.assert_array_equal(read.transform(ASKED), fitted.transform(ASKED))


@pytest.mark.parametrize("encoder", [ValueIndicators(handle_unknown="ignore", sparse_output=False), TargetAverages()])
def test_texts_that_are_long_or_end_oddly_are_told_apart(encoder: Any) -> None:
    parent = type(encoder).__base__(**encoder.get_params())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parent.fit(ODD, list("nynnyy"))
    np.testing.assert_array_equal(clone(encoder).fit(ODD, list("nynnyy")).transform(ODD), parent.transform(ODD))
