"""`train`: a table, a target and a number of seconds in; a model with its honest scores out.

The order of the work and the use of the budget. What happens inside each step is in the modules it calls.
"""

import importlib
import pickle
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from mlpipe_dagster.automl import engines
from mlpipe_dagster.automl.algorithms import CONSTANT, LINEAR, boosting, limit_library_threads, predict
from mlpipe_dagster.automl.bench import Source, open_bench
from mlpipe_dagster.automl.calibration import Calibrated, Scaling, helpful_scaling
from mlpipe_dagster.automl.choice import Choice, LastFit, choose, expected_refit_seconds, refit, validated_fit
from mlpipe_dagster.automl.clock import Clock
from mlpipe_dagster.automl.columns import narrow, usable_columns
from mlpipe_dagster.automl.engines.known import Searching, known_engine, require_installed
from mlpipe_dagster.automl.fairness.measure import measure_fairness
from mlpipe_dagster.automl.fairness.overall import consistency
from mlpipe_dagster.automl.fairness.report import Fairness
from mlpipe_dagster.automl.groups import group_labels, groupings
from mlpipe_dagster.automl.metrics import (
    CLASSIFICATION,
    REGRESSION,
    Z95,
    Outcome,
    improvement,
    loss,
    measure,
    published_score,
)
from mlpipe_dagster.automl.model import Estimate, FeatureSchema, Speed, TrainedModel, TrainingSpec, Trial
from mlpipe_dagster.automl.preparation import feature_names
from mlpipe_dagster.automl.search import Candidate, Search, run_baselines
from mlpipe_dagster.automl.suspicion import learnt_by_heart, one_column, too_good
from mlpipe_dagster.automl.target import (
    Rows,
    Target,
    rare_class_note,
    read_target,
    require_columns,
    require_enough,
    split_test,
)
from mlpipe_dagster.automl.thresholds import thresholds
from mlpipe_dagster.bias.mitigation.rows import Codes
from mlpipe_dagster.bias.mitigation.signs import without_sensitive_trace
from mlpipe_dagster.errors import ModelError
from mlpipe_dagster.vocabulary import Mitigation, TaskKind

MOST_WEIGHED = 5
MOST_TIMED = 1_000
MOST_RESERVED = 0.4
"""Of the budget, at most this is kept back from the search for the last fits and the evaluation."""
MOST_TRAINING_SCORED = 5_000
"""Beyond that many training rows, the training score is taken on a random part as large as the test split."""
TEST_ROWS_A_SECOND = 2_000
"""The test split has at most this many rows for each second of budget."""
COLUMNS_A_SECOND = 200
"""At most this many columns are used for each second of budget."""
KEEPING_SHARE = 0.05
"""Of the time, about as much is spent on keeping the best so far."""


@dataclass(frozen=True)
class _Job:
    """A table made ready: split, typed, and what was noted on the way."""

    table: pd.DataFrame
    spec: TrainingSpec
    target: Target
    schema: FeatureSchema
    source: Source
    training_rows: Rows
    """Positions in the table."""
    test_rows: Rows
    notes: tuple[str, ...]


def train(
    table: pd.DataFrame,
    spec: TrainingSpec,
    budget_seconds: float,
    progress: Callable[[Trial], None] | None = None,
    keep: Callable[[TrainedModel], None] | None = None,
    clock: Clock | None = None,
    scratch: Path | None = None,
) -> TrainedModel:
    """Train the best model that `budget_seconds` of wall clock allow, counted from this call, everything included.

    That a step that never ends is ended all the same is the part of `apart.py`.

    Parameters
    ----------
    table: one row an observation; column names are texts, each once.
    progress: called with every trial as it ends, baselines included.
    keep: called with the best model so far, finished as if it were the last: after the baselines, and now and then.
    clock: one that runs already.
    scratch: a folder for what an engine leaves on disk, which belongs to the model; a new one where it is None.

    Raises
    ------
    TargetError, TaskError
        The target is absent, constant or empty; the task does not fit it.
    EngineError
        The engine of the specification is unknown, not installed, broke, or found nothing.
    ModelError
        Too few rows, no column to learn from, or held-out rows whose target does not vary.
    """
    with limit_library_threads("blas", 1):
        return _train(table, spec, clock or Clock(budget_seconds), progress, keep, scratch)


