"""A fairness constraint held by the model that the search chose: fitted again under prices, and the trade it makes.

Every point is a model of the same algorithm and settings (of a quicker candidate, where time is short), fitted and
validated on the folds of the search. What is taken is the most accurate point that keeps the allowed difference, else
the most alike. Arithmetic of prices: `fairness/prices.py`.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from mlpipe_dagster.automl.algorithms import CONSTANT, Algorithm, FitData, Fitted, Limits, Parameters, with_rounds
from mlpipe_dagster.automl.bench import random_rows
from mlpipe_dagster.automl.choice import Choice
from mlpipe_dagster.automl.fairness.constraint import Constraint
from mlpipe_dagster.automl.fairness.frontier import Frontier, FrontierPoint, Measured, Share
from mlpipe_dagster.automl.fairness.prices import (
    Cell,
    cells_of,
    difference,
    prices_for,
    rate_gaps,
    signed_weights,
    within,
)
from mlpipe_dagster.automl.job import Job
from mlpipe_dagster.automl.last_fit import SAFETY
from mlpipe_dagster.automl.metrics import Outcome, loss, published_score, wilson
from mlpipe_dagster.automl.search import CUT, Candidate, Search
from mlpipe_dagster.bias.report import TOO_FEW_BELOW

MOST_POINTS = 8
"""Models that are fitted beside the one without the constraint."""
FEWEST_FITS = 3
"""A candidate that leaves no time for so many is not fitted under prices where a quicker one is there."""
MOST_PRICED_ROWS = 2_000
"""Validated rows, drawn at random, that prices are worked out on."""
FINEST = 0.01
"""Prices that are nearer to each other, in units of those that leave no difference, are not tried."""
ITS_PROBABILITIES = (
    "The probabilities of a model that is held to a fairness constraint are for its answers, "
    "not chances of the classes."
)
Codes = NDArray[np.int64]
Floats = NDArray[np.float64]


class _OneAnswerError(Exception):
    """The prices leave one label to learn: the same answer for every row."""


@dataclass(frozen=True)
class _Bound:
    """What is bound on the validated rows, and how a fit is priced."""

    constraint: Constraint
    cells: tuple[Cell, ...]
    job: Job
    groups: Codes
    """Of the validated rows, in the order of their outcomes."""

    @property
    def labels(self) -> tuple[str, str]:
        """The other class and the positive one."""
        first, second = self.job.target.classes
        return (second, first) if self.job.positive_first else (first, second)

    def measured(self, outcome: Outcome, groups: Codes) -> Measured | None:
        """An outcome on rows of these groups; None where no difference can be shown on so few."""
        turned = self.job.about_positive(outcome)
        truth, said = turned.truth == 1, turned.choice == 1
        found = difference(self.cells, self.job.groups, truth, said, groups)
        if found is None:
            return None
        right = wilson(published_score(outcome), len(truth))
        share = Share(value=right.value, low=right.low, high=right.high)
        return Measured(accuracy=share, difference=found, loss=loss(outcome))

    def priced(self, candidate: Candidate, prices: Floats) -> Algorithm:
        """The candidate's algorithm, fitted on rows that are labelled and weighted as the prices say."""
        other, positive = self.labels

        def fit(parameters: Parameters, data: FitData, limits: Limits) -> Fitted:
            if data.groups is None:
                raise ValueError("the groups of the rows to fit on are not known")
            truth = data.labels == positive
            worth = signed_weights(truth, within(self.cells, truth.astype(np.float64), data.groups), prices)
            if (worth > 0).all() or (worth <= 0).all():
                raise _OneAnswerError
            weights = np.abs(worth) if data.weights is None else np.abs(worth) * data.weights
            labels = np.where(worth > 0, positive, other)
            # the rounds were found before: on the labels as they are, prices would look like a bad fit
            again = FitData(data.features, labels, weights=weights, blocks=data.blocks)
            return candidate.algorithm.fit(parameters, again, with_rounds(limits, candidate.rounds))

        return replace(candidate.algorithm, fit=fit)


@dataclass(frozen=True, eq=False)
class _Tried:
    prices: Floats
    candidate: Candidate
    measured: Measured


