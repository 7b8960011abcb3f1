"""The search: baselines first, then candidates as the study proposes them, until the clock or nothing improves.

Losses are compared on validation rows only. Which candidate is taken, and its last fit, is in `choice.py`.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from mlpipe_dagster.automl.algorithms import (
    CONSTANT,
    DEFAULT_BOOSTING,
    EXTRA_TREES,
    HISTOGRAM,
    LINEAR,
    Algorithm,
    Fitted,
    Limits,
    Parameters,
    predict,
)
from mlpipe_dagster.automl.bench import Bench
from mlpipe_dagster.automl.clock import Clock
from mlpipe_dagster.automl.metrics import Outcome, is_improvement, loss, published_score
from mlpipe_dagster.automl.model import Trial
from mlpipe_dagster.automl.study import Proposal, Study

LINEAR_SHARE = 0.1
"""Of the budget, at most this for the linear baseline."""
BOOSTING_SHARE = 0.1
"""Of the budget, at most this for the gradient boosting among the baselines."""
LEAST_START_SHARE, MOST_START_SHARE = 0.15, 0.2
SAFELY_LEFT_SHARE = 0.3
"""Of the budget: where more is left, the first gradient boosting gets its least share, whatever is kept for later."""
EARLY_SHARE = 0.7
"""Of the budget: where the start took more, the constant guess is kept before anything else is tried."""
RACE_MARGIN = 1.08
"""After its first fold a candidate goes on unless its loss there is over 8 % and a standard error worse than the best
one's: a fold of few rows says little."""
CONVERGED_AFTER = 40
MOST_LINEAR = 8
FOLLOW_BEST = 0.7
CUT = "cut short by the clock"
SLOWER = 4.0
"""So many times as long as the search's own do boostings of other libraries take, about."""
OPENING_SHARE = 0.5
"""Of the search time that is left, at most this for each of the first candidates, so that others get a try."""


Reserve = Callable[["Candidate | None"], float]
"""Seconds to keep for what follows the search, given the best candidate so far."""