def _train(
    table: pd.DataFrame,
    spec: TrainingSpec,
    clock: Clock,
    progress: Callable[[Trial], None] | None,
    keep: Callable[[TrainedModel], None] | None,
    scratch: Path | None,
) -> TrainedModel:
    known = known_engine(spec.engine)
    require_installed(known)
    engine: Searching = importlib.import_module(f"{engines.__name__}.{known.name}")
    with clock.entry("preparation"):
        job = _prepare(table, spec, clock.budget)
        bench = open_bench(job.source, clock.budget, spec.seed, spec.mitigation, known.folds)
    algorithm, notes = boosting()
    job = replace(job, notes=(*job.notes, *notes))
    search = Search(bench, clock, algorithm, spec.seed, spec.threads, progress, scratch=scratch)
    keeper = _Keeper(search, job, keep)
    with clock.entry("baselines"):
        run_baselines(search)
    with clock.entry("best so far"):
        keeper.keep()
    search.between = keeper.keep_better
    with clock.entry("search"):
        ended = engine.search(search, lambda best: _reserve(search, best, job))
        clock.remark(f"{ended}{keeper.note()}")
    with clock.entry("last fit"):
        choice = choose(search)
        fits = _last_fits(search, choice, job)
    return _finish(search, choice, fits, job)


def _finish(search: Search, choice: Choice, fits: "_LastFits", job: _Job) -> TrainedModel:
    with search.clock.entry("evaluation"):
        fits = _calibrated(fits, choice, job)
        scores = _evaluate(fits, choice, job)
        suspect = _suspicions(search, choice, scores, job)
    notes = (
        *job.notes,
        *_sample_notes(search, job),
        *search.notes,
        *choice.notes,
        *fits.model.notes,
        *scores.notes,
        *suspect,
    )
    return _assemble(job, search, choice, fits, scores, notes)


def _calibrated(fits: "_LastFits", choice: Choice, job: _Job) -> "_LastFits":
    """The model with its probabilities scaled where that clearly helps; never where rows were weighted on purpose."""
    found = helpful_scaling(_validated(choice)) if job.source.groups is None else None
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


def _suspicions(search: Search, choice: Choice, scores: "_Scores", job: _Job) -> tuple[str, ...]:
    name = _metric_name(job)
    test, constant = scores.test[name], _constant(search).outcome
    notes = (*too_good(test, name), *learnt_by_heart(scores.training, test, name))
    if constant is None:
        return notes
    # on the first fold's rows alone: they are what a column alone is held against
    rows = slice(0, len(search.bench.folds[0][1]))
    first = [Outcome(of.truth[rows], of.predicted[rows]) for of in (_validated(choice), constant)]
    return (*notes, *one_column(search.bench, search.clock, first[0], first[1], job.spec.seed))


class _Keeper:
    """Finishes and hands on the best so far, as often as a small share of the time allows."""

    def __init__(self, search: Search, job: _Job, keep: Callable[[TrainedModel], None] | None) -> None:
        self.search, self.job, self.hand_on = search, job, keep
        self.best: Candidate | None = None
        self.times, self.seconds = -1, 0.0
        self.last_seconds, self.last_ended = 0.0, 0.0

    def keep(self) -> None:
        """As it is now, with the fits that were validated: a last fit would take too long."""
        if self.hand_on is None:
            return
        begun = time.monotonic()
        clock = self.search.clock.copy()
        choice = choose(self.search)
        self.best = self.search.best()
        self.hand_on(_finish(replace(self.search, clock=clock), choice, _kept_fits(self.search, choice), self.job))
        self.last_ended = time.monotonic()
        self.times, self.last_seconds = self.times + 1, self.last_ended - begun
        self.search.finishing_seconds = self.last_seconds
        self.seconds += self.last_seconds if self.times else 0.0  # the first has a line of its own

    def keep_better(self) -> None:
        """If there is a better one since the last time and its turn has come."""
        if self.hand_on is None or self.search.best() is self.best:
            return
        if time.monotonic() - self.last_ended > self.last_seconds / KEEPING_SHARE:
            self.keep()

    def note(self) -> str:
        """What it took of the search, for the ledger."""
        return f"; {self.seconds:.1f} s of it to keep the best so far ({self.times} x)" if self.times > 0 else ""


def _kept_fits(search: Search, choice: Choice) -> "_LastFits":
    constant = _constant(search)
    baseline = None if choice.baseline is constant else validated_fit(choice.baseline, search.bench)
    return _LastFits(validated_fit(choice.taken, search.bench), baseline, constant)


