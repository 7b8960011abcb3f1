"""All foreign programs of the four roles in one thread: each reads its topics, and works while its role is theirs.

One that is not at work lets its records pass. Programs as processes of their own: `python -m` of their modules.
"""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from mlpipe_dagster_tests.foreign import agentic_core, automl_worker, bias_detector, xai_worker
from mlpipe_dagster_tests.foreign.wire import Reply, Subscription, Wire, follow_all

ROLES = ("agentic-core", "bias", "automl", "xai")


@dataclass
class Staff:
    """Who is at work now, and how the AutoML worker stores its models."""

    wire: Wire
    at_work: frozenset[str] = frozenset()
    automl: automl_worker.AutoMlWorker = field(init=False)

    def __post_init__(self) -> None:
        self.automl = automl_worker.AutoMlWorker(self.wire)

    def subscriptions(self) -> list[Subscription]:
        """Those of all programs."""
        of = {
            "agentic-core": agentic_core.subscriptions(self.wire),
            "bias": bias_detector.subscriptions(self.wire),
            "automl": [Subscription(automl_worker.TOPIC, automl_worker.GROUP, self.automl.on_trigger)],
            "xai": xai_worker.subscriptions(self.wire),
        }
        return [self._while_at_work(role, one) for role, several in of.items() for one in several]

    def _while_at_work(self, role: str, subscription: Subscription) -> Subscription:
        def handle(key: str, value: dict[str, Any]) -> Reply | None:
            return subscription.handle(key, value) if role in self.at_work else None

        return replace(subscription, handle=handle)


@contextmanager
def working(wire: Wire) -> Iterator[Staff]:
    """The staff in a thread, until the block ends."""
    staff, loop = Staff(wire), asyncio.new_event_loop()
    task = loop.create_task(follow_all(wire, staff.subscriptions()))
    thread = threading.Thread(target=_until_cancelled, args=(loop, task), name="foreign-staff")
    thread.start()
    try:
        yield staff
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join()


def _until_cancelled(loop: asyncio.AbstractEventLoop, task: "asyncio.Task[None]") -> None:
    try:
        loop.run_until_complete(task)
    except asyncio.CancelledError:
        return
    finally:
        loop.close()
