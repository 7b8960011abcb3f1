"""The last fit of the candidate that is taken: on all training rows, or as many as the time that is left allows.

Where the search saw them all, with the rounds it found. Where it saw a sample, its validation rows stay out once more:
many more rows bear more rounds, these rows say how many, and whether the fit that the clock may cut is the better one.
"""

import time
from dataclasses import dataclass, replace

import numpy as np
from sklearn.pipeline import Pipeline

from mlpipe_dagster.automl.algorithms import Algorithm, Limits, Parameters, predict
from mlpipe_dagster.automl.bench import Bench, Rowset, Source, assemble, encoded
from mlpipe_dagster.automl.metrics import Outcome, loss
from mlpipe_dagster.automl.model import TrainingSpec
from mlpipe_dagster.automl.search import Candidate, Search
from mlpipe_dagster.automl.target import Rows

SAFETY = 1.3
"""Estimates of fitting time are stretched by this much."""
ROWS_BEFORE_ROUNDS = 6.0
"""So many times the rows that the time suffices for are fitted on where a fit may be cut: rather all rows with a sixth
of the rounds than a sixth of the rows."""
FEWEST_ROUNDS = 0.5
"""Time for that share of the rounds on all rows is kept from the search."""

MOST_HURRY, MOST_RATE, LEAST_REGULAR = 3.0, 0.3, 1.0
"""A boosting that has too little time learns at most so many times as much a round, and at most at that rate; and with
at least that L2 penalty, without which large steps on rare classes grow without end."""
MOST_MORE_LEAVES = 4.0
LEAVES, PENALTIES = ("num_leaves", "max_leaf_nodes"), ("reg_lambda", "l2_regularization")
RIVAL_MARGIN, RIVAL_QUICKER = 1.08, 2.0
"""A rival lost by at most 8 % on the sample, and takes at most half of the time for a row."""


@dataclass(frozen=True)
class LastFit:
    """The pipeline that is kept, the training rows it saw and what is to be said about it."""

    pipeline: Pipeline
    rows: int
    notes: tuple[str, ...]
    outcome: Outcome | None = None
    """What it predicts of the validation rows; None where it saw them, or is as it was validated."""

    def validated_loss(self, candidate: Candidate) -> float:
        """On the validation rows, of this fit of a candidate."""
        return candidate.loss if self.outcome is None else loss(self.outcome)


def expected_refit_seconds(candidate: Candidate, search: Search, source: Source) -> float:
    """Likely seconds to encode and fit all training rows, from what a fold took; none where it is not fitted again.

    What may be cut by the clock needs less.
    """
    if not candidate.algorithm.fitted_again:
        return 0.0
    bench = search.bench
    likely = SAFETY * (candidate.fit_seconds + bench.encode_seconds) * bench.times_a_fold
    return FEWEST_ROUNDS * likely if _is_checked(bench, source) else likely


def validated_fit(candidate: Candidate, bench: Bench, *notes: str) -> LastFit:
    """The fit of the first fold as it was validated."""
    pipeline = bench.pipeline(candidate.algorithm.family, 0, candidate.first.estimator)
    return LastFit(pipeline, len(bench.folds[0][0]), notes)


def refit(candidate: Candidate, search: Search, source: Source, spec: TrainingSpec, seconds: float) -> LastFit:
    """Fit `candidate` once more on all training rows within about `seconds`.

    On fewer rows where the time does not suffice for all; the fit of the first fold is kept where it would see no
    more rows than that did, or did better on the validation rows.
    """
    bench, algorithm = search.bench, candidate.algorithm
    every, fold_rows = len(source.rows), len(bench.folds[0][0])
    if not algorithm.fitted_again:
        note = f"The model is kept as {algorithm.name} made it, fitted on {fold_rows} of {every} training rows."
        return validated_fit(candidate, bench, note)
    checked = _is_checked(bench, source)
    likely = expected_refit_seconds(candidate, search, source)
    suffices = every * max(seconds, 0.0) / likely if likely else every
    if checked:
        suffices *= FEWEST_ROUNDS * ROWS_BEFORE_ROUNDS
    most = every if suffices >= every else int(suffices)
    if most < every and most <= fold_rows:
        note = f"No time was left to fit again on all {every} training rows: the fit on {fold_rows} of them is kept."
        return validated_fit(candidate, bench, note)
    limits = Limits(time.monotonic() + seconds, spec.seed, spec.threads, None if checked else candidate.rounds)
    rows = source.draw(most, spec.seed, without=_validated_places(bench, source) if checked else None)
    seen = len(rows.labels)
    settings: Parameters = candidate.trial.parameters
    if checked:
        slower = likely / FEWEST_ROUNDS * seen / every / max(seconds, 1e-3)
        settings = _hurried(_larger(settings, seen / fold_rows), slower)
    last, cut = _fitted(algorithm, settings, bench, spec, rows, limits, checked)
    if last.outcome and loss(last.outcome) >= candidate.loss:
        note = (
            f"The fit on {fold_rows} of {every} training rows is kept: one on {seen} did no better on validation rows."
        )
        return validated_fit(candidate, bench, note)
    if cut and not checked:
        note = f"The last fit did not end in time: the fit on {fold_rows} of {every} training rows is kept."
        return validated_fit(candidate, bench, note)
    notes = (f"Fitted on {seen} of {every} training rows, as many as the budget allows.",) * (seen < every)
    return replace(last, notes=notes)


