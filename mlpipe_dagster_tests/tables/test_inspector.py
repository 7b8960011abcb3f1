"""Readers of uploads as processes: they answer, rest, are replaced when they have ended, and break nobody."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mlpipe_dagster.tables import inspector as readers
from mlpipe_dagster.tables.inspector import Inspector, TableSummary

SMALL = TableSummary("csv", ["a", "b"], 2, {"a": "int64", "b": "object"})


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small"
    path.write_bytes(b"a,b\n1,x\n2,y\n")
    return path


@pytest.fixture
def inspector(home: Path) -> Inspector:
    return Inspector()


def test_a_reader_answers_and_rests_for_the_next_file(inspector: Inspector, small: Path) -> None:
    assert inspector.inspect(small, "näme.csv") == SMALL
    (first,) = inspector._resting
    assert inspector.inspect(small, "two.csv") == SMALL
    assert inspector._resting == [first]
    inspector.close()
    assert first.returncode == 0


def test_a_reader_that_has_ended_is_replaced(inspector: Inspector, small: Path) -> None:
    inspector.inspect(small, "small.csv")
    (first,) = inspector._resting
    os.kill(first.pid, signal.SIGKILL)
    assert inspector.inspect(small, "small.csv") == SMALL
    assert first.returncode == -signal.SIGKILL
    inspector.close()


def test_a_file_that_kills_its_reader_leaves_an_answer(
    inspector: Inspector, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dies = [sys.executable, "-c", "import os; input(); os.abort()"]
    monkeypatch.setattr(
        readers, "_start", lambda: subprocess.Popen(dies, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    )
    assert inspector.inspect(small, "small.csv") == TableSummary("other")
    assert inspector._resting == []


def test_many_files_at_once_are_read_by_two_readers(inspector: Inspector, small: Path) -> None:
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda number: inspector.inspect(small, f"{number}.csv"), range(6)))
    assert answers == [SMALL] * 6
    assert len(inspector._resting) <= 2
    inspector.close()


def test_a_reader_without_files_ends_by_itself(
    inspector: Inspector, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers, "IDLE_SECONDS", 0.05)
    inspector.inspect(small, "small.csv")
    (reader,) = inspector._resting
    deadline = time.monotonic() + 30
    while reader.returncode is None and time.monotonic() < deadline:  # nobody asks: it is fetched all the same
        time.sleep(0.02)
    assert reader.returncode == 0
    inspector.close()