def _prepare(table: pd.DataFrame, spec: TrainingSpec, budget: float) -> _Job:
    require_columns(table, spec)
    target = read_target(table[spec.target], spec)
    training, test = split_test(target, spec.seed, most=int(TEST_ROWS_A_SECOND * budget))
    require_enough(target, training)
    training_rows, test_rows = target.rows[training], target.rows[test]
    ignored = {spec.target, *spec.drop, *_not_read(spec)}
    seen = table.iloc[training_rows]
    names, too_wide = narrow(seen, ignored, target.truth()[training], int(COLUMNS_A_SECOND * budget))
    schema, reasons = usable_columns(seen[names], ignored)
    if spec.mitigation is Mitigation.CORRELATION_REMOVER:
        schema = without_sensitive_trace(schema, seen, spec.sensitive)
    notes = (*target.notes, *_left_out(spec), *too_wide, *reasons, *rare_class_note(target, training))
    if len(test) < 0.19 * len(target.rows):
        notes += (
            f"{len(test)} rows are held out for the test, as many as the budget allows; it would be 20 % with more.",
        )
    spec = spec.model_copy(update={"task": target.task})
    source = Source(table, target, schema, training, _groups_to_even_out(table, spec))
    return _Job(table, spec, target, schema, source, training_rows, test_rows, notes)


def _not_read(spec: TrainingSpec) -> tuple[str, ...]:
    """Sensitive columns that the model must not read."""
    return spec.sensitive if spec.mitigation in (Mitigation.CORRELATION_REMOVER, Mitigation.PROXY_DROPPING) else ()


def _groups_to_even_out(table: pd.DataFrame, spec: TrainingSpec) -> Codes | None:
    """The group of each row in each sensitive column, where rows are weighted or repeated.

    Raises
    ------
    ModelError
        There is no sensitive column, or the target is a number.
    """
    if spec.mitigation not in (Mitigation.REWEIGHING, Mitigation.RESAMPLING):
        return None
    if not spec.sensitive or spec.task is TaskKind.REGRESSION:
        missing = "classes to predict" if spec.sensitive else "sensitive columns"
        raise ModelError(f"{spec.mitigation.value} needs {missing}. Choose another mitigation, or none.")
    codes = [pd.factorize(group_labels(table[name]), sort=True)[0] for name in spec.sensitive]
    return np.column_stack(codes).astype(np.int64)


def _left_out(spec: TrainingSpec) -> tuple[str, ...]:
    """What was asked to be left out, for those who read the model's notes."""
    return tuple(f"Left out “{name}”: as was asked." for name in spec.drop)


def _evaluation_seconds(search: Search, best: Candidate | None, job: _Job) -> float:
    """Likely seconds of the evaluation: encoding and predicting, and the bootstrap of the metrics."""
    scored = 2 * len(job.test_rows) + min(len(job.training_rows), len(job.test_rows))
    a_row = 0.5 * search.bench.encode_seconds + (0.15 * best.fit_seconds if best else 0.0)
    bootstrap = 1.2 * min(1.0, len(job.test_rows) / 8000) * max(1, len(job.target.classes) / 2)
    likely = 0.1 + scored * a_row / max(len(search.bench.folds[0][0]), 1) + bootstrap
    return max(likely, 1.2 * search.finishing_seconds)  # on this machine, as busy as it is


def _reserve(search: Search, best: Candidate | None, job: _Job) -> float:
    """Seconds to keep from the search for what follows it."""
    rows = len(job.training_rows)
    fitted_again = {candidate for candidate in (best, search.best(LINEAR.name)) if candidate}
    refits = sum(expected_refit_seconds(candidate, search.bench, rows) for candidate in fitted_again)
    wanted = refits + _evaluation_seconds(search, best, job)
    return min(MOST_RESERVED * search.clock.budget, wanted) + 0.03 * search.clock.budget


@dataclass(frozen=True)
class _LastFits:
    """The model and its baseline, fitted on the training rows; None: the baseline is the constant guess."""

    model: LastFit
    baseline: LastFit | None
    constant: Candidate


def _constant(search: Search) -> Candidate:
    return next(candidate for candidate in search.candidates if candidate.algorithm is CONSTANT)


def _last_fits(search: Search, choice: Choice, job: _Job) -> _LastFits:
    constant = _constant(search)

    def fit(candidate: Candidate, share: float) -> LastFit:
        left = search.clock.left() - _evaluation_seconds(search, choice.taken, job)
        return refit(candidate, search, job.source, job.spec, share * left)

    baseline = None if choice.baseline is constant else fit(choice.baseline, 0.3)
    return _LastFits(fit(choice.taken, 1.0), baseline, constant)


