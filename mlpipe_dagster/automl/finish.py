"""The end of a training: probabilities calibrated, scores on untouched rows, suspicion, and all of it as one result.

What is taken and fitted is decided before, in `choice.py` and `train.py`.
"""

import pickle
import time
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from mlpipe_dagster.automl.algorithms import CONSTANT, predict
from mlpipe_dagster.automl.calibration import Calibrated, Scaling, helpful_scaling
from mlpipe_dagster.automl.choice import Choice
from mlpipe_dagster.automl.constrained import tested
from mlpipe_dagster.automl.fairness.frontier import Frontier
from mlpipe_dagster.automl.fairness.measure import measure_fairness
from mlpipe_dagster.automl.fairness.overall import consistency
from mlpipe_dagster.automl.fairness.report import Fairness
from mlpipe_dagster.automl.groups import groupings
from mlpipe_dagster.automl.job import Job
from mlpipe_dagster.automl.last_fit import LastFit
from mlpipe_dagster.automl.metrics import (
    CLASSIFICATION,
    REGRESSION,
    Outcome,
    improvement,
    loss,
    measure,
    published_score,
)
from mlpipe_dagster.automl.model import Estimate, Speed, Threshold, TrainedModel, Trial
from mlpipe_dagster.automl.preparation import feature_names
from mlpipe_dagster.automl.search import Candidate, Search
from mlpipe_dagster.automl.suspicion import learnt_by_heart, one_column, too_good
from mlpipe_dagster.automl.target import Rows
from mlpipe_dagster.automl.thresholds import thresholds
from mlpipe_dagster.bias.intervals import Z95

MOST_WEIGHED = 5
MOST_TIMED = 1_000
MOST_TRAINING_SCORED = 5_000
"""Beyond that many training rows, the training score is taken on a random part as large as the test split."""


@dataclass(frozen=True)
class LastFits:
    """The model and its baseline, fitted on the training rows; None: the baseline is the constant guess."""

    model: LastFit
    baseline: LastFit | None
    constant: Candidate
    unconstrained: LastFit | None = None
    """What would be kept without a fairness constraint, where that is another model."""


@dataclass(frozen=True)
class _Scores:
    training: Estimate
    validation: Estimate
    test: dict[str, Estimate]
    baseline: Estimate
    beats_baseline: bool
    outcome: Outcome
    frontier: Frontier | None
    notes: tuple[str, ...]


def evaluation_seconds(search: Search, best: Candidate | None, job: Job) -> float:
    """Likely seconds of the evaluation: encoding and predicting, and the bootstrap of the metrics."""
    scored = len(job.test_rows) + min(len(job.training_rows), len(job.test_rows), MOST_TRAINING_SCORED) + MOST_TIMED
    a_row = 0.5 * search.bench.encode_seconds / max(len(search.bench.folds[0][0]), 1)
    a_row += 1e-6 * (best.trial.predict_ms or 0.0 if best else 0.0)
    bootstrap = 0.3 * min(1.0, len(job.test_rows) / 8000) * (1 + len(job.target.classes) / 20)
    likely = 0.1 + scored * a_row + bootstrap
    return max(likely, 1.2 * search.finishing_seconds)  # on this machine, as busy as it is


def constant_of(search: Search) -> Candidate:
    """The constant guess among the candidates."""
    return next(candidate for candidate in search.candidates if candidate.algorithm is CONSTANT)


def finish(search: Search, choice: Choice, fits: LastFits, job: Job) -> TrainedModel:
    """The fits that were made last as a result, with all that is to be said of it."""
    with search.clock.entry("evaluation"):
        fits = _calibrated(fits, choice, job)
        scores = _evaluate(fits, search, choice, job)
        suspect = _suspicions(search, choice, scores, job)
    notes = (
        *job.notes,
        *_sample_notes(search, job),
        *search.notes,
        *choice.notes,
        *_not_constrained(choice, job),
        *fits.model.notes,
        *scores.notes,
        *suspect,
    )
    return _assemble(job, search, choice, fits, scores, notes)


def _not_constrained(choice: Choice, job: Job) -> tuple[str, ...]:
    """Said of what is kept while a search goes on: the constraint is held after it."""
    if job.spec.constraint is None or choice.frontier is not None:
        return ()
    return (
        f"The fairness constraint ({job.spec.constraint.title}) is not held: there was no time for it. Allow more.",
    )


def _calibrated(fits: LastFits, choice: Choice, job: Job) -> LastFits:
    """The model with its probabilities scaled where that clearly helps; never where rows were weighted on purpose.

    What a fairness constraint binds are the answers: they stay as they are.
    """
    mitigated = job.source.groups is not None and job.spec.mitigation is not None
    found = None if mitigated else helpful_scaling(_validated(choice), answers_stay=job.spec.constraint is not None)
    if found is None:
        return fits
    scaling, saved = found
    note = f"Its probabilities were calibrated, which saves {saved:.3g} of log loss on validation rows."
    *before, (name, estimator) = fits.model.pipeline.steps
    scaled = Pipeline([*before, (name, Calibrated(estimator, scaling.slope, list(scaling.offsets)))])
    return replace(fits, model=replace(fits.model, pipeline=scaled, notes=(*fits.model.notes, note)))


