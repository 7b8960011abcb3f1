"""`mlpipe cancel` in the middle of a training: the run, its processes, the question of what comes later."""

import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mlpipe_dagster_tests.end_to_end.outside import Outside, new_id
from mlpipe_dagster_tests.end_to_end.platforms import clean_environment
from mlpipe_dagster_tests.faults.processes import PROC, ZOMBIE, Census, Kind, Seen

pytestmark = [
    pytest.mark.end_to_end,
    pytest.mark.faults,
    pytest.mark.skipif(not (PROC / "self" / "environ").exists(), reason="processes are found in /proc"),
]
RUN_STATUS = "query Run($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"


@pytest.fixture
def training(platform: Outside, tmp_path: Path) -> tuple[str, str]:
    """A dataset whose training has just begun, with minutes to go, and its run."""
    generator = random.Random(3)
    lines = ["age,hours,target"]
    for _ in range(400):
        hours = generator.randint(10, 60)
        lines.append(f"{generator.randint(18, 80)},{hours},{'yes' if hours + generator.gauss(0, 8) > 38 else 'no'}")
    (tmp_path / "long.csv").write_text("\n".join(lines))
    dataset_id = new_id("cancelled")
    platform.upload(tmp_path / "long.csv", dataset_id, time_budget="300s")
    stage = platform.wait(lambda: at_work(platform, dataset_id), 120, "the training")
    return dataset_id, stage["run_id"]


def at_work(platform: Outside, dataset_id: str) -> dict[str, Any] | None:
    stages = platform.pipeline(dataset_id)["stages"]
    return next((one for one in stages if one["stage"] == "automl" and one["state"] == "taken"), None)


def test_cancelling_ends_the_run_and_all_it_started(platform: Outside, training: tuple[str, str]) -> None:
    dataset_id, run_id = training
    census = Census(platform.home)

    def workers() -> list[Seen]:
        return [seen for seen in census.look() if seen.kind is Kind.WORKER]

    assert workers()
    kafka = {"KAFKA_BOOTSTRAP_SERVERS": platform.bootstrap, "API_BASE": platform.api}
    environment = clean_environment(MLPIPE_HOME=str(platform.home), **kafka)
    said = subprocess.run(
        [sys.executable, "-m", "mlpipe_dagster.cli", "cancel", dataset_id],
        env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert said.returncode == 0, said.stderr
    platform.wait(lambda: not workers(), 30, "the end of the run's processes")
    assert not [seen for seen in census.look() if seen.state == ZOMBIE]

    def status() -> str:
        return str(platform.graphql(RUN_STATUS, id=run_id)["runOrError"]["status"])

    platform.wait(lambda: status() == "CANCELED", 30, "CANCELED in Dagster")
    pipeline = platform.pipeline(dataset_id)
    assert pipeline["status"] == "cancelled"
    assert [one["state"] for one in pipeline["stages"] if one["stage"] == "automl"] == ["cancelled"]

    trigger = {
        "event_type": "automl-trigger.reported", "dataset_id": dataset_id, "user_id": "user123", "time_budget": "5s",
        "timestamp": "2026-01-01T00:00:00.000000", "target_column_name": "target", "task_type": "classification",
    }  # fmt: skip
    platform.produce("automl-trigger-events", trigger, dataset_id, {"ce_id": new_id("later")})

    def ignored() -> list[str]:
        stages = platform.pipeline(dataset_id)["stages"]
        return [one["note"] for one in stages if one["state"] == "cancelled" and one["run_id"] is None]

    assert platform.wait(ignored, 30, "the later trigger") == ["the pipeline was cancelled"]
