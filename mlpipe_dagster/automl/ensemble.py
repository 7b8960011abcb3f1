"""The ensemble of candidates, chosen greedily on validation rows within a latency cap, fitted and saved as one model.

Reference: Caruana, Niculescu-Mizil, Crew and Ksikes 2004 (selection with replacement). Whether it is taken is decided
in `choice.py`.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, clone
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor
from sklearn.impute import MissingIndicator
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from mlpipe_dagster.automl.algorithms import (
    CONSTANT,
    EXTRA_TREES,
    LINEAR,
    Algorithm,
    FitData,
    Fitted,
    Limits,
    Parameters,
    predict,
)
from mlpipe_dagster.automl.metrics import Floats, Outcome, loss, published_score
from mlpipe_dagster.automl.model import Trial
from mlpipe_dagster.automl.preparation import WORDS, filled_and_scaled
from mlpipe_dagster.automl.search import Candidate, Search

NAME = "ensemble"
MOST_CANDIDATES = 15
MOST_OF_ONE_KIND, MOST_ALIKE = 6, 2
"""Candidates of an algorithm; of linear models and of forests, which differ little with their settings."""
STEPS, DRAWS, MOST_ROWS_DRAWN = 15, 8, 3_000
LEAST_WEIGHT = 0.05
MOST_ONE_ROW_MS, MOST_WITH_ENCODING_MS, READING = 12.0, 15.0, 1.35
"""A row is read and encoded first; reading takes about 35 % of what encoding takes."""
MOST_MS_FOR_1000 = 50.0
LEAST_ROWS = 100
"""Of validation: on fewer, weights would fit chance."""


class _Blend(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """What the two have in common: fitted members of the same features, and their weights, which sum to 1."""

    def __init__(self, members: list[Any], weights: list[float]) -> None:
        self.members = members
        self.weights = weights

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def fit(self, features: Any, labels: Any) -> Self:
        """Every member anew, with its settings."""
        self.members = [clone(member).fit(features, labels) for member in self.members]
        return self

    def _mean(self, features: Any) -> Floats:
        return np.asarray(sum(w * _answer(m, features) for m, w in zip(self.members, self.weights, strict=True)))


def _answer(member: Any, features: Any) -> Floats:
    """As `predict`, and to the bit what the member says; but trees are asked themselves, since the checks of their
    wrappers take a single row ten times as long."""
    is_classifier = hasattr(member, "classes_")
    if hasattr(member, "booster_"):
        answer = np.asarray(member.booster_.predict(features, num_threads=max(member.n_jobs or 1, 1)))
        return np.column_stack([1 - answer, answer]) if is_classifier and answer.ndim == 1 else answer
    if isinstance(member, ExtraTreesClassifier | ExtraTreesRegressor):
        rows = np.asarray(features, dtype=np.float32)
        answer = np.asarray(sum(tree.tree_.predict(rows) for tree in member.estimators_) / len(member.estimators_))
        return answer if is_classifier else answer[:, 0]
    return predict(member, features)


class BlendClassifier(ClassifierMixin, _Blend):  # type: ignore[misc]
    """Mean probabilities of fitted classifiers."""

    @property
    def classes_(self) -> Any:
        """The labels, in the order of the probabilities."""
        return self.members[0].classes_

    def predict_proba(self, features: Any) -> Floats:
        """Probabilities, rows x classes."""
        return self._mean(features)

    def predict(self, features: Any) -> Any:
        """The most probable label of each row."""
        return self.classes_[self._mean(features).argmax(axis=1)]


class BlendRegressor(RegressorMixin, _Blend):  # type: ignore[misc]
    """Mean of fitted regressors."""

    def predict(self, features: Any) -> Floats:
        """Values, one a row."""
        return self._mean(features)


def blended(members: Sequence[Any], weights: Sequence[float]) -> BlendClassifier | BlendRegressor:
    """Fitted members as one estimator."""
    kind = BlendClassifier if hasattr(members[0], "predict_proba") else BlendRegressor
    return kind(list(members), [float(weight) for weight in weights])


def selected_weights(outcomes: Sequence[Outcome], seed: int = 0) -> NDArray[np.float64]:
    """A weight for each outcome of the same rows: the mean of greedy choices on several draws of these rows, since one
    choice fits the chance of its rows."""
    draw, every = np.random.default_rng(seed), len(outcomes[0].truth)
    drawn = [draw.integers(every, size=min(every, MOST_ROWS_DRAWN)) for _ in range(DRAWS)]
    chosen = [_greedy([outcome.take(at) for outcome in outcomes]) for at in drawn]
    return np.asarray(np.mean(chosen, axis=0))


def _greedy(outcomes: Sequence[Outcome]) -> NDArray[np.float64]:
    """Of so many choices with replacement, each the best for the mean, the share of each up to the best moment."""
    predicted = np.array([outcome.predicted for outcome in outcomes])
    truth, total, counts = outcomes[0].truth, np.zeros_like(predicted[0]), np.zeros(len(outcomes))
    best_loss, best_counts = np.inf, counts
    for step in range(1, STEPS + 1):
        losses = [loss(Outcome(truth, (total + one) / step)) for one in predicted]
        chosen = int(np.argmin(losses))
        total = total + predicted[chosen]
        counts = counts + np.eye(len(outcomes))[chosen]
        if losses[chosen] < best_loss:
            best_loss, best_counts = losses[chosen], counts
    return np.asarray(best_counts / best_counts.sum())


def mixed(outcomes: Sequence[Outcome], weights: Sequence[float] | NDArray[np.float64]) -> Outcome:
    """The weighted mean of what is predicted of the same rows."""
    predicted = sum(weight * outcome.predicted for outcome, weight in zip(outcomes, weights, strict=True))
    return Outcome(outcomes[0].truth, np.asarray(predicted))


@dataclass(frozen=True)
class _Member:
    candidate: Candidate
    estimator: Any
    """Of the first fold, as it takes the features of trees."""
    costs: NDArray[np.float64]
    """Milliseconds for one row and for 1,000, and seconds to fit it again."""


def add_ensemble(search: Search, seconds: float) -> None:
    """Add the ensemble to the candidates, of members that are quick enough and can be fitted again in `seconds`."""
    most = np.array([_most_for_one_row(search), MOST_MS_FOR_1000, seconds])
    members = _quick(search, most)
    if len(members) < 2 or len(_outcome(members[0]).truth) < LEAST_ROWS:
        return
    weights = dict(zip(map(id, members), selected_weights([_outcome(member) for member in members]), strict=True))
    ranked = sorted(members, key=lambda member: -weights[id(member)])
    chosen = _affordable([member for member in ranked if weights[id(member)] >= LEAST_WEIGHT], most)
    if len(chosen) > 1:
        shares = np.array([weights[id(member)] for member in chosen])
        search.add(_candidate(search, chosen, [float(share) for share in shares / shares.sum()]))


def again_seconds(search: Search, candidate: Candidate) -> float:
    """Likely seconds to fit a candidate again, on all training rows."""
    return candidate.fit_seconds * search.bench.times_a_fold


def _most_for_one_row(search: Search) -> float:
    """Milliseconds of the members together, on a table as wide as this one."""
    encoders = search.bench.pipeline("trees", 0, None).named_steps["features"]
    row = search.bench.rows.typed.iloc[:1]
    encoding = min(_milliseconds(lambda: encoders.transform(row)) for _ in range(3))
    return min(MOST_ONE_ROW_MS, MOST_WITH_ENCODING_MS - READING * encoding)


def _affordable(ranked: Sequence[_Member], most: NDArray[np.float64]) -> list[_Member]:
    """One after the other, those with which the ensemble is still quick enough."""
    chosen: list[_Member] = []
    for member in ranked:
        if (sum((other.costs for other in chosen), start=member.costs) <= most).all():
            chosen.append(member)
    return chosen


def _outcome(member: _Member) -> Outcome:
    if member.candidate.outcome is None:
        raise ValueError("an abandoned candidate has no outcome")
    return member.candidate.outcome


def _quick(search: Search, most: NDArray[np.float64]) -> list[_Member]:
    """The best candidates, of each kind a few, each of which predicts and is fitted again quickly enough."""
    able = [c for c in search.candidates if c.outcome and c.algorithm is not CONSTANT and c.algorithm.fitted_again]
    ranked = sorted(able, key=lambda candidate: candidate.loss)
    checked = np.asarray(search.bench.data("trees", 0).check_features)
    rows = np.resize(checked, (1000, checked.shape[1]))
    found: list[_Member] = []
    for candidate in ranked[: 4 * MOST_CANDIDATES]:
        same = sum(member.candidate.algorithm is candidate.algorithm for member in found)
        most_of_it = MOST_ALIKE if candidate.algorithm in (LINEAR, EXTRA_TREES) else MOST_OF_ONE_KIND
        if same >= most_of_it or len(found) >= MOST_CANDIDATES:
            continue
        estimator = _of_first_fold(search, candidate)
        one_row, many_rows = (partial(_answer, estimator, asked) for asked in (rows[:1], rows))
        again = 0.0 if candidate is ranked[0] else again_seconds(search, candidate)  # time for the best is kept
        costs = np.array([min(_milliseconds(one_row) for _ in range(3)), _milliseconds(many_rows), again])
        if (costs <= most).all():
            found.append(_Member(candidate, estimator, costs))
    return found


def _milliseconds(asked: Callable[[], object]) -> float:
    """Of the processor: a busy machine must not decide what becomes a member."""
    begun = time.process_time()
    asked()
    return 1000 * (time.process_time() - begun)


def _of_first_fold(search: Search, candidate: Candidate) -> Any:
    if candidate.algorithm.family == "trees":
        return candidate.first.estimator
    inside = _linear_features(search.bench.data("trees", 0))
    inside.fit(search.bench.data("trees", 0).features)
    return Pipeline([("scaled", inside), ("model", candidate.first.estimator)])


def _linear_features(data: FitData) -> ColumnTransformer:
    """What makes the features of linear models (`preparation.encoder`) of those of trees, in the same order."""
    at = {name: np.arange(block.start, block.stop) for name, block in data.blocks.items()}
    numbers = at.get("numbers", np.arange(0))
    gaps = numbers[np.isnan(data.features[:, numbers]).any(axis=0)]
    blocks: list[tuple[str, Any, NDArray[np.int64]]] = [
        ("numbers", filled_and_scaled(), numbers),
        ("gaps", MissingIndicator(features="all"), gaps),
        ("averages", StandardScaler(), at.get("averages", np.arange(0))),
        ("values", "passthrough", at.get("values", np.arange(0))),
        *((name, "passthrough", places) for name, places in at.items() if name.startswith(WORDS)),
    ]
    return ColumnTransformer([(name, made, places.tolist()) for name, made, places in blocks if len(places)])


def _candidate(search: Search, members: list[_Member], weights: list[float]) -> Candidate:
    begun = time.monotonic()
    outcome = mixed([_outcome(member) for member in members], weights)
    candidates = [member.candidate for member in members]
    trial = Trial(
        number=len(search.candidates) + len(search.told) + 1,
        algorithm=NAME,
        parameters={
            f"{candidate.algorithm.name} (trial {candidate.trial.number})": round(weight, 3)
            for candidate, weight in zip(candidates, weights, strict=True)
        },
        score=published_score(outcome),
        loss=loss(outcome),
        seconds=time.monotonic() - begun,
        finished_at=search.clock.elapsed(),
        predict_ms=sum(candidate.trial.predict_ms or 0.0 for candidate in candidates),
    )
    first = Fitted(blended([member.estimator for member in members], weights))
    seconds = sum(candidate.fit_seconds for candidate in candidates)
    return Candidate(trial, _algorithm(candidates, weights), None, first, trial.loss, seconds, outcome)


def _algorithm(candidates: Sequence[Candidate], weights: Sequence[float]) -> Algorithm:
    """All members fitted one after the other; one that is cut short cuts the ensemble."""

    def fit(_: Parameters, data: FitData, limits: Limits) -> Fitted:
        fits = [_fit_member(candidate, data, limits) for candidate in candidates]
        return Fitted(blended([fitted.estimator for fitted in fits], weights), cut=any(fitted.cut for fitted in fits))

    return Algorithm(NAME, "trees", fit, {}, {})


def _fit_member(candidate: Candidate, data: FitData, limits: Limits) -> Fitted:
    limits = replace(limits, rounds=candidate.rounds)
    if candidate.algorithm.family == "trees":
        return candidate.algorithm.fit(candidate.trial.parameters, data, limits)
    inside = _linear_features(data)
    features = np.asarray(inside.fit_transform(data.features), dtype=np.float64)
    fitted = candidate.algorithm.fit(candidate.trial.parameters, replace(data, features=features), limits)
    return replace(fitted, estimator=Pipeline([("scaled", inside), ("model", fitted.estimator)]))
