"""Starts services, keeps them running, and ends every process it started. What the services are is not known here."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from mlpipe_dagster.errors import BrokerUnavailable, MlpipeError
from mlpipe_dagster.services import guard
from mlpipe_dagster.services.plan import Say

START_SECONDS = 180.0
LOOK_SECONDS = 0.1
STOP_SECONDS = 8.0
FIRST_DELAY_SECONDS = 1.0
LONGEST_DELAY_SECONDS = 30.0
MOST_DEATHS = 6
CALM_SECONDS = 12.0
LOG_LINES = 12


class ServiceFailed(MlpipeError):  # noqa: N818 - as in errors.py
    """A service does not run and will not be started again; the message names its log."""

    error_type = "service"


@dataclass(frozen=True)
class Service:
    """What there is to know about a service; `launch` gives a process that leads a group of its own.

    `ready` says whether the service that was launched at the given time (seconds since 1970) really answers.
    """

    name: str
    log: Path
    launch: Callable[[], subprocess.Popen[bytes]]
    ready: Callable[[float], bool]


@dataclass
class Running:
    """A service's process now, and how often it has died lately."""

    service: Service
    process: subprocess.Popen[bytes] | None = None
    launched_at: float = 0.0
    is_up: bool = False
    deaths: int = 0
    restart_at: float | None = None


def spawn(command: Sequence[str], environment: dict[str, str], folder: Path, log: Path) -> subprocess.Popen[bytes]:
    """Start a process in a group of its own, so that Ctrl-C in the terminal reaches only the supervisor."""
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            process_group=0,
        )


class Supervisor:
    """The services of one `mlpipe up`. Used by one thread; `tend` is to be called about twice a second.

    As a context manager it ends all processes on leaving, and a guard process does so where it cannot.
    """

    def __init__(self, say: Say, stopping: threading.Event) -> None:
        self._say = say
        self._stopping = stopping
        self._running: list[Running] = []
        self._guard: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._guard = subprocess.Popen(
            [sys.executable, "-I", "-S", str(Path(guard.__file__))], stdin=subprocess.PIPE, process_group=0
        )
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()

    def start(self, services: Sequence[Service]) -> None:
        """Start these services together and wait until each answers; returns early when it is time to stop.

        Raises
        ------
        ServiceFailed
            One ended or did not answer in time; the message names its log and shows the log's end.
        """
        if self._stopping.is_set():
            return
        started = [self._begin(service) for service in services]
        give_up_at = time.monotonic() + START_SECONDS
        while not self._stopping.is_set() and (waiting := [it for it in started if not self._came_up(it)]):
            for running in waiting:
                self._raise_if_ended(running)
            if time.monotonic() > give_up_at:
                raise ServiceFailed(_failure(waiting[0], f"did not answer within {START_SECONDS:.0f} s"))
            self._stopping.wait(LOOK_SECONDS)

    @contextmanager
    def task(self, service: Service) -> Iterator[None]:
        """Run something that ends by itself beside the body; waits for its end.

        Raises
        ------
        ServiceFailed
            It ended with an error.
        """
        running = self._begin(service)
        yield
        while _ended(running) is None and not self._stopping.is_set():
            self._stopping.wait(LOOK_SECONDS)
        if running.process and running.process.returncode:
            raise ServiceFailed(_failure(running, f"ended with {_ended(running)}"))
        if running.process and running.process.returncode == 0:
            self._forget(running)
            self._running.remove(running)

    def tend(self) -> None:
        """Notice what died, say so, and start it again after a delay that grows.

        Raises
        ------
        ServiceFailed
            A service died six times in a row; every twelve seconds in which it answered take back one death.
        """
        for running in self._running:
            if running.restart_at is not None:
                if time.monotonic() >= running.restart_at:
                    self._restart(running)
            elif _ended(running) is not None:
                self._note_death(running, f"ended with {_ended(running)}")
            elif not running.is_up and self._came_up(running):
                self._say(f"{running.service.name} is back")

    def stop(self) -> None:
        """End every process: asked together, the first started last, killed after a grace."""
        processes = [running.process for running in self._running if running.process]
        _end(processes[1:])
        _end(processes[:1])  # the broker was started first: the others write to it to the last
        self._running.clear()
        if self._guard and self._guard.stdin:
            self._guard.stdin.close()  # every group is gone: it finds nothing to do
            self._guard.wait()
            self._guard = None

    def _begin(self, service: Service) -> Running:
        running = Running(service)
        self._running.append(running)
        self._launch(running)
        return running

    def _launch(self, running: Running) -> None:
        running.launched_at, running.is_up, running.restart_at = time.time(), False, None
        running.process = running.service.launch()
        self._tell_guard(f"+{running.process.pid}")

    def _came_up(self, running: Running) -> bool:
        if not running.is_up and _ended(running) is None:
            running.is_up = running.service.ready(running.launched_at)
        return running.is_up

    def _raise_if_ended(self, running: Running) -> None:
        code = _ended(running)
        if code is not None:
            raise ServiceFailed(_failure(running, f"ended with {code} instead of starting"))

    def _note_death(self, running: Running, how: str) -> None:
        self._forget(running)
        # what does not get up again is given up soon; what works between its deaths is started again for ever
        rested = int((time.time() - running.launched_at) / CALM_SECONDS) if running.is_up else 0
        running.deaths = max(running.deaths - rested, 0) + 1
        if running.deaths >= MOST_DEATHS:
            raise ServiceFailed(_failure(running, f"{how}, the {running.deaths}th time in a row"))
        delay = restart_delay(running.deaths)
        running.restart_at = time.monotonic() + delay
        self._say(f"{running.service.name} {how}; starting it again in {delay:.0f} s (log: {running.service.log})")

    def _forget(self, running: Running) -> None:
        """End what an ended process may have left of its group, and take it off the guard's list."""
        if running.process:
            _end([running.process])
            self._tell_guard(f"-{running.process.pid}")
        running.process = None

    def _restart(self, running: Running) -> None:
        try:
            self._launch(running)
        except BrokerUnavailable as error:
            self._note_death(running, f"did not start: {error}")

    def _tell_guard(self, line: str) -> None:
        if self._guard and self._guard.stdin:
            self._guard.stdin.write(f"{line}\n".encode())
            self._guard.stdin.flush()