def _validated(choice: Choice) -> Outcome:
    if choice.taken.outcome is None:
        raise ValueError("an abandoned candidate cannot be taken")
    return choice.taken.outcome


def _suspicions(search: Search, choice: Choice, scores: _Scores, job: Job) -> tuple[str, ...]:
    name = _metric_name(job)
    test, constant = scores.test[name], constant_of(search).outcome
    notes = (*too_good(test, name), *learnt_by_heart(scores.training, test, name))
    if constant is None:
        return notes
    # on the first fold's rows alone: they are what a column alone is held against
    rows = slice(0, len(search.bench.folds[0][1]))
    first = [outcome.take(rows) for outcome in (_validated(choice), constant)]
    return (*notes, *one_column(search.bench, search.clock, first[0], first[1], job.spec.seed))


def _outcome(fit: LastFit, job: Job, rows: Rows) -> Outcome:
    truth = np.searchsorted(job.target.rows, rows)
    return Outcome(job.target.truth()[truth], predict(fit.pipeline, job.table.iloc[rows]))


def _evaluate(fits: LastFits, search: Search, choice: Choice, job: Job) -> _Scores:
    """Scores on training and test rows; the model against its baseline and a constant guess on the test rows."""
    name = _metric_name(job)
    seen = job.training_rows
    if len(seen) > MOST_TRAINING_SCORED:
        most = max(1000, min(MOST_TRAINING_SCORED, len(job.test_rows)))
        seen = np.sort(np.random.default_rng(job.spec.seed).choice(seen, most, replace=False))
    model = _outcome(fits.model, job, job.test_rows)
    # a constant guess needs no columns
    constant = Outcome(model.truth, predict(fits.constant.first.estimator, np.zeros((len(model.truth), 1))))
    baseline = _outcome(fits.baseline, job, job.test_rows) if fits.baseline else constant
    unconstrained = _outcome(fits.unconstrained, job, job.test_rows) if fits.unconstrained else None
    published_score(model)  # refuses test rows that do not vary
    test = measure(job.about_positive(model), job.spec.seed)
    saved, error = improvement(model, constant)
    clearly_over_constant = saved > Z95 * error
    ahead = loss(model) < loss(baseline)
    said = () if choice.taken.algorithm is CONSTANT else _verdict(choice, clearly_over_constant, ahead, model, baseline)
    validated = _validated(choice)
    return _Scores(
        training=measure(_outcome(fits.model, job, seen), job.spec.seed, only=name)[name],
        validation=measure(validated, job.spec.seed, only=name)[name],
        test=test,
        baseline=measure(baseline, job.spec.seed, only=name)[name],
        beats_baseline=clearly_over_constant and ahead,
        outcome=model,
        frontier=tested(search, choice, job, model, unconstrained),
        notes=(*said, *_right_less_often(model, constant, clearly_over_constant)),
    )


def _verdict(
    choice: Choice, clearly_over_constant: bool, ahead: bool, model: Outcome, baseline: Outcome
) -> tuple[str, ...]:
    notes = []
    what = "log loss" if model.predicted.ndim == 2 else "RMSE"
    against = f"{what} {loss(model):.4g} against {loss(baseline):.4g}"
    rival = f"the {choice.baseline.algorithm.name} baseline"
    if not clearly_over_constant:
        notes.append(
            f"The model does not beat a constant guess on the test split beyond chance ({rival}: {against}). "
            "The columns may say nothing about the target."
        )
    elif not ahead:
        why = (
            "That is the price of the constraint."
            if choice.unconstrained
            else "The choice was made on validation rows."
        )
        notes.append(f"On the test split {rival} did as well or better: {against}. {why}")
    return tuple(notes)


def _right_less_often(model: Outcome, constant: Outcome, clearly_over_constant: bool) -> tuple[str, ...]:
    """Better probabilities need not be more right answers: where classes are uneven, said in so many words."""
    if not clearly_over_constant or model.predicted.ndim == 1:
        return ()
    right, guessed = published_score(model), published_score(constant)
    if right > guessed:
        return ()
    return (
        f"Its most probable class is right for {right:.1%} of the test rows; always answering the most common one is "
        f"right for {guessed:.1%}. What it is better at are the probabilities (log loss {loss(model):.4g} against "
        f"{loss(constant):.4g}): use them to rank rows, or with a threshold for your goal.",
    )


def _sample_notes(search: Search, job: Job) -> tuple[str, ...]:
    every, sample = len(job.training_rows), len(search.bench.rows.labels)
    notes = []
    if sample < every:
        notes.append(f"The search used {sample} of {every} training rows, as many as the budget allows.")
    folds = len(search.bench.folds)
    notes.append(
        "Candidates were compared on 20 % of those rows, held out from their fitting."
        if folds == 1
        else f"Candidates were compared by {folds}-fold cross-validation."
    )
    return tuple(notes)


