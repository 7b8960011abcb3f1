"""Upload to explanation through the real services, on real tables, seen from outside."""

import json
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import requests

from mlpipe_dagster_tests.end_to_end.outside import Outside, Seen, new_id

pytestmark = pytest.mark.end_to_end

KEYS = {
    "dataset-events": {"event_type", "event_id", "timestamp", "dataset"},
    "bias-trigger-events": {
        "event_type", "dataset_id", "user_id", "timestamp", "target_column_name", "task_type", "metadata",
        "record_count",
    },
    "bias-events": {
        "event_type", "dataset_id", "user_id", "bias_report_id", "timestamp", "has_transformation_report",
        "target_column_name", "task_type",
    },
    "automl-trigger-events": {
        "event_type", "dataset_id", "user_id", "timestamp", "target_column_name", "task_type", "time_budget",
    },
    "automl-events": {
        "event_type", "event_id", "timestamp", "user_id", "model_id", "version", "framework", "model_type",
        "dataset_id", "algorithm", "model_size_mb", "training_accuracy", "validation_accuracy", "test_accuracy",
    },
    "xai-trigger-events": {"event_type", "user_id", "dataset_id", "model_id", "level", "timestamp", "version"},
    "xai-events": {
        "event_type", "event_id", "timestamp", "user_id", "dataset_id", "model_id", "report_type", "level",
        "xai_report_id",
    },
}  # fmt: skip
DATASET_KEYS = {
    "dataset_id", "user_id", "name", "description", "version", "file_type", "original_filename", "file_path",
    "file_size", "columns", "row_count", "data_types", "tags", "custom_metadata", "created_at", "updated_at",
    "file_hash",
}  # fmt: skip
TABLES = {
    "titanic": ("titanic.csv", "classification", "binary", {"target_column_name": "Survived"}),
    "wine": (
        "wine_quality.csv",
        "classification",
        "multiclass",
        {"target_column_name": "quality", "task_type": "multiclass", "engine": "deterministic:3"},
    ),
    "housing": (
        "california_housing.csv",
        "regression",
        "regression",
        {"target_column_name": "median_house_value", "engine": "deterministic:3"},
    ),
}
"""One within its time budget, the others by a number of trials, which takes the same work on any machine."""


@pytest.fixture(scope="module")
def pipelines(platform: Outside, shared_data: Path) -> dict[str, str]:
    """The three tables, uploaded together; name to dataset_id."""
    ids = {}
    for name, (file, _, _, form) in TABLES.items():
        ids[name] = new_id(name)
        platform.upload(shared_data / file, ids[name], time_budget="6", xai_level="intermediate", **form)
    for name in TABLES:
        assert platform.wait_for_end(ids[name])["status"] == "done", platform.pipeline(ids[name])
        platform.wait(lambda name=name: len(platform.records("xai-events", ids[name])) == 2, 30, "both xai-events")
    return ids


@pytest.mark.parametrize("name", TABLES)
def test_the_seven_topics_carry_exactly_their_keys(platform: Outside, pipelines: dict[str, str], name: str) -> None:
    dataset_id = pipelines[name]
    for topic, keys in KEYS.items():
        records = platform.records(topic, dataset_id)
        assert len(records) == (2 if topic == "xai-events" else 1), (topic, records)
        for record in records:
            assert record.value.keys() == keys
            _check_headers(record)
    dataset = platform.records("dataset-events", dataset_id)[0].value["dataset"]
    assert dataset.keys() == DATASET_KEYS
    assert set(dataset["data_types"].values()) <= {"int64", "float64", "object", "bool", "datetime64[ns]"}


def _check_headers(record: Seen) -> None:
    headers = record.headers
    assert headers["ce_specversion"] == "1.0"
    assert headers["ce_type"] == record.value["event_type"]
    assert headers["content-type"] == "application/json"
    assert headers["ce_datasetversion"] == "v1"
    assert headers["ce_source"] in ("/mlpipe/warehouse", "/mlpipe/agentic-core")
    assert headers["ce_id"] and headers["ce_time"] and headers["ce_correlationid"]


