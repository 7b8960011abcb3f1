"""scikit-learn's encoders of categories, quick to ask for a single row.

A text is looked up where scikit-learn checks, sorts and searches every column anew: that takes one row longer than all
the rest of a model. What is learnt, and what each value becomes, is theirs.
"""

import warnings
from collections.abc import Iterator
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.preprocessing import OneHotEncoder, TargetEncoder

Floats = NDArray[np.float64]
UNSEEN = "\0"  # no table holds it


def _looked_up(texts: pd.DataFrame, categories: list[NDArray[Any]], places: list[Any]) -> Iterator[list[Any]]:
    """Of each column the place of each value, by the places of its categories and, the last one, of an unseen value."""
    for column, values, known in zip(np.asarray(texts, dtype=object).T, categories, places, strict=True):
        place = dict(zip(values, known, strict=False))
        yield [place.get(value, known[-1]) for value in column]


class ValueIndicators(OneHotEncoder):  # type: ignore[misc]  # scikit-learn has no types
    """One feature for each value of a column of texts: `OneHotEncoder`, dense."""

    places_: list[NDArray[np.int64]]
    """Of each column the feature of each of `categories_`, then that of an unseen value; `width_` where it has none."""
    width_: int
    """Features."""

    def fit(self, texts: pd.DataFrame, y: object = None) -> Self:
        """As the parent, asked once what becomes of every value."""
        super().fit(texts, y)
        longest = max(map(len, self.categories_)) + 1
        asked = np.full((longest, len(self.categories_)), UNSEEN, dtype=object)
        for at, values in enumerate(self.categories_):
            asked[: len(values), at] = values
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Found unknown categories")
            answers = super().transform(pd.DataFrame(asked, columns=texts.columns))
        self.places_, self.width_, start = [], answers.shape[1], 0
        for values in self.categories_:
            seen = start + answers[: len(values), start:].argmax(axis=1)  # a seen value has one feature of its column
            stop = int(seen.max()) + 1
            unseen = answers[len(values), start:stop]
            self.places_.append(np.append(seen, start + unseen.argmax() if unseen.any() else self.width_))
            start = stop
        return self

    def transform(self, texts: pd.DataFrame) -> Floats:
        """1 at the feature of each value, 0 elsewhere; rows x features."""
        features, rows = np.zeros((len(texts), self.width_ + 1)), np.arange(len(texts))
        for places in _looked_up(texts, self.categories_, [places.tolist() for places in self.places_]):
            features[rows, places] = 1.0
        return features[:, :-1]


class TargetAverages(TargetEncoder):  # type: ignore[misc]  # scikit-learn has no types
    """The average target of each value of a column of texts, of more than two classes that of each: `TargetEncoder`."""

    def transform(self, texts: pd.DataFrame) -> Floats:
        """The averages over all rows that were fitted on, for an unseen value that of all rows; rows x features."""
        means = np.atleast_1d(self.target_mean_)
        features = np.empty((len(texts), len(self.encodings_)))
        places = _looked_up(texts, self.categories_, [range(len(values) + 1) for values in self.categories_])
        for at, column in enumerate(places):
            for of, mean in enumerate(means):  # one, or one for each class
                feature = at * len(means) + of
                features[:, feature] = np.append(self.encodings_[feature], mean)[column]
        return features