@dataclass(frozen=True)
class _Scores:
    training: Estimate
    validation: Estimate
    test: dict[str, Estimate]
    baseline: Estimate
    beats_baseline: bool
    outcome: Outcome
    notes: tuple[str, ...]


def _outcome(fit: LastFit, job: _Job, rows: Rows) -> Outcome:
    truth = np.searchsorted(job.target.rows, rows)
    return Outcome(job.target.truth()[truth], predict(fit.pipeline, job.table.iloc[rows]))


def _evaluate(fits: _LastFits, choice: Choice, job: _Job) -> _Scores:
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
    published_score(model)  # refuses test rows that do not vary
    test = measure(model, job.spec.seed)
    saved, error = improvement(model, constant)
    clearly_over_constant = saved > Z95 * error
    ahead = loss(model) < loss(baseline)
    validated = _validated(choice)
    return _Scores(
        training=measure(_outcome(fits.model, job, seen), job.spec.seed, only=name)[name],
        validation=measure(validated, job.spec.seed, only=name)[name],
        test=test,
        baseline=measure(baseline, job.spec.seed, only=name)[name],
        beats_baseline=clearly_over_constant and ahead,
        outcome=model,
        notes=_verdict(choice, clearly_over_constant, ahead, (loss(model), loss(baseline)), job),
    )


def _verdict(
    choice: Choice,
    clearly_over_constant: bool,
    ahead: bool,
    losses: tuple[float, float],
    job: _Job,
) -> tuple[str, ...]:
    notes = []
    what = _loss_name(job)
    against = f"{what} {losses[0]:.4g} against {losses[1]:.4g}"
    rival = f"the {choice.baseline.algorithm.name} baseline"
    if not clearly_over_constant:
        notes.append(
            f"The model does not beat a constant guess on the test split beyond chance ({rival}: {against}). "
            "The columns may say nothing about the target."
        )
    elif not ahead:
        notes.append(
            f"On the test split {rival} did as well or better: {against}. The choice was made on validation rows."
        )
    return tuple(notes)


def _sample_notes(search: Search, job: _Job) -> tuple[str, ...]:
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


def _metric_name(job: _Job) -> str:
    return next(iter(CLASSIFICATION if job.target.classes else REGRESSION))


def _loss_name(job: _Job) -> str:
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
    job: _Job, search: Search, choice: Choice, fits: _LastFits, scores: _Scores, notes: tuple[str, ...]
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
        leaderboard=_leaderboard(search),
        budget_seconds=search.clock.budget,
        budget=tuple(search.clock.entries),
        notes=notes,
        trained_rows=fits.model.rows,
        test_rows=tuple(int(row) for row in job.test_rows),
        fairness=fairness,
        thresholds=thresholds(_scaled(_validated(choice), fits.model.pipeline), scores.outcome),
        speed=_speed(fits.model.pipeline, job),
    )


def _scaled(validated: Outcome, pipeline: Pipeline) -> Outcome:
    """The validation rows as the model would answer them now."""
    last = pipeline[-1]
    if not isinstance(last, Calibrated):
        return validated
    return Outcome(validated.truth, Scaling(last.slope, tuple(last.offsets)).apply(validated.predicted))


def _speed(pipeline: Pipeline, job: _Job) -> Speed:
    """What one row and up to 1,000 rows take, from raw columns to predictions; the best of three for one row."""
    one, many = job.table.iloc[job.test_rows[:1]], job.table.iloc[job.test_rows[:MOST_TIMED]]

    def milliseconds(rows: pd.DataFrame) -> float:
        begun = time.perf_counter()
        predict(pipeline, rows)
        return 1000 * (time.perf_counter() - begun)

    return Speed(one_row=min(milliseconds(one) for _ in range(3)), many_rows=milliseconds(many), rows=len(many))


def _fairness(job: _Job, pipeline: Pipeline, origins: tuple[str, ...], outcome: Outcome) -> Fairness:
    """What the answers on the test rows mean for groups; like rows are like in all columns but the sensitive ones."""
    if not job.spec.sensitive:
        return Fairness()
    found = measure_fairness(groupings(job.table, job.spec.sensitive, job.test_rows), outcome, job.target.classes)
    if not job.target.classes:
        return found
    neutral = [at for at, origin in enumerate(origins) if origin not in job.spec.sensitive]
    features = np.asarray(pipeline[:-1].transform(job.table.iloc[job.test_rows]), dtype=np.float64)[:, neutral]
    alike = consistency(features, outcome.choice.astype(np.float64), job.spec.seed)
    return found.model_copy(update={"overall": (*found.overall, *((alike,) if alike else ()))})
