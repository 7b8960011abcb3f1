"""What Dagster loads for the mixtures: MLPIPE_DEFINITIONS=mlpipe_dagster_tests.mixture_definitions."""

from mlpipe_dagster.definitions import assemble
from mlpipe_dagster.defs.resources import StagesResource

defs = assemble(
    StagesResource(
        automl="mlpipe_dagster_tests.quick_stages:train",
        xai="mlpipe_dagster_tests.mixture_stages:explain",
    )
)
