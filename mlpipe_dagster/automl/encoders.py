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
MOST_BYTES = 256
"""Of the longest text of a column: with longer ones, those of the others would take as much."""


def _looked_up(texts: pd.DataFrame, categories: list[NDArray[Any]], places: list[Any]) -> Iterator[list[Any]]:
    """Of each column the place of each value, by the places of its categories and, the last one, of an unseen value."""
    for column, values, known in zip(np.asarray(texts, dtype=object).T, categories, places, strict=True):
        place, unseen = dict(zip(values, known[:-1], strict=True)), known[-1]
        yield [place.get(value, unseen) for value in column]


def _compact(categories: list[NDArray[Any]]) -> list[NDArray[Any]]:
    """Short texts side by side in place of objects, which are saved one by one: many times the size and the time."""
    short = [values.astype(str) for values in categories]
    return [
        texts if texts.itemsize <= MOST_BYTES and (texts.astype(object) == values).all() else values
        for texts, values in zip(short, categories, strict=True)
    ]


class ValueIndicators(OneHotEncoder):  # type: ignore[misc]  # scikit-learn has no types
    """One feature for each value of a column of texts: `OneHotEncoder`, dense."""

    categories_: list[NDArray[Any]]
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
        self.categories_ = _compact(self.categories_)
        return self

    def transform(self, texts: pd.DataFrame) -> Floats:
        """1 at the feature of each value, 0 elsewhere; rows x features."""
        features, rows = np.zeros((len(texts), self.width_ + 1)), np.arange(len(texts))
        for places in _looked_up(texts, self.categories_, [places.tolist() for places in self.places_]):
            features[rows, places] = 1.0
        return features[:, :-1]


class TargetAverages(TargetEncoder):  # type: ignore[misc]  # scikit-learn has no types
    """The average target of each value of a column of texts, of more than two classes that of each: `TargetEncoder`."""

    categories_: list[NDArray[Any]]

    def fit(self, texts: pd.DataFrame, y: Any) -> Self:
        """As the parent."""
        super().fit(texts, y)
        self.categories_ = _compact(self.categories_)
        return self

    def fit_transform(self, texts: pd.DataFrame, y: Any) -> Floats:
        """As the parent: the averages of a row are those of other rows (cross-fitted)."""
        features = np.asarray(super().fit_transform(texts, y))
        self.categories_ = _compact(self.categories_)
        return features

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
