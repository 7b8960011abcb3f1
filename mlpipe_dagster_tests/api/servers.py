"""The API as a process of its own on a free port, for tests of what only a real server meets."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import requests

from mlpipe_dagster.messaging.embedded import free_port

Found = TypeVar("Found")


@dataclass(frozen=True)
class Server:
    """A running API."""

    port: int
    process: subprocess.Popen[bytes]

    @property
    def base(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def running_server(home: Path, kafka: str, **settings: str) -> Iterator[Server]:
    """The API over that home; ended, and waited for, after the block."""
    port = free_port(0)
    environment = {**os.environ, "MLPIPE_HOME": str(home), "KAFKA_BOOTSTRAP_SERVERS": kafka, **settings}
    command = [sys.executable, "-m", "uvicorn", "mlpipe_dagster.api.app:create_app", "--factory", "--port", str(port)]
    process = subprocess.Popen(
        [*command, "--log-level", "warning", "--timeout-graceful-shutdown", "3"], env=environment
    )
    server = Server(port, process)
    try:
        until(lambda: _answers(server), 60, "the API answers")
        yield server
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(30)


def _answers(server: Server) -> bool:
    assert server.process.poll() is None, "the API has ended"
    try:
        return requests.get(f"{server.base}/health", timeout=5).ok
    except (requests.ConnectionError, requests.Timeout):
        return False


def until(what: Callable[[], Found], seconds: float, why: str) -> Found:
    """What it returns once that is true."""
    give_up_at = time.monotonic() + seconds
    while time.monotonic() < give_up_at:
        if found := what():
            return found
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds:g} s: {why}")
