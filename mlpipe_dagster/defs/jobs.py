"""One job a stage, so that sensors have something to launch and the timeline a row for each; and their run requests."""

import dagster as dg

from mlpipe_dagster.defs.assets import CONFIGS
from mlpipe_dagster.defs.config import run_config
from mlpipe_dagster.vocabulary import Stage
from mlpipe_dagster.warehouse.pipelines import ASSETS
from mlpipe_dagster.warehouse.schema import LedgerRow

ROW_TAG = "mlpipe/row"
REQUEST_TAG = "mlpipe/request"
"""Which of the runs that were asked for a row this is, counted from 1."""
STAGE_JOBS = {stage: dg.define_asset_job(f"{asset}_job", selection=[asset]) for stage, asset in ASSETS.items()}


def run_request(row: LedgerRow, run_key: str) -> dg.RunRequest:
    """The run that does a ledger row's work."""
    stage = Stage(row.stage)
    asset = ASSETS[stage]
    tags = {ROW_TAG: str(row.id), REQUEST_TAG: str(row.requests), "mlpipe/user_id": row.user_id}
    if row.correlation_id:
        tags["mlpipe/correlation_id"] = row.correlation_id
    return dg.RunRequest(
        run_key=run_key,
        job_name=f"{asset}_job",
        partition_key=row.partition_key,
        run_config=run_config(asset, CONFIGS[stage], row),
        tags=tags,
    )