def _fitted(
    algorithm: Algorithm,
    settings: Parameters,
    bench: Bench,
    spec: TrainingSpec,
    rows: Rowset,
    limits: Limits,
    check: bool,
) -> tuple[LastFit, bool]:
    """A fit on these rows, checked on the validation rows or not, and whether the clock cut it."""
    checked = bench.rows.take(bench.folds[0][1]) if check else None
    encoders, data = encoded(algorithm.family, rows, bench.classes, spec.mitigation, spec.seed, checked)
    fitted = algorithm.fit(settings, data, limits)
    outcome = Outcome(data.truth_to_check(), predict(fitted.estimator, data.check_features)) if check else None
    pipeline = assemble(bench.schema, encoders, fitted.estimator)
    return LastFit(pipeline, len(rows.labels), (), outcome), fitted.cut


def quick_rival(taken: Candidate, search: Search, source: Source, seconds: float) -> Candidate | None:
    """What may do better than `taken` by seeing more rows, where `seconds` do not suffice for it to see them all: the
    best of another kind that came close on the sample and is much quicker."""
    if not _is_checked(search.bench, source) or expected_refit_seconds(taken, search, source) <= seconds:
        return None
    rivals = (
        candidate
        for candidate in search.candidates
        if candidate.outcome
        and not candidate.trial.baseline  # the model would be held against itself
        and candidate.algorithm.family == "trees"
        and candidate.algorithm.name != taken.algorithm.name
        and candidate.algorithm.fitted_again
        and candidate.loss <= RIVAL_MARGIN * taken.loss
        and candidate.fit_seconds * RIVAL_QUICKER <= taken.fit_seconds
    )
    return min(rivals, key=lambda candidate: candidate.loss, default=None)


def _larger(settings: Parameters, more: float) -> Parameters:
    """So many times as many rows bear larger trees."""
    larger = min(max(more, 1.0) ** 0.5, MOST_MORE_LEAVES)
    return {**settings, **{name: round(larger * float(settings[name] or 0)) for name in LEAVES if name in settings}}


def _hurried(settings: Parameters, slower: float) -> Parameters:
    """Where all rounds would take so many times as long as there is time for, each of them learns so much more."""
    rate = settings.get("learning_rate")
    if not isinstance(rate, float) or slower <= 1:
        return settings
    faster = min(rate * min(slower, MOST_HURRY), max(rate, MOST_RATE))
    penalties = {name: max(float(settings[name] or 0), LEAST_REGULAR) for name in PENALTIES if name in settings}
    return {**settings, "learning_rate": faster, **penalties}


def _is_checked(bench: Bench, source: Source) -> bool:
    """Whether the validation rows stay out of the last fit, to check it on.

    Not where all rows were searched with, or validation rows are the latest: those say most of a time to come.
    """
    places, latest = bench.rows.places, source.bond is not None and source.bond.kind == "time"
    return places is not None and len(places) < len(source.rows) and len(bench.folds) == 1 and not latest


def _validated_places(bench: Bench, source: Source) -> Rows:
    """Where the validation rows, and all that belong to them, are among the training rows."""
    if bench.rows.places is None:
        raise ValueError("these rows are not known among the training rows")
    validated = bench.rows.places[bench.folds[0][1]]
    if source.bond is None:
        return validated
    codes = source.bond.codes[source.target.rows[source.rows]]
    return np.flatnonzero(np.isin(codes, codes[validated]))
