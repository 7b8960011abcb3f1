"""Plain `dagster dev` in a folder with two files: without a broker, with one, and started again after Ctrl-C."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from mlpipe_dagster.messaging.connection import Connection
from mlpipe_dagster.messaging.embedded import EmbeddedBroker
from mlpipe_dagster.messaging.topics import create_topics
from mlpipe_dagster_tests.end_to_end.outside import Outside
from mlpipe_dagster_tests.end_to_end.platforms import ROOT, clean_environment, free_port

pytestmark = pytest.mark.end_to_end

SENSORS = {
    "dataset_events", "bias_trigger_events", "bias_events", "automl_trigger_events", "automl_events",
    "xai_trigger_events", "xai_events", "sweep",
}  # fmt: skip
"""Those that depend on the broker; `leftovers` looks once an hour."""
REACHED = ("dataset-events", "bias-trigger-events", "bias-events", "automl-trigger-events")
# Without a filter Dagster looks for ticks under the address of the code server, which is new with every start.
QUERY = """query($began: Float!) {
  sensorsOrError(repositorySelector: {repositoryName: "__repository__", repositoryLocationName: "mlpipe_dagster"}) {
    ... on Sensors { results { name sensorState {
      ticks(afterTimestamp: $began, statuses: [SKIPPED, SUCCESS, FAILURE]) { status skipReason error { message } }
      typeSpecificData { ... on SensorData { lastCursor } } } } } }
  runsOrError { ... on Runs { results { runId jobName status } } }
  assetNodeOrError(assetKey: {path: ["dataset"]}) { ... on AssetNode { partitionKeys } }
}"""


@dataclass(frozen=True)
class Shown:
    """What Dagster's pages show at one moment; the ticks by sensor are those that ended in this life."""

    ticks: dict[str, list[dict[str, Any]]]
    offsets: dict[str, dict[str, int]]
    runs: dict[str, tuple[str, str]]
    partitions: list[str]

    def failed_ticks(self) -> list[dict[str, Any]]:
        """Of all sensors."""
        return [tick for ticks in self.ticks.values() for tick in ticks if tick["status"] == "FAILURE"]

    def each_ticked(self, times: int) -> bool:
        """Whether every sensor has ended so many ticks."""
        return self.ticks.keys() >= SENSORS and all(len(self.ticks[name]) >= times for name in SENSORS)


@dataclass
class Life:
    """One `dagster dev`, from its start to Ctrl-C."""

    process: subprocess.Popen[bytes]
    output: Path
    base: str
    began: float

    def show(self) -> Shown | None:
        """None as long as the webserver does not answer."""
        question = {"query": QUERY, "variables": {"began": self.began}}
        try:
            answer = requests.post(f"{self.base}/graphql", json=question, timeout=30)
        except requests.ConnectionError:
            return None
        data = answer.json()["data"]
        sensors = {sensor["name"]: sensor["sensorState"] for sensor in data["sensorsOrError"].get("results", ())}
        return Shown(
            ticks={name: state["ticks"] for name, state in sensors.items()},
            offsets={
                name: json.loads(state["typeSpecificData"]["lastCursor"] or "{}").get("offsets", {})
                for name, state in sensors.items()
            },
            runs={run["runId"]: (run["jobName"], run["status"]) for run in data["runsOrError"]["results"]},
            partitions=data["assetNodeOrError"].get("partitionKeys", []),
        )

    def show_when(self, holds: Callable[[Shown], bool], why: str, seconds: float = 240) -> Shown:
        """The first moment that is as wanted."""
        deadline = time.monotonic() + seconds
        shown = None
        while time.monotonic() < deadline and self.process.poll() is None:
            shown = self.show()
            if shown and holds(shown):
                return shown
            time.sleep(0.5)
        raise AssertionError(f"not within {seconds} s: {why}; {shown}\n{self.output.read_text()}")

    def end(self, number: signal.Signals) -> None:
        """Signal all its processes, as a terminal does, and wait until none is left."""
        deadline = time.monotonic() + 60
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)
            while time.monotonic() < deadline:
                self.process.poll()
                os.killpg(self.process.pid, 0)
                time.sleep(0.1)
            os.killpg(self.process.pid, signal.SIGKILL)
            raise AssertionError(f"processes were left 60 s after {number.name}:\n{self.output.read_text()}")


