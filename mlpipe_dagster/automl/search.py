"""The search: baselines first, then candidates drawn at random and near the best, until the clock or nothing improves.

Losses are compared on validation rows only. Which candidate is taken, and its last fit, is in `choice.py`.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

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
    vary,
)
from mlpipe_dagster.automl.bench import Bench, cells
from mlpipe_dagster.automl.clock import Clock
from mlpipe_dagster.automl.metrics import Outcome, loss, published_score
from mlpipe_dagster.automl.model import Trial

PROBE_CELLS = 100_000
LINEAR_SHARE = 0.15
"""Of the budget, at most this for one linear candidate."""
RACE_MARGIN = 1.08
"""After its first fold a candidate goes on only if its loss there is within 8 % of the best one's."""
CONVERGED_AFTER = 40
MOST_LINEAR = 8
FOLLOW_BEST = 0.7
SURVEY = 5


@dataclass(frozen=True)
class Candidate:
    """A trial with what is needed to compare and to finish it."""

    trial: Trial
    algorithm: Algorithm
    rounds: int | None
    first: Fitted
    first_loss: float
    fit_seconds: float
    """Longest fit of one fold."""
    outcome: Outcome | None
    """Predictions for the validated rows of all folds; None where the trial was abandoned."""

    @property
    def loss(self) -> float:
        """Validation loss; infinite where the trial was abandoned."""
        return self.trial.loss if self.outcome is not None else float("inf")


@dataclass
class Search:
    """The state of one search."""

    bench: Bench
    clock: Clock
    boosting: Algorithm
    seed: int
    threads: int
    progress: Callable[[Trial], None] | None = None
    candidates: list[Candidate] = field(default_factory=list)
    linear_rows: int | None = None
    """Rows a linear fit may use; None: all."""

    def best(self, *names: str) -> Candidate | None:
        """The finished candidate with the lowest loss, of the algorithms named (or any)."""
        finished = [c for c in self.candidates if c.outcome and (not names or c.algorithm.name in names)]
        return min(finished, key=lambda c: c.loss, default=None)

    def try_out(self, algorithm: Algorithm, parameters: Parameters, seconds: float, baseline: bool = False) -> Candidate:
        """Fit and validate one candidate within about `seconds`, and remember it."""
        leader = None if baseline else self.best()
        candidate = self._validate(algorithm, parameters, time.monotonic() + seconds, leader)
        candidate = replace(candidate, trial=candidate.trial.model_copy(update={"baseline": baseline}))
        self.candidates.append(candidate)
        if self.progress:
            self.progress(candidate.trial)
        return candidate

    def _validate(
        self, algorithm: Algorithm, parameters: Parameters, ends_at: float, leader: Candidate | None
    ) -> Candidate:
        begun = time.monotonic()
        fits: list[Fitted] = []
        parts: list[Outcome] = []
        slowest, note = 0.0, ""
        for fold in range(len(self.bench.folds)):
            fit_begun = time.monotonic()
            data = self._data(algorithm, fold)
            fitted = algorithm.fit(parameters, data, Limits(ends_at, self.seed, self.threads))
            parts.append(Outcome(_truth(data), predict(fitted.estimator, data.check_features)))
            fits.append(fitted)
            slowest = max(slowest, time.monotonic() - fit_begun)
            note = fitted.note or note
            note = "cut short by the clock" if fitted.cut else note
            unfinished = len(parts) < len(self.bench.folds)
            if unfinished and leader and loss(parts[0]) > RACE_MARGIN * leader.first_loss:
                note = f"abandoned after 1 of {len(self.bench.folds)} folds: too far behind"
                break
            if unfinished and leader and time.monotonic() > ends_at:
                note = f"abandoned after {len(parts)} of {len(self.bench.folds)} folds: no time left"
                break
        joined = _join(parts)
        trial = Trial(
            number=len(self.candidates) + 1,
            algorithm=algorithm.name,
            parameters=dict(parameters),
            score=published_score(joined),
            loss=loss(joined),
            seconds=time.monotonic() - begun,
            finished_at=self.clock.elapsed(),
            note=note,
        )
        rounds = [fitted.rounds for fitted in fits if fitted.rounds]
        return Candidate(
            trial,
            algorithm,
            round(float(np.mean(rounds))) if rounds else None,
            fits[0],
            loss(parts[0]),
            slowest,
            joined if len(parts) == len(self.bench.folds) else None,
        )

    def _data(self, algorithm: Algorithm, fold: int) -> FitData:
        data = self.bench.data(algorithm.family, fold)
        if algorithm is not LINEAR or self.linear_rows is None or self.linear_rows >= len(data.labels):
            return data
        return thin_data(data, self.linear_rows, self.seed)


