"""Stages for the mixtures of ours and theirs: a quick training, and explanations that are quick for its model only."""

from mlpipe_dagster.stages import xai
from mlpipe_dagster.stages.outcome import Say, StageOutcome
from mlpipe_dagster.warehouse import pipelines
from mlpipe_dagster.warehouse.ledger import Claim
from mlpipe_dagster.warehouse.warehouse import Warehouse
from mlpipe_dagster_tests import quick_stages


def explain(warehouse: Warehouse, claim: Claim, say: Say) -> StageOutcome:
    """A model that no run of ours has made is really explained."""
    with warehouse.reading() as session:
        model = pipelines.latest_model_of(session, claim.owner)
    ours = model is not None and model.run_id is not None
    return (quick_stages.explain if ours else xai.explain)(warehouse, claim, say)
