"""Objects that no record names: of work that was killed between storing them and recording them. Found and removed.

What a deletion leaves is noted and is the business of removals.py.
"""

import logging
from collections.abc import Iterator
from datetime import timedelta
from itertools import islice

from sqlalchemy import select
from sqlalchemy.orm import Session

from mlpipe_dagster import clock
from mlpipe_dagster.warehouse.objects import CHECKS, PERSONAL, PLOTTED_ASSETS, personal_folders, plot_name
from mlpipe_dagster.warehouse.schema import DatasetVersion, FormerResult, LedgerRow, ModelFileRow, XaiReportRow
from mlpipe_dagster.warehouse.warehouse import Warehouse

log = logging.getLogger(__name__)
LEFT_AFTER = timedelta(days=1)
"""An object without a record is at least so old before it is removed: what is being stored has none yet, either."""
AT_ONCE = 1000


def remove_leftovers(warehouse: Warehouse) -> int:
    """Remove at most 1,000 objects that no record names and nobody can be about to record; returns how many."""
    before = clock.now() - LEFT_AFTER
    old = [name for place in (*PERSONAL, CHECKS) for name, at in warehouse.objects.stored(place) if at < before]
    if not old:
        return 0
    with warehouse.reading() as session:  # after the look at the objects: whatever was recorded meanwhile is known
        known, at_work = set(_recorded(session)), _users_at_work(session)
    left = (name for name in old if name not in known and not name.startswith(at_work))
    removed = sum(warehouse.objects.delete(name) for name in islice(left, AT_ONCE))
    if removed:
        log.warning("%s objects that no record names were removed: work was killed while it stored them", removed)
    return removed


def _recorded(session: Session) -> Iterator[str]:
    """Every object that a record names, or, of plots, whose dataset version is there."""
    for version in session.scalars(select(DatasetVersion)):
        yield version.file_path
        yield version.parquet_path or version.file_path
        for asset in PLOTTED_ASSETS:
            yield plot_name(asset, version.user_id, version.dataset_id, version.version)
    yield from session.scalars(select(ModelFileRow.file_path))
    yield from session.scalars(select(XaiReportRow.file_path))
    for about in session.scalars(select(FormerResult.about)):
        yield about.get("file_path", "")


def _users_at_work(session: Session) -> tuple[str, ...]:
    """Where objects of those lie for whom a run is at work: a machine may have slept for days between two lines."""
    users = session.scalars(select(LedgerRow.user_id).where(LedgerRow.state == "taken").distinct())
    return tuple(f"{folder}/" for user_id in users for folder in personal_folders(user_id))
