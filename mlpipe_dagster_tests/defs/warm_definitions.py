"""Small jobs for the tests of warm runs: one that ends, one that fails, one that sleeps, one that will not stop."""

import os
import time

import dagster as dg


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
def dying_job() -> None:
    die()


defs = dg.Definitions(jobs=[end_job, fail_job, sleep_job, stubborn_job, dying_job])
