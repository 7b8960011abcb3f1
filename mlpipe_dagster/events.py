"""The contracts of the topics: one frozen class an event, parsed at the edge, published with exactly its keys.

Here stand keys, types, record keys and CloudEvents headers. What follows from an event is decided elsewhere.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError, field_validator

from mlpipe_dagster import clock
from mlpipe_dagster.errors import ContractError
from mlpipe_dagster.settings import Settings
from mlpipe_dagster.vocabulary import Level, ReportType, Stage, TaskKind

ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._@+:=-]{0,254}$"
Id = Annotated[str, StringConstraints(pattern=ID_PATTERN)]


class Event(BaseModel):
    """A value on a topic. Unknown keys are ignored; Keys in any order, none missing but the optional ones."""

    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())
    topic_setting: ClassVar[str]
    source: ClassVar[str]
    event_type: str

    @property
    def record_key(self) -> str:
        """Key of the record on Kafka: keeps one dataset's records in order."""
        return str(getattr(self, "dataset_id", ""))

    def to_bytes(self) -> bytes:
        """The value as published: UTF-8 JSON with exactly the contract's keys."""
        return json.dumps(self.model_dump(mode="json"), ensure_ascii=False).encode()

    @classmethod
    def topic(cls, settings: Settings) -> str:
        """Name of this event's topic."""
        return str(getattr(settings, cls.topic_setting))

    @classmethod
    def from_bytes(cls, value: bytes | None) -> Self:
        """Parse a record's value.

        Raises
        ------
        ContractError
            The value is no JSON object, or does not keep the contract; the message names what is wrong.
        """
        try:
            content = json.loads(value or b"")
            storable = "\\u0000" not in json.dumps(content)
            json.dumps(content, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise ContractError("The value has half of a character (a lone surrogate).") from error
        except (ValueError, RecursionError) as error:
            raise ContractError(f"The value is not JSON: {error}") from error
        if not storable:
            raise ContractError("The value has a null character, which no database stores.")
        if not isinstance(content, dict):
            raise ContractError("The value is not a JSON object.")
        if "event_type" not in content:  # it has a default for our own events only
            raise ContractError(f"The value does not keep the contract of {cls.__name__}: event_type: Field required")
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            faults = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'value'}: {e['msg']}" for e in error.errors())
            raise ContractError(f"The value does not keep the contract of {cls.__name__}: {faults}") from error


