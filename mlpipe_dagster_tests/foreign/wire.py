"""What every foreign program needs: names from the environment, a consumer in a group, a producer, REST calls.

Nothing of mlpipe is imported here or in the programs.
"""

import asyncio
import json
import logging
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import requests
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

log = logging.getLogger("foreign")
LARGEST = 16 * 1024 * 1024
SESSION_MS = 6_000
REST_SECONDS = 120


@dataclass(frozen=True)
class Reply:
    """A record to send: the variable and usual name of its topic, key and value."""

    topic: tuple[str, str]
    key: str
    value: dict[str, Any]


Handle = Callable[[str, dict[str, Any]], Reply | None]
"""Takes key and value of a record; may answer with another."""


@dataclass(frozen=True)
class Subscription:
    """A topic and a consumer group, each with its variable and usual name, and what is done with a record."""

    topic: tuple[str, str]
    group: tuple[str, str]
    handle: Handle


@dataclass(frozen=True)
class Wire:
    """Brokers, names and the API, as the environment says them."""

    environment: Mapping[str, str]

    def named(self, pair: tuple[str, str]) -> str:
        """A name from its variable, else the usual one."""
        return self.environment.get(*pair)

    @property
    def api(self) -> str:
        """Where the data warehouse is."""
        return self.environment.get("API_BASE", "http://localhost:8000")

    @property
    def brokers(self) -> str:
        """Where Kafka is."""
        return self.environment.get("KAFKA_BOOTSTRAP_SERVERS", "localhost:9092")

    def get(self, path: str) -> requests.Response:
        """GET from the API."""
        return answered(requests.get(f"{self.api}{path}", timeout=REST_SECONDS))

    def post(self, path: str, **content: Any) -> requests.Response:
        """POST to the API."""
        return answered(requests.post(f"{self.api}{path}", timeout=REST_SECONDS, **content))

    async def follow(self, subscription: Subscription) -> None:
        """Read the topic for ever, one record after the other; an error costs its record."""
        consumer = AIOKafkaConsumer(
            self.named(subscription.topic),
            bootstrap_servers=self.brokers,
            group_id=self.named(subscription.group),
            auto_offset_reset="earliest",
            session_timeout_ms=SESSION_MS,
            heartbeat_interval_ms=SESSION_MS // 6,
            max_partition_fetch_bytes=LARGEST,
        )
        producer = AIOKafkaProducer(bootstrap_servers=self.brokers, max_request_size=LARGEST)
        await consumer.start()
        await producer.start()
        try:
            async for record in consumer:
                try:
                    key = (record.key or b"").decode()
                    reply = await asyncio.to_thread(subscription.handle, key, json.loads(record.value))
                    if reply:
                        value = json.dumps(reply.value).encode()
                        await producer.send_and_wait(self.named(reply.topic), value, reply.key.encode())
                except Exception:  # as such programs do: nobody is told
                    log.exception("%s@%s", record.topic, record.offset)
        finally:
            await consumer.stop()
            await producer.stop()


def answered(response: requests.Response) -> requests.Response:
    """The response; raises with the API's own words for an error."""
    if not response.ok:
        raise RuntimeError(f"{response.status_code} from {response.url}: {response.text[:300]}")
    return response


def now() -> str:
    """UTC as the contracts write it."""
    return datetime.now(UTC).replace(tzinfo=None).isoformat(timespec="microseconds")


async def follow_all(wire: Wire, subscriptions: list[Subscription]) -> None:
    """All subscriptions of a program, side by side."""
    async with asyncio.TaskGroup() as group:
        for subscription in subscriptions:
            group.create_task(wire.follow(subscription))


def run(subscriptions: Callable[[Wire], list[Subscription]]) -> None:
    """A program's main: until it is ended."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    wire = Wire(os.environ)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs start with it ignored
    try:
        asyncio.run(follow_all(wire, subscriptions(wire)))
    except KeyboardInterrupt:
        log.info("ended")