def thin_data(data: FitData, most: int, seed: int) -> FitData:
    """At most `most` random fitting rows, of every class at least one; the check rows stay."""
    order = np.random.default_rng(seed).permutation(len(data.labels))
    if data.labels.dtype.kind != "f":
        _, first = np.unique(data.labels[order], return_index=True)
        order = np.concatenate([order[first], np.delete(order, first)])
    rows = order[: max(most, 1)]
    if data.labels.dtype.kind != "f":
        rows = order[: max(most, len(first))]
    return replace(data, features=data.features[rows], labels=data.labels[rows])


def _truth(data: FitData) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    if data.check_truth is None:
        raise ValueError("a fold without check rows")
    return data.check_truth


def _join(parts: list[Outcome]) -> Outcome:
    return Outcome(np.concatenate([p.truth for p in parts]), np.concatenate([p.predicted for p in parts]))


def run_baselines(search: Search) -> None:
    """A constant guess and a linear model; the linear one on as many rows as 15 % of the budget allows."""
    search.try_out(CONSTANT, CONSTANT.start, search.clock.left(), baseline=True)
    search.linear_rows = _affordable_linear_rows(search)
    search.try_out(LINEAR, LINEAR.start, search.clock.left(), baseline=True)


def _affordable_linear_rows(search: Search) -> int | None:
    """Rows for a linear fit, from the time that a small one takes: it cannot be stopped once it runs."""
    data = search.bench.data("linear", 0)
    total = cells(*data.features.shape, search.bench.classes)
    if total <= 2 * PROBE_CELLS:
        return None
    few = max(100, PROBE_CELLS * len(data.labels) // total)
    begun = time.monotonic()
    LINEAR.fit(LINEAR.start, thin_data(data, few, search.seed), Limits(0, search.seed, search.threads))
    a_row = (time.monotonic() - begun) / few
    allowed = LINEAR_SHARE * search.clock.budget / len(search.bench.folds)
    rows = max(few, int(allowed / (2 * a_row)))
    return rows if rows < len(data.labels) else None


def run_search(search: Search, reserve: Callable[[Candidate | None], float]) -> str:
    """Try candidates while time is left beyond `reserve(best)` seconds; returns why it ended.

    The first ones are fixed; later ones follow the algorithm that leads, near its best settings.
    """
    generator = np.random.default_rng(search.seed)
    since_better = 0
    for algorithm, parameters in _openings(search.boosting):
        if not _has_time(search, algorithm, reserve):
            return "stopped by the clock"
        search.try_out(algorithm, parameters, search.clock.left() - reserve(search.best()))
    while since_better < CONVERGED_AFTER:
        algorithm = _next_algorithm(search, generator)
        if not _has_time(search, algorithm, reserve):
            return "stopped by the clock"
        tried = [c for c in search.candidates if c.algorithm is algorithm]
        own = search.best(algorithm.name) if len(tried) >= SURVEY and generator.random() < FOLLOW_BEST else None
        settings = vary(algorithm, own.trial.parameters if own else None, generator)
        before = search.best()
        now = search.try_out(algorithm, settings, search.clock.left() - reserve(before))
        better = before is None or now.loss < 0.999 * before.loss
        since_better = 0 if better else since_better + 1
    return f"stopped early: {CONVERGED_AFTER} trials in a row brought nothing better"


def _openings(boosting: Algorithm) -> list[tuple[Algorithm, Mapping[str, float | int | str | bool | None]]]:
    leaves = "num_leaves" if "num_leaves" in boosting.start else "max_leaf_nodes"
    careful = {**boosting.start, "learning_rate": 0.04, leaves: 5}
    return [
        (boosting, boosting.start),
        (LINEAR, {"C": 0.03}),
        (EXTRA_TREES, EXTRA_TREES.start),
        (boosting, careful),
    ]


def _next_algorithm(search: Search, generator: np.random.Generator) -> Algorithm:
    """The leading algorithm in 7 of 10 cases, else any; a linear model has one setting and few tries exhaust it."""
    linear_tried = sum(c.algorithm is LINEAR for c in search.candidates)
    choices = [search.boosting, EXTRA_TREES] + ([LINEAR] if linear_tried < MOST_LINEAR else [])
    leader = search.best()
    if leader and leader.algorithm in choices and generator.random() < FOLLOW_BEST:
        return leader.algorithm
    return choices[int(generator.integers(len(choices)))]


def _has_time(search: Search, algorithm: Algorithm, reserve: Callable[[Candidate | None], float]) -> bool:
    """Whether a candidate of this algorithm is likely to end before the time kept for what follows."""
    known = [c.trial.seconds for c in search.candidates if c.algorithm is algorithm and c.outcome]
    likely = float(np.median(known)) if known else 0.0
    return search.clock.left() - reserve(search.best()) > likely
