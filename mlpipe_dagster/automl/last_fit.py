"""The last fit of the candidate that is taken: on all training rows, or as many as the time that is left allows.

Where the search saw them all, with the rounds it found. Where it saw a sample, its validation rows stay out once more:
many more rows bear more rounds, these rows say how many, and whether the fit that the clock may cut is the better one.
"""

import time
from dataclasses import dataclass, replace

from sklearn.pipeline import Pipeline

from mlpipe_dagster.automl.algorithms import Limits, Parameters, predict
from mlpipe_dagster.automl.bench import Bench, Source, assemble, encoded
from mlpipe_dagster.automl.metrics import Outcome, loss
from mlpipe_dagster.automl.model import TrainingSpec
from mlpipe_dagster.automl.search import Candidate, Search
from mlpipe_dagster.automl.target import Rows

SAFETY = 1.3
"""Estimates of fitting time are stretched by this much."""
ROWS_BEFORE_ROUNDS = 2.0
"""So many times the rows that the time suffices for are fitted on where a fit may be cut: rather all rows with half of
the rounds than half of the rows."""

MOST_HURRY, MOST_RATE = 3.0, 0.3
"""A boosting that has too little time learns at most so many times as much a round, and at most at that rate."""


@dataclass(frozen=True)
class LastFit:
    """The pipeline that is kept, the training rows it saw and what is to be said about it."""

    pipeline: Pipeline
    rows: int
    notes: tuple[str, ...]
    outcome: Outcome | None = None
    """What it predicts of the validation rows; None where it saw them."""


def expected_refit_seconds(candidate: Candidate, search: Search, source: Source) -> float:
    """Likely seconds to encode and fit all training rows, from what a fold took; none where it is not fitted again.

    What may be cut by the clock needs less.
    """
    if not candidate.algorithm.fitted_again:
        return 0.0
    bench = search.bench
    a_row = (candidate.fit_seconds + bench.encode_seconds) / max(len(bench.folds[0][0]), 1)
    likely = SAFETY * a_row * len(source.rows)
    return likely if _held_out(bench, source) is None else likely / ROWS_BEFORE_ROUNDS


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
    held_out = _held_out(bench, source)
    likely = expected_refit_seconds(candidate, search, source)
    most = every if likely <= seconds else int(every * max(seconds, 0.0) / likely)
    if most < every and most <= fold_rows:
        note = f"No time was left to fit again on all {every} training rows: the fit on {fold_rows} of them is kept."
        return validated_fit(candidate, bench, note)
    ends_at = time.monotonic() + seconds
    rows = source.draw(most, spec.seed, without=held_out)
    seen = len(rows.labels)
    check = None if held_out is None else bench.rows.take(bench.folds[0][1])
    encoders, data = encoded(algorithm.family, rows, bench.classes, spec.mitigation, spec.seed, check)
    limits = Limits(ends_at, spec.seed, spec.threads, candidate.rounds)
    settings: Parameters = candidate.trial.parameters
    if held_out is not None:
        limits = replace(limits, rounds=None)
        settings = _hurried(settings, ROWS_BEFORE_ROUNDS * likely * len(data.labels) / every, seconds)
    fitted = algorithm.fit(settings, data, limits)
    notes = (f"Fitted on {seen} of {every} training rows, as many as the budget allows.",) * (seen < every)
    last = LastFit(assemble(bench.schema, encoders, fitted.estimator), seen, notes)
    if held_out is None:
        note = f"The last fit did not end in time: the fit on {fold_rows} of {every} training rows is kept."
        return validated_fit(candidate, bench, note) if fitted.cut else last
    outcome = Outcome(data.truth_to_check(), predict(fitted.estimator, data.check_features))
    if loss(outcome) < candidate.loss:
        return replace(last, outcome=outcome)
    note = f"The fit on {fold_rows} of {every} training rows is kept: one on {seen} did no better on validation rows."
    return validated_fit(candidate, bench, note)


def _hurried(settings: Parameters, likely: float, seconds: float) -> Parameters:
    """Where the time suffices for a part of the rounds, each of them learns so much more."""
    rate = settings.get("learning_rate")
    if not isinstance(rate, float) or likely <= seconds:
        return settings
    return {**settings, "learning_rate": min(rate * min(likely / seconds, MOST_HURRY), max(rate, MOST_RATE))}


def _held_out(bench: Bench, source: Source) -> Rows | None:
    """Where the validation rows are among the training rows, if these are to stay out of the last fit.

    Not where all rows were searched with, or rows belong together: others of them would be among those fitted on.
    """
    places = bench.rows.places
    if places is None or source.bond is not None or len(places) == len(source.rows) or len(bench.folds) > 1:
        return None
    return places[bench.folds[0][1]]
