"""How far each topic's reader has safely come: what the sweep needs to know which events are out of reach."""

from collections.abc import Mapping

from sqlalchemy.orm import Session

from mlpipe_dagster import clock
from mlpipe_dagster.warehouse.schema import ReaderPosition


def remember(session: Session, topic: str, topic_id: str | None, offsets: Mapping[int, int], idle: bool) -> None:
    """Store a cursor that Dagster has stored; `idle`: the reader stands at the log's end."""
    row = session.get(ReaderPosition, topic)
    if row is None:
        row = ReaderPosition(topic=topic, idle_since=None)
        session.add(row)
    moved = row.topic_id != topic_id or row.offsets != _text_keys(offsets)
    row.topic_id, row.offsets, row.updated_at = topic_id, _text_keys(offsets), clock.now()
    if not idle:
        row.idle_since = None
    elif moved or row.idle_since is None:
        row.idle_since = clock.now()


def _text_keys(offsets: Mapping[int, int]) -> dict[str, int]:
    return {str(partition): offset for partition, offset in offsets.items()}
