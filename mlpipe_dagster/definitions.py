"""What Dagster loads: assets, jobs, sensors and resources, assembled. Tests assemble them with other resources."""

import logging
import warnings

import dagster as dg

# asset checks with partitions and asset hooks are marked preview or beta; both are used knowingly
warnings.filterwarnings("ignore", category=dg.PreviewWarning, module="mlpipe_dagster")
warnings.filterwarnings("ignore", category=dg.BetaWarning, module="mlpipe_dagster")

# the Kafka client logs every refused connection as an error; a tick's skip reason says it once, in words
logging.getLogger("kafka").setLevel(logging.CRITICAL)

from mlpipe_dagster.defs.assets import ASSETS  # noqa: E402 - the warnings are raised by these imports
from mlpipe_dagster.defs.dead_letter_job import dead_letter_job  # noqa: E402
from mlpipe_dagster.defs.jobs import STAGE_JOBS  # noqa: E402
from mlpipe_dagster.defs.leftovers import leftovers  # noqa: E402
from mlpipe_dagster.defs.resources import KafkaResource, StagesResource, WarehouseResource  # noqa: E402
from mlpipe_dagster.defs.sensors import SENSORS  # noqa: E402
from mlpipe_dagster.defs.sweep import sweep  # noqa: E402


def assemble(stages: StagesResource) -> dg.Definitions:
    """Everything Dagster loads, with the stages' work done by these functions."""
    return dg.Definitions(
        assets=ASSETS,
        jobs=[*STAGE_JOBS.values(), dead_letter_job],
        sensors=[*SENSORS, sweep, leftovers],
        resources={"warehouse": WarehouseResource(), "kafka": KafkaResource(), "stages": stages},
        executor=dg.in_process_executor,
    )


defs = assemble(StagesResource())