def restart_delay(deaths: int) -> float:
    """Seconds to wait after so many deaths in a row: doubles each time, up to half a minute."""
    return min(FIRST_DELAY_SECONDS * 2.0 ** (deaths - 1), LONGEST_DELAY_SECONDS)


def _ended(running: Running) -> str | None:
    """How the process ended, for a person; None while it runs."""
    code = running.process.poll() if running.process else None
    if code is None:
        return None
    return f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"


def _failure(running: Running, what: str) -> str:
    log = running.service.log
    lines = log.read_text(errors="replace").splitlines()[-LOG_LINES:] if log.is_file() else []
    return "\n".join((f"{running.service.name} {what}. Its log: {log}", *(f"  | {line}" for line in lines)))


def _end(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """End whole process groups: SIGTERM, a grace, then SIGKILL for whatever is left."""
    for process in processes:
        guard.signal_group(process.pid, signal.SIGTERM)
    give_up_at = time.monotonic() + STOP_SECONDS
    while time.monotonic() < give_up_at and any(_group_lives(process) for process in processes):
        time.sleep(0.02)
    for process in processes:
        guard.signal_group(process.pid, signal.SIGKILL)
        process.wait()


def _group_lives(process: subprocess.Popen[bytes]) -> bool:
    return process.poll() is None or guard.signal_group(process.pid, 0)


@contextmanager
def stop_signals(stopping: threading.Event) -> Iterator[None]:
    """Turn Ctrl-C and SIGTERM into the event, for as long as the context lasts."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, lambda *_: stopping.set()) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def own_environment() -> dict[str, str]:
    """The environment to hand on to services, unread: what mlpipe itself goes by stands in settings.py."""
    return dict(os.environ)
