"""The zygote: one single-threaded process that has everything imported and forks a child for each run.

It bounds how many runs and trainings are at work; the rest wait in order. A child that ends without having said so is
reported by another child, so that no run stays open. Each child leads a process group; what is left of it ends with the
child, and all groups end with the zygote. Started by the launcher: `python -m ….zygote SOCKET FINGERPRINT MODULE RUNS
TRAININGS INSTANCE`.
"""

import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from mlpipe_dagster.services import guard

KILL_AFTER_SECONDS = 2.5
ORPHAN_SECONDS = 10.0
TICK_SECONDS = 1.0
REMEMBERED = 500


@dataclass
class Waiting:
    """A run that has been asked for."""

    run_id: str
    args: str
    log: str
    training: bool


@dataclass
class Child:
    """A run at work."""

    run: Waiting
    kill_at: float | None = None
    """When a cancelled run that has not ended is killed."""


@dataclass
class Zygote:
    """State of the process: who waits, who works, how they ended."""

    path: Path
    fingerprint: str
    most_runs: int
    most_trainings: int
    waiting: deque[Waiting] = field(default_factory=deque)
    children: dict[int, Child] = field(default_factory=dict)
    reporters: set[int] = field(default_factory=set)
    ended: dict[str, int] = field(default_factory=dict)
    draining: bool = False
    stop_asked: bool = False
    orphan_since: float | None = None
    warm_up: Callable[[], None] | None = None
    """What is done once, in the first second without work after a training: imports that only trainings need, and that
    cost memory."""
    has_trained: bool = False

    def serve(self) -> None:
        """Listen, fork, reap, until drained or orphaned with nothing left to do."""
        owner = os.getppid()
        listener = self._listen()
        woken, waker = socket.socketpair()
        for end in (woken, waker):
            end.setblocking(False)
        signal.set_wakeup_fd(waker.fileno())
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._note_stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # a child's end wakes the selector
        # ends the children's groups when this process was killed: it sees the end of its input
        self._guard = subprocess.Popen(
            [sys.executable, "-I", "-S", str(Path(guard.__file__))], stdin=subprocess.PIPE, bufsize=0, process_group=0
        )
        self._inherited = (listener, woken, waker)
        with selectors.DefaultSelector() as selector:
            selector.register(listener, selectors.EVENT_READ)
            selector.register(woken, selectors.EVENT_READ)
            while not self._finished(owner):
                happened = selector.select(TICK_SECONDS)
                for key, _ in happened:
                    if key.fileobj is woken:
                        woken.recv(4096)
                    else:
                        self._answer_one(listener)
                if self.stop_asked:
                    self._stop()
                self._reap()
                self._kill_late()
                self._start_next()
                idle = not (happened or self.children or self.waiting or self.draining)
                if self.warm_up and self.has_trained and idle:
                    self.warm_up()
                    self.warm_up = None
        self.path.unlink(missing_ok=True)
        if self._guard.stdin:
            self._guard.stdin.close()
        self._guard.wait()

    def _note_stop(self, *_: object) -> None:
        """A signal comes anywhere: what it asks for is done between two steps."""
        self.stop_asked = True

    def _stop(self) -> None:
        """The services stop: what waits will be asked for again, what works is asked to end and soon killed."""
        self.stop_asked, self.draining = False, True
        self.waiting.clear()
        for pid, child in self.children.items():
            _ask_to_end(pid, child)

    def _listen(self) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX)
        fresh = self.path.with_suffix(f".{os.getpid()}")
        listener.bind(str(fresh))
        listener.listen(128)
        fresh.rename(self.path)  # it exists only when it answers
        return listener

    def _finished(self, owner: int) -> bool:
        if os.getppid() != owner and self.orphan_since is None:
            self.orphan_since = time.monotonic()
        forgotten = self.orphan_since is not None and time.monotonic() - self.orphan_since > ORPHAN_SECONDS
        idle = not self.children and not self.waiting and not self.reporters
        return idle and (self.draining or forgotten)

    def _answer_one(self, listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(5)
            try:
                request = json.loads(connection.makefile("rb").readline())
                answer = self._answer(request)
                connection.sendall(json.dumps(answer).encode() + b"\n")
            except (OSError, ValueError, KeyError) as error:
                print(f"a request was not understood or its sender is gone: {error!r}", file=sys.stderr)

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        match request["op"]:
            case "ping":
                return {
                    "fingerprint": self.fingerprint,
                    "pid": os.getpid(),
                    "working": len(self.children),
                    "waiting": len(self.waiting),
                }
            case "run" if self.draining:
                return {"accepted": False}
            case "run":
                run = Waiting(request["run_id"], request["args"], request["log"], bool(request["training"]))
                self.waiting.append(run)
                self._start_next()
                return {"accepted": True, "before": self._place(run)}
            case "cancel":
                return self._cancel(request["run_id"])
            case "health":
                return self._health(request["run_id"])
            case "drain":
                self.draining = True
                return {}
        raise ValueError(f"unknown request {request['op']}")

    def _place(self, run: Waiting) -> int | None:
        """How many wait before it; None when it is at work."""
        return next((place for place, other in enumerate(self.waiting) if other is run), None)

    def _cancel(self, run_id: str) -> dict[str, Any]:
        for run in list(self.waiting):
            if run.run_id == run_id:
                self.waiting.remove(run)
                return {"found": "waiting"}
        for pid, child in self.children.items():
            if child.run.run_id == run_id:
                _ask_to_end(pid, child)
                return {"found": "working"}
        return {"found": None}

    def _health(self, run_id: str) -> dict[str, Any]:
        if any(run.run_id == run_id for run in self.waiting):
            return {"state": "waiting"}
        for pid, child in self.children.items():
            if child.run.run_id == run_id:
                return {"state": "working", "pid": pid}
        return {"state": "ended", "code": self.ended[run_id]} if run_id in self.ended else {"state": "unknown"}

    def _reap(self) -> None:
        for pid, code in _dead_children():
            self._tell_guard(f"-{pid}")
            self.reporters.discard(pid)
            child = self.children.pop(pid, None)
            if child is None:
                continue
            self.ended[child.run.run_id] = code
            while len(self.ended) > REMEMBERED:
                del self.ended[next(iter(self.ended))]
            if code:
                self._report_death(child.run, code)

    def _kill_late(self) -> None:
        for pid, child in self.children.items():
            if child.kill_at is not None and time.monotonic() > child.kill_at:
                guard.signal_group(pid, signal.SIGKILL)

    def _start_next(self) -> None:
        for run in list(self.waiting):
            if len(self.children) >= self.most_runs:
                return
            if run.training and self._trainings() >= self.most_trainings:
                continue
            self.waiting.remove(run)
            self.has_trained |= run.training
            pid = os.fork()
            if pid == 0:
                self._become_child(run, _execute)
            self._lead_group(pid)
            self.children[pid] = Child(run)

    def _trainings(self) -> int:
        return sum(child.run.training for child in self.children.values())

    def _report_death(self, run: Waiting, code: int) -> None:
        pid = os.fork()
        if pid == 0:
            self._become_child(run, lambda dead: _report(dead, code))
        self._lead_group(pid)
        self.reporters.add(pid)

    def _lead_group(self, pid: int) -> None:
        """Parent and child both make the group, so that neither meets a moment without it."""
        with suppress(ProcessLookupError, PermissionError):  # the child was quicker, and may have ended
            os.setpgid(pid, pid)
        self._tell_guard(f"+{pid}")

    def _tell_guard(self, line: str) -> None:
        with suppress(BrokenPipeError):  # somebody ended it: the runs are worth more than their guard
            if self._guard.stdin:
                self._guard.stdin.write(f"{line}\n".encode())

    def _become_child(self, run: Waiting, work: Any) -> NoReturn:
        """Leave the zygote's sockets and signals behind, write to the run's log, do the work, end."""
        os.setpgid(0, 0)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for inherited in self._inherited:
            inherited.close()
        if self._guard.stdin:
            self._guard.stdin.close()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.default_int_handler)
        log = os.open(run.log, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.close(log)
        code = 1
        try:
            code = work(run)
        except BaseException:  # the end of the process: whatever it was goes to the run's log
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)


