"""A broker, a warehouse in a temporary folder, and a Flow over them."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest

from mlpipe_dagster.defs.resources import close_publishers
from mlpipe_dagster.messaging import connection
from mlpipe_dagster.messaging.connection import Connection
from mlpipe_dagster.messaging.embedded import EmbeddedBroker
from mlpipe_dagster.messaging.reader import close_process_readers
from mlpipe_dagster.messaging.topics import create_topics
from mlpipe_dagster.settings import settings
from mlpipe_dagster_tests.brokers import new_prefix, real_kafka, some_port, topic_variables
from mlpipe_dagster_tests.defs.flow import Flow
from mlpipe_dagster_tests.quick_definitions import defs as quick_defs
from mlpipe_dagster_tests.tools.apache_kafka.jars import why_not
from mlpipe_dagster_tests.tools.apache_kafka.kafka import Cluster, Node


@pytest.fixture
def broker(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Address of a broker with our topics, and settings that name both; however late it answers, we wait."""
    monkeypatch.setattr(connection, "BOOTSTRAP_SECONDS", 20.0)
    for name, value in topic_variables(new_prefix(real_kafka())).items():
        monkeypatch.setenv(name, value)
    real = real_kafka()
    if real:
        with _used(real, monkeypatch):
            yield real
        return
    with EmbeddedBroker(some_port()) as running, _used(running.address, monkeypatch):
        yield running.address


@pytest.fixture
def own_broker(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddedBroker | Node]:
    """As `broker`, but one that the test may stop and start again, whichever kind the tests use."""
    with _own_broker(tmp_path) as running, _used(running.address, monkeypatch):
        yield running


@contextmanager
def _own_broker(folder: Path) -> Iterator[EmbeddedBroker | Node]:
    if real_kafka():
        if obstacle := why_not():
            pytest.skip(obstacle)
        with Cluster(folder / "kafka") as cluster:
            yield cluster.nodes[0]
    else:
        with EmbeddedBroker(some_port()) as embedded:
            yield embedded


@contextmanager
def _used(address: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """By this process, whose clients are closed before the broker is: they would look for it for ever."""
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", address)
    monkeypatch.setenv("MLPIPE_SENSOR_POLL_SECONDS", "0.2")
    settings.cache_clear()
    create_topics(Connection.from_settings())
    yield
    close_process_readers()
    close_publishers()


@pytest.fixture
def flow(broker: str) -> Iterator[Flow]:
    """Sensors and runs over that broker."""
    with dg.DagsterInstance.ephemeral() as instance:
        yield Flow(instance)


@pytest.fixture
def quick_flow(broker: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Flow]:
    """As `flow`, with stages that have next to no work in them."""
    monkeypatch.setenv("MLPIPE_SENSOR_POLL_SECONDS", "0.05")
    settings.cache_clear()
    with dg.DagsterInstance.ephemeral() as instance:
        yield Flow(instance, quick_defs)


@pytest.fixture
def own_flow(own_broker: EmbeddedBroker | Node) -> Iterator[Flow]:
    """Sensors and quick runs over the broker that may be stopped."""
    with dg.DagsterInstance.ephemeral() as instance:
        yield Flow(instance, quick_defs)


@pytest.fixture
def without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Further tries are due at once, and there are three in all."""
    monkeypatch.setenv("MLPIPE_RETRY_SECONDS", "0")
    monkeypatch.setenv("MLPIPE_MAX_ATTEMPTS", "3")
    settings.cache_clear()


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
