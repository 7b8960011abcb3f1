"""Cursors, as Kafka's own tool shows them: the true lag of the worker's group, unless somebody else lives in it."""

from pathlib import Path

import dagster as dg
import pytest

from mlpipe_dagster.messaging.connection import Connection
from mlpipe_dagster_tests.brokers import REAL_KAFKA, called, living_member, real_kafka
from mlpipe_dagster_tests.defs.flow import Flow, bias_trigger
from mlpipe_dagster_tests.tools.apache_kafka.jars import why_not
from mlpipe_dagster_tests.tools.apache_kafka.lag import Lag, lags

pytestmark = [
    pytest.mark.skipif(not real_kafka(), reason=f"the tool needs a real Kafka: {REAL_KAFKA}=host:port"),
    pytest.mark.skipif(bool(real_kafka() and why_not()), reason="the tool needs the jars of Apache Kafka"),
]


def shown(broker: str, topic: str, group: str) -> Lag | None:
    return lags(broker, called(group)).get((called(topic), 0))


def test_the_groups_show_the_true_lag_after_ticks(flow: Flow, broker: str, small_table: Path) -> None:
    flow.upload(small_table, "small")
    flow.tick("dataset_events")
    flow.tick("dataset_events")  # what a tick leaves is stored after it: the next one shows it
    assert shown(broker, "dataset-events", "agentic-core-dataset-consumer") == Lag(1, 1, 0)
    for number in range(3):
        flow.publish("bias-trigger-events", bias_trigger("small"), headers={"ce_id": f"later-{number}"})
    flow.tick("bias_trigger_events")
    flow.tick("bias_trigger_events")
    for number in range(5):
        flow.publish("bias-trigger-events", bias_trigger("small"), headers={"ce_id": f"unread-{number}"})
    assert shown(broker, "bias-trigger-events", "bias-trigger-consumer") == Lag(4, 9, 5)


def test_a_living_foreign_member_keeps_the_group_and_disturbs_nothing(
    flow: Flow, broker: str, small_table: Path
) -> None:
    group = called("agentic-core-dataset-consumer")
    member = living_member(called("dataset-events"), group, Connection(broker).client_options())
    try:
        flow.upload(small_table, "small")
        for _ in range(3):
            result = flow.tick("dataset_events")
            assert isinstance(result, dg.SensorResult), flow.messages
        assert len(flow.runs) == 1 and flow.runs[0].success
        assert shown(broker, "dataset-events", "agentic-core-dataset-consumer") is None, "nothing committed by us"
    finally:
        member.close()
    flow.tick("dataset_events")
    assert shown(broker, "dataset-events", "agentic-core-dataset-consumer") == Lag(1, 1, 0), "once it is gone"
