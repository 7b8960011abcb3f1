"""Kills a process at a line: with SIGKILL, so that nothing behind it happens, no handler, no `finally`, no flush.

`run_until(line, act)` calls a function in a process of its own, which dies just before it executes the line. What the
world must look like afterwards is the tests' business.
"""

import importlib
import inspect
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import Any

LONGEST_SECONDS = 180


@dataclass(frozen=True)
class Line:
    """The first line of a function (`module:function`) that has these words, met while `when` holds of its locals."""

    function: str
    words: str
    when: str = "True"


def run_until(line: Line, act: str, *arguments: str) -> None:
    """Call `act` (`module:function`) with these texts in a process that is killed before it executes the line."""
    command = [sys.executable, "-m", __name__, line.function, line.words, line.when, act, *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST_SECONDS, check=False)
    assert ended.returncode == -signal.SIGKILL, f"{line} was never reached:\n{ended.stderr[-3000:]}"


def kill_before(line: Line) -> None:
    """From now on this process, whichever thread gets there, dies before it executes the line."""
    function = inspect.unwrap(found(line.function))
    lines, first = inspect.getsourcelines(function)
    number = first + next(place for place, text in enumerate(lines) if line.words in text)
    tracer = _tracer(function.__code__, number, compile(line.when, "when", "eval"))
    threading.settrace(tracer)
    sys.settrace(tracer)


def _tracer(code: CodeType, number: int, when: CodeType) -> Callable[[FrameType, str, Any], Any]:
    def every_line(frame: FrameType, event: str, _argument: Any) -> Any:
        if event == "line" and frame.f_lineno == number and eval(when, frame.f_globals, frame.f_locals):
            os.kill(os.getpid(), signal.SIGKILL)
        return every_line

    def every_call(frame: FrameType, _event: str, _argument: Any) -> Any:
        return every_line if frame.f_code is code else None

    return every_call


def found(name: str) -> Any:
    """The function called `module:function` or `module:Class.function`."""
    module, path = name.split(":")
    thing: Any = importlib.import_module(module)
    for part in path.split("."):
        thing = getattr(thing, part)
    return thing


if __name__ == "__main__":
    of, words, when, act, *arguments = sys.argv[1:]
    prepared = found(act)
    kill_before(Line(of, words, when))
    prepared(*arguments)
