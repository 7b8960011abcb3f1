"""A real S3 server for tests: versitygw over a temporary folder, with random keys, on loopback.

tools/install_s3_server.sh builds it; without it the tests that need S3 are skipped.
"""

import os
import secrets
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

from pydantic import SecretStr

from mlpipe_dagster.messaging.embedded import free_port
from mlpipe_dagster.settings import Settings

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
PROGRAM = CACHE / "mlpipe" / "bin" / "versitygw-v1.8.0"
WHY_NOT = f"no S3 server: {PROGRAM} is not there, mlpipe_dagster_tests/tools/install_s3_server.sh builds it"
BUCKET = "mlpipe-tests"
START_SECONDS = 20.0


@dataclass(frozen=True)
class S3Server:
    """A running server and how to reach it."""

    endpoint_url: str
    access_key: str
    secret_key: str
    folder: Path
    pid: int

    def settings(self, prefix: str, secret_key: str | None = None) -> Settings:
        """Settings with the objects in this server, under a prefix."""
        return Settings(
            MLPIPE_OBJECTS=f"s3://{BUCKET}/{prefix}",
            MLPIPE_S3_ENDPOINT_URL=self.endpoint_url,
            MLPIPE_S3_ACCESS_KEY=self.access_key,
            MLPIPE_S3_SECRET_KEY=SecretStr(secret_key or self.secret_key),
        )

    def files(self) -> list[Path]:
        """What the bucket holds on disk, unfinished uploads included."""
        return [path for path in (self.folder / BUCKET).rglob("*") if path.is_file()]


@contextmanager
def running_s3_server(folder: Path) -> Iterator[S3Server]:
    """The server with one empty bucket; ended on leaving."""
    (folder / BUCKET).mkdir(parents=True)
    address = f"127.0.0.1:{free_port(0)}"
    keys = {"ROOT_ACCESS_KEY": secrets.token_hex(8), "ROOT_SECRET_KEY": secrets.token_hex(16)}
    command = [str(PROGRAM), "--port", address, "--health", "/health", "--quiet", "posix", str(folder)]
    with (folder.parent / "versitygw.log").open("wb") as log:
        server = subprocess.Popen(command, env={**os.environ, **keys}, stdout=log, stderr=log)
    try:
        _wait(server, f"http://{address}/health")
        yield S3Server(f"http://{address}", keys["ROOT_ACCESS_KEY"], keys["ROOT_SECRET_KEY"], folder, server.pid)
    finally:
        server.terminate()
        server.wait(10)


def _wait(server: subprocess.Popen[bytes], url: str) -> None:
    opener = build_opener(ProxyHandler({}))
    until = time.monotonic() + START_SECONDS
    while server.poll() is None and time.monotonic() < until:
        try:
            with opener.open(url, timeout=1):
                return
        except (URLError, TimeoutError):
            time.sleep(0.05)
    raise RuntimeError(f"{PROGRAM} did not start (exit status {server.poll()})")
