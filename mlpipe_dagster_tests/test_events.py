"""The contracts: exact keys, nulls, ids, headers. Literal payloads as foreign programs send them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlpipe_dagster.errors import ContractError
from mlpipe_dagster.events import (
    PIPELINE_EVENTS,
    AutomlTrigger,
    BiasReported,
    BiasTrigger,
    Context,
    DatasetUploaded,
    Event,
    ModelUploaded,
    XaiReported,
    XaiTrigger,
    cloud_event_headers,
)
from mlpipe_dagster.vocabulary import Level, TaskKind

WHEN = "2025-10-10T12:00:00.000000"
DATASET = {
    "dataset_id": "d",
    "user_id": "ada@example.org",
    "name": "D",
    "description": None,
    "version": "v1",
    "file_type": "csv",
    "original_filename": "d.csv",
    "file_path": "datasets/ada/d/1/d.csv",
    "file_size": 10,
    "columns": None,
    "row_count": None,
    "data_types": None,
    "tags": [],
    "custom_metadata": {},
    "created_at": WHEN,
    "updated_at": WHEN,
    "file_hash": None,
}
PAYLOADS: dict[type[Event], dict[str, object]] = {
    DatasetUploaded: {
        "event_type": "dataset.uploaded", "event_id": "dataset.uploaded_d_1", "timestamp": WHEN, "dataset": DATASET,
    },
    BiasTrigger: {
        "event_type": "bias-trigger.reported", "dataset_id": "d", "user_id": "ada", "timestamp": WHEN,
        "target_column_name": None, "task_type": None, "metadata": {"description": None}, "record_count": None,
    },
    BiasReported: {
        "event_type": "bias.reported", "dataset_id": "d", "user_id": "ada", "bias_report_id": "1", "timestamp": WHEN,
        "has_transformation_report": False, "target_column_name": None, "task_type": None,
    },
    AutomlTrigger: {
        "event_type": "automl-trigger.reported", "dataset_id": "d", "user_id": "ada", "timestamp": WHEN,
        "target_column_name": None, "task_type": None, "time_budget": "10",
    },
    ModelUploaded: {
        "event_type": "model.uploaded", "event_id": "model_uploaded_m_1", "timestamp": WHEN, "user_id": "ada",
        "model_id": "automl_d_1", "version": "v1", "framework": "sklearn", "model_type": "classification",
        "dataset_id": None, "algorithm": None, "model_size_mb": None, "training_accuracy": None,
        "validation_accuracy": None, "test_accuracy": None,
    },
    XaiTrigger: {
        "event_type": "xai-trigger.reported", "user_id": "ada", "dataset_id": "d", "model_id": "m",
        "level": "beginner", "timestamp": WHEN,
    },
    XaiReported: {
        "event_type": "xai.reported", "event_id": "xai_reported_1", "timestamp": WHEN, "user_id": "ada",
        "dataset_id": "d", "model_id": "m", "report_type": "model_explanation", "level": "expert",
        "xai_report_id": "1",
    },
}  # fmt: skip


@pytest.mark.parametrize("contract", PIPELINE_EVENTS, ids=lambda contract: contract.__name__)
def test_every_contract_with_every_null_comes_back_with_exactly_its_keys(contract: type[Event]) -> None:
    payload = PAYLOADS[contract]
    event = contract.from_bytes(json.dumps(payload | {"from_the_future": 1}).encode())
    assert json.loads(event.to_bytes()) == payload


@pytest.mark.parametrize("contract", PIPELINE_EVENTS, ids=lambda contract: contract.__name__)
def test_a_missing_key_is_named(contract: type[Event]) -> None:
    for key in PAYLOADS[contract]:
        payload = {name: value for name, value in PAYLOADS[contract].items() if name != key}
        with pytest.raises(ContractError, match=key):
            contract.from_bytes(json.dumps(payload).encode())


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        (None, "not JSON"),
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[1]", "not a JSON object"),
        (b'{"event_type": "bias.reported", "x": "\\ud800"}', "lone surrogate"),
        (b'{"event_type": "bias.reported", "x": "\\u0000"}', "null character"),
    ],
)
def test_what_is_no_record_of_ours_is_a_contract_error(value: bytes | None, fault: str) -> None:
    with pytest.raises(ContractError, match=fault):
        BiasReported.from_bytes(value)


@pytest.mark.parametrize("dataset_id", ["../etc/passwd", "", ".hidden", "a/b", "a;b", "a b", "a" * 256, 7])
def test_ids_that_could_leave_their_folder_are_refused(dataset_id: object) -> None:
    with pytest.raises(ContractError, match="dataset_id"):
        BiasTrigger.from_bytes(json.dumps(PAYLOADS[BiasTrigger] | {"dataset_id": dataset_id}).encode())


def test_another_events_type_is_refused() -> None:
    with pytest.raises(ContractError, match="event_type"):
        BiasTrigger.from_bytes(json.dumps(PAYLOADS[BiasTrigger] | {"event_type": "bias.reported"}).encode())


def test_levels_are_read_in_any_case() -> None:
    event = XaiTrigger.from_bytes(json.dumps(PAYLOADS[XaiTrigger] | {"level": "Expert", "version": "v3"}).encode())
    assert (event.level, event.version) == (Level.EXPERT, "v3")
    assert json.loads(event.to_bytes())["version"] == "v3"


def test_record_keys() -> None:
    keys = {contract: contract.model_validate(PAYLOADS[contract]).record_key for contract in PIPELINE_EVENTS}
    assert keys == {
        DatasetUploaded: "d",
        BiasTrigger: "d",
        BiasReported: "d",
        AutomlTrigger: "d",
        ModelUploaded: "ada_automl_d_1",
        XaiTrigger: "ada_m",
        XaiReported: "ada_m",
    }


def test_headers_are_cloud_events_and_never_null() -> None:
    event = BiasReported.model_validate(PAYLOADS[BiasReported])
    context = Context("v2", "corr", "cause", TaskKind.BINARY, 90.0, pipeline_continue=False)
    headers = cloud_event_headers(event, "id-1", context)
    assert headers.pop("ce_time").endswith("Z")
    assert headers == {
        "ce_specversion": "1.0",
        "ce_id": "id-1",
        "ce_type": "bias.reported",
        "ce_source": "/mlpipe/warehouse",
        "content-type": "application/json",
        "ce_correlationid": "corr",
        "ce_causationid": "cause",
        "ce_datasetversion": "v2",
        "ce_taskkind": "binary",
        "ce_timebudgetseconds": "90",
        "ce_pipelinecontinue": "false",
    }
    assert None not in cloud_event_headers(event, "id-1", Context()).values()


@given(st.binary(max_size=200))
def test_no_bytes_make_anything_but_a_contract_error(value: bytes) -> None:
    for contract in PIPELINE_EVENTS:
        with pytest.raises(ContractError):
            contract.from_bytes(value)
