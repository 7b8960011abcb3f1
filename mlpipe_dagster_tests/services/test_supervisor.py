"""Real processes that die, refuse to die, and leave children behind."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mlpipe_dagster.errors import BrokerUnavailable
from mlpipe_dagster.services import supervisor as module
from mlpipe_dagster.services.supervisor import Service, ServiceFailed, Supervisor, restart_delay, spawn, stop_signals

STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
)
PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
time.sleep(600)
"""
SUPERVISING = """
import sys, threading, time
from pathlib import Path
from mlpipe_dagster.services.supervisor import Service, Supervisor, spawn
folder = Path(sys.argv[1])
log = folder / "parent.log"
def launch():
    return spawn([sys.executable, "-c", sys.argv[2]], {}, folder, log)
with Supervisor(print, threading.Event()) as supervisor:
    supervisor.start([Service("Parent", log, launch, lambda _: log.read_text() != "")])
    print("up", flush=True)
    time.sleep(600)
"""


def service(folder: Path, name: str, code: str, ready: Callable[[], bool] | None = None) -> Service:
    """A Python program as a service; ready when it has printed something."""
    log = folder / f"{name}.log"

    def launch() -> subprocess.Popen[bytes]:
        return spawn([sys.executable, "-c", code], dict(os.environ), folder, log)

    return Service(name, log, launch, lambda _since: log.read_text() != "" if ready is None else ready())


def lives(pid: int) -> bool:
    """Whether the process runs (a zombie that nobody has reaped yet does not)."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(state.strip()) and not state.startswith("Z")


def eventually(condition: Callable[[], bool]) -> bool:
    give_up_at = time.monotonic() + 20
    while not condition() and time.monotonic() < give_up_at:
        time.sleep(0.05)
    return condition()


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def supervisor(said: list[str]) -> Iterator[Supervisor]:
    with Supervisor(said.append, threading.Event()) as running:
        yield running


def test_a_service_that_dies_at_start_is_named_with_its_log(supervisor: Supervisor, tmp_path: Path) -> None:
    dying = service(tmp_path, "The API", "raise SystemExit('no such table')", ready=lambda: False)
    with pytest.raises(ServiceFailed) as failure:
        supervisor.start([dying])
    lines = str(failure.value).splitlines()
    assert lines[0] == f"The API ended with exit code 1 instead of starting. Its log: {dying.log}"
    assert lines[1] == "  | no such table"


def test_a_service_that_never_answers_is_named(
    supervisor: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "START_SECONDS", 0.3)
    with pytest.raises(ServiceFailed, match=r"Mute did not answer within 0 s\. Its log: .*Mute\.log"):
        supervisor.start([service(tmp_path, "Mute", "import time; time.sleep(600)", ready=lambda: False)])


def test_stopping_ends_stubborn_processes_and_grandchildren(
    supervisor: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STOP_SECONDS", 0.5)
    supervisor.start([service(tmp_path, "Stubborn", STUBBORN), service(tmp_path, "Parent", PARENT)])
    grandchild = int((tmp_path / "Parent.log").read_text())
    assert lives(grandchild)
    supervisor.stop()
    assert not lives(grandchild)


def test_a_killed_supervisor_leaves_no_process(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SUPERVISING, str(tmp_path), PARENT]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as supervising:
        assert supervising.stdout is not None
        assert supervising.stdout.readline() == "up\n"
        grandchild = int((tmp_path / "parent.log").read_text())
        assert lives(grandchild)
        supervising.kill()
    assert eventually(lambda: not lives(grandchild))


def test_a_service_that_dies_later_is_started_again(
    supervisor: Supervisor, said: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FIRST_DELAY_SECONDS", 0.0)
    code = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    running = service(tmp_path, "Worker", code)
    supervisor.start([running])
    first = int(running.log.read_text())
    os.kill(first, signal.SIGKILL)

    def is_back() -> bool:
        supervisor.tend()
        return "Worker is back" in said

    assert eventually(is_back)
    assert said[0] == f"Worker ended with signal SIGKILL; starting it again in 0 s (log: {running.log})"
    assert eventually(lambda: len(running.log.read_text().split()) == 2)


def test_delays_double_up_to_half_a_minute() -> None:
    assert [restart_delay(deaths) for deaths in range(1, 8)] == [1, 2, 4, 8, 16, 30, 30]


def test_a_service_that_dies_again_and_again_is_given_up(
    supervisor: Supervisor, said: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FIRST_DELAY_SECONDS", 0.0)
    code = "import time; print('up', flush=True); time.sleep(0.2); raise SystemExit(3)"
    supervisor.start([service(tmp_path, "Worker", code)])

    def tend_until_given_up() -> None:
        while True:
            supervisor.tend()
            time.sleep(0.01)

    with pytest.raises(ServiceFailed, match=r"Worker ended with exit code 3, the 6th time in a row\. Its log"):
        tend_until_given_up()
    assert len([line for line in said if "starting it again" in line]) == 5


def test_a_service_that_works_between_its_deaths_is_started_again_for_ever(
    supervisor: Supervisor, said: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FIRST_DELAY_SECONDS", 0.0)
    monkeypatch.setattr(module, "CALM_SECONDS", 0.1)  # it works for twice as long
    code = "import time; print('up', flush=True); time.sleep(0.2); raise SystemExit(3)"
    supervisor.start([service(tmp_path, "Worker", code)])

    def died_often() -> bool:
        supervisor.tend()
        return len([line for line in said if "starting it again" in line]) > module.MOST_DEATHS

    assert eventually(died_often)


def test_a_broker_that_does_not_start_again_is_tried_later(
    supervisor: Supervisor, said: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FIRST_DELAY_SECONDS", 0.0)
    program = service(tmp_path, "Broker", "import time; print('up', flush=True); time.sleep(600)")
    launches = iter([True, False, True])

    def launch() -> subprocess.Popen[bytes]:
        if not next(launches):
            raise BrokerUnavailable("its port is taken")
        return program.launch()

    processes: list[subprocess.Popen[bytes]] = []

    def launch_and_remember() -> subprocess.Popen[bytes]:
        processes.append(launch())
        return processes[-1]

    supervisor.start([Service("Broker", program.log, launch_and_remember, program.ready)])
    processes[0].kill()

    def is_back() -> bool:
        supervisor.tend()
        return "Broker is back" in said

    assert eventually(is_back)
    assert said[1].startswith("Broker did not start: its port is taken; starting it again in 0 s")


def test_a_task_that_fails_is_named(supervisor: Supervisor, tmp_path: Path) -> None:
    failing = service(tmp_path, "Migration", "raise SystemExit('locked')")
    with pytest.raises(ServiceFailed, match=r"Migration ended with exit code 1\. Its log"), supervisor.task(failing):
        pass


def test_nothing_more_is_started_when_it_is_time_to_stop(tmp_path: Path) -> None:
    stopping = threading.Event()
    stopping.set()
    with Supervisor(print, stopping) as supervisor:
        supervisor.start([service(tmp_path, "Late", "print('up')")])
    assert not (tmp_path / "Late.log").exists()


def test_signals_become_the_event_and_are_given_back() -> None:
    stopping, before = threading.Event(), signal.getsignal(signal.SIGTERM)
    with stop_signals(stopping):
        os.kill(os.getpid(), signal.SIGTERM)
        assert stopping.wait(5)
    assert signal.getsignal(signal.SIGTERM) == before
