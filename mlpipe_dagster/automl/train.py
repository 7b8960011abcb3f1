"""`train`: a table, a target and a number of seconds in; a model with its honest scores out.

The order of the work and the use of the budget. What happens inside each step is in the modules it calls.
"""

import functools
import importlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd

from mlpipe_dagster.automl import engines, study
from mlpipe_dagster.automl.algorithms import boosting, limit_library_threads, threads_for
from mlpipe_dagster.automl.bench import open_bench
from mlpipe_dagster.automl.choice import Choice, choose
from mlpipe_dagster.automl.clock import Clock
from mlpipe_dagster.automl.constrained import MOST_POINTS, constrained
from mlpipe_dagster.automl.engines.known import Searching, known_engine, require_installed
from mlpipe_dagster.automl.finish import LastFits, constant_of, evaluation_seconds, finish
from mlpipe_dagster.automl.job import Job, prepare
from mlpipe_dagster.automl.keeper import Keeper
from mlpipe_dagster.automl.last_fit import LastFit, expected_refit_seconds, refit
from mlpipe_dagster.automl.learning_curve import learning_curve
from mlpipe_dagster.automl.model import TrainedModel, TrainingSpec, Trial
from mlpipe_dagster.automl.search import Candidate, Search, run_baselines, run_boosting_baseline, run_boosting_start
from mlpipe_dagster.automl.study import Study

SIZES_OF_SECONDS = 60.0
"""Where trials are counted in place of seconds: sample, folds and columns are those of this budget."""
MOST_RESERVED = 0.4
"""Of the budget, at most this is kept back from the search for the last fits and the evaluation."""

CURVE_SHARE = 0.06
"""Of the budget, at most this for the learning curve."""
BASELINE_SHARE = 0.2
"""Of the time for the last fits, at most this is for the baseline's."""
PRICED_SHARE, LEAST_PRICED_SHARE = 0.25, 0.05
"""Of the budget, at most and at least this for fits that hold a fairness constraint."""
PRICED_BEFORE_LAST_FIT = 0.6
"""Of the time that is left before the evaluation, at least this: a fit of one fold holds the constraint as well."""
MEMBERS = 3
"""An ensemble, which may yet be taken, is fitted as many times as long as the best single candidate."""
UNCONSTRAINED_SHARE = 0.4
"""Of the time for the last fits, at most this for the model that is shown beside a constrained one."""


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
    with limit_library_threads("blas", 1), limit_library_threads("openmp", threads_for(spec.threads)):
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
    if known.trials:
        clock, spec = (
            clock.uncounted(SIZES_OF_SECONDS),
            spec.model_copy(update={"threads": 1, "engine": f"{known.name}:{known.trials}"}),
        )
    engine: Searching = importlib.import_module(f"{engines.__name__}.{known.name}")
    with clock.entry("preparation"):
        job = prepare(table, spec, clock.budget)
        bench = open_bench(job.source, clock.budget, spec.seed, spec.mitigation, known.folds)
    algorithm, notes = boosting()
    if spec.continues:
        notes += (f"The search went on from the {len(spec.kept)} best trials of version {spec.continues}.",)
    job = replace(job, notes=(*job.notes, *notes))
    search = Search(
        bench,
        clock,
        algorithm,
        spec.seed,
        spec.threads,
        progress,
        trials=known.trials,
        kept=spec.kept,
        study=_study(spec, scratch),
        scratch=scratch,
    )
    keeper = Keeper(search, job, keep)
    with clock.entry("baselines"):
        run_baselines(search, keeper.keep)
    with clock.entry("best so far"):
        keeper.keep()
    search.between = keeper.keep_better
    with clock.entry("search"):
        reserve = functools.partial(_reserve, search, job)
        if known.folds is None:
            run_boosting_start(search, reserve)
        run_boosting_baseline(search, reserve)
        ended = engine.search(search, reserve)
        clock.remark(f"{ended}{keeper.note()}")
    choice = choose(search)
    if spec.constraint:
        search.between = None
        with clock.entry("fairness constraint"):
            choice = constrained(search, choice, job, _priced_seconds(search, choice, job))
    with clock.entry("last fit"):
        fits = _last_fits(search, choice, job)
    if fits.model.outcome:
        choice = replace(choice, taken=replace(choice.taken, outcome=fits.model.outcome))
    with clock.entry("learning curve"):
        spare = clock.left() - evaluation_seconds(search, choice.taken, job) - 0.05 * clock.budget
        curve = learning_curve(search, choice.taken, min(spare, clock.share(CURVE_SHARE)))
    return replace(finish(search, choice, fits, job), learning_curve=curve)


def _study(spec: TrainingSpec, scratch: Path | None) -> Study:
    """Named after what is trained from; a file of the training's folder, which other processes may join."""
    name = f"{spec.data.dataset_id} {spec.data.version}" if spec.data else "training"
    return Study(name, (spec.seed, len(spec.kept)), scratch / study.FILE if scratch else None)


def _reserve(search: Search, job: Job, best: Candidate | None) -> float:
    """Seconds to keep from the search for what follows it."""
    refits = expected_refit_seconds(best, search, job.source) / (1 - BASELINE_SHARE) if best else 0.0
    wanted = refits + evaluation_seconds(search, best, job)
    prices = 0.0
    if job.spec.constraint and best:
        fits = MEMBERS * MOST_POINTS * len(search.bench.folds) * best.fit_seconds
        prices = min(PRICED_SHARE * search.clock.budget, LEAST_PRICED_SHARE * search.clock.budget + fits)
    return min(MOST_RESERVED * search.clock.budget, wanted) + prices + 0.03 * search.clock.budget


def _priced_seconds(search: Search, choice: Choice, job: Job) -> float:
    """For fits under prices: what the last fit and the evaluation leave, and of these the last fit may be given up."""
    left = search.clock.left() - evaluation_seconds(search, choice.taken, job)
    return max(left - expected_refit_seconds(choice.taken, search, job.source), PRICED_BEFORE_LAST_FIT * left)


def _last_fits(search: Search, choice: Choice, job: Job) -> LastFits:
    constant = constant_of(search)

    def fit(candidate: Candidate, share: float) -> LastFit:
        left = search.clock.left() - evaluation_seconds(search, choice.taken, job)
        return refit(candidate, search, job.source, job.spec, share * left)

    baseline = None if choice.baseline is constant else fit(choice.baseline, BASELINE_SHARE)
    unconstrained = None if choice.unconstrained is None else fit(choice.unconstrained, UNCONSTRAINED_SHARE)
    return LastFits(fit(choice.taken, 1.0), baseline, constant, unconstrained)
