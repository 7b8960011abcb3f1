"""Looks into uploads in processes of their own: a file that breaks its reader breaks nobody else, and the libraries
that read tables do not stay in the memory of who asks. What is looked for stands in inspect.py.
"""

import json
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

READER = "mlpipe_dagster.tables.inspect"
MOST_READERS = 2
IDLE_SECONDS = 30.0
"""After so long without a file a reader ends."""


@dataclass(frozen=True)
class TableSummary:
    """What the upload's answer says. `data_types`: pandas 2 dtype names. None: not known, or not a readable table."""

    file_type: str
    columns: list[str] | None = None
    row_count: int | None = None
    data_types: dict[str, str] | None = None


class Inspector:
    """Hands files to readers, at most two at a time; used by any number of threads."""

    def __init__(self) -> None:
        self._turns = threading.Semaphore(MOST_READERS)
        self._lock = threading.Lock()
        self._resting: list[subprocess.Popen[str]] = []

    def inspect(self, path: Path, filename: str) -> TableSummary:
        """Summarise the upload at `path`, called `filename`. Never raises for a bad table: then only `file_type` says
        something; of a file whose reader died nothing is known, and the stage that reads it will say why.
        """
        with self._turns:
            rested = self._rested()
            answer = self._ask(rested, path, filename) if rested else None
            return answer or self._ask(_start(), path, filename) or TableSummary("other")

    def close(self) -> None:
        """End the readers that rest."""
        with self._lock:
            resting, self._resting = self._resting, []
        for reader in resting:
            _end(reader)

    def _rested(self) -> subprocess.Popen[str] | None:
        with self._lock:
            return self._resting.pop() if self._resting else None

    def _ask(self, reader: subprocess.Popen[str], path: Path, filename: str) -> TableSummary | None:
        """The reader's answer; None where it has ended, before this file or over it."""
        questions, answers = cast(IO[str], reader.stdin), cast(IO[str], reader.stdout)
        try:
            questions.write(json.dumps([str(path), filename]) + "\n")
            questions.flush()
            answer = answers.readline()
        except OSError:
            answer = ""
        if not answer:
            _end(reader)
            return None
        with self._lock:
            self._resting.append(reader)
        return TableSummary(**json.loads(answer))


def _start() -> subprocess.Popen[str]:
    command = [sys.executable, "-m", READER, f"{IDLE_SECONDS:g}"]
    reader = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    threading.Thread(target=reader.wait, name="mlpipe-reader-end", daemon=True).start()  # else it ends as a zombie
    return reader


def _end(reader: subprocess.Popen[str]) -> None:
    for stream in (reader.stdin, reader.stdout):
        if stream:
            try:
                stream.close()
            except OSError:  # what was written to a reader that has ended
                continue
    reader.wait()
