"""The process that trains: bounds itself, trains, leaves the best so far and the model, each as a whole folder.

It leads a process group and ends it when its parent is gone. How it is started, watched and ended is in `apart.py`.
Run as `python -m mlpipe_dagster.automl.worker TASK_FILE LIFELINE`, or forked into `work`.
"""

import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from mlpipe_dagster.automl.model import OnnxExport, TrainedModel, TrainingSpec, Trial
from mlpipe_dagster.errors import UserError

if TYPE_CHECKING:
    from mlpipe_dagster.automl.reach import Reading

MODEL = "model"
BEST = "best-"
PART = "part-"
PROGRESS = "progress.jsonl"
REFUSAL = "refusal.json"
LOG = "log.txt"
OUT_OF_MEMORY = "out of memory"
MOST_EXPORT_SECONDS, EXPORT_SHARE, LEAST_EXPORT_SECONDS = 0.5, 0.05, 0.1
NO_TIME = "No ONNX file was made: no time was left. Allow more time."
FIRST_TO_GO = "900"
"""Linux's preference for ending this process, not the run that watches it, when the machine is out of memory."""


class Task(BaseModel):
    """What the process is to do. Times are those of `time.monotonic`, which all processes of a machine share."""

    model_config = ConfigDict(frozen=True)
    parquet: Path
    spec: TrainingSpec
    started_at: float
    budget_seconds: float
    """From `started_at` to the saved model."""
    memory_bytes: int
    """What the process may take beyond what it starts with."""
    folder: Path


class Refusal(BaseModel):
    """Why there is no model, in words for a person; `kind` is the name of a UserError, or `out of memory`."""

    model_config = ConfigDict(frozen=True)
    kind: str
    message: str


def work(task_file: str, lifeline: int) -> None:
    """Train as the task says. What a person can mend becomes a refusal; anything else rises to the log."""
    threading.Thread(target=_end_with_parent, args=(lifeline,), daemon=True).start()
    task = Task.model_validate_json(Path(task_file).read_bytes())
    _bound(task.memory_bytes)
    try:
        _train(task)
    except UserError as error:
        _refuse(task.folder, type(error).__name__, str(error))
    except MemoryError:
        _refuse(task.folder, OUT_OF_MEMORY, "")
    except Exception as error:
        if "bad_alloc" not in str(error):  # as LightGBM says it
            raise
        _refuse(task.folder, OUT_OF_MEMORY, str(error))


def _end_with_parent(lifeline: int) -> None:
    """The parent alone holds the other end: it closes with it, however it ends."""
    os.read(lifeline, 1)
    os.killpg(0, signal.SIGKILL)


def _bound(memory_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    statm, score = Path("/proc/self/statm"), Path("/proc/self/oom_score_adj")
    if statm.exists():  # Linux; elsewhere the address space is not bounded, or not counted
        now = int(statm.read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + memory_bytes, now + memory_bytes))
        with suppress(OSError):  # a sandbox may not let it
            score.write_text(FIRST_TO_GO)


def _train(task: Task) -> None:
    import skops.io  # noqa: F401  # else the first save would import it, and be taken for how long a save takes

    from mlpipe_dagster.automl.clock import Clock
    from mlpipe_dagster.automl.reach import read
    from mlpipe_dagster.automl.train import train

    clock = Clock(task.budget_seconds - _seconds_kept(task.budget_seconds), started_at=task.started_at)
    with clock.entry("start", since=0.0):
        reading = read(task.parquet, task.spec, task.budget_seconds, task.memory_bytes)
    with (task.folder / PROGRESS).open("a", encoding="utf-8", buffering=1) as progress:
        model = train(
            reading.table,
            task.spec,
            task.budget_seconds,
            lambda trial: _tell(progress.write, trial),
            keep=lambda best: _keep(reading.described(best), task.folder),
            clock=clock,
            scratch=task.folder,
        )
    saving_from = time.monotonic()
    _put(reading.described(model), task.folder, MODEL)
    saved_at = time.monotonic()
    _add_onnx(model, reading, task, saved_at + LEAST_EXPORT_SECONDS + (saved_at - saving_from))


def _seconds_kept(budget_seconds: float) -> float:
    """Of the budget, for the ONNX file: little, as it is written from what is there."""
    return min(MOST_EXPORT_SECONDS, EXPORT_SHARE * budget_seconds)


def _add_onnx(model: TrainedModel, reading: "Reading", task: Task, likely_end: float) -> None:
    """Write the model as ONNX beside the saved one, unless the time does not suffice; what came of it is described."""
    from mlpipe_dagster.automl import artefacts
    from mlpipe_dagster.automl.onnx_model.export import export

    folder = task.folder / MODEL
    late = likely_end > task.started_at + task.budget_seconds
    made = OnnxExport(note=NO_TIME) if late else export(model, reading.table, folder / artefacts.ONNX_FILE)
    notes = (*model.notes, made.note) if made.note else model.notes
    artefacts.describe(reading.described(replace(model, onnx=made, notes=notes)), folder)


def _tell(write: Callable[[str], object], trial: Trial) -> None:
    write(trial.model_dump_json() + "\n")


def _keep(model: TrainedModel, folder: Path) -> None:
    """One whole folder after the other: at any moment the last one is complete."""
    _put(model, folder, f"{BEST}{time.monotonic_ns():020d}")


def _put(model: TrainedModel, folder: Path, name: str) -> None:
    from mlpipe_dagster.automl import artefacts

    part = folder / f"{PART}{name}"
    artefacts.save(model, part)
    part.rename(folder / name)


def _refuse(folder: Path, kind: str, message: str) -> None:
    part = folder / f"{PART}{REFUSAL}"
    part.write_text(Refusal(kind=kind, message=message).model_dump_json(), encoding="utf-8")
    part.rename(folder / REFUSAL)


def main(task_file: str, lifeline: str) -> None:
    """As a program of its own."""
    work(task_file, int(lifeline))


if __name__ == "__main__":
    main(*sys.argv[1:])
