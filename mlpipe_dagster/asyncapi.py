"""The topics as an AsyncAPI 3.0 document, made from the contracts and the settings: nothing is described twice.

`make docs` writes docs/asyncapi.json with the default names; the API serves it with the names that are set.
"""

import json
from collections.abc import Mapping
from typing import Any

from mlpipe_dagster.event_examples import EXAMPLES
from mlpipe_dagster.events import PIPELINE_EVENTS, STAGE_TRIGGERS, DatasetChanged, Event, PipelineFailed
from mlpipe_dagster.settings import Settings
from mlpipe_dagster.vocabulary import Role, Stage

VERSION = "0.1.0"
SCHEMAS = "#/components/schemas/"
BINDING_VERSION = "0.5.0"
OUR_EVENTS: tuple[type[Event], ...] = (PipelineFailed, DatasetChanged)
WAREHOUSE = "warehouse"

ROLES: Mapping[str, str] = {
    WAREHOUSE: "The data warehouse: stores, and announces what it stored. Always mlpipe itself.",
    Role.AGENTIC_CORE: "Decides what comes next, or asks a person.",
    Role.BIAS: "Measures how groups fare, and posts the report to the warehouse.",
    Role.AUTOML: "Trains a model within the time budget, and uploads it to the warehouse.",
    Role.XAI: "Explains model and data at a level, and uploads two pages to the warehouse.",
}
"""All but the warehouse can be played by somebody else's worker."""

DATASET_KEY = "The dataset_id: records of one dataset stay in order."
MODEL_KEY = "`{user_id}_{model_id}`: records of one model stay in order."
RECORD_KEYS: Mapping[str, str] = {
    "kafka_automl_topic": MODEL_KEY,
    "kafka_xai_trigger_topic": "The key of the record it follows from, usually `{user_id}_{model_id}`.",
    "kafka_xai_topic": MODEL_KEY,
}
"""By the setting of the topic; all others have `DATASET_KEY`."""

HEADERS: Mapping[str, dict[str, Any]] = {
    "ce_specversion": {"const": "1.0", "description": "CloudEvents 1.0, Kafka's binary mode."},
    "ce_id": {"description": "Unique, and the same when a record is sent again: recognise repetitions by it."},
    "ce_type": {"description": "As event_type."},
    "ce_source": {"enum": ["/mlpipe/warehouse", "/mlpipe/agentic-core"], "description": "Who says it."},
    "ce_time": {"format": "date-time", "description": "When it was written down, in UTC."},
    "content-type": {"const": "application/json", "description": "Of the value."},
    "ce_correlationid": {"description": "One for each uploaded dataset version: follows its whole pipeline."},
    "ce_causationid": {"description": "The ce_id of what caused this, else its topic/partition/offset."},
    "ce_datasetversion": {"description": "The dataset version this is about, such as v2."},
    "ce_taskkind": {"enum": ["binary", "multiclass", "regression"], "description": "The finer kind of task."},
    "ce_timebudgetseconds": {"description": "The time budget in seconds, as a number in text."},
    "ce_pipelinecontinue": {"const": "false", "description": "Announced by a person's own run: take no next step."},
}
DEAD_LETTER_HEADERS: Mapping[str, str] = {
    "__connect.errors.topic": "Topic of the record.",
    "__connect.errors.partition": "Its partition.",
    "__connect.errors.offset": "Its offset.",
    "__connect.errors.stage": "Which part refused it.",
    "__connect.errors.class.name": "The same, as Kafka Connect writes it.",
    "__connect.errors.exception.class.name": "The error.",
    "__connect.errors.exception.message": "Why, in words.",
    "retry_topic-attempts": "How often the record became a dead letter.",
}

ABOUT = (
    "The Kafka topics of mlpipe, an event-driven, responsible AutoML platform. A value is a JSON object in UTF-8. "
    "What mlpipe publishes has exactly the keys of its schema; what it receives may have more. No header is required "
    "of what it receives. Delivery is at least once, in order for each key. An operation is seen from its role."
)


def document(settings: Settings) -> dict[str, Any]:
    """The whole document, with topics and consumer groups as they are called in these settings."""
    events = (*PIPELINE_EVENTS, *OUR_EVENTS)
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "mlpipe events", "version": VERSION, "description": ABOUT, "tags": _role_tags()},
        "defaultContentType": "application/json",
        "servers": {"kafka": _server()},
        "channels": {_channel_id(event): _channel(event, settings) for event in events}
        | {_dead_letter_id(event): _dead_letter_channel(event, settings) for event in PIPELINE_EVENTS},
        "operations": _operations(settings),
        "components": {
            "messages": {event.__name__: _message(event) for event in events} | {"DeadLetter": _dead_letter()},
            "schemas": _schemas(events),
        },
    }


def as_text(content: Mapping[str, Any]) -> str:
    """The document as it is kept in docs/."""
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _role_tags() -> list[dict[str, str]]:
    return [{"name": str(name), "description": text} for name, text in ROLES.items()]


def _server() -> dict[str, Any]:
    text = "host:port of a broker: what KAFKA_BOOTSTRAP_SERVERS says where mlpipe runs."
    return {
        "host": "{broker}",
        "protocol": "kafka",
        "description": "KAFKA_SECURITY_PROTOCOL and its companions say how the connection is protected.",
        "variables": {"broker": {"default": "localhost:9092", "description": text}},
    }


def _channel_id(event: type[Event]) -> str:
    """The usual name of the topic, whatever it is called in the settings."""
    return str(Settings.model_fields[event.topic_setting].default)