def _metric_name(job: Job) -> str:
    return next(iter(CLASSIFICATION if job.target.classes else REGRESSION))


def _loss_name(job: Job) -> str:
    return "log loss" if job.target.classes else "RMSE"


def _leaderboard(search: Search) -> tuple[Trial, ...]:
    """Candidates by their loss, then what an engine says of its own trials, then what was abandoned."""
    ranked = sorted(search.candidates, key=lambda candidate: (candidate.loss, candidate.trial.loss))
    finished = [_with_size(candidate) for candidate in ranked[:MOST_WEIGHED] if candidate.outcome]
    finished += [candidate.trial for candidate in ranked[MOST_WEIGHED:] if candidate.outcome]
    abandoned = [candidate.trial for candidate in ranked if not candidate.outcome]
    return (*finished, *sorted(search.told, key=lambda trial: trial.loss), *abandoned)


def _with_size(candidate: Candidate) -> Trial:
    """The trial with the bytes of its fit of the first fold, as pickle writes it; nothing of it is ever read."""
    size = len(pickle.dumps(candidate.first.estimator, pickle.HIGHEST_PROTOCOL))
    return candidate.trial.model_copy(update={"size_bytes": size})


def _assemble(
    job: Job, search: Search, choice: Choice, fits: LastFits, scores: _Scores, notes: tuple[str, ...]
) -> TrainedModel:
    name = _metric_name(job)
    names, origins = feature_names(job.schema, fits.model.pipeline.named_steps["features"])
    with search.clock.entry("group metrics"):
        fairness = _fairness(job, fits.model.pipeline, origins, scores.outcome)
    return TrainedModel(
        estimator=fits.model.pipeline,
        spec=job.spec,
        schema=job.schema,
        classes=job.target.classes or None,
        algorithm=choice.taken.algorithm.name,
        parameters=choice.taken.trial.parameters,
        framework="sklearn",
        feature_names=names,
        feature_origins=origins,
        metric_name=name,
        loss_name=_loss_name(job),
        training_score=scores.training,
        validation_score=scores.validation,
        test_score=scores.test[name],
        metrics=scores.test,
        baseline_algorithm=choice.baseline.algorithm.name,
        baseline_score=scores.baseline,
        beats_baseline=scores.beats_baseline,
        is_baseline=choice.taken.trial.baseline,
        leaderboard=_leaderboard(search),
        budget_seconds=search.clock.budget,
        budget=tuple(search.clock.entries),
        notes=notes,
        trained_rows=fits.model.rows,
        test_rows=tuple(int(row) for row in job.test_rows),
        fairness=fairness,
        frontier=scores.frontier,
        thresholds=_thresholds(choice, fits.model.pipeline, scores.outcome, job),
        speed=_speed(fits.model.pipeline, job),
    )


def _thresholds(choice: Choice, pipeline: Pipeline, test: Outcome, job: Job) -> tuple[Threshold, ...]:
    """None for a constant guess, which no threshold parts."""
    if choice.taken.algorithm is CONSTANT:
        return ()
    validated = _scaled(_validated(choice), pipeline)
    return thresholds(job.about_positive(validated), job.about_positive(test))


def _scaled(validated: Outcome, pipeline: Pipeline) -> Outcome:
    """The validation rows as the model would answer them now."""
    last = pipeline[-1]
    if not isinstance(last, Calibrated):
        return validated
    return Outcome(validated.truth, Scaling(last.slope, tuple(last.offsets)).apply(validated.predicted))


def _speed(pipeline: Pipeline, job: Job) -> Speed:
    """What one row and up to 1,000 rows take, from raw columns to predictions; the best of three for one row."""
    one, many = job.table.iloc[job.test_rows[:1]], job.table.iloc[job.test_rows[:MOST_TIMED]]

    def milliseconds(rows: pd.DataFrame) -> float:
        begun = time.perf_counter()
        predict(pipeline, rows)
        return 1000 * (time.perf_counter() - begun)

    return Speed(one_row=min(milliseconds(one) for _ in range(3)), many_rows=milliseconds(many), rows=len(many))


def _fairness(job: Job, pipeline: Pipeline, origins: tuple[str, ...], outcome: Outcome) -> Fairness:
    """What the answers on the test rows mean for groups; like rows are like in all columns but the sensitive ones."""
    if not job.spec.sensitive:
        return Fairness()
    about = job.about_positive(outcome)
    classes = job.target.classes if about is outcome else job.target.classes[::-1]
    found = measure_fairness(groupings(job.table, job.spec.sensitive, job.test_rows), about, classes)
    if not job.target.classes:
        return found
    neutral = [at for at, origin in enumerate(origins) if origin not in job.spec.sensitive]
    features = np.asarray(pipeline[:-1].transform(job.table.iloc[job.test_rows]), dtype=np.float64)[:, neutral]
    alike = consistency(features, outcome.choice.astype(np.float64), job.spec.seed)
    return found.model_copy(update={"overall": (*found.overall, *((alike,) if alike else ()))})
