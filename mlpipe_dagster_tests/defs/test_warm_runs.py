"""Warm runs with a real zygote: they run, wait their turn, are cancelled, die, and fall back."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.launcher import LaunchRunContext, RunLauncher, WorkerStatus
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin

from mlpipe_dagster.defs import sweep
from mlpipe_dagster.defs.warm_runs import wire
from mlpipe_dagster.defs.warm_runs.launcher import WarmRunLauncher
from mlpipe_dagster_tests.defs.warm_definitions import PIDS_VARIABLE, defs

MODULE = "mlpipe_dagster_tests.defs.warm_definitions"
S = dg.DagsterRunStatus


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    overrides = {
        "run_launcher": {
            "module": "mlpipe_dagster.defs.warm_runs.launcher",
            "class": "WarmRunLauncher",
            "config": {"max_runs": 2},
        },
        "telemetry": {"enabled": False},
    }
    with dg.DagsterInstance.local_temp(str(tmp_path), overrides=overrides) as made:
        yield made
    for path in wire.all_sockets(str(tmp_path)):
        pids = [wire.ask(path, op="health", run_id=run.run_id).get("pid") for run in made.get_runs()]
        for pid in filter(None, pids):
            with suppress(ProcessLookupError):  # it has ended meanwhile
                os.kill(pid, signal.SIGKILL)
        wire.ask(path, op="drain")


def start(instance: dg.DagsterInstance, job_name: str, module: str = MODULE) -> dg.DagsterRun:
    """Create a run and hand it to the launcher."""
    pointer = ModuleCodePointer(module, "defs", working_directory=str(Path.cwd()))
    repository = RepositoryPythonOrigin(sys.executable, pointer)
    run = instance.create_run_for_job(
        defs.resolve_job_def(job_name),
        job_code_origin=JobPythonOrigin(job_name, repository),
        status=S.STARTING,
    )
    instance.run_launcher.launch_run(LaunchRunContext(run, None))
    return run


def wait(instance: dg.DagsterInstance, run: dg.DagsterRun, *statuses: S, seconds: float = 60) -> dg.DagsterRun:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        now = instance.get_run_by_id(run.run_id)
        if now and now.status in statuses:
            return now
        time.sleep(0.05)
    raise AssertionError(f"{instance.get_run_by_id(run.run_id)} is not {statuses}")


def test_runs_end_as_their_jobs_do(instance: dg.DagsterInstance) -> None:
    good, bad = start(instance, "end_job"), start(instance, "fail_job")
    wait(instance, good, S.SUCCESS)
    wait(instance, bad, S.FAILURE)
    messages = [entry.message for entry in instance.all_logs(good.run_id)]
    assert any("Forked from the warm process" in message for message in messages)


@pytest.mark.long
def test_what_is_over_the_limit_waits_and_is_seen_waiting(instance: dg.DagsterInstance) -> None:
    working = [start(instance, "sleep_job") for _ in range(2)]
    for run in working:
        wait(instance, run, S.STARTED)
    waiting = start(instance, "end_job")
    assert any("Waits; 0 runs are before it." in entry.message for entry in instance.all_logs(waiting.run_id))
    assert instance.run_launcher.check_run_worker_health(waiting).status is WorkerStatus.RUNNING
    cancelled = start(instance, "end_job")
    assert instance.run_launcher.terminate(cancelled.run_id)
    wait(instance, cancelled, S.CANCELED)
    instance.run_launcher.terminate(working[0].run_id)
    wait(instance, working[0], S.CANCELED)
    wait(instance, waiting, S.SUCCESS)


def test_a_cancelled_run_stops_even_if_its_body_will_not(instance: dg.DagsterInstance) -> None:
    run = start(instance, "stubborn_job")
    wait(instance, run, S.STARTED)
    time.sleep(0.5)  # into the body
    assert instance.run_launcher.terminate(run.run_id)
    wait(instance, run, S.CANCELED, seconds=10)


@pytest.fixture
def pids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a run of `parent_job` writes its own process and its child's."""
    file = tmp_path / "pids"
    monkeypatch.setenv(PIDS_VARIABLE, str(file))
    return file


