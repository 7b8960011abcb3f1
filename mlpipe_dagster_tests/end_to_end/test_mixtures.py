"""Every role is replaceable: the sixteen mixtures of ours and theirs, each from the upload to two explanations.

The foreign programs know Kafka and REST only; roles are switched through the API while the platform runs.
"""

import json
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import requests

from mlpipe_dagster_tests.brokers import real_kafka
from mlpipe_dagster_tests.end_to_end.outside import Outside, new_id
from mlpipe_dagster_tests.end_to_end.platforms import Platform, running_platform
from mlpipe_dagster_tests.foreign.staff import ROLES, Staff, working
from mlpipe_dagster_tests.foreign.uploader import upload
from mlpipe_dagster_tests.foreign.wire import Wire

pytestmark = [pytest.mark.end_to_end, pytest.mark.long]
MIXTURES = [frozenset(role for role, theirs in zip(ROLES, mixture, strict=True) if theirs)
            for mixture in product((False, True), repeat=4)]  # fmt: skip
PROGRAMS = "mlpipe_dagster_tests.foreign"
ASSETS = {"bias": "bias_report", "automl": "model", "xai": "xai_report"}
RESULTS = {"bias": 1, "automl": 1, "xai": 2}
ONCE_EACH = {
    "dataset-events": 1, "bias-trigger-events": 1, "bias-events": 1, "automl-trigger-events": 1,
    "automl-events": 1, "xai-trigger-events": 1, "xai-events": 2, "pipeline-failed-events": 0,
}  # fmt: skip
MATERIALIZATIONS = """query($key: AssetKeyInput!, $partitions: [String!]) {
    assetOrError(assetKey: $key) { ... on Asset { assetMaterializations(partitions: $partitions, limit: 5) {
        runId metadataEntries { label ... on TextMetadataEntry { text } } } } } }"""


def wire_to(running: Platform) -> Wire:
    """What somebody outside would have in their environment."""
    return Wire(running.environment | {"KAFKA_BOOTSTRAP_SERVERS": running.outside.bootstrap})


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A platform whose own training takes no time; foreign models are really explained."""
    settings = {"MLPIPE_DEFINITIONS": "mlpipe_dagster_tests.mixture_definitions"}
    with running_platform(tmp_path_factory.mktemp("mixtures"), real_kafka(), **settings) as platform:
        yield platform


@pytest.fixture(scope="module")
def staff(running: Platform) -> Iterator[Staff]:
    """The foreign programs, none at work yet."""
    with working(wire_to(running)) as foreign:
        yield foreign


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eighty rows: hours decide, the city does not."""
    generator = random.Random(5)
    lines = ["hours,city,target"]
    for _ in range(80):
        hours = generator.randint(10, 60)
        city = generator.choice(["Rome", "Oslo"])
        lines.append(f"{hours},{city},{'yes' if hours + generator.gauss(0, 6) > 35 else 'no'}")
    file = tmp_path_factory.mktemp("table") / "table.csv"
    file.write_text("\n".join(lines) + "\n")
    return file


def hand_over(platform: Outside, theirs: frozenset[str]) -> None:
    """Each role to its player, through the API."""
    for role in ROLES:
        player = {"by": "foreign" if role in theirs else "ours"}
        assert requests.put(f"{platform.api}/roles/{role}", json=player, timeout=30).json() == player


def shown(platform: Outside, asset: str, dataset_id: str) -> list[str]:
    """Who made each materialization of the asset's partition, in Dagster's lineage."""
    found = platform.graphql(MATERIALIZATIONS, key={"path": [asset]}, partitions=[dataset_id])
    entries = [
        {entry["label"]: entry.get("text") for entry in event["metadataEntries"]}
        for event in found["assetOrError"].get("assetMaterializations", [])
    ]
    return [labels.get("player", "ours") or "ours" for labels in entries]


