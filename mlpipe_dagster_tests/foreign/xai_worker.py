"""A foreign XAI worker: two HTML pages; knows beginners and experts, and drops what is for anybody else."""

from html import escape
from typing import Any

from mlpipe_dagster_tests.foreign.wire import Subscription, Wire, log, run

LEVELS = ("beginner", "expert")
REPORT_TYPES = ("model_explanation", "data_explanation")


class XaiWorker:
    """Looks the model up and says little about it."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire

    def on_trigger(self, _key: str, trigger: dict[str, Any]) -> None:
        """Write both pages and store them."""
        if trigger["level"] not in LEVELS:
            log.info("no pages for the level %s", trigger["level"])
            return
        user_id, model_id = trigger["user_id"], trigger["model_id"]
        model = self.wire.get(f"/ai-models/{user_id}/{model_id}").json()
        for report_type in REPORT_TYPES:
            page = f"<!doctype html><h1>{report_type}</h1><p>{escape(model['name'])} for a {trigger['level']}</p>"
            form = {
                "dataset_id": trigger["dataset_id"],
                "model_id": model_id,
                "report_type": report_type,
                "level": trigger["level"],
            }
            file = (f"{report_type}.html", page.encode(), "text/html")
            self.wire.post(f"/xai-reports/upload/{user_id}", files={"file": file}, data=form)


def subscriptions(wire: Wire) -> list[Subscription]:
    """Its trigger."""
    topic = ("KAFKA_XAI_TRIGGER_TOPIC", "xai-trigger-events")
    group = ("KAFKA_XAI_TRIGGER_CONSUMER_GROUP", "xai-consumer")
    return [Subscription(topic, group, XaiWorker(wire).on_trigger)]


if __name__ == "__main__":
    run(subscriptions)
