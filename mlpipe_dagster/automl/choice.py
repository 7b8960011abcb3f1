"""After the search: which candidate is taken, and its last fit on all training rows.

The choice is made on validation rows; the test split is not known here.
"""

import time
from dataclasses import dataclass

import numpy as np
from sklearn.pipeline import Pipeline

from mlpipe_dagster.automl.algorithms import CONSTANT, LINEAR, FitData, Limits
from mlpipe_dagster.automl.bench import Bench, Source, assemble, mitigated, quiet_rare_classes
from mlpipe_dagster.automl.metrics import improvement
from mlpipe_dagster.automl.model import TrainingSpec
from mlpipe_dagster.automl.preparation import encoder
from mlpipe_dagster.automl.search import Candidate, Search
from mlpipe_dagster.bias.intervals import Z95

SAFETY = 1.3
"""Estimates of fitting time are stretched by this much."""


@dataclass(frozen=True)
class Choice:
    """The candidate taken, the baseline to hold it against, and why."""

    taken: Candidate
    baseline: Candidate
    notes: tuple[str, ...]


def choose(search: Search) -> Choice:
    """The best candidate, where it is better on validation rows than all that is simpler; else the simplest that is.

    Better is a lower log loss or RMSE: by more than chance (95 %) than a constant guess, since many are tried; by one
    standard error than a linear model. Where nothing is better than a constant guess, that is taken, and said.
    """
    baselines = [candidate for candidate in search.candidates if candidate.trial.baseline and candidate.outcome]
    constant = next(candidate for candidate in baselines if candidate.algorithm is CONSTANT)
    useful = [c for c in search.candidates if c.algorithm is not CONSTANT and clearly_better(c, constant, Z95)]
    if not useful:
        baseline = min((c for c in baselines if c is not constant), key=lambda c: c.loss, default=constant)
        return Choice(constant, baseline, (_nothing_better(search, constant),))
    taken, linear = min(useful, key=lambda c: c.loss), _best_linear(search)
    notes: tuple[str, ...] = ()
    if linear in useful and linear is not taken and not clearly_better(taken, linear):
        if taken.algorithm is not LINEAR:
            name = taken.algorithm.name
            notes = (f"{name} was not clearly better than a linear model on validation rows: linear is taken.",)
        taken = linear
    if taken.trial.baseline:
        notes = (*notes, f"The best baseline itself is taken ({taken.algorithm.name}): nothing beat it in validation.")
    baseline = min((c for c in baselines if c is not taken), key=lambda c: c.loss)
    return Choice(taken, baseline, notes)


def _nothing_better(search: Search, constant: Candidate) -> str:
    tried = min((c.loss for c in search.candidates if c is not constant), default=float("inf"))
    against = f" (loss {tried:.4g} against {constant.loss:.4g})" if np.isfinite(tried) else ""
    return (
        "Nothing that was tried predicts the validation rows better, beyond chance, than the same answer for every "
        f"row{against}. That constant guess is what is kept: it reads no column and tells no rows apart. "
        "Add rows or columns that say more about the target, or allow more time."
    )


def _best_linear(search: Search) -> Candidate | None:
    """The linear baseline, unless other settings are clearly better than its."""
    best = search.best(LINEAR.name)
    plain = next((c for c in search.candidates if c.trial.baseline and c.algorithm is LINEAR), None)
    return best if best is None or plain is None or clearly_better(best, plain) else plain


def clearly_better(candidate: Candidate, other: Candidate, errors: float = 1.0) -> bool:
    """Lower validation loss by more than so many standard errors of the paired difference."""
    if candidate.outcome is None or other.outcome is None:
        return False
    saved, error = improvement(candidate.outcome, other.outcome)
    return saved > errors * error


@dataclass(frozen=True)
class LastFit:
    """The pipeline that is kept, the training rows it saw and what is to be said about it."""

    pipeline: Pipeline
    rows: int
    notes: tuple[str, ...]


def expected_refit_seconds(candidate: Candidate, bench: Bench, rows: int) -> float:
    """Likely seconds to encode and fit `rows` rows, from what a fold took; none where it is not fitted again."""
    if not candidate.algorithm.fitted_again:
        return 0.0
    a_row = (candidate.fit_seconds + bench.encode_seconds) / max(len(bench.folds[0][0]), 1)
    return SAFETY * a_row * rows


def validated_fit(candidate: Candidate, bench: Bench, *notes: str) -> LastFit:
    """The fit of the first fold as it was validated."""
    pipeline = bench.pipeline(candidate.algorithm.family, 0, candidate.first.estimator)
    return LastFit(pipeline, len(bench.folds[0][0]), notes)


def refit(candidate: Candidate, search: Search, source: Source, spec: TrainingSpec, seconds: float) -> LastFit:
    """Fit `candidate` once more on all training rows, with the rounds found, within about `seconds`.

    On fewer rows where the time does not suffice for all; the fit of the first fold is kept where it would see no
    more rows than that did.
    """
    bench, algorithm = search.bench, candidate.algorithm
    every, fold_rows = len(source.rows), len(bench.folds[0][0])
    if not algorithm.fitted_again:
        note = f"The model is kept as {algorithm.name} made it, fitted on {fold_rows} of {every} training rows."
        return validated_fit(candidate, bench, note)
    likely = expected_refit_seconds(candidate, bench, every)
    most = every if likely <= seconds else int(every * max(seconds, 0.0) / likely)
    if most < every and most <= fold_rows:
        note = f"No time was left to fit again on all {every} training rows: the fit on {fold_rows} of them is kept."
        return validated_fit(candidate, bench, note)
    ends_at = time.monotonic() + seconds
    rows = source.draw(most, spec.seed)
    seen = len(rows.labels)
    rows, weights = mitigated(rows, spec.mitigation, spec.seed)
    encoders = encoder(algorithm.family, rows.typed, bench.classes, spec.seed)
    with quiet_rare_classes():
        features = np.asarray(encoders.fit_transform(rows.typed, rows.labels), dtype=np.float64)
    data = FitData(features, rows.labels, weights=weights, blocks=encoders.output_indices_)
    limits = Limits(ends_at, spec.seed, spec.threads, candidate.rounds)
    fitted = algorithm.fit(candidate.trial.parameters, data, limits)
    if fitted.cut:
        note = f"The last fit did not end in time: the fit on {fold_rows} of {every} training rows is kept."
        return validated_fit(candidate, bench, note)
    notes = (f"Fitted on {seen} of {every} training rows, as many as the budget allows.",) * (most < every)
    return LastFit(assemble(bench.schema, encoders, fitted.estimator), seen, notes)
