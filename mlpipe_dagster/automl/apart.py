"""Training in a process group of its own, ended when the time is over: the promise that a budget is kept.

Starts, watches and ends `worker.py`, and takes what it left behind: the model, else the best so far, else the reason.
No heavy import: the process that watches needs no scikit-learn.
"""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

from mlpipe_dagster import errors
from mlpipe_dagster.automl import artefacts, worker
from mlpipe_dagster.automl.engines.known import SMALLEST_BUDGET
from mlpipe_dagster.automl.model import BudgetEntry, OnnxExport, TrainedModel, TrainingSpec, Trial
from mlpipe_dagster.automl.worker import OUT_OF_MEMORY, Refusal, Task
from mlpipe_dagster.errors import BudgetError, ModelError, UserError
from mlpipe_dagster.services.guard import signal_group

PROGRAM = worker.__name__
FORKS = False
"""Whether a training is a fork of this process. A run of the warm process sets it: after the first training all is
imported there, and a fork takes milliseconds where a fresh interpreter takes two to five seconds. Where threads of
numerical libraries may have been at work a fork would hang, so that nobody else does.
"""
LATE_SHARE, LATE_SECONDS = 0.05, 1.0
"""A committed model is at most that share of the budget and these seconds late."""
MOST_FOR_COMMIT = 0.25
NOT_REPRODUCIBLE = (
    "Another training may find another model: not all of its trials were made. Allow more time, or fewer trials."
)
POLL_SECONDS = 0.03
LAST_WORDS = 400
MEMORY_SHARE = 0.8
"""Of the machine's memory, what a training may take where nothing is said."""


@dataclass(frozen=True)
class Budget:
    """The wall clock of a step: from `started_at` (`time.monotonic`) to the committed model."""

    started_at: float
    seconds: float
    opening_seconds: float = 0.0
    """What the step took before the training: finding and reading what it works on. Storing the model is as much work,
    on this machine, as busy as it is."""

    grace_seconds: float = 0.0
    """How much later a training is ended that has no model yet, where a late one is worth more than none."""

    @property
    def commit_seconds(self) -> float:
        """Kept for storing and announcing the model: as measured, within bounds."""
        least = min(0.2 + 0.02 * self.seconds, 3.0)
        return min(max(least, self.opening_seconds), MOST_FOR_COMMIT * self.seconds)

    @property
    def for_training(self) -> float:
        """Seconds until the model has to be saved; what is left is for storing and announcing it."""
        return self.seconds - self.commit_seconds

    @property
    def killed_at(self) -> float:
        """When a training that has not ended is ended, whatever it has reached.

        A little late, so that a last save is not lost, as far as the best so far is then stored in time all the same.
        """
        over = min(LATE_SHARE * self.seconds + LATE_SECONDS - 2 * self.commit_seconds, 0.3 + 0.02 * self.seconds)
        return self.started_at + max(self.for_training, self.seconds + min(over, 10.0))


@dataclass(frozen=True)
class Trained:
    """The description of a model (its estimator is in the files alone) and its files."""

    model: TrainedModel
    files: tuple[Path, ...]


def train_apart(
    parquet: Path,
    spec: TrainingSpec,
    budget: Budget,
    folder: Path,
    progress: Callable[[Trial], None] | None = None,
    memory_bytes: int = 0,
) -> Trained:
    """Train on the table `parquet` within the budget; the files of the model stay in `folder`, which is empty before.

    `memory_bytes`: what the training may take; 0 is 80 % of the machine's.

    Raises
    ------
    BudgetError
        Less than 2 seconds.
    TargetError, TaskError, ModelError
        As `train`; also when the process broke or was ended before it had a model.
    """
    if budget.seconds < SMALLEST_BUDGET:
        raise BudgetError(
            f"A time budget of {budget.seconds:g} s is too short: training needs at least {SMALLEST_BUDGET:g} seconds."
        )
    task = Task(
        parquet=parquet.absolute(),
        spec=spec,
        started_at=budget.started_at,
        budget_seconds=budget.for_training,
        memory_bytes=memory_bytes or machine_memory_share(),
        folder=folder.absolute(),
    )
    (folder / "task.json").write_text(task.model_dump_json(), encoding="utf-8")
    with _process(folder) as process:
        in_time = _watch(process, budget, folder, progress)
        code = process.end()
    return _result(folder, budget, code, in_time)


