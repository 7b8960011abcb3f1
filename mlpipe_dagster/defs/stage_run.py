"""One stage inside a run: claim its row, do the work, tell Dagster what came of it.

A run that does not own the work yields nothing. A passing trouble (database, disk, network) gives the row back: the
sweep asks for another run when its wait is over. Whatever else goes wrong ends the pipeline with a plain message.
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg
from sqlalchemy.exc import SQLAlchemyError

from mlpipe_dagster.defs.config import StageConfig
from mlpipe_dagster.defs.materialization import materialize_result
from mlpipe_dagster.defs.resources import KafkaResource, StagesResource, WarehouseResource
from mlpipe_dagster.errors import StageLost, UserError
from mlpipe_dagster.vocabulary import Stage
from mlpipe_dagster.warehouse import datasets, failures, ledger, retries, trouble
from mlpipe_dagster.warehouse.ledger import Claim
from mlpipe_dagster.warehouse.schema import DatasetKey
from mlpipe_dagster.warehouse.warehouse import Warehouse


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
    except Exception as error:
        if trouble.is_passing(error):
            _put_back(context, warehouse, kafka, claim, error)
            raise
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


def _put_back(
    context: dg.AssetExecutionContext, warehouse: Warehouse, kafka: KafkaResource, claim: Claim, error: Exception
) -> None:
    """Give the row back for another try; with a catalogue that cannot be written the sweep does so when this ended."""
    error_type, reason = trouble.error_type_of(error), trouble.in_words(error)
    try:
        with warehouse.transaction() as session:
            goes_on = retries.put_back(session, warehouse.settings, claim, error_type, reason)
    except SQLAlchemyError as worse:
        context.log.warning(f"{reason}; the row could not be given back either: {trouble.in_words(worse)}")
        return
    context.log.warning(f"{reason}; {'it will be tried again' if goes_on else 'it is not tried again'}.")
    if not goes_on:
        kafka.deliver_or_leave(warehouse)


def _failure(warehouse: Warehouse, kafka: KafkaResource, claim: Claim, error: Exception) -> dg.Failure:
    """Store and announce that the stage failed for good; the failure that ends the run says the same."""
    error_type, message = trouble.error_type_of(error), trouble.in_words(error)
    with warehouse.transaction() as session:
        failures.fail_claim(session, warehouse.settings, claim, error_type, message)
    kafka.deliver_or_leave(warehouse)
    metadata = {"error_type": error_type, "stage": claim.stage.value, "dataset": claim.partition_key}
    return dg.Failure(description=message, metadata=metadata, allow_retries=False)
