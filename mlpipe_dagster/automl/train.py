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
from mlpipe_dagster.automl.boosters import installed_boosting
from mlpipe_dagster.automl.choice import Choice, choose, is_learnable
from mlpipe_dagster.automl.clock import Clock
from mlpipe_dagster.automl.constrained import constrained
from mlpipe_dagster.automl.engines.known import KnownEngine, Searching, known_engine, require_installed
from mlpipe_dagster.automl.finish import LastFits, constant_of, evaluation_seconds, finish
from mlpipe_dagster.automl.job import Job, prepare
from mlpipe_dagster.automl.keeper import Keeper
from mlpipe_dagster.automl.last_fit import LastFit, quick_rival, refit
from mlpipe_dagster.automl.learning_curve import learning_curve
from mlpipe_dagster.automl.model import TrainedModel, TrainingSpec, Trial
from mlpipe_dagster.automl.search import Candidate, Search, run_baselines, run_boosting_baseline, run_boosting_start
from mlpipe_dagster.automl.shares import BASELINE_SHARE, RIVAL_SHARE, curve_seconds, priced_seconds, reserve
from mlpipe_dagster.automl.study import Study

SIZES_OF_SECONDS = 60.0
"""Where trials are counted in place of seconds: sample, folds and columns are those of this budget."""
USUALLY_LEFT, LEAST_SIZE = 0.8, 0.5
"""Of the budget, when the search begins: where the start took longer, the search sees fewer rows, at least half."""
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
    search, job = _opened(table, spec, clock, known, progress, scratch)
    _search(search, job, known, Keeper(search, job, keep))
    choice, fits = _last_fitted(search, job)
    with clock.entry("learning curve"):
        curve = learning_curve(search, choice.taken, curve_seconds(search, choice, job))
    return replace(finish(search, choice, fits, job), learning_curve=curve)


def _opened(
    table: pd.DataFrame,
    spec: TrainingSpec,
    clock: Clock,
    known: KnownEngine,
    progress: Callable[[Trial], None] | None,
    scratch: Path | None,
) -> tuple[Search, Job]:
    """The table made ready, and a search that has tried nothing yet."""
    with clock.entry("preparation"):
        job = prepare(table, spec, clock.budget)
        bench = open_bench(job.source, _sized_for(clock), spec.seed, spec.mitigation, known.folds)
    algorithm, notes = boosting()
    further, missing = installed_boosting() if known.folds is None else ((), ())
    notes += missing
    if spec.continues:
        notes += (f"The search went on from the {len(spec.kept)} best trials of version {spec.continues}.",)
    search = Search(
        bench, clock, algorithm, spec.seed, spec.threads, progress,
        trials=known.trials, kept=spec.kept, study=_study(spec, scratch), scratch=scratch,
        further=further,
    )  # fmt: skip
    return search, replace(job, notes=(*job.notes, *notes))


def _sized_for(clock: Clock) -> float:
    """The seconds that the sample and its folds are sized for: the budget, less where little of it is left."""
    return min(clock.budget, max(LEAST_SIZE * clock.budget, clock.left() / USUALLY_LEFT))


def _search(search: Search, job: Job, known: KnownEngine, keeper: Keeper) -> None:
    """The baselines, then the engine, and the best so far kept on the way."""
    engine: Searching = importlib.import_module(f"{engines.__name__}.{known.name}")
    with search.clock.entry("baselines"):
        search.learnable = known.folds == 1 and is_learnable(search, job.source)
        run_baselines(search, keeper.keep)
    with search.clock.entry("best so far"):
        keeper.keep()
    search.between = keeper.keep_better
    with search.clock.entry("search"):
        kept_back = functools.partial(reserve, search, job)
        if known.folds is None:
            run_boosting_start(search, kept_back)
        run_boosting_baseline(search, kept_back)
        ended = engine.search(search, kept_back)
        search.clock.remark(f"{ended}{keeper.note()}")
    search.between = None


def _last_fitted(search: Search, job: Job) -> tuple[Choice, LastFits]:
    """What is taken, held to the fairness constraint if there is one, and fitted for the last time."""
    choice = choose(search)
    if job.spec.constraint:
        with search.clock.entry("fairness constraint"):
            choice = constrained(search, choice, job, priced_seconds(search, choice, job))
    with search.clock.entry("last fit"):
        choice, fits = _last_fits(search, choice, job)
    if fits.model.outcome:
        choice = replace(choice, taken=replace(choice.taken, outcome=fits.model.outcome))
    return choice, fits


def _study(spec: TrainingSpec, scratch: Path | None) -> Study:
    """Named after what is trained from; a file of the training's folder, which other processes may join."""
    name = f"{spec.data.dataset_id} {spec.data.version}" if spec.data else "training"
    return Study(name, (spec.seed, len(spec.kept)), scratch / study.FILE if scratch else None)


def _last_fits(search: Search, choice: Choice, job: Job) -> tuple[Choice, LastFits]:
    """What is taken, its baseline and what is shown beside them, fitted; and a quick rival, which may be taken yet."""
    constant = constant_of(search)

    def seconds() -> float:
        return search.clock.left() - evaluation_seconds(search, choice.taken, job)

    def fit(candidate: Candidate, share: float) -> LastFit:
        return refit(candidate, search, job.source, job.spec, share * seconds())

    baseline = None if choice.baseline is constant else fit(choice.baseline, BASELINE_SHARE)
    unconstrained = None if choice.unconstrained is None else fit(choice.unconstrained, UNCONSTRAINED_SHARE)
    rival = None if job.spec.constraint else quick_rival(choice.taken, search, job.source, seconds())
    quick = fit(rival, RIVAL_SHARE) if rival else None
    model = fit(choice.taken, 1.0)
    if rival and quick and quick.validated_loss(rival) < model.validated_loss(choice.taken):
        name = choice.taken.algorithm.name
        note = (
            f"{rival.algorithm.name} is taken: fitted on {quick.rows} rows, it did better than {name} on {model.rows}."
        )
        choice, model = replace(choice, taken=rival, notes=(note,)), quick
    return choice, LastFits(model, baseline, constant, unconstrained)
