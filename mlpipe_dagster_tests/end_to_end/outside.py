"""Somebody outside: HTTP through requests, Kafka through a consumer and producer of their own. Nothing of mlpipe."""

import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

TOPICS = (
    "dataset-events",
    "bias-trigger-events",
    "bias-events",
    "automl-trigger-events",
    "automl-events",
    "xai-trigger-events",
    "xai-events",
    "pipeline-failed-events",
)


@dataclass
class Seen:
    """A record as a consumer sees it."""

    topic: str
    key: str
    value: Any
    headers: dict[str, str]


@dataclass
class Outside:
    """Addresses, and what to do with them. Topics are named as usual, whatever prefix they have on a shared Kafka."""

    api: str
    dagster: str
    bootstrap: str
    home: Path
    topic_prefix: str = ""
    seen: list[Seen] = field(default_factory=list)
    _consumer: Any = None

    def upload(self, file: Path, dataset_id: str, user_id: str = "user123", **form: str) -> dict[str, Any]:
        """POST the file; the dataset object."""
        with file.open("rb") as content:
            answer = requests.post(
                f"{self.api}/datasets/upload",
                files={"file": (file.name, content)},
                data={"user_id": user_id, "dataset_id": dataset_id, "name": file.stem, **form},
                timeout=60,
            )
        assert answer.status_code == 200, answer.text
        stored: dict[str, Any] = answer.json()
        return stored

    def produce(self, topic: str, value: Any, key: str = "k", headers: dict[str, str] | None = None) -> None:
        """One record from a foreign producer."""
        producer = KafkaProducer(
            bootstrap_servers=self.bootstrap, enable_idempotence=False, max_request_size=20_000_000
        )
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        pairs = [(name, text.encode()) for name, text in (headers or {}).items()]
        producer.send(self.topic_prefix + topic, key=key.encode(), value=body, headers=pairs).get(timeout=20)
        producer.close()

    def poll(self) -> None:
        """Read what is new on all topics."""
        if self._consumer is None:
            self._consumer = KafkaConsumer(
                bootstrap_servers=self.bootstrap, group_id=None, auto_offset_reset="earliest"
            )
            partitions = [TopicPartition(self.topic_prefix + topic, 0) for topic in TOPICS]
            self._consumer.assign(partitions)
            self._consumer.seek_to_beginning(*partitions)
        for batch in self._consumer.poll(timeout_ms=300).values():
            for record in batch:
                self.seen.append(
                    Seen(
                        record.topic.removeprefix(self.topic_prefix),
                        (record.key or b"").decode(),
                        _content(record.value),
                        {name: value.decode() for name, value in record.headers},
                    )
                )

    def records(self, topic: str, dataset_id: str) -> list[Seen]:
        """What has been seen on a topic about a dataset."""
        found = [seen for seen in self.seen if seen.topic == topic]
        return [seen for seen in found if seen.value.get("dataset", seen.value).get("dataset_id") == dataset_id]

    def wait(self, what: Callable[[], Any], seconds: float, why: str) -> Any:
        """Poll until `what()` is true."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.poll()
            if result := what():
                return result
        raise AssertionError(f"not within {seconds} s: {why}")

    def wait_for_end(self, dataset_id: str, user_id: str = "user123", seconds: float = 300) -> dict[str, Any]:
        """The pipeline when it is done or failed."""

        def ended() -> dict[str, Any] | None:
            pipeline = self.pipeline(dataset_id, user_id)
            return pipeline if pipeline["status"] not in ("running", "waiting") else None

        ended_pipeline: dict[str, Any] = self.wait(ended, seconds, f"the end of {dataset_id}")
        return ended_pipeline

    def pipeline(self, dataset_id: str, user_id: str = "user123") -> dict[str, Any]:
        """GET /pipelines/{dataset_id}."""
        answer = requests.get(f"{self.api}/pipelines/{dataset_id}", params={"user_id": user_id}, timeout=30)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def graphql(self, query: str, **variables: Any) -> Any:
        """Ask Dagster's webserver."""
        answer = requests.post(f"{self.dagster}/graphql", json={"query": query, "variables": variables}, timeout=30)
        return answer.json()["data"]


def _content(value: bytes) -> Any:
    try:
        return json.loads(value)
    except ValueError:  # somebody's broken record: no business of ours
        return {}


def new_id(what: str) -> str:
    """An id nobody has used."""
    return f"{what}-{uuid.uuid4().hex[:8]}"