@pytest.mark.parametrize("name", TABLES)
def test_keys_tasks_and_causes(platform: Outside, pipelines: dict[str, str], name: str) -> None:
    dataset_id = pipelines[name]
    _, task_type, task_kind, form = TABLES[name]
    of = {topic: platform.records(topic, dataset_id) for topic in KEYS}
    model_id = f"automl_{dataset_id}"
    for topic in ("dataset-events", "bias-trigger-events", "bias-events", "automl-trigger-events"):
        assert of[topic][0].key == dataset_id
    for topic in ("automl-events", "xai-trigger-events", "xai-events"):
        assert of[topic][0].key == f"user123_{model_id}"
    trigger = of["automl-trigger-events"][0]
    assert (trigger.value["target_column_name"], trigger.value["task_type"]) == (form["target_column_name"], task_type)
    assert (trigger.value["time_budget"], trigger.headers["ce_timebudgetseconds"]) == ("6", "6")
    assert trigger.headers["ce_taskkind"] == task_kind
    assert of["automl-events"][0].value["model_type"] == task_type
    assert {record.value["report_type"] for record in of["xai-events"]} == {"model_explanation", "data_explanation"}
    assert {record.value["level"] for record in of["xai-events"]} == {"intermediate"}
    assert len({record.headers["ce_correlationid"] for records in of.values() for record in records}) == 1
    ids = {record.headers["ce_id"] for records in of.values() for record in records}
    assert len(ids) == 8
    order = list(KEYS)
    for before, after in pairwise(order):
        assert {record.headers["ce_causationid"] for record in of[after]} == {of[before][0].headers["ce_id"]}


@pytest.mark.parametrize("name", TABLES)
def test_reports_answer_with_html_and_the_model_downloads(
    platform: Outside, pipelines: dict[str, str], name: str
) -> None:
    dataset_id = pipelines[name]
    model = platform.records("automl-events", dataset_id)[0].value
    for event in platform.records("xai-events", dataset_id):
        value = event.value
        path = f"{value['user_id']}/{value['dataset_id']}/{value['model_id']}/{value['report_type']}/{value['level']}"
        _check_page(f"{platform.api}/xai-reports/{path}/view")
    _check_page(f"{platform.api}/bias-reports/user123/{dataset_id}/view")
    metadata = requests.get(f"{platform.api}/ai-models/user123/{model['model_id']}", timeout=30).json()
    assert metadata["version"] == "v1" and metadata["test_accuracy"] == model["test_accuracy"]
    download = requests.get(f"{platform.api}/ai-models/user123/{model['model_id']}/download", timeout=30)
    assert download.status_code == 200 and len(download.content) > 1000


def _check_page(link: str) -> None:
    page = requests.get(link, timeout=30)
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert "<h1" in page.text and "http://www.google" not in page.text and "<script" not in page.text


def test_dagster_shows_materializations_and_checks(platform: Outside, pipelines: dict[str, str]) -> None:
    query = """query($key: AssetKeyInput!, $partitions: [String!]) { assetOrError(assetKey: $key) { ... on Asset {
        assetMaterializations(partitions: $partitions, limit: 1) { runId metadataEntries { label } } } } }"""
    for asset in ("dataset", "bias_report", "model", "xai_report"):
        found = platform.graphql(query, key={"path": [asset]}, partitions=[pipelines["titanic"]])
        (materialization,) = found["assetOrError"]["assetMaterializations"]
        labels = {entry["label"] for entry in materialization["metadataEntries"]}
        assert {"summary", "pipeline page"} <= labels
    plots = [
        f"{platform.api}/plots/{asset}/user123/{pipelines['titanic']}/v1.svg"
        for asset in ("dataset", "bias_report", "model", "xai_report")
    ]
    for plot in plots:
        answer = requests.get(plot, timeout=30)
        assert answer.status_code == 200 and answer.headers["content-type"].startswith("image/svg+xml")


