"""The engine `flaml`: FLAML chooses an algorithm and its settings; what it chose is fitted and judged by the harness.

Its own last fit stays off: it is not checked by anything, and was seen to give probabilities that are far worse. FLAML
looks at its clock between trials only, so that an alarm ends a trial that takes too long; its log has all before.
"""

import json
import signal
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from mlpipe_dagster.automl.algorithms import Algorithm, FitData, Fitted, Limits, Parameters, predict
from mlpipe_dagster.automl.engines.known import KNOWN
from mlpipe_dagster.automl.metrics import Outcome, loss, published_score
from mlpipe_dagster.automl.model import ParameterValue, Trial
from mlpipe_dagster.automl.search import Candidate, Reserve, Search

ENGINE = KNOWN["flaml"]
LEARNERS = {"lgbm": "LGBMEstimator", "rf": "RandomForestEstimator", "extra_tree": "ExtraTreesEstimator"}
"""Those whose models are saved without pickle and explained exactly."""
LEAST_SECONDS = 0.5
SHARE = 0.85
"""Of the time that is left, so much is FLAML's; the rest is for fitting its choice."""


class _TimeIsUp(BaseException):
    """Goes through whatever a trial catches."""


def search(search: Search, reserve: Reserve) -> str:
    """Let FLAML choose for most of the time beyond `reserve(best)` seconds, then fit its choice; why it ended.

    Without time for a single trial the baselines stay the candidates, and a note says so.
    """
    data = search.bench.data("trees", 0)
    begun = search.clock.elapsed()
    seconds = SHARE * (search.clock.left() - reserve(search.best()))
    if seconds < LEAST_SECONDS:
        return _nothing(search, seconds)
    with tempfile.TemporaryDirectory(prefix="flaml-", dir=search.scratch) as folder:
        ended = _choose(search, data, seconds, Path(folder) / "log")
        records = _records(Path(folder) / "log")
    if not records:
        return _nothing(search, seconds)
    for record in records:
        search.tell(_trial(search, record, begun))
    chosen = min(records, key=lambda record: float(record["validation_loss"]))
    try:
        with _alarm(search.clock.left() - reserve(search.best())):
            candidate = _candidate(search, data, chosen)
    except _TimeIsUp:
        return _nothing(search, seconds, "chose what takes longer to fit than there was time")
    search.add(candidate)
    return ended


def _nothing(search: Search, seconds: float, what: str = "ended no trial") -> str:
    search.notes.append(
        f"{ENGINE.title} had {max(0.0, seconds):.1f} s and {what}: the best baseline is kept. Allow more time."
    )
    return "no trial of the engine"


def _choose(search: Search, data: FitData, seconds: float, log: Path) -> str:
    from flaml import AutoML

    classification = data.labels.dtype.kind != "f"
    weights = {} if data.weights is None else {"sample_weight": data.weights}
    try:
        with _alarm(1.1 * seconds), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            AutoML().fit(
                data.features,
                _codes(data) if classification else data.labels,
                X_val=data.check_features,
                y_val=data.truth_to_check().astype(np.int64) if classification else data.check_labels,
                task="classification" if classification else "regression",
                metric="log_loss" if classification else "rmse",
                time_budget=seconds,
                eval_method="holdout",
                retrain_full=False,
                estimator_list=list(LEARNERS),
                seed=search.seed,
                n_jobs=1,
                verbose=0,
                log_file_name=str(log),
                log_type="all",
                **weights,
            )
    except _TimeIsUp:
        return "stopped by the clock in the middle of a trial"
    return "stopped by the clock"


def _codes(data: FitData) -> Any:
    return np.unique(data.labels, return_inverse=True)[1]


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """Raise inside after so many seconds; only a main thread can be woken."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(*_: object) -> None:
        raise _TimeIsUp

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.01))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _records(log: Path) -> list[dict[str, Any]]:
    """The trials in the log that have a loss."""
    if not log.exists():
        return []
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines() if line.endswith("}")]
    return [line for line in lines if np.isfinite(line.get("validation_loss", np.nan))]


def _trial(search: Search, record: dict[str, Any], begun: float) -> Trial:
    return Trial(
        number=len(search.candidates) + len(search.told) + 1,
        algorithm=f"{ENGINE.title}: {record['learner']}",
        parameters=record["config"],
        score=None,
        loss=float(record["validation_loss"]),
        seconds=float(record["trial_time"]),
        finished_at=begun + float(record["wall_clock_time"]),
        note=f"on {record['sample_size']} rows",
    )


def _candidate(search: Search, data: FitData, record: dict[str, Any]) -> Candidate:
    """FLAML's choice, fitted anew on the rows of the fold and held against its validation rows."""
    algorithm, parameters = _algorithm(record, data.labels.dtype.kind == "f")
    begun = time.monotonic()
    fitted = algorithm.fit(parameters, data, Limits(begun, search.seed, search.threads))
    outcome = Outcome(data.truth_to_check(), predict(fitted.estimator, data.check_features))
    seconds = time.monotonic() - begun
    trial = Trial(
        number=len(search.candidates) + len(search.told) + 1,
        algorithm=algorithm.name,
        parameters=dict(parameters),
        score=published_score(outcome),
        loss=loss(outcome),
        seconds=seconds,
        finished_at=search.clock.elapsed(),
    )
    return Candidate(trial, algorithm, None, fitted, trial.loss, seconds, outcome)


def _algorithm(record: dict[str, Any], regression: bool) -> tuple[Algorithm, Parameters]:
    """What FLAML's settings mean for the library that it uses."""
    from flaml.automl import model

    learner = record["learner"]
    chosen = getattr(model, LEARNERS[learner])(task="regression" if regression else "multiclass", **record["config"])
    kind = chosen.estimator_class

    def fit(parameters: Parameters, data: FitData, limits: Limits) -> Fitted:
        estimator = kind(**{**parameters, "random_state": limits.seed, "n_jobs": 1})
        return Fitted(estimator.fit(data.features, data.labels, sample_weight=data.weights))

    parameters: dict[str, ParameterValue] = {name: _plain(value) for name, value in chosen.params.items()}
    return Algorithm(f"{ENGINE.title} ({kind.__name__})", "trees", fit, {}, {}), parameters


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value
