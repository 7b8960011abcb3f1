"""A bias stage that meets trouble on its way: what a test puts into `ON_THE_WAY` is called first, one for each run."""

from collections.abc import Callable

from mlpipe_dagster.definitions import assemble
from mlpipe_dagster.defs.resources import StagesResource
from mlpipe_dagster.stages.outcome import Say, StageOutcome
from mlpipe_dagster.warehouse.ledger import Claim
from mlpipe_dagster.warehouse.warehouse import Warehouse
from mlpipe_dagster_tests import quick_stages

ON_THE_WAY: list[Callable[[], None]] = []


def measure(warehouse: Warehouse, claim: Claim, say: Say) -> StageOutcome:
    """As the quick stage, after whatever waits on the way."""
    if ON_THE_WAY:
        ON_THE_WAY.pop(0)()
    return quick_stages.measure(warehouse, claim, say)


def meets(error: Exception) -> None:
    """The next run raises this."""

    def trouble() -> None:
        raise error

    ON_THE_WAY.append(trouble)


QUICK = {name: f"mlpipe_dagster_tests.quick_stages:{work}" for name, work in
         (("dataset", "read"), ("bias", "measure"), ("automl", "train"), ("xai", "explain"))}  # fmt: skip
defs = assemble(StagesResource(**(QUICK | {"bias": f"{__name__}:measure"})))
