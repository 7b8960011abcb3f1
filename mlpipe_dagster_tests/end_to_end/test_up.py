"""`mlpipe up` itself: the only one on its home, sound in the doctor's eyes, and its services started again."""

import os
import signal

import pytest

from mlpipe_dagster_tests.end_to_end.conftest import processes_of
from mlpipe_dagster_tests.end_to_end.platforms import Platform
from mlpipe_dagster_tests.end_to_end.test_cli import mlpipe
from mlpipe_dagster_tests.faults.processes import PROC, Kind

pytestmark = pytest.mark.end_to_end


def test_a_second_one_is_refused(up: Platform) -> None:
    second = mlpipe(up.environment, "up")
    assert second.returncode == 1
    assert f"mlpipe is up already on {up.outside.home} (process {up.process.pid})" in second.stderr


def test_the_doctor_finds_no_fault(second_terminal: dict[str, str]) -> None:
    doctor = mlpipe(second_terminal, "doctor")
    assert doctor.returncode == 0, doctor.stdout + doctor.stderr
    assert "OK    sensor dataset_events: runs" in doctor.stdout


@pytest.mark.skipif(not PROC.is_dir(), reason="finds processes by their environment in /proc")
def test_a_service_that_is_killed_is_started_again(up: Platform) -> None:
    (api,) = (seen.identity.pid for seen in processes_of(up) if seen.kind is Kind.API)
    os.kill(api, signal.SIGKILL)
    up.outside.wait(lambda: "The API is back" in up.say(), 120, "the API is back")
    assert "The API ended with signal SIGKILL; starting it again in 1 s" in up.say()
