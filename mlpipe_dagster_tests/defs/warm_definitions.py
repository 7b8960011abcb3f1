"""Small jobs for the tests of warm runs: they end, fail, sleep, will not stop, or have processes of their own."""

import os
import signal
import subprocess
import time
from pathlib import Path

import dagster as dg

PIDS_VARIABLE = "MLPIPE_TEST_PIDS"
"""Names the file into which a run writes its own process and its child's."""


@dg.op
def end() -> None:
    print("said by the run")


@dg.op
def fail() -> None:
    raise ValueError("as it should")


@dg.op
def sleep() -> None:
    time.sleep(60)


@dg.op
def ignore_the_signal() -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            time.sleep(60)
        except BaseException:  # the very thing under test: a body that swallows its interruption
            continue


@dg.op
def work_with_a_child() -> None:
    """As an engine does that starts workers; neither listens to a SIGTERM."""
    child = subprocess.Popen(["sh", "-c", "trap '' TERM; while true; do sleep 300; done"])
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    Path(os.environ[PIDS_VARIABLE]).write_text(f"{os.getpid()} {child.pid}")
    child.wait()


@dg.op
def die() -> None:
    os.abort()


@dg.job(executor_def=dg.in_process_executor)
def end_job() -> None:
    end()


@dg.job(executor_def=dg.in_process_executor)
def fail_job() -> None:
    fail()


@dg.job(executor_def=dg.in_process_executor)
def sleep_job() -> None:
    sleep()


@dg.job(executor_def=dg.in_process_executor)
def stubborn_job() -> None:
    ignore_the_signal()


@dg.job(executor_def=dg.in_process_executor)
def parent_job() -> None:
    work_with_a_child()


@dg.job(executor_def=dg.in_process_executor)
def dying_job() -> None:
    die()


defs = dg.Definitions(jobs=[end_job, fail_job, sleep_job, stubborn_job, parent_job, dying_job])