def _dead_letter_id(event: type[Event]) -> str:
    return f"{_channel_id(event)}.dlq"


def _channel(event: type[Event], settings: Settings) -> dict[str, Any]:
    topic = event.topic(settings)
    return {
        "address": topic,
        "description": _first_line(event),
        "servers": [{"$ref": "#/servers/kafka"}],
        "messages": {event.__name__: {"$ref": f"#/components/messages/{event.__name__}"}},
        "bindings": {"kafka": _topic_binding(topic, settings)},
    }


def _dead_letter_channel(event: type[Event], settings: Settings) -> dict[str, Any]:
    topic = f"{event.topic(settings)}.dlq"
    return {
        "address": topic,
        "description": f"Records of {event.topic(settings)} that do not keep its contract, byte for byte.",
        "servers": [{"$ref": "#/servers/kafka"}],
        "messages": {"DeadLetter": {"$ref": "#/components/messages/DeadLetter"}},
    }


def _topic_binding(topic: str, settings: Settings) -> dict[str, Any]:
    return {
        "topic": topic,
        "partitions": settings.kafka_partitions,
        "replicas": settings.kafka_replication,
        "topicConfiguration": {"max.message.bytes": settings.kafka_max_message_bytes},
        "bindingVersion": BINDING_VERSION,
    }


def _operations(settings: Settings) -> dict[str, Any]:
    found = {}
    for event in (*PIPELINE_EVENTS, *OUR_EVENTS):
        sender = event.source.removeprefix("/mlpipe/")
        found[f"{sender}.sends.{event.__name__}"] = _operation("send", sender, event)
    for event in PIPELINE_EVENTS:
        reader = _reader(event)
        received = _operation("receive", reader, event)
        group = getattr(settings, event.topic_setting.replace("_topic", "_group"))
        received["bindings"] = {
            "kafka": {"groupId": {"type": "string", "enum": [group]}, "bindingVersion": BINDING_VERSION}
        }
        found[f"{reader}.receives.{event.__name__}"] = received
    return found


def _reader(event: type[Event]) -> Role:
    """The role that acts on an event: a stage on its trigger, the agentic core on everything the warehouse says."""
    stages = {trigger: stage for stage, trigger in STAGE_TRIGGERS.items() if stage is not Stage.DATASET}
    return Role(stages[event].value) if event in stages else Role.AGENTIC_CORE


def _operation(action: str, role: str, event: type[Event]) -> dict[str, Any]:
    channel = _channel_id(event)
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "summary": _first_line(event),
        "tags": [{"name": str(role)}],
        "messages": [{"$ref": f"#/channels/{channel}/messages/{event.__name__}"}],
    }


def _message(event: type[Event]) -> dict[str, Any]:
    example = EXAMPLES[event]
    key = RECORD_KEYS.get(event.topic_setting, DATASET_KEY)
    return {
        "name": event.__name__,
        "title": event.__name__,
        "summary": _first_line(event),
        "contentType": "application/json",
        "headers": {"$ref": f"{SCHEMAS}CloudEventHeaders"},
        "payload": {"$ref": f"{SCHEMAS}{event.__name__}"},
        "correlationId": {"location": "$message.header#/ce_correlationid"},
        "bindings": {
            "kafka": {"key": {"type": "string", "description": key}, "bindingVersion": BINDING_VERSION},
        },
        "examples": [
            {"name": "loans", "headers": _example_headers(example), "payload": json.loads(example.to_bytes())}
        ],
    }


def _example_headers(event: Event) -> dict[str, str]:
    return {
        "ce_specversion": "1.0",
        "ce_id": "5a0d1f0e-6a34-4c7e-9d0a-0f3a4a3b7d11",
        "ce_type": event.event_type,
        "ce_source": event.source,
        "ce_time": "2025-10-10T12:01:20.000000Z",
        "content-type": "application/json",
        "ce_correlationid": "0d9e0f0a-3b7d-4c7e-9d0a-0f3a4a3b7d11",
        "ce_datasetversion": "v1",
    }


def _dead_letter() -> dict[str, Any]:
    return {
        "name": "DeadLetter",
        "title": "DeadLetter",
        "summary": "A record nobody could use: same key, value and headers, and why in more headers.",
        "contentType": "application/octet-stream",
        "headers": {"$ref": f"{SCHEMAS}DeadLetterHeaders"},
        "payload": {"description": "The bytes as they came; null where they are too many for the topic."},
    }


def _schemas(events: tuple[type[Event], ...]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "CloudEventHeaders": _header_schema(HEADERS),
        "DeadLetterHeaders": _header_schema(
            {name: {"description": text} for name, text in DEAD_LETTER_HEADERS.items()}
        ),
    }
    for event in events:
        schema = event.model_json_schema(ref_template=f"{SCHEMAS}{{model}}")
        found |= schema.pop("$defs", {})
        # it has a default for our own events only: a record without it is a dead letter
        schema["required"] = ["event_type", *(name for name in schema["required"] if name != "event_type")]
        schema["properties"]["event_type"].pop("default", None)
        found[event.__name__] = schema
    return found


def _header_schema(headers: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    return {"type": "object", "properties": {name: {"type": "string"} | about for name, about in headers.items()}}


def _first_line(event: type[Event]) -> str:
    return (event.__doc__ or "").splitlines()[0]


if __name__ == "__main__":
    print(as_text(document(Settings.model_construct())), end="")
