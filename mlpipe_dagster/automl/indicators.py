"""One feature for each value of a column of categories, quick to give for a single row."""

import warnings
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.preprocessing import OneHotEncoder

UNSEEN = "\0"  # no table holds it


class ValueIndicators(OneHotEncoder):  # type: ignore[misc]  # scikit-learn has no types
    """scikit-learn's dense one-hot encoder, but a text is looked up where the parent checks, sorts and searches every
    column anew: that takes a single row longer than all the rest of a model.

    What is learnt, and what each value becomes, is the parent's.
    """

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

    def transform(self, texts: pd.DataFrame) -> NDArray[np.float64]:
        """1 at the feature of each value, 0 elsewhere; rows x features."""
        columns = np.asarray(texts, dtype=object).T
        features = np.zeros((len(texts), self.width_ + 1))
        rows = np.arange(len(texts))
        for column, values, places in zip(columns, self.categories_, self.places_, strict=True):
            *seen, unseen = places.tolist()
            known: dict[Any, int] = dict(zip(values, seen, strict=True))
            features[rows, [known.get(value, unseen) for value in column]] = 1.0
        return features[:, :-1]