@dataclass(frozen=True, eq=False)
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
    between: Callable[[], None] | None = None
    """Called after each candidate."""
    candidates: list[Candidate] = field(default_factory=list)
    told: list[Trial] = field(default_factory=list)
    """What an engine tried besides, measured on rows of its own."""
    finishing_seconds: float = 0.0
    """What evaluating and saving took the last time."""
    notes: list[str] = field(default_factory=list)
    """What an engine has to say about the model."""
    trials: int | None = None
    """How many candidates to try, where these are counted in place of seconds."""
    kept: Sequence[Trial] = ()
    """The best trials of an earlier search, which are tried first."""
    learnable: bool = False
    """Whether a linear model is known to beat a constant guess beyond chance, on more rows than candidates are held
    against here."""
    study: Study = field(default_factory=Study)
    """Proposes what to try, and keeps the trials."""
    scratch: Path | None = None
    """A folder for what an engine leaves on disk; it has to stay until the model is saved."""
    further: tuple[Algorithm, ...] = ()
    """Gradient boosting of other libraries, where they are installed."""

    def best(self, *names: str) -> Candidate | None:
        """The finished candidate with the lowest loss, of the algorithms named (or any)."""
        finished = [c for c in self.candidates if c.outcome and (not names or c.algorithm.name in names)]
        return min(finished, key=lambda c: c.loss, default=None)

    def try_out(
        self, algorithm: Algorithm, parameters: Parameters, seconds: float, baseline: bool = False
    ) -> Candidate:
        """Fit and validate one candidate within about `seconds`, and remember it."""
        leader = None if baseline else self.best()
        candidate = self._validate(algorithm, parameters, seconds, leader)
        candidate = replace(candidate, trial=candidate.trial.model_copy(update={"baseline": baseline}))
        self.add(candidate)
        return candidate

    def try_proposal(self, proposal: Proposal, seconds: float) -> Candidate:
        """As `try_out`, of what the study proposed, which is told what came of it."""
        candidate = self.try_out(proposal.algorithm, proposal.parameters, seconds)
        self.study.tell(proposal, candidate.trial.loss, candidate.outcome is None)
        return candidate

    def validate(self, algorithm: Algorithm, parameters: Parameters, seconds: float) -> Candidate:
        """Fit and validate a candidate on every fold within about `seconds`, without remembering it."""
        return self._validate(algorithm, parameters, seconds, None)

    def add(self, candidate: Candidate) -> None:
        """Remember a candidate, and tell of it."""
        self.candidates.append(candidate)
        if self.progress:
            self.progress(candidate.trial)
        if self.between:
            self.between()

    def tell(self, trial: Trial) -> None:
        """A trial that an engine made of itself: shown, never taken. There may be hundreds: better ones are told of."""
        better = all(trial.loss < known.loss for known in self.told)
        self.told.append(trial)
        if self.progress and better:
            self.progress(trial)

    def _validate(
        self, algorithm: Algorithm, parameters: Parameters, seconds: float, leader: Candidate | None
    ) -> Candidate:
        begun = time.monotonic()
        folds = len(self.bench.folds)
        a_fold = seconds / folds
        fits: list[Fitted] = []
        parts: list[Outcome] = []
        slowest, predicting, abandoned = 0.0, 0.0, ""
        while len(parts) < folds and not abandoned:
            data = self.bench.data(
                algorithm.family, len(parts)
            )  # encoded the first time, which is counted by the bench
            fit_begun = time.monotonic()
            limits = Limits(begun + a_fold * (len(parts) + 1), self.seed, self.threads)
            fits.append(algorithm.fit(parameters, data, limits))
            asked_at = time.monotonic()
            parts.append(Outcome(data.truth_to_check(), predict(fits[-1].estimator, data.check_features)))
            predicting += time.monotonic() - asked_at
            slowest = max(slowest, time.monotonic() - fit_begun)
            abandoned = _why_abandon(parts, folds, begun + seconds, leader)
        rounds = [fitted.rounds for fitted in fits if fitted.rounds]
        mean_rounds = round(float(np.mean(rounds))) if rounds else None
        first_loss = loss(parts[0])
        if mean_rounds and len(parts) > 1:
            parts = self._at_common_rounds(algorithm, fits, parts, mean_rounds)
        joined = Outcome(np.concatenate([p.truth for p in parts]), np.concatenate([p.predicted for p in parts]))
        trial = Trial(
            number=len(self.candidates) + 1,
            algorithm=algorithm.name,
            parameters=dict(parameters),
            score=published_score(joined),
            loss=loss(joined),
            seconds=time.monotonic() - begun,
            finished_at=self.clock.elapsed(),
            note=abandoned or _fit_note(fits),
            predict_ms=1e6 * predicting / len(joined.truth),
        )
        outcome = None if abandoned else joined
        return Candidate(trial, algorithm, mean_rounds, fits[0], first_loss, slowest, outcome)

    def _at_common_rounds(
        self, algorithm: Algorithm, fits: list[Fitted], parts: list[Outcome], rounds: int
    ) -> list[Outcome]:
        """Each fold predicted with the mean rounds, where the algorithm can: every fold's own best rounds would flatter
        the candidate."""
        if algorithm.up_to is None:
            return parts
        asked = [algorithm.up_to(fitted.estimator, rounds) for fitted in fits]
        data = [self.bench.data(algorithm.family, fold) for fold in range(len(fits))]
        return [
            Outcome(part.truth_to_check(), predict(fitted.estimator, part.check_features, **limited))
            for part, fitted, limited in zip(data, fits, asked, strict=True)
        ]


def _why_abandon(parts: list[Outcome], folds: int, ends_at: float, leader: Candidate | None) -> str:
    """Why a candidate stops before its last fold; empty where it goes on. Without a leader every fold is done."""
    if leader is None or len(parts) == folds:
        return ""
    if loss(parts[0]) > RACE_MARGIN * leader.first_loss and _is_behind(parts[0], leader):
        return f"abandoned after {len(parts)} of {folds} folds: too far behind"
    return f"abandoned after {len(parts)} of {folds} folds: no time left" if time.monotonic() > ends_at else ""


def _is_behind(first: Outcome, leader: Candidate) -> bool:
    """Whether the leader is clearly better on the first fold's rows, with which its validated rows begin."""
    return leader.outcome is not None and is_improvement(leader.outcome.take(slice(len(first.truth))), first)


def _fit_note(fits: list[Fitted]) -> str:
    if any(fitted.cut for fitted in fits):
        return CUT
    return next((fitted.note for fitted in fits if fitted.note), "")


def run_baselines(search: Search, early: Callable[[], None] | None = None) -> None:
    """A constant guess and a linear model; the linear one gets 10 % of the budget at most.

    `early` is called between the two where the start took long: something has to be there whatever follows.
    """
    search.try_out(CONSTANT, CONSTANT.start, search.clock.left(), baseline=True)
    if early and search.clock.elapsed() > search.clock.share(EARLY_SHARE):
        early()
    search.try_out(LINEAR, LINEAR.start, search.clock.share(LINEAR_SHARE), baseline=True)


