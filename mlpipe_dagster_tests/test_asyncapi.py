"""The AsyncAPI document: complete, connected, and its schemas accept and refuse what the contracts accept and refuse.

The official JSON Schema of AsyncAPI is no dependency of the project: its rules that matter here are spelled out.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from mlpipe_dagster.asyncapi import HEADERS, as_text, document
from mlpipe_dagster.errors import ContractError
from mlpipe_dagster.event_examples import EXAMPLES
from mlpipe_dagster.events import PIPELINE_EVENTS, Context, DatasetChanged, Event, PipelineFailed, cloud_event_headers
from mlpipe_dagster.settings import Settings
from mlpipe_dagster.vocabulary import TaskKind

ROOT = Path(__file__).resolve().parents[1]
EVENTS = (*PIPELINE_EVENTS, PipelineFailed, DatasetChanged)
DOCUMENT = document(Settings.model_construct())
ALLOWED = {
    "": {"asyncapi", "info", "defaultContentType", "servers", "channels", "operations", "components"},
    "info": {"title", "version", "description", "tags"},
    "servers/*": {"host", "protocol", "description", "variables"},
    "channels/*": {"address", "description", "servers", "messages", "bindings"},
    "operations/*": {"action", "channel", "summary", "tags", "bindings", "messages"},
    "components/messages/*": {
        "name", "title", "summary", "contentType", "headers", "payload", "correlationId", "bindings", "examples",
    },
}  # fmt: skip
"""Keys that AsyncAPI 3.0.0 has in these objects and that are used here; a misspelt one is no extension."""


def resolve(reference: str) -> Any:
    found: Any = DOCUMENT
    for part in reference.removeprefix("#/").split("/"):
        found = found[part.replace("~1", "/").replace("~0", "~")]
    return found


def references(content: Any) -> Iterator[str]:
    if isinstance(content, dict):
        if "$ref" in content:
            assert set(content) == {"$ref"} or "description" in content
            yield content["$ref"]
        for value in content.values():
            yield from references(value)
    elif isinstance(content, list):
        for value in content:
            yield from references(value)


def objects(pattern: str) -> list[dict[str, Any]]:
    found = [DOCUMENT]
    for part in filter(None, pattern.split("/")):
        found = [value for one in found for value in (one.values() if part == "*" else [one[part]])]
    return found


def validator(event: type[Event]) -> Draft7Validator:
    schema = {"$ref": f"#/components/schemas/{event.__name__}", "components": DOCUMENT["components"]}
    return Draft7Validator(schema)


def example(event: type[Event]) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(EXAMPLES[event].to_bytes())
    return content


def accepted_by_contract(event: type[Event], content: dict[str, Any]) -> bool:
    try:
        event.from_bytes(json.dumps(content).encode())
    except ContractError:
        return False
    return True


def test_the_page_is_not_stale() -> None:
    assert (ROOT / "docs" / "asyncapi.json").read_text(encoding="utf-8") == as_text(DOCUMENT), "run: make docs"


def test_it_says_which_asyncapi_it_is() -> None:
    assert DOCUMENT["asyncapi"] == "3.0.0"
    assert DOCUMENT["servers"]["kafka"]["protocol"] == "kafka"
    assert re.findall(r"\{(\w+)\}", DOCUMENT["servers"]["kafka"]["host"]) == list(
        DOCUMENT["servers"]["kafka"]["variables"]
    )


@pytest.mark.parametrize("place", ALLOWED)
def test_no_object_has_a_key_that_asyncapi_does_not_know(place: str) -> None:
    assert {key for one in objects(place) for key in one} <= ALLOWED[place]


def test_every_reference_leads_somewhere() -> None:
    found = list(references(DOCUMENT))
    assert len(found) > 80
    for reference in found:
        assert reference.startswith("#/")
        assert isinstance(resolve(reference), dict)


def test_keys_of_components_are_as_asyncapi_wants_them() -> None:
    names = [name for part in DOCUMENT["components"].values() for name in part]
    assert [name for name in names if not re.fullmatch(r"[\w.-]+", name)] == []


def test_every_topic_is_a_channel_with_its_limits() -> None:
    seven = (
        "dataset-events", "bias-trigger-events", "bias-events", "automl-trigger-events", "automl-events",
        "xai-trigger-events", "xai-events",
    )  # fmt: skip
    ours = ("pipeline-failed-events", "dataset-change-events")
    assert list(DOCUMENT["channels"]) == [*seven, *ours, *(f"{topic}.dlq" for topic in seven)]
    assert [one["address"] for one in objects("channels/*")] == list(DOCUMENT["channels"])
    for topic in (*seven, *ours):
        binding = DOCUMENT["channels"][topic]["bindings"]["kafka"]
        assert (binding["topic"], binding["topicConfiguration"]) == (topic, {"max.message.bytes": 8388608})


def test_operations_say_which_role_sends_and_receives_what() -> None:
    told = {
        (one["tags"][0]["name"], one["action"], one["channel"]["$ref"].removeprefix("#/channels/"))
        for one in objects("operations/*")
    }
    assert told == {
        ("warehouse", "send", "dataset-events"),
        ("agentic-core", "receive", "dataset-events"),
        ("agentic-core", "send", "bias-trigger-events"),
        ("bias", "receive", "bias-trigger-events"),
        ("warehouse", "send", "bias-events"),
        ("agentic-core", "receive", "bias-events"),
        ("agentic-core", "send", "automl-trigger-events"),
        ("automl", "receive", "automl-trigger-events"),
        ("warehouse", "send", "automl-events"),
        ("agentic-core", "receive", "automl-events"),
        ("agentic-core", "send", "xai-trigger-events"),
        ("xai", "receive", "xai-trigger-events"),
        ("warehouse", "send", "xai-events"),
        ("agentic-core", "receive", "xai-events"),
        ("warehouse", "send", "pipeline-failed-events"),
        ("warehouse", "send", "dataset-change-events"),
    }
    for one in objects("operations/*"):
        (message,) = one["messages"]
        assert message["$ref"].startswith(f"{one['channel']['$ref']}/messages/"), "a message of its own channel"


def test_receivers_name_the_groups_of_existing_workers() -> None:
    groups = {
        name: one["bindings"]["kafka"]["groupId"]["enum"]
        for name, one in DOCUMENT["operations"].items()
        if one["action"] == "receive"
    }
    assert groups == {
        "agentic-core.receives.DatasetUploaded": ["agentic-core-dataset-consumer"],
        "bias.receives.BiasTrigger": ["bias-trigger-consumer"],
        "agentic-core.receives.BiasReported": ["agentic-core-bias-consumer"],
        "automl.receives.AutomlTrigger": ["automl-consumer"],
        "agentic-core.receives.ModelUploaded": ["agentic-core-automl-consumer"],
        "xai.receives.XaiTrigger": ["xai-consumer"],
        "agentic-core.receives.XaiReported": ["agentic-core-xai-consumer"],
    }


def test_names_come_from_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BIAS_TOPIC", "eu.bias")
    monkeypatch.setenv("KAFKA_BIAS_CONSUMER_GROUP", "eu-core")
    monkeypatch.setenv("KAFKA_SASL_PASSWORD", "very-secret")
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "inside.example:9093")
    renamed = document(Settings())
    assert renamed["channels"]["bias-events"]["address"] == "eu.bias"
    assert renamed["channels"]["bias-events.dlq"]["address"] == "eu.bias.dlq"
    received = renamed["operations"]["agentic-core.receives.BiasReported"]
    assert received["bindings"]["kafka"]["groupId"]["enum"] == ["eu-core"]
    assert not re.search(r"very-secret|inside\.example", as_text(renamed)), "anybody may read the document"


@pytest.mark.parametrize("name", DOCUMENT["components"]["schemas"])
def test_schemas_are_json_schemas(name: str) -> None:
    Draft7Validator.check_schema(DOCUMENT["components"]["schemas"][name])


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.__name__)
def test_the_example_keeps_the_schema_and_is_that_of_the_page(event: type[Event]) -> None:
    (shown,) = DOCUMENT["components"]["messages"][event.__name__]["examples"]
    assert list(validator(event).iter_errors(shown["payload"])) == []
    assert accepted_by_contract(event, shown["payload"])
    headers = {"$ref": "#/components/schemas/CloudEventHeaders", "components": DOCUMENT["components"]}
    assert list(Draft7Validator(headers).iter_errors(shown["headers"])) == []
    page = (ROOT / "docs" / "contracts.md").read_text(encoding="utf-8")
    assert shown["payload"] in [json.loads(block) for block in re.findall(r"```json\n(.*?)```", page, re.DOTALL)]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.__name__)
def test_schema_and_contract_refuse_the_same(event: type[Event]) -> None:
    """Each key missing, null and of a wrong type; and one key more, which is allowed."""
    whole = example(event)
    checks = {"with a key more": whole | {"more": 1}}
    for key in whole:
        checks[f"without {key}"] = {name: value for name, value in whole.items() if name != key}
        checks[f"{key} null"] = whole | {key: None}
        checks[f"{key} an object of objects"] = whole | {key: {"a": {"b": []}}}
        checks[f"{key} a list"] = whole | {key: [1]}
    for what, content in checks.items():
        assert validator(event).is_valid(content) is accepted_by_contract(event, content), what
    assert validator(event).is_valid(checks["with a key more"])
    assert not validator(event).is_valid(checks["without event_type"])


NULLABLE = {
    "DatasetUploaded": set(),
    "BiasTrigger": {"target_column_name", "task_type", "record_count"},
    "BiasReported": {"target_column_name", "task_type"},
    "AutomlTrigger": {"target_column_name", "task_type"},
    "ModelUploaded": {
        "dataset_id", "algorithm", "model_size_mb", "training_accuracy", "validation_accuracy", "test_accuracy",
    },
    "XaiTrigger": {"version"},
    "XaiReported": set(),
    "PipelineFailed": {"run_id"},
    "DatasetChanged": {"version"},
}  # fmt: skip


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.__name__)
def test_what_may_be_null_and_what_may_be_missing(event: type[Event]) -> None:
    whole, check = example(event), validator(event)
    assert {key for key in whole if check.is_valid(whole | {key: None})} == NULLABLE[event.__name__]
    missing = {key for key in whole if check.is_valid({name: whole[name] for name in whole if name != key})}
    assert missing == ({"version"} if event.__name__ == "XaiTrigger" else set())


def test_nulls_of_the_dataset_object() -> None:
    whole, check = example(EVENTS[0]), validator(EVENTS[0])
    null = {key for key in whole["dataset"] if check.is_valid(whole | {"dataset": whole["dataset"] | {key: None}})}
    assert null == {"description", "columns", "row_count", "data_types", "file_hash"}


def test_every_header_that_is_sent_is_described() -> None:
    context = Context("v2", "c", "d", TaskKind.BINARY, 60.0, pipeline_continue=False)
    sent = cloud_event_headers(EXAMPLES[PIPELINE_EVENTS[0]], "id", context)
    assert set(sent) == set(HEADERS)
    schema = DOCUMENT["components"]["schemas"]["CloudEventHeaders"]
    assert list(Draft7Validator(schema).iter_errors(sent)) == []
    assert not Draft7Validator(schema).is_valid(sent | {"ce_specversion": "0.3"})
