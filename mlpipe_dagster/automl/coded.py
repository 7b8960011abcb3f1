"""Labels for classifiers that know codes only, such as XGBoost's: 0, 1, … in the order of the labels.

Nothing else is changed: what is asked of a prediction beside features is passed on.
"""

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

from mlpipe_dagster.automl.metrics import Floats


class Coded(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A classifier of labels, by `estimator`, a classifier of their codes."""

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator

    def fit(self, features: Any, labels: Any, **asked: Any) -> Self:
        """Fit the estimator on the codes of the labels."""
        self.classes_, codes = np.unique(labels, return_inverse=True)
        self.estimator.fit(features, codes, **asked)
        return self

    def predict_proba(self, features: Any, **asked: Any) -> Floats:
        """Probabilities, rows x classes."""
        return np.asarray(self.estimator.predict_proba(features, **asked), dtype=np.float64)

    def predict(self, features: Any) -> Any:
        """The most probable label of each row."""
        return self.classes_[self.predict_proba(features).argmax(axis=1)]


def bare(estimator: object) -> Any:
    """The estimator itself, without what keeps its labels."""
    return estimator.estimator if isinstance(estimator, Coded) else estimator
