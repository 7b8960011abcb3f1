"""Explains a model from outside in a process of its own: what crashes, hangs or fills the memory ends only that.

`explain_apart` is for the run; `python -m` of this module is the process. What is explained is in `explain.py`.
"""

import resource
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter
from threadpoolctl import threadpool_limits

from mlpipe_dagster.errors import ModelError, UserError
from mlpipe_dagster.xai.explanation import ModelExplanation
from mlpipe_dagster.xai.outside.given import Described

MEMORY_BYTES = 6 << 30
LAST_WORDS = 300
SECONDS = 240.0


@dataclass(frozen=True)
class Limits:
    """What the process may take."""

    seconds: float = SECONDS
    memory_bytes: int = MEMORY_BYTES


class _Task(BaseModel):
    model_config = ConfigDict(frozen=True)
    model: Path
    parquet: Path
    described: Described
    hidden: tuple[str, ...]
    answer: Path


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True)
    explanation: ModelExplanation | None = None
    refusal: str | None = None


_TASKS: TypeAdapter[_Task] = TypeAdapter(_Task)


def explain_apart(
    model: Path, parquet: Path, described: Described, hidden: tuple[str, ...] = (), limits: Limits | None = None
) -> ModelExplanation:
    """The explanation of the ONNX or skops file `model` on the table `parquet`.

    Raises
    ------
    ModelError
        The model is refused, crashes, takes longer or more memory than it may.
    """
    limits = limits or Limits()
    with tempfile.TemporaryDirectory(prefix="mlpipe-") as name:
        folder = Path(name)
        task = _Task(model=model, parquet=parquet, described=described, hidden=hidden, answer=folder / "answer.json")
        (folder / "task.json").write_text(task.model_dump_json(), encoding="utf-8")
        command = [sys.executable, "-m", __name__, str(folder / "task.json")]
        arguments = [f"{limits.memory_bytes}", f"{int(limits.seconds * described.threads) + 1}"]
        try:
            ended = subprocess.run(
                [*command, *arguments],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=limits.seconds,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise ModelError(
                f"The model could not be explained within {limits.seconds:g} s. Send a faster one."
            ) from error
        if not task.answer.is_file():
            raise ModelError(_how_it_ended(ended))
        answer = _Answer.model_validate_json(task.answer.read_bytes())
    if answer.explanation is None:
        raise ModelError(answer.refusal or "The model cannot be explained.")
    return answer.explanation


def _how_it_ended(ended: "subprocess.CompletedProcess[bytes]") -> str:
    said = ended.stderr.decode("utf-8", "replace").strip().splitlines()
    how = f"signal {-ended.returncode}" if ended.returncode < 0 else f"exit code {ended.returncode}"
    last = f": {said[-1][:LAST_WORDS]}" if said else ""
    return (
        f"The process that explained the model broke over it ({how}{last}). Export the model again, or a smaller one."
    )


def _answer(task: _Task) -> _Answer:
    from mlpipe_dagster.tables.load import load
    from mlpipe_dagster.xai.explain import explain_model
    from mlpipe_dagster.xai.outside.model import read_outside

    try:
        with threadpool_limits(task.described.threads):
            table = load(task.parquet)
            model = read_outside(task.model, table, task.described)
            return _Answer(explanation=explain_model(model, table, hide=task.hidden))
    except UserError as error:
        return _Answer(refusal=str(error))
    except MemoryError:
        return _Answer(refusal="The model takes more memory than it may. Send a smaller one.")


def main(task_file: str, memory_bytes: str, cpu_seconds: str) -> None:
    """Bound this process, then explain."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (int(cpu_seconds), int(cpu_seconds)))
    resource.setrlimit(resource.RLIMIT_AS, (int(memory_bytes), int(memory_bytes)))
    task = _TASKS.validate_json(Path(task_file).read_bytes())
    part = task.answer.with_suffix(".part")
    part.write_text(_answer(task).model_dump_json(), encoding="utf-8")
    part.replace(task.answer)


if __name__ == "__main__":
    main(*sys.argv[1:])