class Folder:
    """A folder with nothing but workspace.yaml and dagster.yaml, and the addresses used in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.kafka_port, self.api_port, self.dagster_port = free_port(), free_port(), free_port()
        self.bootstrap = f"127.0.0.1:{self.kafka_port}"
        self.outside = Outside(
            f"http://localhost:{self.api_port}",
            f"http://localhost:{self.dagster_port}",
            self.bootstrap,
            path / ".mlpipe",
        )
        self.environment = clean_environment(
            KAFKA_BOOTSTRAP_SERVERS=self.bootstrap, API_BASE=self.outside.api, MLPIPE_DAGSTER_BASE=self.outside.dagster
        )
        for name in ("workspace.yaml", "dagster.yaml"):
            shutil.copy(ROOT / name, path)
        self._lives: list[Life] = []

    def dagster_dev(self) -> Life:
        """Start it."""
        output = self.path / f"dagster-dev-{len(self._lives) + 1}.log"
        began = time.time()
        process = self._spawn(output, "dagster", "dev", "-p", str(self.dagster_port))
        self._lives.append(Life(process, output, self.outside.dagster, began))
        return self._lives[-1]

    @contextmanager
    def broker_and_api(self) -> Iterator[None]:
        """The other two parts of the platform, for as long as the context lasts."""
        with EmbeddedBroker(self.kafka_port):
            create_topics(Connection(self.bootstrap))
            api = self._spawn(
                self.path / "api.log", "uvicorn", "mlpipe_dagster.api.app:create_app", "--factory",
                "--host", "127.0.0.1", "--port", str(self.api_port), "--timeout-graceful-shutdown", "3",
            )  # fmt: skip
            try:
                yield
            finally:
                api.terminate()
                api.wait(20)

    def wait_for_api(self) -> None:
        """Until it says that it is ready."""

        def is_ready() -> bool:
            try:
                return requests.get(f"{self.outside.api}/ready", timeout=10).ok
            except requests.ConnectionError:
                return False

        self.outside.wait(is_ready, 60, "the API is ready")

    def end(self) -> None:
        """Leave no process, however the tests went."""
        for life in self._lives:
            life.end(signal.SIGKILL)

    def _spawn(self, output: Path, *module: str) -> subprocess.Popen[bytes]:
        with output.open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", *module],
                cwd=self.path, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                process_group=0, preexec_fn=_hear_ctrl_c,  # noqa: PLW1509 - it only sets a signal
            )  # fmt: skip


def _hear_ctrl_c() -> None:
    """A shell that runs the tests in the background has told them, and so their children, to ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Folder]:
    """The folder; whatever runs in it is ended with it."""
    made = Folder(tmp_path_factory.mktemp("dagster_dev"))
    try:
        yield made
    finally:
        made.end()


@pytest.fixture(scope="module")
def alone(folder: Folder) -> tuple[Life, Shown]:
    """`dagster dev` before there is a broker, when every sensor has ticked."""
    life = folder.dagster_dev()
    return life, life.show_when(lambda shown: shown.each_ticked(1), "every sensor ticks without a broker")


@pytest.fixture(scope="module")
def worked(folder: Folder, alone: tuple[Life, Shown]) -> Iterator[tuple[Life, Shown]]:
    """The same `dagster dev` with broker and API, when a table has got its bias report and waits for a model."""
    life, _ = alone
    with folder.broker_and_api():
        folder.wait_for_api()
        requests.put(f"{folder.outside.api}/roles/automl", json={"by": "foreign"}, timeout=30).raise_for_status()
        table = folder.path / "small.csv"
        rows = "\n".join(
            f"{18 + n % 60},{'fm'[n % 2]},{10 + n % 51},{'yes' if n % 51 > 28 else 'no'}" for n in range(120)
        )
        table.write_text(f"age,sex,hours,target\n{rows}\n")
        folder.outside.upload(table, "small")
        yield life, life.show_when(_is_settled, "two stages are done and all records read")


def _is_settled(shown: Shown) -> bool:
    read = all(shown.offsets[topic.replace("-", "_")] == {"0": 1} for topic in REACHED)
    done = {job for job, status in shown.runs.values() if status == "SUCCESS"}
    return read and len(done) == 2


@pytest.fixture(scope="module")
def again(folder: Folder, worked: tuple[Life, Shown]) -> tuple[Life, Shown]:
    """`dagster dev` after Ctrl-C and a second start, when every sensor has ticked twice."""
    worked[0].end(signal.SIGINT)
    life = folder.dagster_dev()
    return life, life.show_when(lambda shown: shown.each_ticked(2), "every sensor ticks twice after the second start")


def test_without_a_broker_every_sensor_skips_with_the_reason(folder: Folder, alone: tuple[Life, Shown]) -> None:
    life, shown = alone
    for name in SENSORS:
        for tick in shown.ticks[name]:
            assert tick["status"] == "SKIPPED", (name, tick)
            assert tick["skipReason"].startswith(f"Kafka unreachable at {folder.bootstrap} "), (name, tick)
    assert "Traceback" not in life.output.read_text()
    assert (shown.runs, shown.partitions) == ({}, [])


def test_when_the_broker_comes_the_stages_run(folder: Folder, worked: tuple[Life, Shown]) -> None:
    life, shown = worked
    assert shown.failed_ticks() == []
    assert len(shown.partitions) == 1
    folder.outside.wait(lambda: len(folder.outside.seen) >= len(REACHED), 20, "the records of two stages")
    assert sorted(seen.topic for seen in folder.outside.seen) == sorted(REACHED)
    assert "Traceback" not in life.output.read_text()


@pytest.mark.long
def test_a_second_start_goes_on_where_the_first_stopped(
    folder: Folder, worked: tuple[Life, Shown], again: tuple[Life, Shown]
) -> None:
    before, (life, after) = worked[1], again
    assert after.runs == before.runs
    assert after.partitions == before.partitions
    assert after.offsets == before.offsets
    assert after.failed_ticks() == []
    for _ in range(5):  # one answer need not hold what is new on all topics
        folder.outside.poll()
    assert sorted(seen.topic for seen in folder.outside.seen) == sorted(REACHED)
    assert "Traceback" not in life.output.read_text()


@pytest.mark.long
def test_ctrl_c_leaves_neither_a_process_nor_a_temporary_folder(folder: Folder, again: tuple[Life, Shown]) -> None:
    again[0].end(signal.SIGINT)
    assert again[0].process.returncode is not None
    assert sorted(found.name for found in folder.path.iterdir() if found.is_dir()) == [".mlpipe"]
