"""`mlpipe up` in a folder of its own, on free ports, and a client that knows only HTTP and Kafka."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlpipe_dagster_tests.brokers import new_prefix, real_kafka, topic_variables
from mlpipe_dagster_tests.end_to_end.outside import Outside

START_SECONDS = 240
ROOT = Path(__file__).resolve().parents[2]


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


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    """The running services, as somebody outside sees them."""
    folder = tmp_path_factory.mktemp("platform")
    api, dagster = f"http://localhost:{free_port()}", f"http://localhost:{free_port()}"
    prefix, real = new_prefix(), real_kafka()
    environment = clean_environment(
        MLPIPE_HOME=str(folder / "home"), API_BASE=api, MLPIPE_DAGSTER_BASE=dagster, MLPIPE_UNKNOWN_GRACE="5",
        **topic_variables(prefix), **({"KAFKA_BOOTSTRAP_SERVERS": real} if real else {}),
    )  # fmt: skip
    log = folder / "up.log"
    with log.open("wb") as output:
        up = subprocess.Popen(
            [sys.executable, "-m", "mlpipe_dagster.cli", "up"],
            cwd=folder,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield Outside(api, dagster, _bootstrap_when_up(up, log), folder / "home", prefix)
    finally:
        up.send_signal(signal.SIGINT)
        up.wait(60)


def _bootstrap_when_up(up: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        said = log.read_text()
        if "Pipelines and inbox" in said and (found := re.search(r"^Kafka +(\S+:\d+)", said, re.MULTILINE)):
            return found[1]
        if up.poll() is not None:
            break
        time.sleep(0.2)
    raise AssertionError(f"mlpipe up did not come up:\n{log.read_text()}")