def constrained(search: Search, choice: Choice, job: Job, seconds: float) -> Choice:
    """The choice with the constraint of the specification held as well as `seconds` allow, and the trade it makes."""
    constraint = job.spec.constraint
    if constraint is None:
        return choice
    bound = _bind(search, choice, job, constraint)
    first = choice.taken.outcome and bound.measured(choice.taken.outcome, bound.groups)
    if not first:
        note = (
            f"The fairness constraint ({constraint.title}) was not used: fewer than two groups of a sensitive column "
            f"have {TOO_FEW_BELOW} of the rows that count for it. Send more rows, or name other sensitive columns."
        )
        return replace(choice, frontier=Frontier(constraint=constraint, notes=(note,)), notes=(*choice.notes, note))
    base = _base(search, choice.taken, seconds)
    walk = _Walk(search, bound, base, [_Tried(np.zeros(len(bound.cells)), choice.taken, first)])
    ended = walk.go(seconds)
    search.clock.remark(ended)
    taken = _best(walk.tried, constraint.allowed)
    frontier = Frontier(constraint=constraint, points=walk.points(taken))
    notes = (*choice.notes, *_notes(frontier, ended))
    if base is not choice.taken:
        notes += (
            f"Under prices {base.algorithm.name} was fitted in place of {choice.taken.algorithm.name}, which takes "
            "longer than there was time, or cannot be fitted so.",
        )
    if taken is walk.tried[0]:
        return replace(choice, frontier=frontier, notes=notes)
    return replace(choice, taken=taken.candidate, unconstrained=choice.taken, frontier=frontier, notes=notes)


def _base(search: Search, taken: Candidate, seconds: float) -> Candidate:
    """What is fitted under prices: the candidate that is taken, else the best that can be and leaves time for some."""

    def able(candidate: Candidate) -> bool:
        return (
            candidate.algorithm.fitted_again and candidate.algorithm is not CONSTANT and candidate.outcome is not None
        )

    def likely(candidate: Candidate) -> float:
        return SAFETY * candidate.fit_seconds * len(search.bench.folds)

    ranked = [taken, *sorted(search.candidates, key=lambda candidate: candidate.loss)]
    others = [candidate for candidate in ranked if able(candidate)]
    quick = (candidate for candidate in others if FEWEST_FITS * likely(candidate) <= seconds)
    return next(quick, min(others, key=likely, default=taken))


def _bind(search: Search, choice: Choice, job: Job, constraint: Constraint) -> _Bound:
    rows, outcome = search.bench.rows, choice.taken.outcome
    if rows.groups is None or outcome is None:
        raise ValueError("a constraint needs the groups of the rows, and a candidate that was validated")
    groups = np.concatenate([rows.groups[checked] for _, checked in search.bench.folds])
    truth = job.about_positive(outcome).truth == 1
    return _Bound(constraint, cells_of(constraint.kind, truth, groups, TOO_FEW_BELOW), job, groups)


@dataclass
class _Walk:
    """Prices tried one after the other: the two that the first model's chances suggest, then nearer to what is allowed.

    Too wide everywhere: prices rise where rates are still apart, in proportion (subgradient ascent of the dual). Once
    some are alike enough, half way back to the nearest that are more accurate.
    """

    search: Search
    bound: _Bound
    base: Candidate
    tried: list[_Tried]
    full: Floats = field(default_factory=lambda: np.zeros(0))
    """The prices that leave no difference, were the chances of the first model true."""
    scale: float = 0.0
    """Price for each unit of a rate."""
    climbed: list[_Tried] = field(default_factory=list)
    """Where prices were risen from."""

    def go(self, seconds: float) -> str:
        """Add points while time is left; returns why it ended."""
        begun, folds = time.monotonic(), len(self.search.bench.folds)
        if self.tried[0].candidate.algorithm is CONSTANT:
            return "a constant guess answers all groups alike"
        slowest = self.base.fit_seconds * folds
        for prices in self._suggestions():
            spent = time.monotonic() - begun
            if spent + SAFETY * slowest > seconds:
                return f"stopped by the clock after {len(self.tried) - 1} fits under prices"
            algorithm = self.bound.priced(self.base, prices)
            try:
                candidate = self.search.validate(algorithm, self.base.trial.parameters, seconds - spent)
            except _OneAnswerError:
                return f"higher prices than those of {len(self.tried) - 1} fits leave one answer for all rows"
            measured = candidate.outcome and self.bound.measured(candidate.outcome, self.bound.groups)
            if candidate.trial.note == CUT or not measured:
                return f"stopped by the clock after {len(self.tried) - 1} fits under prices"
            slowest = max(slowest, candidate.trial.seconds)
            self.tried.append(_Tried(prices, candidate, measured))
        return f"{len(self.tried) - 1} fits under prices"

    def _suggestions(self) -> Iterator[Floats]:
        bound, allowed = self.bound, self.bound.constraint.allowed
        if self.base.outcome is None:
            raise ValueError("an abandoned candidate cannot be taken")
        outcome = bound.job.about_positive(self.base.outcome)
        drawn = random_rows(outcome.truth.astype(str), MOST_PRICED_ROWS, self.search.seed)
        chance, groups = outcome.predicted[drawn, 1], bound.groups[drawn]
        self.full = prices_for(bound.cells, chance, groups, 0.0)
        gaps = rate_gaps(bound.cells, chance, chance > 0.5, groups)
        self.scale = float(np.abs(self.full).sum() / np.abs(gaps).sum()) if gaps.any() else 0.0
        yield self.full
        yield prices_for(bound.cells, chance, groups, allowed)
        while len(self.tried) <= MOST_POINTS:
            prices = self._next()
            if prices is None:
                return
            yield prices

    def _next(self) -> Floats | None:
        """The next prices to try; None where they are near enough."""
        allowed = self.bound.constraint.allowed
        nearest = _best(self.tried, allowed)
        if nearest is self.tried[0]:
            return None
        if nearest.measured.difference.value > allowed:
            return self._higher(nearest)
        better = [one for one in self.tried if one.measured.accuracy.value > nearest.measured.accuracy.value]
        if not better:
            return None
        beside = min(better, key=lambda one: float(np.abs(one.prices - nearest.prices).sum()))
        between, finest = (beside.prices + nearest.prices) / 2, FINEST * np.abs(self.full).sum()
        return None if any(np.abs(one.prices - between).sum() < finest for one in self.tried) else between

    def _higher(self, start: _Tried) -> Floats:
        """Prices risen by what the rates are still apart; by half as much each time from the same start."""
        outcome, bound = start.candidate.outcome, self.bound
        if outcome is None:
            raise ValueError("an abandoned candidate is not a point")
        turned = bound.job.about_positive(outcome)
        gaps = rate_gaps(bound.cells, turned.truth, turned.choice == 1, bound.groups)
        share = 0.5 ** sum(one is start for one in self.climbed)
        self.climbed.append(start)
        return np.asarray(start.prices + share * self.scale * gaps)

    def points(self, taken: _Tried) -> tuple[FrontierPoint, ...]:
        """What was tried, from the lowest prices to the highest."""
        size = float(np.abs(self.full).sum()) or 1.0
        places = {id(one): (-one.measured.accuracy.value, one.measured.difference.value) for one in self.tried}
        found = [
            FrontierPoint(
                **dict(one.measured),
                strength=float(np.abs(one.prices).sum()) / size,
                chosen=one is taken,
                dominated=any(_dominates(place, places[id(one)]) for place in places.values()),
            )
            for one in self.tried
        ]
        return tuple(sorted(found, key=lambda point: point.strength))


