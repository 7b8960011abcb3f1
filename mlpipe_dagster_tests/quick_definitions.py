"""What Dagster loads, with next to no work in the stages: MLPIPE_DEFINITIONS=mlpipe_dagster_tests.quick_definitions."""

from mlpipe_dagster.definitions import assemble
from mlpipe_dagster.defs.resources import StagesResource

defs = assemble(
    StagesResource(
        dataset="mlpipe_dagster_tests.quick_stages:read",
        bias="mlpipe_dagster_tests.quick_stages:measure",
        automl="mlpipe_dagster_tests.quick_stages:train",
        xai="mlpipe_dagster_tests.quick_stages:explain",
    )
)
