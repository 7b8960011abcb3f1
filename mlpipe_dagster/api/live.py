"""`/events/stream`: new notifications and pipeline changes as server-sent events, found by asking the catalogue.

A stream starts at its request; what happened before is in the lists.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from typing import Any

from fastapi import APIRouter
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from mlpipe_dagster import clock
from mlpipe_dagster.api.parameters import OptionalId, TheWarehouse
from mlpipe_dagster.warehouse import inbox, pipelines
from mlpipe_dagster.warehouse.warehouse import Warehouse

router = APIRouter(tags=["inbox"])
POLL_SECONDS = 1.0
KEEP_ALIVE_POLLS = 15
POLLS = 300
"""A stream ends after five minutes and the browser opens another: a server that stops does not wait for ever."""
AT_ONCE = 1000
"""Pipelines whose change is told in one look."""
LATE = timedelta(seconds=10)
"""A row is dated before its transaction commits: look this far back, and send nothing twice."""


class EventStream(StreamingResponse):
    """Server-sent events."""

    media_type = "text/event-stream"


@router.get("/events/stream", response_class=EventStream)
async def stream(warehouse: TheWarehouse, user_id: OptionalId = None) -> EventStream:
    """Server-sent events `notification` and `pipeline`, with the objects of the lists as data."""
    changes = Changes(warehouse, user_id)
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    return EventStream(_messages(changes), headers=headers)


class Changes:
    """What is new since the last look."""

    def __init__(self, warehouse: Warehouse, user_id: str | None) -> None:
        self._warehouse, self._user_id = warehouse, user_id
        self._seen: dict[tuple[str, ...], datetime] = {}
        self._since = clock.now()
        self._started = False

    def look(self) -> list[tuple[str, dict[str, Any]]]:
        """(event, object) pairs that were not there at the last look, oldest first; at the first look none."""
        now = clock.now()
        found = [item for item in self._recent(now) if item[0] not in self._seen]
        self._seen |= {key: now for key, _, _ in found}
        self._seen = {key: at for key, at in self._seen.items() if now - at < 3 * LATE}
        self._since, started, self._started = now, self._started, True
        return [(event, content) for _, event, content in found] if started else []

    def _recent(self, now: datetime) -> Iterator[tuple[tuple[str, ...], str, dict[str, Any]]]:
        oldest = min(self._since, now) - LATE
        with self._warehouse.reading() as session:
            told = [inbox.notification_object(row) for row in inbox.list_notifications(session, self._user_id)]
            changed = pipelines.list_pipelines(
                session, self._warehouse.settings, self._user_id, None, AT_ONCE, changed_since=oldest
            )
        for content in reversed([each for each in told if each["created_at"] >= clock.iso(oldest)]):
            yield ("notification", content["id"]), "notification", content
        for content in reversed(changed):
            key = ("pipeline", content["partition_key"], content["version"], content["updated_at"])
            yield key, "pipeline", content


async def _messages(changes: Changes) -> AsyncIterator[str]:
    await run_in_threadpool(changes.look)
    yield "retry: 1000\n\n"
    for poll in range(1, POLLS + 1):
        for event, content in await run_in_threadpool(changes.look):
            yield f"event: {event}\ndata: {json.dumps(content)}\n\n"
        if poll % KEEP_ALIVE_POLLS == 0:
            yield ": still here\n\n"
        await asyncio.sleep(POLL_SECONDS)