def _best(tried: Sequence[_Tried], allowed: float) -> _Tried:
    """Without prices where that is alike enough; else the most accurate that is, or the most alike."""
    alike = [one for one in tried if one.measured.difference.value <= allowed]
    if tried[0] in alike:
        return tried[0]
    if alike:
        return max(alike, key=lambda one: (one.measured.accuracy.value, -one.measured.difference.value))
    return min(tried, key=lambda one: (one.measured.difference.value, -one.measured.accuracy.value))


def _dominates(place: tuple[float, float], other: tuple[float, float]) -> bool:
    return place != other and all(a <= b for a, b in zip(place, other, strict=True))


def _notes(frontier: Frontier, ended: str) -> tuple[str, ...]:
    """What a reader has to know of the trade; each sentence has its translation in `reports/languages`."""
    chosen, first = frontier.chosen, frontier.unconstrained
    if chosen is None or first is None:
        raise ValueError("a frontier has the model without the constraint, and one that was taken")
    title = f"Fairness constraint ({frontier.constraint.title})"
    unmet = f"The allowed difference was not reached: nothing that was tried is more alike ({ended})."
    if chosen is first:
        kept = f"{title}: on validation rows the model without it differs by {_ends(first.difference)}, and is kept."
        return (kept,) if frontier.met else (kept, unmet)
    return (
        f"{title}: on validation rows the {chosen.difference.rate} of two groups differs by at most "
        f"{_ends(chosen.difference)}, without the constraint by {_ends(first.difference)}; {chosen.accuracy.value:.1%} "
        f"of the answers are right, without it {first.accuracy.value:.1%}.",
        *(() if frontier.met else (unmet,)),
        ITS_PROBABILITIES,
    )


def _ends(share: Share) -> str:
    return f"{share.value:.3f} (95 % interval {share.low:.3f} to {share.high:.3f})"


def tested(search: Search, choice: Choice, job: Job, kept: Outcome, without: Outcome | None) -> Frontier | None:
    """The frontier with what the model that is kept, and the one without the constraint, come to on the test rows."""
    if choice.frontier is None or job.source.groups is None or not choice.frontier.points:
        return choice.frontier
    bound, groups = _bind(search, choice, job, choice.frontier.constraint), job.source.groups[job.test_rows]
    measured = bound.measured(kept, groups)
    first = bound.measured(without, groups) if without else measured
    return choice.frontier.model_copy(update={"test_with": measured, "test_without": first})
