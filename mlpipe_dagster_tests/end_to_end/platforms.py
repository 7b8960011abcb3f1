"""`mlpipe up` as a process in a folder of its own, on free ports: for tests, the fault suite and benchmarks."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mlpipe_dagster_tests.brokers import new_prefix, topic_variables
from mlpipe_dagster_tests.end_to_end.outside import Outside

START_SECONDS = 240
STOP_SECONDS = 60
ROOT = Path(__file__).resolve().parents[2]
QUICK = {"MLPIPE_DEFINITIONS": "mlpipe_dagster_tests.quick_definitions"}


@dataclass
class Platform:
    """The process, what it prints, and the way in."""

    process: subprocess.Popen[bytes]
    log: Path
    outside: Outside
    environment: dict[str, str]

    def say(self) -> str:
        """What it has printed until now."""
        return self.log.read_text(errors="replace")


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def clean_environment(**settings: str) -> dict[str, str]:
    """The tests' environment without any setting of mlpipe, then with these."""
    kept = {
        name: value for name, value in os.environ.items() if not re.match(r"MLPIPE_|KAFKA_|API_BASE|DAGSTER_", name)
    }
    return kept | {"PYTHONPATH": str(ROOT)} | settings


@contextmanager
def running_platform(folder: Path, kafka: str | None = None, **settings: str) -> Iterator[Platform]:
    """Start it and wait until it is up; ended by Ctrl-C. `kafka`: address of a real one, in place of the embedded."""
    api, dagster = f"http://localhost:{free_port()}", f"http://localhost:{free_port()}"
    prefix = new_prefix(kafka)
    environment = clean_environment(
        MLPIPE_HOME=str(folder / "home"), API_BASE=api, MLPIPE_DAGSTER_BASE=dagster,
        **topic_variables(prefix), **({"KAFKA_BOOTSTRAP_SERVERS": kafka} if kafka else {}), **settings,
    )  # fmt: skip
    log = folder / "up.log"
    up = _start(folder, environment, log)
    try:
        bootstrap = _bootstrap_when_up(up, log)
        if bootstrap is None:  # another platform that started at the same moment took the same free port
            up = _start(folder, environment, log)
            bootstrap = _bootstrap_when_up(up, log)
        assert bootstrap, f"mlpipe up did not come up:\n{log.read_text()}"
        yield Platform(up, log, Outside(api, dagster, bootstrap, folder / "home", prefix), environment)
    finally:
        up.send_signal(signal.SIGINT)
        up.wait(STOP_SECONDS)


def _start(folder: Path, environment: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        command = [sys.executable, "-m", "mlpipe_dagster.cli", "up"]
        return subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT)


def _bootstrap_when_up(up: subprocess.Popen[bytes], log: Path) -> str | None:
    """Where its Kafka is; None when it ended instead of coming up."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        said = log.read_text()
        if "Pipelines and inbox" in said and (found := re.search(r"^Kafka +(\S+:\d+)", said, re.MULTILINE)):
            return found[1]
        if up.poll() is not None:
            break
        time.sleep(0.2)
    return None
