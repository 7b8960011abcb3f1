"""Processes are found by what their environment says, also when they are dead and nobody has fetched them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mlpipe_dagster_tests.faults.processes import ZOMBIE, Census, Kind, is_there

pytestmark = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="there is no /proc here")
PARENT = (
    "import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', 'pass']); print(p.pid, flush=True); input()"
)
WAIT_SECONDS = 30.0


def eventually(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


def start(home: Path, *command: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "MLPIPE_HOME": str(home)}
    return subprocess.Popen([sys.executable, *command], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def test_only_the_processes_of_this_home_are_seen_and_remembered_after_their_end(tmp_path: Path) -> None:
    mine, others = start(tmp_path / "a", "-c", "input()"), start(tmp_path / "ab", "-c", "input()")
    census = Census(tmp_path / "a")
    try:
        assert eventually(lambda: [it.identity.pid for it in census.look()] == [mine.pid])
        (identity,) = census.known
        assert census.look()[0].kind is Kind.OTHER and is_there(identity)
    finally:
        for process in (mine, others):
            process.communicate(b"\n")
    assert census.look() == [] and not is_there(identity)
    assert list(census.known) == [identity]


def test_the_unfetched_child_of_a_process_is_seen(tmp_path: Path) -> None:
    parent = start(tmp_path, "-c", PARENT)
    census = Census(tmp_path)
    try:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert eventually(lambda: (child, ZOMBIE) in {(it.identity.pid, it.state) for it in census.look()})
    finally:
        parent.communicate(b"\n")


def test_a_frozen_process_is_there(tmp_path: Path) -> None:
    process = start(tmp_path, "-c", "input()")
    census = Census(tmp_path)
    try:
        assert eventually(lambda: bool(census.look()))
        os.kill(process.pid, signal.SIGSTOP)
        assert eventually(lambda: census.look()[0].state == "T")
    finally:
        os.kill(process.pid, signal.SIGCONT)
        process.communicate(b"\n")
