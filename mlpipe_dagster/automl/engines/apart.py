"""An engine in an interpreter of its own, which also answers for its model: what all of them have in common.

Data go over as arrays, never as pickles; what it leaves is read by its own interpreter alone. It is compared with the
baselines on rows that it has not seen. An ensemble of nothing but a dummy is a failure.
"""

import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from mlpipe_dagster.automl.algorithms import Algorithm, FitData, Fitted, Limits, Parameters, predict
from mlpipe_dagster.automl.engines import autosklearn_program
from mlpipe_dagster.automl.engines.known import KnownEngine, interpreter_of
from mlpipe_dagster.automl.engines.outside import PROGRAMS, OutsideClassifier, OutsideRegressor
from mlpipe_dagster.automl.metrics import Outcome, loss, published_score
from mlpipe_dagster.automl.model import Trial
from mlpipe_dagster.automl.search import Candidate, Reserve, Search
from mlpipe_dagster.errors import EngineError

HANDOVER_SECONDS = 2.0
HANDOVER_SHARE = 0.07
"""Kept for its model to be written, for the predict server to read it, and for its answers on the validation rows: an
ensemble grows with the time it has.
"""
LEAST_SECONDS = 12.0
LAST_WORDS = 300


def _not_again(_: Parameters, __: FitData, ___: Limits) -> Fitted:
    raise NotImplementedError("the model of another interpreter is kept as it was validated")


def search_apart(engine: KnownEngine, search: Search, reserve: Reserve) -> str:
    """Let the engine search until the time beyond `reserve(best)` seconds is over; returns why it ended.

    Raises
    ------
    EngineError
        It broke, found nothing but the dummy, or cannot do what is asked (weighted rows).
    """
    data = search.bench.data("trees", 0)
    if data.weights is not None:
        raise EngineError(f"{engine.title} cannot weigh rows. Choose the mitigation resampling, or another engine.")
    begun = time.monotonic()
    left = search.clock.left() - reserve(search.best())
    ends_at = begun + (1 - HANDOVER_SHARE) * left - HANDOVER_SECONDS
    if ends_at - begun < LEAST_SECONDS:
        raise EngineError(
            f"{max(0.0, ends_at - begun):.0f} s of the budget are left for {engine.title}, which needs at least "
            f"{LEAST_SECONDS:g}. Allow more time, or choose another engine."
        )
    folder = Path(tempfile.mkdtemp(prefix=f"{engine.name}-", dir=search.scratch))
    answer = _run(engine, search, data, folder, ends_at)
    for trial in answer["trials"]:
        search.tell(_trial(engine, search, trial))
    if not answer["members"]:
        raise EngineError(
            f"{engine.title} found nothing better than a dummy in {time.monotonic() - begun:.0f} s "
            f"({answer['statistics']}). Allow more time, or choose another engine."
        )
    search.add(_candidate(engine, search, data, folder / autosklearn_program.MODEL, answer, begun))
    return "its own end"


def _run(engine: KnownEngine, search: Search, data: FitData, folder: Path, ends_at: float) -> dict[str, Any]:
    """What the program in the other interpreter answers; the model is left in `folder`."""
    classification = data.labels.dtype.kind != "f"
    truth = np.unique(data.labels, return_inverse=True)[1] if classification else data.labels
    np.savez(folder / autosklearn_program.DATA, features=data.features, truth=truth)
    task = {"ends_at": ends_at, "seed": search.seed, "threads": search.threads, "classification": classification}
    (folder / autosklearn_program.TASK).write_text(json.dumps(task), encoding="utf-8")
    program = [str(interpreter_of(engine)), "-I", PROGRAMS[engine.name], "fit", str(folder)]
    ended = subprocess.run(program, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    file = folder / autosklearn_program.ANSWER
    if not file.is_file():
        said = [line for line in ended.stderr.splitlines() if line.strip()]
        last = said[-1][:LAST_WORDS] if said else "it did not say why"
        raise EngineError(
            f"{engine.title} broke (exit code {ended.returncode}): {last}. Allow more time, or choose another engine."
        )
    return dict(json.loads(file.read_text(encoding="utf-8")))


def _trial(engine: KnownEngine, search: Search, said: dict[str, Any]) -> Trial:
    return Trial(
        number=len(search.candidates) + len(search.told) + 1,
        algorithm=f"{engine.title}: {said['algorithm']}",
        parameters=said["parameters"],
        score=None,
        loss=said["loss"],
        seconds=said["seconds"],
        finished_at=search.clock.second_of(said["ended_at"]),
        note="loss on the engine's own validation rows",
    )


def _candidate(
    engine: KnownEngine, search: Search, data: FitData, model: Path, answer: dict[str, Any], begun: float
) -> Candidate:
    """Its ensemble, held against the same rows as the baselines."""
    classification = data.labels.dtype.kind != "f"
    estimator = (
        OutsideClassifier(engine.name, np.unique(data.labels).tolist())
        if classification
        else OutsideRegressor(engine.name)
    )
    estimator.file = model
    asked_at = time.monotonic()
    outcome = Outcome(data.truth_to_check(), predict(estimator, data.check_features))
    answering = time.monotonic() - asked_at
    algorithm = Algorithm(engine.title, "trees", _not_again, {}, {}, fitted_again=False)
    trial = Trial(
        number=len(search.candidates) + len(search.told) + 1,
        algorithm=engine.title,
        parameters={"members": answer["members"], "trials": len(answer["trials"])},
        score=published_score(outcome),
        loss=loss(outcome),
        seconds=time.monotonic() - begun,
        finished_at=search.clock.elapsed(),
    )
    return Candidate(trial, algorithm, None, Fitted(estimator), trial.loss, answering, outcome)
