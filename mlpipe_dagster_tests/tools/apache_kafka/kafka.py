"""Apache Kafka on loopback: one node or several, that can be stopped, killed and started again with their log kept.

Every node is broker and controller at once. What a test wants beyond that (listeners, users) goes in as properties.
"""

import base64
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import uuid4

from kafka import KafkaAdminClient, TopicPartition
from kafka.errors import KafkaError

from mlpipe_dagster.messaging.connection import Connection
from mlpipe_dagster_tests.brokers import some_port
from mlpipe_dagster_tests.tools.apache_kafka.jars import java

HOST = "127.0.0.1"
START_SECONDS = 90.0
STOP_SECONDS = 20.0
COMMON = {
    "process.roles": "broker,controller",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "auto.create.topics.enable": "false",
    "group.initial.rebalance.delay.ms": "0",
    "offsets.topic.num.partitions": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "log.cleaner.dedupe.buffer.size": "16777216",
    "num.io.threads": "4",
    "num.network.threads": "2",
}


class Node:
    """One node in a folder of its own; `addresses` (by listener) answer from `start` to `stop` or `kill`."""

    def __init__(
        self, folder: Path, node_id: int, listeners: Mapping[str, str], properties: Mapping[str, str], heap: str
    ) -> None:
        self.node_id = node_id
        self.folder = folder
        self.addresses = {name: f"{HOST}:{some_port()}" for name in listeners}
        self.process: subprocess.Popen[bytes] | None = None
        self._properties = {
            **properties,
            "listeners": ",".join(f"{name}://{address}" for name, address in self.addresses.items()),
            "listener.security.protocol.map": ",".join(f"{name}:{protocol}" for name, protocol in listeners.items()),
            "node.id": str(node_id),
            "log.dirs": str(folder / "log"),
        }
        self._heap = heap
        self._file = folder / "server.properties"

    @property
    def address(self) -> str:
        """Where everybody is let in."""
        return self.addresses["PLAINTEXT"]

    def prepare(self, cluster_id: str, voters: str, *options: str) -> None:
        """Write its configuration and make its log."""
        self.folder.mkdir(parents=True)
        lines = {**self._properties, "controller.quorum.voters": voters}
        self._file.write_text("".join(f"{name}={value}\n" for name, value in lines.items()))
        command = java(
            "kafka.tools.StorageTool", "format", f"--cluster-id={cluster_id}", "-c", str(self._file), *options
        )
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"the log of Apache Kafka could not be made in {self.folder}:\n{done.stdout[-3000:]}")

    def launch(self) -> None:
        """Start the process, and do not wait for it."""
        with (self.folder / "node.log").open("ab") as log:
            command = java("kafka.Kafka", str(self._file), heap=self._heap)
            # a group of its own: Ctrl-C in a terminal must not end it before those who still write to it
            self.process = subprocess.Popen(command, stdout=log, stderr=log, process_group=0, env=_environment())

    def start(self) -> Self:
        """Start, and wait until this node answers."""
        self.launch()
        self.wait(1)
        return self

    def stop(self) -> None:
        """End in order; killed where it takes too long, for instance because the controllers have no majority."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """SIGKILL; what it had written stays."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def wait(self, nodes: int) -> None:
        """Wait until this node answers and knows of that many nodes."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process is not None and self.process.poll() is None:
            if _known_nodes(self.address) >= nodes:
                return
            time.sleep(0.2)
        tail = (self.folder / "node.log").read_text(errors="replace")[-3000:]
        raise RuntimeError(f"Apache Kafka did not start at {self.address}:\n{tail}")


class Cluster:
    """Nodes that know each other, from `with` to its end.

    `listeners` are added to the plain one, name to protocol; `format_options` go to the tool that makes the log.
    """

    def __init__(
        self,
        folder: Path,
        nodes: int = 1,
        listeners: Mapping[str, str] | None = None,
        properties: Mapping[str, str] | None = None,
        format_options: Sequence[str] = (),
    ) -> None:
        every = {"PLAINTEXT": "PLAINTEXT", "CONTROLLER": "PLAINTEXT", **(listeners or {})}
        lines = {**COMMON, **_replication(nodes), **(properties or {})}
        heap = "512m" if nodes == 1 else "320m"
        self.nodes = [Node(folder / f"node-{n}", n, every, lines, heap) for n in range(1, nodes + 1)]
        self._format_options = format_options

    @property
    def bootstrap_servers(self) -> str:
        """`host:port` of every node."""
        return ",".join(node.address for node in self.nodes)

    def __enter__(self) -> Self:
        cluster_id = base64.urlsafe_b64encode(uuid4().bytes).decode().rstrip("=")
        voters = ",".join(f"{node.node_id}@{node.addresses['CONTROLLER']}" for node in self.nodes)
        for node in self.nodes:
            node.prepare(cluster_id, voters, *self._format_options)
        try:
            for node in self.nodes:
                node.launch()
            for node in self.nodes:
                node.wait(len(self.nodes))
            self._wait_for_groups()
        except BaseException:
            self._kill()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._kill()

    def _wait_for_groups(self) -> None:
        """Groups have a coordinator only a while after somebody first asked for one."""
        client = KafkaAdminClient(**Connection(self.bootstrap_servers).client_options())
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            with suppress(KafkaError):
                client.list_group_offsets({"nobody": [TopicPartition("nothing", 0)]})
                break
            time.sleep(0.1)
        client.close()

    def _kill(self) -> None:
        """Nothing in a test's log is kept."""
        for node in self.nodes:
            node.kill()


def _replication(nodes: int) -> dict[str, str]:
    replicas, in_sync = str(min(nodes, 3)), str(min(nodes, 2))
    return {
        "default.replication.factor": replicas,
        "min.insync.replicas": in_sync,
        "offsets.topic.replication.factor": replicas,
        "transaction.state.log.replication.factor": replicas,
        "transaction.state.log.min.isr": in_sync,
        "share.coordinator.state.topic.replication.factor": replicas,
        "share.coordinator.state.topic.min.isr": in_sync,
    }


def _environment() -> dict[str, str]:
    """Without the settings of the tests: Kafka's own scripts read KAFKA_ variables too."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("KAFKA_", "MLPIPE_"))}


def _known_nodes(address: str) -> int:
    try:
        client = KafkaAdminClient(**Connection(address).client_options())
    except KafkaError:
        return 0
    try:
        return len(client.describe_cluster()["brokers"])
    except KafkaError:
        return 0
    finally:
        client.close()