class UploadedDataset(BaseModel):
    """The `dataset` object of `dataset.uploaded`."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    dataset_id: Id
    user_id: Id
    name: str
    description: str | None
    version: Id
    file_type: str
    original_filename: str
    file_path: str
    file_size: int
    columns: list[str] | None
    row_count: int | None
    data_types: dict[str, Any] | None
    tags: list[Any]
    custom_metadata: dict[str, Any]
    created_at: str
    updated_at: str
    file_hash: str | None


class DatasetUploaded(Event):
    """A person uploaded a table."""

    topic_setting = "kafka_dataset_topic"
    source = "/mlpipe/warehouse"
    event_type: Literal["dataset.uploaded"] = "dataset.uploaded"
    event_id: str
    timestamp: str
    dataset: UploadedDataset

    @property
    def record_key(self) -> str:
        return self.dataset.dataset_id

    @property
    def dataset_id(self) -> str:
        """The dataset that was uploaded."""
        return self.dataset.dataset_id

    @property
    def user_id(self) -> str:
        """Its owner."""
        return self.dataset.user_id


class BiasTrigger(Event):
    """The agentic core asks for a bias report."""

    topic_setting = "kafka_bias_trigger_topic"
    source = "/mlpipe/agentic-core"
    event_type: Literal["bias-trigger.reported"] = "bias-trigger.reported"
    dataset_id: Id
    user_id: Id
    timestamp: str
    target_column_name: str | None
    task_type: str | None
    metadata: dict[str, Any]
    record_count: int | None


class BiasReported(Event):
    """The warehouse stored a bias report."""

    topic_setting = "kafka_bias_topic"
    source = "/mlpipe/warehouse"
    event_type: Literal["bias.reported"] = "bias.reported"
    dataset_id: Id
    user_id: Id
    bias_report_id: str
    timestamp: str
    has_transformation_report: bool
    target_column_name: str | None
    task_type: str | None


class AutomlTrigger(Event):
    """The agentic core asks for a model."""

    topic_setting = "kafka_automl_trigger_topic"
    source = "/mlpipe/agentic-core"
    event_type: Literal["automl-trigger.reported"] = "automl-trigger.reported"
    dataset_id: Id
    user_id: Id
    timestamp: str
    target_column_name: str | None
    task_type: str | None
    time_budget: str


class ModelUploaded(Event):
    """The warehouse stored a model version."""

    topic_setting = "kafka_automl_topic"
    source = "/mlpipe/warehouse"
    event_type: Literal["model.uploaded"] = "model.uploaded"
    event_id: str
    timestamp: str
    user_id: Id
    model_id: Id
    version: Id
    framework: str
    model_type: str
    dataset_id: Id | None
    algorithm: str | None
    model_size_mb: float | None
    training_accuracy: float | None
    validation_accuracy: float | None
    test_accuracy: float | None

    @property
    def record_key(self) -> str:
        return f"{self.user_id}_{self.model_id}"


class XaiTrigger(Event):
    """The agentic core asks for the two explanations of a model. `version` null means the latest."""

    topic_setting = "kafka_xai_trigger_topic"
    source = "/mlpipe/agentic-core"
    event_type: Literal["xai-trigger.reported"] = "xai-trigger.reported"
    user_id: Id
    dataset_id: Id
    model_id: Id
    level: Level
    timestamp: str
    version: Id | None = None

    @field_validator("level", mode="before")
    @classmethod
    def _any_case(cls, level: object) -> object:
        return level.strip().lower() if isinstance(level, str) else level

    @property
    def record_key(self) -> str:
        return f"{self.user_id}_{self.model_id}"

    def to_bytes(self) -> bytes:
        """As published: `version` is optional, so a null one is left out."""
        content = self.model_dump(mode="json")
        if content["version"] is None:
            del content["version"]
        return json.dumps(content, ensure_ascii=False).encode()


class XaiReported(Event):
    """The warehouse stored one of the two explanations."""

    topic_setting = "kafka_xai_topic"
    source = "/mlpipe/warehouse"
    event_type: Literal["xai.reported"] = "xai.reported"
    event_id: str
    timestamp: str
    user_id: Id
    dataset_id: Id
    model_id: Id
    report_type: ReportType
    level: Level
    xai_report_id: str

    @property
    def record_key(self) -> str:
        return f"{self.user_id}_{self.model_id}"


class PipelineFailed(Event):
    """A stage failed for good."""

    topic_setting = "kafka_failed_topic"
    source = "/mlpipe/warehouse"
    event_type: Literal["pipeline.failed"] = "pipeline.failed"
    event_id: str
    timestamp: str
    user_id: str
    dataset_id: str
    stage: Stage
    error_type: str
    error_message: str
    run_id: str | None


class DatasetChanged(Event):
    """A dataset was renamed, deleted or mitigated: on our own topic, which starts nothing."""

    topic_setting = "kafka_dataset_change_topic"
    source = "/mlpipe/warehouse"
    event_type: Literal["dataset.updated", "dataset.deleted", "dataset.mitigated"]
    event_id: str
    timestamp: str
    user_id: str
    dataset_id: str
    version: str | None
    changes: dict[str, Any]


STAGE_TRIGGERS: Mapping[Stage, type[Event]] = {
    Stage.DATASET: DatasetUploaded,
    Stage.BIAS: BiasTrigger,
    Stage.AUTOML: AutomlTrigger,
    Stage.XAI: XaiTrigger,
}
"""What starts each stage."""

STAGE_RESULTS: Mapping[Stage, type[Event]] = {
    Stage.BIAS: BiasReported,
    Stage.AUTOML: ModelUploaded,
    Stage.XAI: XaiReported,
}
"""What the warehouse announces after each stage; `dataset` is announced by the upload itself."""

PIPELINE_EVENTS: tuple[type[Event], ...] = (
    DatasetUploaded,
    BiasTrigger,
    BiasReported,
    AutomlTrigger,
    ModelUploaded,
    XaiTrigger,
    XaiReported,
)
"""The seven public topics, in the order of a pipeline."""


def contracts_by_topic(settings: Settings) -> dict[str, type[Event]]:
    """The seven contracts by the names their topics have now."""
    return {event.topic(settings): event for event in PIPELINE_EVENTS}


@dataclass(frozen=True)
class Context:
    """What travels in headers because the values' keys are frozen."""

    dataset_version: str | None = None
    correlation_id: str | None = None
    causation_id: str | None = None
    task_kind: TaskKind | None = None
    time_budget_seconds: float | None = None
    pipeline_continue: bool = True


def cloud_event_headers(event: Event, ce_id: str, context: Context) -> dict[str, str]:
    """CloudEvents 1.0 in Kafka's binary mode, with our extensions; no header has a null value."""
    headers: dict[str, str | None] = {
        "ce_specversion": "1.0",
        "ce_id": ce_id,
        "ce_type": event.event_type,
        "ce_source": event.source,
        "ce_time": f"{clock.iso(clock.now())}Z",
        "content-type": "application/json",
        "ce_correlationid": context.correlation_id,
        "ce_causationid": context.causation_id,
        "ce_datasetversion": context.dataset_version,
        "ce_taskkind": context.task_kind.value if context.task_kind else None,
        "ce_timebudgetseconds": f"{context.time_budget_seconds:g}" if context.time_budget_seconds else None,
        "ce_pipelinecontinue": None if context.pipeline_continue else "false",
    }
    return {name: value for name, value in headers.items() if value is not None}
