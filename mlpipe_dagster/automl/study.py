"""The study of one search: its trials in an Optuna storage, and the settings that Optuna proposes next.

Which algorithm is tried next, and when the search ends, is in `search.py`. Imported only where a training runs.
"""

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.storages import InMemoryStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from optuna.trial import FrozenTrial, TrialState

from mlpipe_dagster.automl.algorithms import Algorithm, Parameters, Setting

FILE = "study.jsonl"
ALGORITHM = "algorithm"
FIRST_FOLD = 1
"""The step at which an abandoned trial has its loss."""


class _Journal(JournalFileBackend):
    """A line of JSON for each change, seen by all processes at once.

    It does not wait for the disk, as its parent does ten times a trial: what a crash of the machine could lose is of a
    training that ends with it.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._turn = path, JournalFileSymlinkLock(str(path))
        super().__init__(str(path), self._turn)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Add lines, in turn with other processes."""
        lines = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs)
        self._turn.acquire()
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(lines)
        finally:
            self._turn.release()


@dataclass(frozen=True, eq=False)
class Proposal:
    """Settings to try, and the trial of the study that waits for what comes of them."""

    algorithm: Algorithm
    parameters: Parameters
    trial: optuna.Trial


class Study:
    """The trials of one search, each of one of a few algorithms; processes with the same name and journal share it.

    Settings are drawn by a tree-structured Parzen estimator, those of an algorithm together.
    Reference: Bergstra, Bardenet, Bengio and Kégl 2011; Falkner, Klein and Hutter 2018 for several at once.
    """

    def __init__(self, name: str = "training", seed: tuple[int, ...] = (0,), journal: Path | None = None) -> None:
        """In memory where there is no journal. Processes that share one need different seeds."""
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        start = int(np.random.SeedSequence(seed).generate_state(1)[0])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # of `group`
            sampler = optuna.samplers.TPESampler(seed=start, multivariate=True, group=True)
        storage = JournalStorage(_Journal(journal)) if journal else InMemoryStorage()
        self._study = optuna.create_study(study_name=name, storage=storage, sampler=sampler, load_if_exists=True)

    @property
    def trials(self) -> list[FrozenTrial]:
        """All of them, whichever process made them."""
        return self._study.get_trials(deepcopy=False)

    def enqueue(self, algorithm: Algorithm, parameters: Parameters) -> None:
        """Have these settings tried before others are proposed: once, however many processes ask for it."""
        settings = {f"{algorithm.name}.{name}": value for name, value in {**algorithm.start, **parameters}.items()}
        self._study.enqueue_trial(settings, {ALGORITHM: algorithm.name}, skip_if_exists=True)

    def queued(self) -> str | None:
        """The algorithm of the next settings in the queue; None where it is empty."""
        waiting = self._study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
        return str(waiting[0].user_attrs[ALGORITHM]) if waiting else None

    def ask(self, algorithms: Mapping[str, Algorithm], otherwise: Algorithm) -> Proposal:
        """The next settings in the queue, of any of the algorithms by their names, or new ones for `otherwise`."""
        trial = self._study.ask()
        if ALGORITHM not in trial.user_attrs:
            trial.set_user_attr(ALGORITHM, otherwise.name)
        algorithm = algorithms[trial.user_attrs[ALGORITHM]]
        parameters = {
            name: _suggested(trial, f"{algorithm.name}.{name}", setting) for name, setting in algorithm.space.items()
        }
        return Proposal(algorithm, parameters, trial)

    def tell(self, proposal: Proposal, loss: float, abandoned: bool) -> None:
        """What came of it: the loss, of an abandoned trial that of its first fold."""
        if abandoned:
            proposal.trial.report(loss, FIRST_FOLD)
            self._study.tell(proposal.trial, state=TrialState.PRUNED)
        else:
            self._study.tell(proposal.trial, loss)


def _suggested(trial: optuna.Trial, name: str, setting: Setting) -> float | int:
    if setting.whole:
        return trial.suggest_int(name, int(setting.low), int(setting.high), log=setting.log)
    return float(f"{trial.suggest_float(name, setting.low, setting.high, log=setting.log):.4g}")
