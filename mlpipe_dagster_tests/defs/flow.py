"""A daemon in one thread: evaluates sensors against a real broker and runs what they ask for, in process.

For tests of the glue; the end-to-end tests use Dagster's own daemon.
"""

import contextlib
import json
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg

from mlpipe_dagster.definitions import defs
from mlpipe_dagster.errors import BrokerUnavailable
from mlpipe_dagster.events import BiasTrigger
from mlpipe_dagster.messaging.connection import Connection
from mlpipe_dagster.messaging.publisher import Publisher
from mlpipe_dagster.messaging.reader import Cursor, SharedReader
from mlpipe_dagster.messaging.records import OutboundMessage, Record
from mlpipe_dagster.tables.inspect import inspect
from mlpipe_dagster.warehouse import datasets
from mlpipe_dagster.warehouse.delivery import deliver_or_leave
from mlpipe_dagster.warehouse.warehouse import Warehouse, open_warehouse
from mlpipe_dagster_tests.brokers import called


@dataclass
class Flow:
    """Sensors, runs and cursors of one test."""

    instance: dg.DagsterInstance
    definitions: dg.Definitions = defs
    cursors: dict[str, str | None] = field(default_factory=dict)
    runs: list[dg.ExecuteInProcessResult] = field(default_factory=list)
    requested: set[str] = field(default_factory=set)
    messages: list[str] = field(default_factory=list)

    @property
    def warehouse(self) -> Warehouse:
        return open_warehouse()

    def tick(self, sensor_name: str, advance: bool = True) -> dg.SensorResult | dg.SkipReason:
        """One tick; `advance=False` is a preview: nothing of its result is kept."""
        repository = self.definitions.get_repository_def()
        context = dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursors.get(sensor_name),
            sensor_name=sensor_name,
            repository_def=repository,
            resources=repository.get_top_level_resources(),
        )
        result = repository.get_sensor_def(sensor_name)(context)
        if isinstance(result, dg.SkipReason):
            self.messages.append(result.skip_message or "")
        elif advance:
            self._keep(sensor_name, result)
        return result

    def _keep(self, sensor_name: str, result: dg.SensorResult) -> None:
        self.cursors[sensor_name] = result.cursor
        if isinstance(result.skip_reason, str):
            self.messages.append(result.skip_reason)
        elif result.skip_reason:
            self.messages.append(result.skip_reason.skip_message or "")
        for request in result.dynamic_partitions_requests or []:
            self.instance.add_dynamic_partitions("dataset_id", list(request.partition_keys))
        for event in result.asset_events:
            self.instance.report_runless_asset_event(event)
        for request in result.run_requests or []:
            if request.run_key not in self.requested:
                self.requested.add(request.run_key or uuid.uuid4().hex)
                self.run(request)

    def run(self, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
        job = self.definitions.resolve_job_def(request.job_name or "")
        result = job.execute_in_process(
            run_config=request.run_config,
            partition_key=request.partition_key,
            instance=self.instance,
            tags=dict(request.tags),
            raise_on_error=False,
        )
        self.runs.append(result)
        return result

    def turn(self, times: int = 1) -> None:
        """Every sensor once, in the order of the pipeline, and the sweep."""
        for _ in range(times):
            for name in (
                "dataset_events",
                "bias_trigger_events",
                "bias_events",
                "automl_trigger_events",
                "automl_events",
                "xai_trigger_events",
                "xai_events",
                "sweep",
            ):
                self.tick(name)

    def upload(self, file: Path, dataset_id: str, user_id: str = "ada", **pipeline: Any) -> None:
        """As the API stores an upload."""
        summary = inspect(file, file.name)
        upload = datasets.Upload(
            user_id=user_id,
            dataset_id=dataset_id,
            name=file.stem,
            filename=file.name,
            file=file,
            file_type=summary.file_type,
            file_size=file.stat().st_size,
            file_hash=uuid.uuid4().hex,
            custom_metadata={"pipeline": pipeline} if pipeline else {},
            columns=summary.columns,
            row_count=summary.row_count,
            data_types=summary.data_types,
        )
        datasets.store_upload(self.warehouse, upload)
        self.flush()

    def flush(self) -> None:
        """Let events leave, as the API does after its commit."""
        publisher = Publisher(Connection.from_settings())
        deliver_or_leave(self.warehouse, publisher)
        publisher.close()

    def publish(self, topic: str, value: Any, key: str = "k", headers: dict[str, str] | None = None) -> None:
        """As a foreign producer, to the topic of that usual name."""
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        pairs = tuple((name, text.encode()) for name, text in (headers or {}).items())
        publisher = Publisher(Connection.from_settings())
        answers = publisher.publish([OutboundMessage(called(topic), key.encode(), body, pairs)])
        publisher.close()
        assert not isinstance(answers[0], Exception), answers


def records(topic: str) -> list[Record]:
    """Everything on the topic of that usual name, read as a foreign program would: on a machine so busy that Kafka
    answers late, it asks again."""
    with contextlib.closing(SharedReader(Connection.from_settings())) as reader:
        for _ in range(2):
            with contextlib.suppress(BrokerUnavailable):
                return list(reader.read(called(topic), Cursor(), 0.2, limit=1000).records)
        return list(reader.read(called(topic), Cursor(), 0.2, limit=1000).records)


def deliver_again(topic: str, times: int, *, with_headers: bool = True) -> None:
    """Everything on the topic once more, and so often, byte for byte; without headers as a foreign program sends it."""
    known = [
        OutboundMessage(it.topic, it.key, it.value, it.raw_headers if with_headers else ()) for it in records(topic)
    ]
    publisher = Publisher(Connection.from_settings())
    answers = publisher.publish(known * times)
    publisher.close()
    assert not any(isinstance(answer, Exception) for answer in answers), answers


def bias_trigger(dataset_id: str, **changes: Any) -> dict[str, Any]:
    """A foreign core's trigger, every nullable value null."""
    event = BiasTrigger(
        dataset_id="d",
        user_id="ada",
        timestamp="2026-01-01T00:00:00.000000",
        target_column_name=None,
        task_type=None,
        metadata={"user_id": "ada", "dataset_id": dataset_id, "description": None},
        record_count=None,
    )
    return event.model_dump(mode="json") | {"dataset_id": dataset_id} | changes
