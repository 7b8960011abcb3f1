"""The whole stack with real processes: `mlpipe up`, a service that is killed, the doctor, Ctrl-C."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mlpipe_dagster.messaging.embedded import free_port

ROOT = Path(__file__).resolve().parents[2]
MLPIPE = [sys.executable, "-m", "mlpipe_dagster.cli"]
PATIENCE_SECONDS = 120

pytestmark = [
    pytest.mark.end_to_end,
    pytest.mark.timeout(400),
    pytest.mark.skipif(
        not Path("/proc/self/environ").is_file(), reason="finds processes by their environment in /proc"
    ),
]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name != "KAFKA_BOOTSTRAP_SERVERS"}
    own = {
        "MLPIPE_HOME": str(tmp_path / "home"),
        "MLPIPE_API_PORT": str(free_port(25000)),
        "MLPIPE_DAGSTER_BASE": f"http://localhost:{free_port(25500)}",
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
    }
    return {**inherited, **own}


@pytest.fixture
def up(environment: dict[str, str], tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`mlpipe up`, its words in up.log; stopped at the end where the test did not."""
    with (
        (tmp_path / "up.log").open("wb") as log,
        subprocess.Popen([*MLPIPE, "up"], env=environment, cwd=tmp_path, stdout=log, stderr=log) as process,
    ):
        yield process
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)


def of_home(home: Path) -> dict[int, str]:
    """Command lines of the processes whose environment names this home, by their ids."""
    wanted, found = f"MLPIPE_HOME={home}".encode(), {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue  # it ended meanwhile
    return found


def wait_for(condition: Callable[[], bool], log: Path) -> None:
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < give_up_at, log.read_text()
        time.sleep(0.2)


def test_up_survives_a_killed_service_and_leaves_no_process(
    up: subprocess.Popen[bytes], environment: dict[str, str], tmp_path: Path
) -> None:
    log, home = tmp_path / "up.log", tmp_path / "home"
    wait_for(lambda: "Logs" in log.read_text() or up.poll() is not None, log)
    assert up.poll() is None, log.read_text()

    second = subprocess.run([*MLPIPE, "up"], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert second.returncode == 1
    assert f"mlpipe is up already on {home} (process {up.pid})" in second.stderr

    exports = next((line for line in log.read_text().splitlines() if line.startswith("  export ")), None)
    assert exports is not None  # the API is not on its default port
    addresses = dict(pair.split("=", 1) for pair in exports.split()[1:])
    doctor = subprocess.run(
        [*MLPIPE, "doctor"], env=environment | addresses, capture_output=True, text=True, check=False
    )
    assert doctor.returncode == 0, doctor.stdout + doctor.stderr
    assert "OK    sensor dataset_events: runs" in doctor.stdout

    api = next(pid for pid, command in of_home(home).items() if "uvicorn" in command)
    os.kill(api, signal.SIGKILL)
    wait_for(lambda: "The API is back" in log.read_text(), log)
    assert "The API ended with signal SIGKILL; starting it again in 1 s" in log.read_text()

    up.send_signal(signal.SIGINT)
    assert up.wait(60) == 0, log.read_text()
    assert log.read_text().endswith("Stopping …\nStopped.\n")
    wait_for(lambda: not of_home(home), log)
