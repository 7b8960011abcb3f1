"""A foreign agentic core: looks at the dataset through the API and starts one stage after the other."""

import csv
from typing import Any

from mlpipe_dagster_tests.foreign.wire import Reply, Subscription, Wire, log, now, run

BIAS_TRIGGERS = ("KAFKA_BIAS_TRIGGER_TOPIC", "bias-trigger-events")
AUTOML_TRIGGERS = ("KAFKA_AUTOML_TRIGGER_TOPIC", "automl-trigger-events")
XAI_TRIGGERS = ("KAFKA_XAI_TRIGGER_TOPIC", "xai-trigger-events")
FEW = 20


class AgenticCore:
    """Target: the last column. Classification where it has few values. Explanations for beginners."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire

    def on_dataset(self, _key: str, event: dict[str, Any]) -> Reply:
        """A bias report first."""
        dataset = event["dataset"]
        path = f"/datasets/{dataset['user_id']}/{dataset['dataset_id']}"
        metadata = self.wire.get(path).json()
        rows = list(csv.DictReader(self.wire.get(f"{path}/download").text.splitlines()))
        target = metadata["columns"][-1]
        task = "classification" if len({row[target] for row in rows}) <= FEW else "regression"
        trigger = {
            "event_type": "bias-trigger.reported",
            "dataset_id": dataset["dataset_id"],
            "user_id": dataset["user_id"],
            "timestamp": now(),
            "target_column_name": target,
            "task_type": task,
            "metadata": metadata,
            "record_count": len(rows),
        }
        return Reply(BIAS_TRIGGERS, dataset["dataset_id"], trigger)

    def on_bias(self, _key: str, event: dict[str, Any]) -> Reply:
        """Then a model."""
        trigger = {
            "event_type": "automl-trigger.reported",
            "dataset_id": event["dataset_id"],
            "user_id": event["user_id"],
            "timestamp": now(),
            "target_column_name": event["target_column_name"],
            "task_type": event["task_type"],
            "time_budget": "10",
        }
        return Reply(AUTOML_TRIGGERS, event["dataset_id"], trigger)

    def on_model(self, key: str, event: dict[str, Any]) -> Reply | None:
        """Then explanations."""
        if event["dataset_id"] is None:
            return None
        trigger = {
            "event_type": "xai-trigger.reported",
            "user_id": event["user_id"],
            "dataset_id": event["dataset_id"],
            "model_id": event["model_id"],
            "version": event["version"],
            "level": "beginner",
            "timestamp": now(),
        }
        return Reply(XAI_TRIGGERS, key, trigger)

    def on_explanation(self, _key: str, event: dict[str, Any]) -> None:
        """That was all."""
        log.info("%s of %s at the level %s", event["report_type"], event["dataset_id"], event["level"])


def subscriptions(wire: Wire) -> list[Subscription]:
    """The four event topics."""
    core = AgenticCore(wire)
    table = {
        ("DATASET", "dataset"): core.on_dataset,
        ("BIAS", "bias"): core.on_bias,
        ("AUTOML", "automl"): core.on_model,
        ("XAI", "xai"): core.on_explanation,
    }
    return [
        Subscription(
            (f"KAFKA_{variable}_TOPIC", f"{name}-events"),
            (f"KAFKA_{variable}_CONSUMER_GROUP", f"agentic-core-{name}-consumer"),
            handle,
        )
        for (variable, name), handle in table.items()
    ]


if __name__ == "__main__":
    run(subscriptions)
