"""A client that sends triggers and sees what comes back: the same for every subject of the benchmark."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from mlpipe_dagster_tests.benchmarks.latency.measure import Times

ANSWER_SECONDS = 120.0
PAUSE_SECONDS = 0.005


@dataclass
class Probe:
    """Sends to one topic and watches others. Times are of this process's clock."""

    bootstrap: str
    watched: Sequence[str]
    sent: dict[str, float] = field(default_factory=dict)
    answered: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._producer = KafkaProducer(bootstrap_servers=self.bootstrap, enable_idempotence=False, linger_ms=0)
        self._consumer = KafkaConsumer(bootstrap_servers=self.bootstrap, group_id=None, fetch_max_wait_ms=100)
        partitions = [TopicPartition(topic, 0) for topic in self.watched]
        self._consumer.assign(partitions)
        self._consumer.seek_to_end(*partitions)
        for partition in partitions:
            self._consumer.position(partition)

    def send(self, topic: str, value: dict[str, Any], key: str) -> str:
        """One event with an id of its own; counted from the moment the broker has it."""
        ce_id = str(uuid4())
        headers = [("ce_id", ce_id.encode())]
        stored = self._producer.send(topic, key=key.encode(), value=json.dumps(value).encode(), headers=headers)
        stored.get(timeout=20)
        self.sent[ce_id] = time.time()
        return ce_id

    def poll(self) -> list[tuple[str, dict[str, str], Any]]:
        """Records since the last look: topic, headers, value. Answers are noted by what caused them."""
        found = []
        for batch in self._consumer.poll(timeout_ms=100).values():
            for record in batch:
                headers = {name: value.decode() for name, value in record.headers}
                self.answered.setdefault(headers.get("ce_causationid", ""), time.time())
                found.append((record.topic, headers, json.loads(record.value)))
        if not found:
            time.sleep(PAUSE_SECONDS)  # the embedded broker answers at once, also when it has nothing
        return found

    def wait_for(self, causes: Sequence[str], seconds: float = ANSWER_SECONDS) -> None:
        """Until each has an answer."""
        deadline = time.monotonic() + seconds
        while not self.answered.keys() >= set(causes):
            self.poll()
            if time.monotonic() > deadline:
                missing = len(set(causes) - self.answered.keys())
                raise AssertionError(f"{missing} of {len(causes)} events have no answer after {seconds:g} s")

    def one_at_a_time(self, send: Callable[[], str], count: int) -> list[str]:
        """Send, wait for the answer, send the next."""
        causes = []
        for _ in range(count):
            causes.append(send())
            self.wait_for(causes[-1:])
        return causes

    def burst(self, send: Callable[[], str], count: int) -> tuple[list[str], float]:
        """All at once; the causes, and seconds from the first event to the last answer."""
        causes = [send() for _ in range(count)]
        self.wait_for(causes, 5 * ANSWER_SECONDS)
        return causes, max(self.answered[cause] for cause in causes) - min(self.sent[cause] for cause in causes)

    def answer_times(self, causes: Sequence[str]) -> Times:
        """Seconds from append to answer."""
        return Times(tuple(self.answered[cause] - self.sent[cause] for cause in causes))

    def times_until(self, reached: dict[str, float], causes: Sequence[str]) -> Times:
        """Seconds from append to what `reached` says."""
        return Times(tuple(reached[cause] - self.sent[cause] for cause in causes if cause in reached))


def now_iso() -> str:
    """As timestamps of events are written."""
    return datetime.now(UTC).replace(tzinfo=None).isoformat(timespec="microseconds")
