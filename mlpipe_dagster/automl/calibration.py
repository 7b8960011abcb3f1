"""Whether probabilities mean what they say, and what is done where they do not: Platt scaling, or one temperature.

Learnt from validation rows that the model has not seen, and kept only where it clearly helps on other validation rows.
How far probabilities are off is measured in `metrics.py`. References: Platt 1999; Guo et al. 2017.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp, softmax
from sklearn.base import BaseEstimator, ClassifierMixin

from mlpipe_dagster.automl.metrics import Floats, Outcome, improvement
from mlpipe_dagster.bias.intervals import Z95

LEAST_ROWS = 200
TINY = 1e-12


@dataclass(frozen=True)
class Scaling:
    """`log p` of each class times the slope, plus that class's offset, made to sum to 1 again."""

    slope: float
    offsets: tuple[float, ...]

    def apply(self, probabilities: Floats) -> Floats:
        """The probabilities as they should have been, rows x classes."""
        scores = self.slope * np.log(np.clip(probabilities, TINY, 1)) + np.array(self.offsets)
        return np.asarray(softmax(scores, axis=1))


def fit_scaling(outcome: Outcome, answers_stay: bool = False) -> Scaling:
    """The scaling of least log loss on these rows. Two classes: slope and intercept (Platt); more: one temperature.

    `answers_stay`: one temperature for two classes as well, which leaves the most probable class of each row.
    """
    logs = np.log(np.clip(outcome.predicted, TINY, 1))
    rows, truth = np.arange(len(logs)), outcome.truth.astype(np.int64)
    free = 1 if logs.shape[1] == 2 and not answers_stay else 0

    def scaling(parameters: Floats) -> Scaling:
        intercept = float(parameters[1]) if free else 0.0
        offsets = (0.0, intercept) if free else (0.0,) * logs.shape[1]
        return Scaling(float(np.exp(parameters[0])), offsets)

    def mean_loss(parameters: Floats) -> float:
        chosen = scaling(parameters)
        scores = chosen.slope * logs + np.array(chosen.offsets)
        return float((logsumexp(scores, axis=1) - scores[rows, truth]).mean())

    best = minimize(mean_loss, np.zeros(1 + free), method="L-BFGS-B", bounds=[(-3, 3)] * (1 + free))
    return scaling(best.x)


def helpful_scaling(outcome: Outcome, answers_stay: bool = False) -> tuple[Scaling, float] | None:
    """A scaling and the log loss it saves on rows it was not fitted on; None where it does not clearly (95 %) help."""
    if outcome.predicted.ndim != 2 or len(outcome.truth) < LEAST_ROWS:
        return None
    half = np.arange(len(outcome.truth)) % 2 == 0
    halves = [outcome.take(side) for side in (half, ~half)]
    scaled = outcome.predicted.copy()
    for side, other in ((half, halves[1]), (~half, halves[0])):
        scaled[side] = fit_scaling(other, answers_stay).apply(outcome.predicted[side])
    saved, error = improvement(Outcome(outcome.truth, scaled), outcome)
    return (fit_scaling(outcome, answers_stay), saved) if saved > Z95 * error else None


class Calibrated(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A fitted classifier whose probabilities are scaled."""

    def __init__(self, estimator: Any, slope: float, offsets: list[float]) -> None:
        self.estimator = estimator
        self.slope = slope
        self.offsets = offsets
        self.classes_ = estimator.classes_

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def fit(self, features: Any, labels: Any = None) -> Any:
        """Refuses: both parts are fitted already, and scikit-learn asks an estimator to have this method."""
        raise NotImplementedError("a calibrated model is made of fitted parts")

    def predict_proba(self, features: Any) -> Floats:
        """Probabilities, rows x classes."""
        return Scaling(self.slope, tuple(self.offsets)).apply(np.asarray(self.estimator.predict_proba(features)))

    def predict(self, features: Any) -> Any:
        """The most probable label of each row."""
        return self.classes_[self.predict_proba(features).argmax(axis=1)]
