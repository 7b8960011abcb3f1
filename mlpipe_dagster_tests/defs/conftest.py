"""A broker, a warehouse in a temporary folder, and a Flow over them."""

import random
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from mlpipe_dagster.messaging.connection import Connection
from mlpipe_dagster.messaging.embedded import EmbeddedBroker, free_port
from mlpipe_dagster.messaging.topics import create_topics
from mlpipe_dagster.settings import settings
from mlpipe_dagster_tests.defs.flow import Flow


@pytest.fixture
def broker(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddedBroker]:
    """An embedded broker with our topics, and settings that name it."""
    port = free_port(20000 + random.randrange(20000))
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", f"127.0.0.1:{port}")
    monkeypatch.setenv("MLPIPE_SENSOR_POLL_SECONDS", "0.2")
    settings.cache_clear()
    with EmbeddedBroker(port) as running:
        create_topics(Connection.from_settings())
        yield running


@pytest.fixture
def flow(broker: EmbeddedBroker) -> Iterator[Flow]:
    """Sensors and runs over that broker."""
    with dg.DagsterInstance.ephemeral() as instance:
        yield Flow(instance)


@pytest.fixture
def small_table(tmp_path: Path) -> Path:
    """120 rows with a signal, a sensitive column and a target named so."""
    generator = random.Random(7)
    lines = ["age,sex,hours,city,target"]
    for _ in range(120):
        age, sex = generator.randint(18, 80), generator.choice(["female", "male"])
        hours = generator.randint(10, 60)
        label = "yes" if hours + generator.gauss(0, 8) > 38 else "no"
        lines.append(f"{age},{sex},{hours},{generator.choice(['Rome', 'Oslo', 'Lima'])},{label}")
    file = tmp_path / "small.csv"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file
