"""The sweep: what kills, crashes and dead brokers left behind. Flushes, sends again, reconciles ledger and runs."""

from collections.abc import Iterator

import dagster as dg
from dagster._core.launcher import WorkerStatus

from mlpipe_dagster import clock
from mlpipe_dagster.defs.jobs import ROW_TAG, STAGE_JOBS, run_request
from mlpipe_dagster.defs.partitions import missing_partitions
from mlpipe_dagster.defs.resources import KafkaResource, WarehouseResource
from mlpipe_dagster.errors import BrokerUnavailable
from mlpipe_dagster.messaging.topics import topic_ids
from mlpipe_dagster.vocabulary import Stage
from mlpipe_dagster.warehouse import outbox, reconcile
from mlpipe_dagster.warehouse.pipelines import ASSETS
from mlpipe_dagster.warehouse.reconcile import LAUNCH_GRACE, RunState, Wanted
from mlpipe_dagster.warehouse.schema import LedgerRow
from mlpipe_dagster.warehouse.warehouse import Warehouse

SWEEP_SECONDS = 5
MATERIALIZED_ENOUGH = 20


@dg.sensor(
    name="sweep",
    jobs=list(STAGE_JOBS.values()),
    minimum_interval_seconds=SWEEP_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Publishes what waits in the outbox, asks again for work whose run died, ends what is overdue.",
)
def sweep(context: dg.SensorEvaluationContext, warehouse: WarehouseResource, kafka: KafkaResource) -> dg.SensorResult:
    """One round over everything that is unfinished."""
    store, instance = warehouse.open(), context.instance
    with store.transaction() as session:
        reconcile.recheck_unknown(session, store)
        reconcile.take_over(session, store)
        reconcile.end_overdue(session, store)
    notes = list(_terminate_superseded(store, instance))
    # late: what is asked for here has to wait again when the tick fails after it
    wanted = _rows_to_run(store, instance)
    notes += _mend_events(store, kafka)  # also what the rows that ended just now have to say
    requests = [run_request(item.row, item.run_key) for item in wanted]
    return dg.SensorResult(
        run_requests=requests,
        dynamic_partitions_requests=missing_partitions(instance, (item.row.partition_key for item in wanted)),
        asset_events=_missing_materializations(store, instance),
        skip_reason=None if requests else "; ".join(notes) or "Nothing was left behind.",
    )


def _rows_to_run(store: Warehouse, instance: dg.DagsterInstance) -> list[Wanted]:
    with store.reading() as session:
        rows = reconcile.rows_without_result(session)
    asked = (reconcile.run_again(store, row, *run_state(instance, row)) for row in rows)
    return [wanted for wanted in asked if wanted]


def run_state(instance: dg.DagsterInstance, row: LedgerRow) -> tuple[RunState, int]:
    """What has become of the runs of a row, and how many there were.

    A run that a person started bears no tag of its row (or, executed again, that of another): the row names it.
    """
    tagged = instance.get_runs(dg.RunsFilter(tags={ROW_TAG: str(row.id)}), limit=20)  # the newest first
    holder = instance.get_run_by_id(row.run_id) if row.run_id else None
    runs = ([holder] if holder and holder.run_id not in {run.run_id for run in tagged} else []) + list(tagged)
    if not runs:
        return RunState.NONE, 0
    if any(_is_alive(instance, run) for run in runs):
        return RunState.ALIVE, len(runs)
    return RunState.CANCELED if _somebody_canceled(instance, runs[0]) else RunState.DIED, len(runs)


def _is_alive(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """At work, or waiting for its turn. A run whose queue died with its process is said to have failed."""
    if run.is_finished:
        return False
    launcher, record = instance.run_launcher, instance.get_run_record_by_id(run.run_id)
    if run.status is not dg.DagsterRunStatus.STARTING or not launcher.supports_check_run_worker_health or not record:
        return True
    fresh = clock.now() - record.update_timestamp.replace(tzinfo=None) < LAUNCH_GRACE
    if fresh or launcher.check_run_worker_health(run).status is not WorkerStatus.NOT_FOUND:
        return True
    instance.report_run_failed(run, "Nothing that runs or will run this is left.")
    return False


def _somebody_canceled(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Cancelled on purpose. A run that was interrupted when the services stopped is canceled, too, and asked nobody."""
    if run.status is not dg.DagsterRunStatus.CANCELED:
        return False
    asked = instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.RUN_CANCELING, limit=1)
    return bool(asked.records)


def _mend_events(store: Warehouse, kafka: KafkaResource) -> Iterator[str]:
    """Send again what a lost broker took with it, then publish what is due."""
    try:
        ids = topic_ids(kafka.connection)
        with store.transaction() as session:
            again = outbox.send_again(session, store.settings, ids)
        if again:
            yield f"{again} events are sent again"
        kafka.deliver(store)
    except BrokerUnavailable as error:
        with store.reading() as session:
            yield f"{error}; {outbox.depth(session)} events wait in the outbox"


def _terminate_superseded(store: Warehouse, instance: dg.DagsterInstance) -> Iterator[str]:
    """End runs whose work nobody wants any more; one that cannot be reached can store nothing, and must stop nobody."""
    with store.reading() as session:
        rows = reconcile.superseded_runs(session)
    for row in rows:
        run = instance.get_run_by_id(row.run_id or "")
        if run and not run.is_finished and run.status is not dg.DagsterRunStatus.CANCELING:
            try:
                instance.run_launcher.terminate(run.run_id)
            except dg.DagsterError as error:
                yield f"run {run.run_id} cannot be ended: {error}"


def _missing_materializations(store: Warehouse, instance: dg.DagsterInstance) -> list[dg.AssetMaterialization]:
    """Results whose run died after it had saved: the lineage says so without a run."""
    with store.reading() as session:
        rows = reconcile.recently_done(session)
    missing = []
    for row in rows:
        run = instance.get_run_by_id(row.run_id or "")
        if run and run.status in (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED):
            asset = ASSETS[Stage(row.stage)]
            if not _is_materialized(instance, asset, row):
                missing.append(_materialization(asset, row))
    return missing


def _is_materialized(instance: dg.DagsterInstance, asset: str, row: LedgerRow) -> bool:
    records = dg.AssetRecordsFilter(asset_key=dg.AssetKey(asset), asset_partitions=[row.partition_key])
    known = instance.fetch_materializations(records, limit=MATERIALIZED_ENOUGH).records
    return any(_row_of(record) == str(row.id) for record in known)


def _row_of(record: dg.EventLogRecord) -> str | None:
    materialization = record.asset_materialization
    return (materialization.tags or {}).get(ROW_TAG) if materialization else None


def _materialization(asset: str, row: LedgerRow) -> dg.AssetMaterialization:
    return dg.AssetMaterialization(
        asset_key=asset,
        partition=row.partition_key,
        description=f"Stored by run {row.run_id}, which died before it could say so.",
        metadata={"version": f"v{row.number}"},
        tags={ROW_TAG: str(row.id)},
    )