def a_run_and_its_processes(instance: dg.DagsterInstance, pids: Path) -> tuple[dg.DagsterRun, list[int]]:
    """A run at work that ignores SIGTERM, and what belongs to it: its process, its child, Dagster's log tails."""
    run = start(instance, "parent_job")
    deadline = time.monotonic() + 60
    while not (pids.is_file() and pids.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    own, child = map(int, pids.read_text().split())
    family = descendants(own)
    assert child in family
    return run, [own, *family]


def living() -> dict[int, int]:
    """Every process that is no zombie, with its parent."""
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,stat="], capture_output=True, text=True, check=True)
    lines = (line.split() for line in listed.stdout.splitlines())
    return {int(pid): int(parent) for pid, parent, state in lines if not state.startswith("Z")}


def descendants(ancestor: int) -> list[int]:
    """Children and theirs."""
    parents = living()
    children = [pid for pid, parent in parents.items() if parent == ancestor]
    return children + [pid for child in children for pid in descendants(child)]


def wait_until_gone(pids: list[int]) -> None:
    deadline = time.monotonic() + 20
    while left := living().keys() & set(pids):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


def test_a_cancelled_run_takes_its_children_with_it(instance: dg.DagsterInstance, pids: Path) -> None:
    run, family = a_run_and_its_processes(instance, pids)
    assert instance.run_launcher.terminate(run.run_id)
    wait_until_gone(family)
    wait(instance, run, S.CANCELED, seconds=20)


def test_a_killed_run_leaves_no_process_behind(instance: dg.DagsterInstance, pids: Path) -> None:
    run, family = a_run_and_its_processes(instance, pids)
    os.kill(family[0], signal.SIGKILL)
    wait_until_gone(family)
    wait(instance, run, S.FAILURE, seconds=20)


@pytest.mark.parametrize("number", [pytest.param(signal.SIGTERM, marks=pytest.mark.long), signal.SIGKILL], ids=str)
def test_the_runs_of_a_zygote_that_ends_end_with_it(
    instance: dg.DagsterInstance, pids: Path, number: signal.Signals
) -> None:
    _, family = a_run_and_its_processes(instance, pids)
    (path,) = wire.all_sockets(instance.root_directory)
    zygote = wire.ask(path, op="ping")["pid"]
    os.kill(zygote, number)
    wait_until_gone([zygote, *family])
    path.unlink(missing_ok=True)  # a killed one could not


@pytest.mark.parametrize("how", ["killed", pytest.param("aborts", marks=pytest.mark.long)])
def test_a_run_whose_process_is_gone_is_a_failure_at_once(instance: dg.DagsterInstance, how: str) -> None:
    run = start(instance, "sleep_job" if how == "killed" else "dying_job")
    if how == "killed":
        wait(instance, run, S.STARTED)
        (path,) = wire.all_sockets(instance.root_directory)
        os.kill(wire.ask(path, op="health", run_id=run.run_id)["pid"], signal.SIGKILL)
    wait(instance, run, S.FAILURE, seconds=20)
    assert any("killed by signal" in entry.message for entry in instance.all_logs(run.run_id))
    assert instance.run_launcher.check_run_worker_health(run).status is WorkerStatus.FAILED


def is_alive(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """As the sweep sees it."""
    record = instance.get_run_record_by_id(run.run_id)
    assert record
    return sweep._is_alive(instance, record)


@pytest.mark.long
def test_a_run_that_waited_in_a_dead_zygote_is_said_to_have_failed(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    working = [start(instance, "sleep_job") for _ in range(2)]
    for run in working:
        wait(instance, run, S.STARTED)
    waiting = start(instance, "end_job")
    assert is_alive(instance, waiting)
    (path,) = wire.all_sockets(instance.root_directory)
    pids = [wire.ask(path, op="health", run_id=run.run_id)["pid"] for run in working]
    zygote = wire.ask(path, op="ping")["pid"]
    os.kill(zygote, signal.SIGKILL)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    path.unlink()
    assert is_alive(instance, waiting), "it may have been launched just now"
    monkeypatch.setattr(sweep, "LAUNCH_GRACE", timedelta(0))
    sweep._end_forgotten_runs(instance)
    wait(instance, waiting, S.FAILURE)


class Cold(RunLauncher):
    """Stands for Dagster's own launcher."""

    def __init__(self) -> None:
        self.launched: list[str] = []
        super().__init__()

    def launch_run(self, context: LaunchRunContext) -> None:
        self.launched.append(context.dagster_run.run_id)

    def terminate(self, run_id: str) -> bool:
        return run_id in self.launched


def test_what_is_not_as_expected_starts_cold_with_a_warning(instance: dg.DagsterInstance) -> None:
    launcher = instance.run_launcher
    assert isinstance(launcher, WarmRunLauncher)
    launcher._default = cold = Cold()
    run = start(instance, "end_job", module="somebody.elses")
    assert cold.launched == [run.run_id]
    assert any("starts cold" in entry.message for entry in instance.all_logs(run.run_id))
    assert launcher.terminate(run.run_id), "a cold run is cancelled as Dagster would"
    broken = start(instance, "end_job", module="mlpipe_dagster.errors")  # has no `defs`
    assert cold.launched[-1] == broken.run_id
    assert any("zygote.log" in entry.message for entry in instance.all_logs(broken.run_id))


def test_changed_code_gets_a_new_zygote(instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    sleeping = start(instance, "sleep_job")
    wait(instance, sleeping, S.STARTED)
    monkeypatch.setattr(wire, "code_fingerprint", lambda _module: "edited000000")
    run = start(instance, "end_job")
    wait(instance, run, S.SUCCESS)
    assert len(list(wire.all_sockets(instance.root_directory))) == 2, "the old one finishes its run"
    assert instance.run_launcher.terminate(sleeping.run_id)
    wait(instance, sleeping, S.CANCELED)
    deadline = time.monotonic() + 20
    while len(list(wire.all_sockets(instance.root_directory))) == 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert len(list(wire.all_sockets(instance.root_directory))) == 1