def _ask_to_end(pid: int, child: Child) -> None:
    """SIGTERM to the run, which lets Dagster say that it was cancelled; its whole group is killed a little later."""
    child.kill_at = child.kill_at or time.monotonic() + KILL_AFTER_SECONDS
    os.kill(pid, signal.SIGTERM)


def _dead_children() -> Iterator[tuple[int, int]]:
    """Children that have ended, and their exit codes; what is left of their groups is killed."""
    while True:
        try:
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if found is None:
            return
        guard.signal_group(found.si_pid, signal.SIGKILL)  # before it is reaped: until then its number is no other's
        pid, status = os.waitpid(found.si_pid, 0)
        yield pid, os.waitstatus_to_exitcode(status)


def _execute(run: Waiting) -> int:
    """As `dagster api execute_run` does, in this process."""
    from dagster._cli.api import api_cli

    from mlpipe_dagster.automl import apart

    apart.FORKS = True  # no thread of a numerical library has worked in this process
    try:
        api_cli.main(args=["execute_run", run.args], standalone_mode=False)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(bool(ended.code))
    return 0


def _report(run: Waiting, code: int) -> int:
    """Say of a run whose process is gone what it could not say itself."""
    import dagster as dg
    from dagster._grpc.types import ExecuteRunArgs
    from dagster._serdes import deserialize_value

    args = deserialize_value(run.args, ExecuteRunArgs)
    if args.instance_ref is None:
        return 1
    with dg.DagsterInstance.from_ref(args.instance_ref) as instance:
        known = instance.get_run_by_id(run.run_id)
        if known is None or known.is_finished:
            return 0
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        message = f"The process of this run {how}."
        if known.status is dg.DagsterRunStatus.CANCELING:
            instance.report_run_canceled(known, message)
        else:
            instance.report_run_failed(known, message)
    return 0


def main() -> None:
    """Preload, then serve."""
    path, fingerprint, module, runs, trainings, instance_ref = sys.argv[1:7]
    from mlpipe_dagster.defs.warm_runs.preload import preload, preload_stages

    preload(module, instance_ref)
    zygote = Zygote(Path(path), fingerprint, int(runs), int(trainings))
    zygote.warm_up = lambda: preload_stages(module)
    zygote.serve()


if __name__ == "__main__":
    main()
