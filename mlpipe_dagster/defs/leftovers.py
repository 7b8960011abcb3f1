"""Once an hour: objects that killed work has stored and never recorded are removed."""

import dagster as dg

from mlpipe_dagster.defs.jobs import STAGE_JOBS
from mlpipe_dagster.defs.resources import WarehouseResource
from mlpipe_dagster.warehouse.leftovers import remove_leftovers

LOOK_SECONDS = 3600


@dg.sensor(
    name="leftovers",
    jobs=list(STAGE_JOBS.values()),
    minimum_interval_seconds=LOOK_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Removes objects that no record names and that are older than a day: of work that was killed while it "
    "stored them. It starts no run.",
)
def leftovers(warehouse: WarehouseResource) -> dg.SkipReason:
    """One look at all objects."""
    removed = remove_leftovers(warehouse.open())
    return dg.SkipReason(f"{removed} objects that no record names were removed." if removed else "Nothing was left.")