def test_the_curl_line_of_the_readme(platform: Outside, tmp_path: Path) -> None:
    rows = "\n".join(f"{n},{n % 7},{'yes' if n % 7 > 3 else 'no'}" for n in range(200))
    (tmp_path / "dataset.csv").write_text(f"amount,days,target\n{rows}\n")
    dataset_id = new_id("curl")
    done = subprocess.run(
        ["curl", "-sS", "-X", "POST", f"{platform.api}/datasets/upload", "-F", "file=@dataset.csv",
         "-F", "user_id=user123", "-F", f"dataset_id={dataset_id}", "-F", "name=Test Dataset"],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    stored = json.loads(done.stdout)
    assert (stored["version"], stored["description"], stored["row_count"]) == ("v1", None, 200)
    platform.wait(lambda: platform.records("bias-events", dataset_id), 120, "the bias report")


WHEN = "2026-01-01T00:00:00.000000"


def test_every_null_goes_through_a_real_daemon(platform: Outside, pipelines: dict[str, str]) -> None:
    dataset_id = pipelines["titanic"]
    common = {"user_id": "user123", "dataset_id": dataset_id, "timestamp": WHEN}
    nulls = {"target_column_name": None, "task_type": None}
    metadata = {"user_id": "user123", "dataset_id": dataset_id, "description": None, "columns": None}
    before = {topic: len(platform.records(topic, dataset_id)) for topic in KEYS}
    platform.produce(
        "bias-trigger-events",
        {"event_type": "bias-trigger.reported", **common, **nulls, "metadata": metadata, "record_count": None},
    )
    platform.wait(lambda: len(platform.records("bias-events", dataset_id)) > before["bias-events"], 120, "bias")
    platform.wait(
        lambda: len(platform.records("automl-events", dataset_id)) > before["automl-events"], 120, "the model"
    )
    model_id = f"automl_{dataset_id}"
    platform.produce(
        "bias-events",
        {"event_type": "bias.reported", **common, **nulls, "bias_report_id": "theirs",
         "has_transformation_report": False},
    )  # fmt: skip
    platform.produce(
        "automl-trigger-events",
        {"event_type": "automl-trigger.reported", **common, **nulls, "time_budget": "6s"},
    )
    platform.produce(
        "automl-events",
        {"event_type": "model.uploaded", "event_id": "x", "timestamp": WHEN, "user_id": "user123",
         "model_id": model_id, "version": "v1", "framework": "sklearn", "model_type": "classification",
         "dataset_id": None, "algorithm": None, "model_size_mb": None, "training_accuracy": None,
         "validation_accuracy": None, "test_accuracy": None},
    )  # fmt: skip
    platform.produce("xai-trigger-events", {"event_type": "xai-trigger.reported", **common, "model_id": model_id,
                                            "level": "expert"})  # fmt: skip
    platform.wait(
        lambda: [r for r in platform.records("xai-events", dataset_id) if r.value["level"] == "expert"],
        180,
        "the explanation for experts",
    )
    _no_sensor_failed(platform)


def _no_sensor_failed(platform: Outside) -> None:
    query = """{ sensorsOrError(repositorySelector: {repositoryName: "__repository__",
        repositoryLocationName: "mlpipe_dagster"}) { ... on Sensors { results { name sensorState { status
        ticks(limit: 50) { status error { message } } } } } } }"""
    sensors = platform.graphql(query)["sensorsOrError"]["results"]
    assert len(sensors) == 9  # seven topics, the sweep, what was left
    for sensor in sensors:
        assert sensor["sensorState"]["status"] == "RUNNING"
        assert [tick for tick in sensor["sensorState"]["ticks"] if tick["status"] == "FAILURE"] == [], sensor["name"]


def test_bad_records_and_a_record_just_under_the_limit(platform: Outside, pipelines: dict[str, str]) -> None:
    dataset_id = pipelines["housing"]
    before = len(platform.records("bias-events", dataset_id))
    platform.produce("bias-trigger-events", b"{broken", key="bad")
    platform.produce("automl-trigger-events", {"event_type": "automl-trigger.reported"}, key="bad")
    trigger: dict[str, Any] = {
        "event_type": "bias-trigger.reported", "user_id": "user123", "dataset_id": dataset_id, "timestamp": WHEN,
        "target_column_name": "median_house_value", "task_type": "regression", "record_count": None,
        "metadata": {"padding": "x" * (8 * 1024 * 1024 - 2000)},
    }  # fmt: skip
    platform.produce("bias-trigger-events", trigger, headers={"ce_pipelinecontinue": "true"})
    platform.wait(lambda: len(platform.records("bias-events", dataset_id)) > before, 120, "bias after bad records")
    unknown = {"event_type": "xai-trigger.reported", "user_id": "user123", "dataset_id": dataset_id,
               "model_id": "no-such-model", "level": "beginner", "timestamp": WHEN}  # fmt: skip
    platform.produce("xai-trigger-events", unknown)
    failure = platform.wait(
        lambda: platform.records("pipeline-failed-events", dataset_id), 60, "pipeline.failed for an unknown model"
    )[0]
    assert (failure.value["stage"], failure.value["error_type"]) == ("xai", "unknown_model")
    assert failure.value.keys() == {
        "event_type", "event_id", "timestamp", "user_id", "dataset_id", "stage", "error_type", "error_message",
        "run_id",
    }  # fmt: skip
    _no_sensor_failed(platform)


@pytest.mark.parametrize(
    ("filename", "content", "words"),
    [
        ("empty.csv", b"", "empty"),
        ("header.csv", b"a,b,c\n", "row"),
        ("two.csv", b"a,target\n1,yes\n2,no\n", "rows"),
        ("noise.csv", bytes(range(256)) * 20, "table"),
    ],
)
def test_a_bad_table_ends_in_words(
    platform: Outside, tmp_path: Path, filename: str, content: bytes, words: str
) -> None:
    file = tmp_path / filename
    file.write_bytes(content)
    dataset_id = new_id("bad")
    platform.upload(file, dataset_id)
    pipeline = platform.wait_for_end(dataset_id, seconds=120)
    assert pipeline["status"] == "failed"
    errors = [note["body"] for note in pipeline["notifications"] if note["severity"] == "error"]
    assert errors and words in errors[0].lower(), errors
    platform.wait(lambda: platform.records("pipeline-failed-events", dataset_id), 30, "pipeline.failed")