def machine_memory_share() -> int:
    """Bytes: 80 % of the memory of this machine."""
    return int(MEMORY_SHARE * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


@dataclass
class _Process:
    """The leader of a process group, by its id; `end` may be called again and again."""

    pid: int
    code: int | None = None

    def has_ended(self) -> bool:
        return self.code is not None or os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def end(self) -> int:
        """Kill what is left of the group, and reap; the exit code, negative for a signal."""
        if self.code is None:
            signal_group(self.pid, signal.SIGKILL)  # before it is reaped: until then its number is no other's
            _, status = os.waitpid(self.pid, 0)
            self.code = os.waitstatus_to_exitcode(status)
        return self.code


@contextlib.contextmanager
def _process(folder: Path) -> Iterator[_Process]:
    """The training process, which is gone with its whole group when this is left, in whatever way."""
    theirs, ours = os.pipe()
    os.set_inheritable(theirs, True)
    process: _Process | None = None
    try:
        process = _Process(_fork(folder, theirs, ours) if FORKS else _spawn(folder, theirs))
        yield process
    finally:
        os.close(ours)
        os.close(theirs)
        if process:
            process.end()


def _spawn(folder: Path, lifeline: int) -> int:
    log = str(folder / worker.LOG)
    flags = os.O_CREAT | os.O_APPEND | os.O_WRONLY
    return os.posix_spawn(
        sys.executable,
        [sys.executable, "-m", PROGRAM, str(folder / "task.json"), str(lifeline)],
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, log, flags, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setpgroup=0,
        setsigdef=[signal.SIGINT, signal.SIGTERM],
    )


def _fork(folder: Path, lifeline: int, ours: int) -> int:
    pid = os.fork()
    if pid == 0:
        _become_worker(folder, lifeline, ours)
    with contextlib.suppress(ProcessLookupError, PermissionError):  # the child was quicker, and may have ended
        os.setpgid(pid, pid)
    return pid


def _become_worker(folder: Path, lifeline: int, ours: int) -> NoReturn:
    """Leave the run's group, signals and streams behind, train, end without its clean-up."""
    import gc
    import traceback

    code = 1
    try:
        os.setpgid(0, 0)
        os.close(ours)
        gc.freeze()  # what was inherited, connections included, is the parent's to close
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        log = os.open(folder / worker.LOG, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
        for stream in (1, 2):
            os.dup2(log, stream)
        worker.work(str(folder / "task.json"), lifeline)
        code = 0
    except BaseException:  # the end of the process: whatever it was goes to its log
        with (folder / worker.LOG).open("a", encoding="utf-8") as text:
            traceback.print_exc(file=text)
    finally:
        os._exit(code)


def _watch(process: _Process, budget: Budget, folder: Path, progress: Callable[[Trial], None] | None) -> bool:
    """Pass the trials on until the process ends or its time is over; whether it ended by itself."""
    read = 0
    while True:
        ended = process.has_ended()
        read = _pass_on(folder / worker.PROGRESS, read, progress)
        if ended:
            return True
        late = time.monotonic() - budget.killed_at
        if late > budget.grace_seconds or (late > 0 and _best(folder)):
            return False
        time.sleep(POLL_SECONDS)


def _best(folder: Path) -> Path | None:
    """The last best so far that is complete."""
    return max(folder.glob(f"{worker.BEST}*"), default=None)


def _pass_on(file: Path, read: int, progress: Callable[[Trial], None] | None) -> int:
    """Tell of the whole lines after the first `read` bytes; how many have been read now."""
    if progress is None or not file.exists():
        return read
    with file.open("rb") as lines:
        lines.seek(read)
        whole = lines.read().rpartition(b"\n")[0]
    for line in whole.splitlines():
        progress(Trial.model_validate_json(line))
    return read + len(whole) + bool(whole)


def _result(folder: Path, budget: Budget, code: int, in_time: bool) -> Trained:
    model = folder / worker.MODEL
    if model.is_dir():
        return _described(model, budget, ())
    why = _why(folder, code, in_time)
    best = _best(folder)
    if best is None:
        at = _so_far(folder)
        raise ModelError(f"{why} There was no model yet{at}. Allow more time, or send fewer rows or columns.")
    return _described(best, budget, (f"{why} The best model found until then is kept.",))


def _why(folder: Path, code: int, in_time: bool) -> str:
    """Why the process left no model, as a sentence; raises the error it left for a person."""
    if not in_time:
        return "The training did not end in time and was cut off."
    refusal = folder / worker.REFUSAL
    if refusal.exists():
        said = Refusal.model_validate_json(refusal.read_bytes())
        if said.kind != OUT_OF_MEMORY:
            kind: type[UserError] = getattr(errors, said.kind)
            raise kind(said.message)
        return "The training ran out of the memory it may take (MLPIPE_TRAINING_MEMORY)."
    if code == -signal.SIGKILL:
        return "The training was killed, most likely because the machine ran out of memory."
    if code < 0:
        return f"The training broke down ({signal.Signals(-code).name})."
    raise RuntimeError(f"the training ended with exit code {code}: {_last_words(folder)}")


def _so_far(folder: Path) -> str:
    """What a process that was cut off without a model was at."""
    progress = folder / worker.PROGRESS
    if not progress.exists():
        return ": libraries and table were still being loaded"
    return "" if progress.stat().st_size else ": the table was still being prepared"


def _last_words(folder: Path) -> str:
    said = (folder / worker.LOG).read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return said[-1][:LAST_WORDS] if said else "it said nothing"


def _described(folder: Path, budget: Budget, notes: tuple[str, ...]) -> Trained:
    """The model in `folder`, its ledger brought up to now."""
    model, cut = artefacts.description(folder), bool(notes)
    taken = time.monotonic() - budget.started_at
    rest = taken - sum(entry.seconds for entry in model.budget)
    entry = BudgetEntry(what="cut off" if cut else "saving", seconds=max(0.0, rest), note=" ".join(notes))
    if taken > 1.05 * budget.seconds + 1:
        notes += (
            f"The training took {taken:.1f} s of a budget of {budget.seconds:g} s: the machine is too slow or busy for "
            "so short a budget.",
        )
    if model.onnx is None:  # the best until it was cut off
        model = replace(model, onnx=OnnxExport(note=worker.NO_TIME), notes=(*model.notes, worker.NO_TIME))
    if cut and model.spec.trials:
        notes += (NOT_REPRODUCIBLE,)
    model = replace(model, notes=(*notes, *model.notes), budget=(*model.budget, entry), budget_seconds=budget.seconds)
    return Trained(model, artefacts.describe(model, folder))