def run_boosting_start(search: Search, reserve: Reserve) -> None:
    """The gradient boosting of the search with its first settings, before all else that takes long: on a large table
    and in a short time it may be all there is time for. It gets its least share while so much is left that what
    follows it is not put at risk, and goes before a last fit of a baseline."""
    left = search.clock.left()
    least = search.clock.share(LEAST_START_SHARE) if left > search.clock.share(SAFELY_LEFT_SHARE) else 0.0
    spare = min(OPENING_SHARE * (left - reserve(None)), search.clock.share(MOST_START_SHARE))
    seconds = max(spare, least)
    if seconds > 0:
        search.study.enqueue(search.boosting, search.boosting.start)
        search.try_proposal(search.study.ask({search.boosting.name: search.boosting}, search.boosting), seconds)


def run_boosting_baseline(search: Search, reserve: Reserve) -> None:
    """scikit-learn's gradient boosting with its own settings, unless that of the search took half of its share: it is
    slower, and cut short it is a baseline that nobody means."""
    own = search.best(search.boosting.name)
    seconds = min(search.clock.share(BOOSTING_SHARE), search.clock.left() - reserve(search.best()))
    if seconds > (2 * own.trial.seconds if own else 0.0):
        search.try_out(HISTOGRAM, DEFAULT_BOOSTING, seconds, baseline=True)


def run_search(search: Search, reserve: Reserve, trials: int | None = None) -> str:
    """Try candidates while time is left beyond `reserve(best)` seconds, and at most so many; returns why it ended.

    The first ones are fixed; later ones are the study's proposals, mostly for the algorithm that leads.
    """
    generator = np.random.default_rng([search.seed, len(search.kept)] if search.kept else search.seed)
    search.further = _worth_a_try(search, reserve)
    known = {algorithm.name: algorithm for algorithm in (search.boosting, LINEAR, EXTRA_TREES, *search.further)}
    for algorithm, parameters in _kept_settings(search, known) or _openings(search):
        search.study.enqueue(algorithm, parameters)
    baselines = sum(candidate.trial.baseline for candidate in search.candidates)
    since_better, most = 0, np.inf if trials is None else baselines + trials
    while since_better < CONVERGED_AFTER:
        queued = search.study.queued()
        if len(search.candidates) >= most:
            return f"{trials} trials"
        algorithm = known[queued] if queued else _next_algorithm(search, generator)
        if not _has_time(search, algorithm, reserve):
            return "stopped by the clock"
        before = search.best()
        seconds = (OPENING_SHARE if queued else 1.0) * (search.clock.left() - reserve(before))
        now = search.try_proposal(search.study.ask(known, algorithm), seconds)
        better = queued or before is None or now.loss < 0.999 * before.loss
        since_better = 0 if better else since_better + 1
    return f"stopped early: {CONVERGED_AFTER} trials in a row brought nothing better"


def _worth_a_try(search: Search, reserve: Reserve) -> tuple[Algorithm, ...]:
    """Boosting of other libraries, unless a first trial of it would likely be cut short, which says little and takes
    the time that others need."""
    own = [candidate.trial.seconds for candidate in search.candidates if candidate.algorithm is search.boosting]
    left = OPENING_SHARE * (search.clock.left() - reserve(search.best()))
    return search.further if own and left > SLOWER * own[0] else ()


def _kept_settings(search: Search, known: Mapping[str, Algorithm]) -> list[tuple[Algorithm, Parameters]]:
    """What an earlier search found best, of algorithms that are there now."""
    return [(known[trial.algorithm], trial.parameters) for trial in search.kept if trial.algorithm in known]


def _openings(search: Search) -> list[tuple[Algorithm, Parameters]]:
    boosting = search.boosting
    leaves = "num_leaves" if "num_leaves" in boosting.start else "max_leaf_nodes"
    return [
        (LINEAR, {"C": 0.03}),
        (EXTRA_TREES, EXTRA_TREES.start),
        *((algorithm, algorithm.start) for algorithm in search.further),
        (boosting, {**boosting.start, leaves: 48}),
        (boosting, {**boosting.start, "learning_rate": 0.05, leaves: 5}),
    ]


def _next_algorithm(search: Search, generator: np.random.Generator) -> Algorithm:
    """The leading algorithm in 7 of 10 cases, else any; a linear model has one setting and few tries exhaust it."""
    linear_tried = sum(c.algorithm is LINEAR for c in search.candidates)
    choices = [search.boosting, EXTRA_TREES, *search.further] + ([LINEAR] if linear_tried < MOST_LINEAR else [])
    leader = search.best()
    if leader and leader.algorithm in choices and generator.random() < FOLLOW_BEST:
        return leader.algorithm
    return choices[int(generator.integers(len(choices)))]


def _has_time(search: Search, algorithm: Algorithm, reserve: Reserve) -> bool:
    """Whether a candidate of this algorithm is likely to end before the time kept for what follows."""
    known = [c.trial.seconds for c in search.candidates if c.algorithm is algorithm and c.outcome]
    likely = float(np.median(known)) if known else 0.0
    return search.clock.left() - reserve(search.best()) > likely
