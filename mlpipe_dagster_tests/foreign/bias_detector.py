"""A foreign bias detector: who and which dataset it reads from `metadata` only, as older ones do."""

from collections import Counter
from typing import Any

from mlpipe_dagster_tests.foreign.tables import downloaded
from mlpipe_dagster_tests.foreign.wire import Subscription, Wire, run


class BiasDetector:
    """Reports how the target is spread."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire

    def on_trigger(self, _key: str, trigger: dict[str, Any]) -> None:
        """Measure and store."""
        metadata = trigger["metadata"]
        owner = {"user_id": metadata["user_id"], "dataset_id": metadata["dataset_id"]}
        table = downloaded(self.wire, **owner)
        target = trigger["target_column_name"]
        shares = {str(value): count / len(table) for value, count in Counter(table[target]).items()}
        aim = {"target_column_name": target, "task_type": trigger["task_type"]}
        report = {"rows": len(table), "shares_of_target": shares}
        self.wire.post("/bias-reports/", json={**owner, **aim, "report": report})


def subscriptions(wire: Wire) -> list[Subscription]:
    """Its trigger."""
    topic = ("KAFKA_BIAS_TRIGGER_TOPIC", "bias-trigger-events")
    group = ("KAFKA_BIAS_TRIGGER_CONSUMER_GROUP", "bias-trigger-consumer")
    return [Subscription(topic, group, BiasDetector(wire).on_trigger)]


if __name__ == "__main__":
    run(subscriptions)
