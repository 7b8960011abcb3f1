"""Hooks of the assets: after a materialization its events leave at once.

They only flush; what is true was stored before, in the asset's own save.
"""

from typing import Any

import dagster as dg
from dagster._core.definitions.events import HookExecutionResult

from mlpipe_dagster.defs.resources import KafkaResource, WarehouseResource


def _flush(context: dg.HookContext, _events: Any) -> HookExecutionResult:
    """Publish the warehouse's outbox; a broker that is down leaves it to the sweep sensor, and the log says so."""
    warehouse: WarehouseResource = context.resources.warehouse
    kafka: KafkaResource = context.resources.kafka
    reason = kafka.deliver_or_leave(warehouse.open())
    if reason:
        context.log.warning(f"{reason}; the sweep sensor sends what waits.")
    return HookExecutionResult("flush_outbox", is_skipped=False)


flush_outbox = dg.HookDefinition(
    name="flush_outbox", hook_fn=_flush, required_resource_keys={"warehouse", "kafka"}, decorated_fn=_flush
)
