"""mlpipe under the stopwatch: `mlpipe up` with stages that do next to nothing, driven by events and uploads."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import requests

from mlpipe_dagster_tests.benchmarks.latency.measure import Times, cpu_seconds, idle_cost, processes_with
from mlpipe_dagster_tests.benchmarks.latency.probe import Probe, now_iso
from mlpipe_dagster_tests.end_to_end.platforms import QUICK, Platform, running_platform
from mlpipe_dagster_tests.quick_stages import TABLE

USER = "bench"
SETTLE_SECONDS = 40.0  # the API's reader of tables rests by then
CONFIG_QUERY = """query Valid($job: PipelineSelector!, $config: RunConfigData!) {
  isPipelineConfigValid(pipeline: $job, runConfigData: $config, mode: "default") { __typename }
}"""
PLAN_QUERY = """query Plan($job: PipelineSelector!, $config: RunConfigData!) {
  executionPlanOrError(pipeline: $job, runConfigData: $config, mode: "default") { __typename }
}"""
JOB = {
    "repositoryName": "__repository__",
    "repositoryLocationName": "mlpipe_dagster",
    "pipelineName": "bias_report_job",
}


@dataclass
class Subject:
    """A running platform, and the numbers taken of it."""

    platform: Platform
    probe: Probe
    table: Path
    rows: dict[str, Times] = field(default_factory=dict)

    def topic(self, name: str) -> str:
        """What a topic is called here."""
        return self.platform.outside.topic_prefix + name

    def upload(self, dataset_id: str) -> None:
        """A small table, through the API."""
        self.platform.outside.upload(self.table, dataset_id, USER, time_budget="5s")

    def send_bias_trigger(self, dataset_id: str) -> str:
        """As a foreign core would."""
        trigger = {
            "event_type": "bias-trigger.reported", "dataset_id": dataset_id, "user_id": USER, "timestamp": now_iso(),
            "target_column_name": "target", "task_type": "classification", "metadata": {}, "record_count": 4,
        }  # fmt: skip
        return self.probe.send(self.topic("bias-trigger-events"), trigger, dataset_id)

    def command(self, *words: str) -> None:
        """Something typed into a second terminal."""
        environment = self.platform.environment | {"KAFKA_BOOTSTRAP_SERVERS": self.platform.outside.bootstrap}
        subprocess.run(
            [sys.executable, "-m", "mlpipe_dagster.cli", *words], env=environment, check=True, capture_output=True
        )

    def pids(self) -> list[int]:
        """All processes of the platform."""
        return processes_with("MLPIPE_HOME", self.platform.environment["MLPIPE_HOME"])

    def cpu(self) -> float:
        """CPU seconds of all its processes until now."""
        return sum(cpu_seconds(pid) for pid in self.pids())

    def idle(self, seconds: float) -> dict[str, tuple[float, float]]:
        """What it costs when nothing happens."""
        time.sleep(SETTLE_SECONDS)
        return idle_cost(self.pids(), seconds)

    def pipelines(self, count: int) -> Times:
        """Whole pipelines, one at a time: seconds from the accepted upload to the second explanation."""
        taken = []
        for number in range(count):
            self.upload(f"whole-{number}")
            begun, stored = time.time(), 0
            while stored < 2:
                stored += sum(topic == self.topic("xai-events") for topic, _, _ in self.probe.poll())
                if time.time() - begun > 60:
                    raise AssertionError("a pipeline did not end within 60 s")
            taken.append(time.time() - begun)
        return Times(tuple(taken))

    def step_starts(self) -> dict[str, float]:
        """When the step of each cause began, as Dagster's event log has it."""
        started: dict[str, float] = {}
        with dg.DagsterInstance.from_config(self.platform.environment["MLPIPE_HOME"] + "/dagster") as instance:
            for run in instance.get_runs(dg.RunsFilter(job_name="bias_report_job")):
                records = instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.STEP_START).records
                if records:
                    started[_cause(run.run_config)] = records[0].event_log_entry.timestamp
        return started

    def interface(self, count: int) -> dict[str, Times]:
        """What the UI asks of the code server while every sensor waits in its tick."""
        config = {"ops": {"bias_report": {"config": {}}}}
        found = {}
        for name, query in (("config check", CONFIG_QUERY), ("execution plan", PLAN_QUERY)):
            found[name] = Times(tuple(self._ask(query, {"job": JOB, "config": config}) for _ in range(count)))
        return found

    def _ask(self, query: str, variables: dict[str, Any]) -> float:
        begun = time.monotonic()
        content = {"query": query, "variables": variables}
        answer = requests.post(f"{self.platform.outside.dagster}/graphql", json=content, timeout=60).json()
        assert "errors" not in answer, answer
        return time.monotonic() - begun


def _cause(run_config: Any) -> str:
    return str(run_config["ops"]["bias_report"]["config"].get("cause", ""))


@contextmanager
def running_subject(kafka: str | None) -> Iterator[Subject]:
    """The platform in a folder of its own; `kafka`: an Apache Kafka's address in place of the embedded broker."""
    with tempfile.TemporaryDirectory(prefix="mlpipe-latency-") as name:
        folder = Path(name)
        table = folder / "table.csv"
        table.write_bytes(TABLE)
        os.environ.setdefault("no_proxy", "localhost,127.0.0.1")
        with running_platform(folder, kafka, **QUICK, MLPIPE_CORE_DEADLINE="86400") as platform:
            outside = platform.outside
            watched = [outside.topic_prefix + topic for topic in ("bias-events", "xai-events")]
            yield Subject(platform, Probe(outside.bootstrap, watched), table)