def test_the_programs_run_as_processes(running: Platform, table: Path, tmp_path: Path) -> None:
    """Before the staff joins their groups: five processes, from the upload to the explanations."""
    platform, everybody = running.outside, frozenset(ROLES)
    hand_over(platform, everybody)
    dataset_id = new_id("processes")
    with ExitStack() as stack:
        for program in ("agentic_core", "bias_detector", "automl_worker", "xai_worker"):
            stack.enter_context(process(running, program, tmp_path / f"{program}.log"))
        command = [sys.executable, "-m", f"{PROGRAMS}.uploader", str(table), "user123", dataset_id]
        environment = dict(wire_to(running).environment)
        said = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
        assert json.loads(said.stdout)["version"] == "v1"
        assert platform.wait_for_end(dataset_id, seconds=180)["status"] == "done"
    platform.wait(lambda: len(platform.records("xai-events", dataset_id)) == 2, 30, "both xai-events")
    check_explanations(platform, dataset_id, theirs=True, really=False)


@contextmanager
def process(running: Platform, program: str, log: Path) -> Iterator[None]:
    """A foreign program as a process, ended by Ctrl-C; what it says is in the log."""
    command = [sys.executable, "-m", f"{PROGRAMS}.{program}"]
    with log.open("wb") as said:
        started = subprocess.Popen(command, env=dict(wire_to(running).environment), stderr=said)
    try:
        yield
    except AssertionError as error:
        error.add_note(f"{program}: {log.read_text()[-2000:]}")
        raise
    finally:
        started.send_signal(signal.SIGINT)
        assert started.wait(30) == 0


@pytest.mark.parametrize(
    "theirs",
    MIXTURES,
    ids=lambda roles: "+".join(sorted(roles)) or "all-ours",
)
def test_a_pipeline_completes_with_any_roles_theirs(
    running: Platform, staff: Staff, table: Path, theirs: frozenset[str]
) -> None:
    platform = running.outside
    ours_explains = "automl" in theirs and "xai" not in theirs
    staff.automl.model_format = ("onnx", "skops")["bias" in theirs] if ours_explains else "pickle"
    hand_over(platform, theirs)
    staff.at_work = theirs
    dataset_id = new_id("mixture")
    upload(staff.wire, table, "user123", dataset_id)
    pipeline = platform.wait_for_end(dataset_id, seconds=180)
    assert pipeline["status"] == "done", pipeline
    platform.wait(lambda: len(platform.records("xai-events", dataset_id)) == 2, 30, "both xai-events")
    assert {topic: len(platform.records(topic, dataset_id)) for topic in ONCE_EACH} == ONCE_EACH
    for stage in pipeline["stages"]:
        if stage["stage"] in ASSETS:
            expected = ("foreign", "answered") if stage["stage"] in theirs else ("ours", "done")
            assert (stage["player"], stage["state"]) == expected, stage
    check_explanations(platform, dataset_id, "xai" in theirs, ours_explains)
    for role, asset in ASSETS.items():
        players = ["foreign"] * RESULTS[role] if role in theirs else ["ours"]
        platform.wait(lambda a=asset, p=players: shown(platform, a, dataset_id) == p, 30, f"{players} at {asset}")


def check_explanations(platform: Outside, dataset_id: str, theirs: bool, really: bool) -> None:
    pages: dict[str, Any] = {}
    for record in platform.records("xai-events", dataset_id):
        value = record.value
        path = f"user123/{dataset_id}/{value['model_id']}/{value['report_type']}/{value['level']}"
        page = requests.get(f"{platform.api}/xai-reports/{path}/view", timeout=30)
        assert page.status_code == 200 and page.headers["content-type"].startswith("text/html")
        pages[value["report_type"]] = page.text
    assert pages.keys() == {"model_explanation", "data_explanation"}
    if theirs:
        assert "for a beginner" in pages["model_explanation"]
    if really:
        assert "Trained elsewhere." in pages["model_explanation"]
        assert "hours" in pages["model_explanation"] and "target" in pages["data_explanation"]
