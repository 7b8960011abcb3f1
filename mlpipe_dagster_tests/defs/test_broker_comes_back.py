"""Events that were acknowledged and that no reader will meet: each of the three ways to lose them, over a real broker.

The rule by rows alone stands in warehouse/test_outbox.py.
"""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from mlpipe_dagster import clock
from mlpipe_dagster.messaging.connection import Connection
from mlpipe_dagster.messaging.embedded import EmbeddedBroker
from mlpipe_dagster.messaging.reader import Cursor
from mlpipe_dagster.messaging.topics import create_topics, topic_ids
from mlpipe_dagster.settings import settings
from mlpipe_dagster.vocabulary import Role
from mlpipe_dagster.warehouse.schema import BiasReportRow, LedgerRow, ModelRow, OutboxRow, Pipeline, ReaderPosition
from mlpipe_dagster.warehouse.warehouse import set_player
from mlpipe_dagster_tests.brokers import called, some_port
from mlpipe_dagster_tests.defs.flow import Flow, records
from mlpipe_dagster_tests.quick_definitions import defs as quick_defs

pytestmark = pytest.mark.faults

SENSORS = ("dataset_events", "bias_trigger_events", "bias_events", "automl_trigger_events", "automl_events",
           "xai_trigger_events", "xai_events")  # fmt: skip


@pytest.fixture
def memory_only(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddedBroker]:
    """The embedded broker, whatever Kafka the tests use: it alone comes back empty."""
    with EmbeddedBroker(some_port()) as running:
        monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", running.address)
        monkeypatch.setenv("MLPIPE_SENSOR_POLL_SECONDS", "0.05")
        settings.cache_clear()
        create_topics(Connection.from_settings())
        yield running


def restart_empty(broker: EmbeddedBroker) -> None:
    broker.stop()
    broker.start()
    create_topics(Connection.from_settings())


def finished_once(flow: Flow) -> None:
    with flow.warehouse.reading() as session:
        assert session.query(Pipeline).one().status == "done"
        assert session.query(BiasReportRow).count() == session.query(ModelRow).count() == 1
        assert {(row.state, row.attempt) for row in session.query(LedgerRow)} == {("done", 1)}


@pytest.fixture
def lonely_flow(memory_only: EmbeddedBroker) -> Iterator[Flow]:
    """Sensors and runs over that broker, with quick stages."""
    with dg.DagsterInstance.ephemeral() as instance:
        yield Flow(instance, quick_defs)


@pytest.mark.parametrize("done", range(len(SENSORS) + 1))
def test_a_pipeline_goes_on_wherever_the_broker_lost_its_memory(
    lonely_flow: Flow, memory_only: EmbeddedBroker, small_table: Path, done: int
) -> None:
    """After any number of steps: its last event is on a topic of another id, and is sent again to the new one."""
    flow = lonely_flow
    flow.upload(small_table, "small")
    for sensor in SENSORS[:done]:
        flow.tick(sensor)
    restart_empty(memory_only)
    flow.tick("sweep")
    flow.turn()
    finished_once(flow)
    flow.turn()
    with flow.warehouse.reading() as session:
        assert max(row.sends for row in session.query(OutboxRow)) <= 2, "nothing is sent again for ever"


def test_a_foreign_workers_trigger_is_sent_again_to_an_empty_broker(
    lonely_flow: Flow, memory_only: EmbeddedBroker, small_table: Path
) -> None:
    """We have read it and entered its row; the worker had not come to it."""
    flow = lonely_flow
    with flow.warehouse.transaction() as session:
        set_player(session, Role.BIAS, "foreign")
    flow.upload(small_table, "small")
    flow.tick("dataset_events")
    flow.tick("bias_trigger_events")
    (before,) = records("bias-trigger-events")
    restart_empty(memory_only)
    flow.turn(2)
    (again,) = records("bias-trigger-events")
    assert (again.cause, again.value) == (before.cause, before.value)
    with flow.warehouse.reading() as session:
        assert session.query(LedgerRow).filter_by(stage="bias").one().state == "expected"


def test_what_the_reader_passed_without_acting_is_sent_again(quick_flow: Flow, small_table: Path) -> None:
    """A cursor that somebody moved ahead of a trigger: the sweep brings it back behind the reader's place."""
    quick_flow.upload(small_table, "small")
    quick_flow.tick("dataset_events")
    topic = called("bias-trigger-events")
    quick_flow.cursors["bias_trigger_events"] = Cursor(topic_ids(Connection.from_settings())[topic], {0: 1}).to_json()
    quick_flow.tick("bias_trigger_events")
    assert len(quick_flow.runs) == 1, "the trigger was passed over"
    quick_flow.tick("sweep")
    quick_flow.turn()
    finished_once(quick_flow)
    first, again = records("bias-trigger-events")
    assert first.cause == again.cause


def test_an_acknowledgement_under_the_new_id_that_the_log_does_not_have(
    lonely_flow: Flow, memory_only: EmbeddedBroker, small_table: Path
) -> None:
    """The topic's id is read before sending, and the broker may lose its memory in between: an idle reader tells."""
    flow = lonely_flow
    flow.upload(small_table, "small")
    flow.tick("dataset_events")
    restart_empty(memory_only)
    topic = called("bias-trigger-events")
    topic_id = topic_ids(Connection.from_settings())[topic]
    with flow.warehouse.transaction() as session:
        session.query(OutboxRow).filter_by(topic=topic).update({"topic_id": topic_id})
    for _ in range(3):
        flow.tick("bias_trigger_events")
    flow.tick("sweep")
    assert records("bias-trigger-events") == [], "it may still be on its way to a reader that has just come"
    with flow.warehouse.transaction() as session:
        position = session.get_one(ReaderPosition, topic)
        assert (position.topic_id, position.offsets) == (topic_id, {"0": 0})
        assert position.idle_since is not None, "the ticks found the end of the log"
        position.idle_since = clock.now() - timedelta(seconds=31)
        session.query(OutboxRow).filter_by(topic=topic).update({"acknowledged_at": position.idle_since})
    flow.tick("sweep")
    flow.turn()
    finished_once(flow)
