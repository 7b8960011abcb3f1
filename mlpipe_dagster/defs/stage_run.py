"""One stage inside a run: claim its row, do the work, tell Dagster what came of it.

A run that does not own the work yields nothing. What a person can mend ends the pipeline with a plain message; a
passing trouble (database, disk, network) leaves the row to the sweep, which asks for another attempt.
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from mlpipe_dagster.defs.config import StageConfig
from mlpipe_dagster.defs.materialization import materialize_result
from mlpipe_dagster.defs.resources import KafkaResource, StagesResource, WarehouseResource
from mlpipe_dagster.errors import BrokerUnavailable, MlpipeError, StageLost, UserError
from mlpipe_dagster.vocabulary import Stage
from mlpipe_dagster.warehouse import datasets, failures, ledger
from mlpipe_dagster.warehouse.ledger import Claim
from mlpipe_dagster.warehouse.schema import DatasetKey
from mlpipe_dagster.warehouse.warehouse import Warehouse

PASSING_TROUBLE = (OperationalError, PoolTimeout, BrokerUnavailable, OSError)


def run_stage(
    context: dg.AssetExecutionContext, stage: Stage, config: StageConfig
) -> Iterator[dg.MaterializeResult[Any]]:
    """Do the stage's work for this run's partition, or nothing when the work is not this run's."""
    resource: WarehouseResource = context.resources.warehouse
    kafka: KafkaResource = context.resources.kafka
    stages: StagesResource = context.resources.stages
    warehouse = resource.open()
    try:
        claim = _claim(context, warehouse, stage, config)
    except UserError as error:  # a partition whose dataset was deleted, a version that is not there
        raise dg.Failure(description=str(error), allow_retries=False) from error
    if claim is None:
        context.log.info("Another run does this work, or has done it: nothing to do here.")
        return
    try:
        outcome = stages.work(stage)(warehouse, claim, context.log.info)
    except StageLost as lost:
        context.log.warning(f"{lost} Nothing was stored.")
        return
    except PASSING_TROUBLE:
        raise
    except Exception as error:
        raise _failure(warehouse, kafka, claim, error) from error
    context.log.info("\n".join([outcome.summary, *(f"{name}: {link}" for name, link in outcome.links.items())]))
    yield materialize_result(warehouse.settings, claim, outcome)


def _claim(context: dg.AssetExecutionContext, warehouse: Warehouse, stage: Stage, config: StageConfig) -> Claim | None:
    with warehouse.transaction() as session:
        if config.cause:
            rerun = context.run.parent_run_id is not None
            claim = ledger.take(session, stage, config.cause, context.run.run_id, rerun)
            row = ledger.find(session, stage.value, config.cause)
            if claim or not (rerun and row and row.state in ("done", "answered")):
                return claim
        # a person started this run in the UI, or repeats one whose work is done
        key = _dataset_key(session, context.partition_key)
        version = datasets.get_version(session, key.user_id, key.dataset_id, config.version or None)
        goes_on = config.continue_pipeline and not config.cause
        return ledger.take_for_person(
            session, warehouse.settings, stage, version, context.run.run_id, config.payload(), goes_on
        )


def _dataset_key(session: Any, partition_key: str) -> DatasetKey:
    key: DatasetKey | None = session.query(DatasetKey).filter_by(partition_key=partition_key).one_or_none()
    if key is None:
        raise dg.Failure(
            f"No dataset has the partition key {partition_key}. Upload the table first: its partition appears then.",
            allow_retries=False,
        )
    return key


def _failure(warehouse: Warehouse, kafka: KafkaResource, claim: Claim, error: Exception) -> dg.Failure:
    """Store and announce that the stage failed for good; the failure that ends the run says the same."""
    error_type = error.error_type if isinstance(error, MlpipeError) else "internal"
    message = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
    with warehouse.transaction() as session:
        failures.fail_claim(session, warehouse.settings, claim, error_type, message)
    kafka.deliver_or_leave(warehouse)
    metadata = {"error_type": error_type, "stage": claim.stage.value, "dataset": claim.partition_key}
    return dg.Failure(description=message, metadata=metadata, allow_retries=False)
