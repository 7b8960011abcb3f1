"""The sweep: what kills, crashes and dead brokers left behind. Flushes, sends again, reconciles ledger and runs."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import dagster as dg
from dagster._core.launcher import WorkerStatus

from mlpipe_dagster import clock
from mlpipe_dagster.defs.jobs import REQUEST_TAG, ROW_TAG, STAGE_JOBS, run_request
from mlpipe_dagster.defs.partitions import missing_partitions
from mlpipe_dagster.defs.resources import KafkaResource, WarehouseResource
from mlpipe_dagster.errors import BrokerUnavailable
from mlpipe_dagster.messaging.topics import topic_ids
from mlpipe_dagster.vocabulary import Stage
from mlpipe_dagster.warehouse import audit, outbox, questions_due, reconcile, removals
from mlpipe_dagster.warehouse.pipelines import ASSETS
from mlpipe_dagster.warehouse.reconcile import LAUNCH_GRACE, RunSeen, RunState, Wanted
from mlpipe_dagster.warehouse.schema import LedgerRow
from mlpipe_dagster.warehouse.warehouse import Warehouse

SWEEP_SECONDS = 3
MATERIALIZED_ENOUGH = 20
MOST_AT_ONCE = 500
DEAD = [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
UNFINISHED = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]


@dg.sensor(
    name="sweep",
    jobs=list(STAGE_JOBS.values()),
    minimum_interval_seconds=SWEEP_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Publishes what waits in the outbox, asks again for work whose run died, ends what is overdue, "
    "and applies the timeouts of questions.",
)
def sweep(context: dg.SensorEvaluationContext, warehouse: WarehouseResource, kafka: KafkaResource) -> dg.SensorResult:
    """One round over everything that is unfinished."""
    store, instance = warehouse.open(), context.instance
    with store.transaction() as session:
        reconcile.recheck_unknown(session, store)
        reconcile.take_over(session, store)
        reconcile.end_overdue(session, store)
    questions_due.apply(store)
    _end_late_runs(store, instance)
    _end_forgotten_runs(instance)
    notes = list(_terminate_unwanted(store, instance))
    # late: what is asked for here has to wait again when the tick fails after it
    wanted = _rows_to_run(store, instance)
    notes += _mend_events(store, kafka)  # also what the rows that ended just now have to say
    audit.seal(store.catalogue)
    _remove_what_is_deleted(store, instance)
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
    seen = zip(rows, runs_of(instance, rows), strict=True)
    asked = (reconcile.run_again(store, row, run) for row, run in seen)
    return [wanted for wanted in asked if wanted]


def _end_late_runs(store: Warehouse, instance: dg.DagsterInstance) -> None:
    """Give up what is at work beyond its deadline; a late run that is not at work any more has died instead."""
    with store.reading() as session:
        rows = reconcile.overdue_rows(session)
    for row in rows:
        record = instance.get_run_record_by_id(row.run_id or "")
        if record and _is_alive(instance, record, doubtful=True):
            reconcile.end_late_run(store, row)


def _end_forgotten_runs(instance: dg.DagsterInstance) -> None:
    """Runs that waited in a warm process which died: nobody will start them, whoever has done their work meanwhile."""
    for record in instance.get_run_records(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTING])):
        _is_alive(instance, record)


def runs_of(instance: dg.DagsterInstance, rows: Sequence[LedgerRow]) -> Iterator[RunSeen]:
    """What has become of the run of each row: the one that took it, else the one that was last asked for.

    A run that a person started bears no tag of its row (or, executed again, that of another): the row names it.
    """
    taken = [row.run_id for row in rows if row.state == "taken" and row.run_id]
    asked = [str(row.id) for row in rows if row.state != "taken"]
    found: dict[str, list[dg.RunRecord]] = {}
    for records in (
        *(instance.get_run_records(dg.RunsFilter(run_ids=part)) for part in _parts(taken)),
        *(instance.get_run_records(dg.RunsFilter(tags={ROW_TAG: part})) for part in _parts(asked)),
    ):
        for record in records:  # the newest first
            tags = record.dagster_run.tags
            for key in (record.dagster_run.run_id, f"{tags.get(ROW_TAG)}/{tags.get(REQUEST_TAG, '0')}"):
                found.setdefault(key, []).append(record)
    for row in rows:
        key = row.run_id or "" if row.state == "taken" else f"{row.id}/{row.requests}"
        yield _seen(instance, found.get(key, []))


def _parts(names: Sequence[str]) -> list[Sequence[str]]:
    return [names[start : start + MOST_AT_ONCE] for start in range(0, len(names), MOST_AT_ONCE)]


def _seen(instance: dg.DagsterInstance, records: Sequence[dg.RunRecord]) -> RunSeen:
    if not records:
        return RunSeen(RunState.NONE)
    if any(not record.dagster_run.is_finished for record in records):  # the forgotten were ended in this round
        return RunSeen(RunState.ALIVE)
    last = records[0]
    if _somebody_canceled(instance, last.dagster_run):
        return RunSeen(RunState.CANCELED)
    ended_at = datetime.fromtimestamp(last.end_time, UTC).replace(tzinfo=None) if last.end_time else None
    return RunSeen(RunState.DIED, _why_it_died(instance, last.dagster_run), ended_at)


def _why_it_died(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str:
    """What its log says last of a failure: of a step, of its launch, or of its process."""
    if run.status is dg.DagsterRunStatus.CANCELED:
        return "the run was interrupted when its process was asked to end"
    for kind in (dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.ENGINE_EVENT, dg.DagsterEventType.RUN_FAILURE):
        for record in instance.get_records_for_run(run.run_id, of_type=kind, ascending=False, limit=5).records:
            said = _failure_in(record.event_log_entry.dagster_event)
            if said:
                return said
    return "the run ended without its result"


def _failure_in(event: dg.DagsterEvent | None) -> str:
    """The failure an event tells of, in one line; empty where it tells of none."""
    if event is None:
        return ""
    error = getattr(event.event_specific_data, "error", None)
    if error is not None:
        cause = error.cause if event.is_step_failure and error.cause else error
        return str(cause.message).strip().splitlines()[0]
    return (event.message or "").strip().splitlines()[0] if event.is_run_failure and event.message else ""


def _is_alive(instance: dg.DagsterInstance, record: dg.RunRecord, doubtful: bool = False) -> bool:
    """At work, or waiting for its turn. A run whose queue died with its process is said to have failed.

    `doubtful`: look for the process of a run that has started, too.
    """
    run, launcher = record.dagster_run, instance.run_launcher
    if run.is_finished:
        return False
    in_doubt = run.status is dg.DagsterRunStatus.STARTING or doubtful
    if not in_doubt or not launcher.supports_check_run_worker_health:
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


def _terminate_unwanted(store: Warehouse, instance: dg.DagsterInstance) -> Iterator[str]:
    """End runs whose work nobody wants any more; one that cannot be reached can store nothing, and must stop nobody."""
    with store.reading() as session:
        rows = reconcile.unwanted_rows(session)
    if not rows:
        return
    holders, row_ids = {row.run_id for row in rows}, {str(row.id) for row in rows}
    for run in instance.get_runs(dg.RunsFilter(statuses=UNFINISHED)):
        on_its_way = run.tags.get(ROW_TAG) in row_ids and run.parent_run_id is None  # else a person wants it again
        if run.run_id in holders or on_its_way:
            try:
                instance.run_launcher.terminate(run.run_id)
            except dg.DagsterError as error:
                yield f"run {run.run_id} cannot be ended: {error}"


def _remove_what_is_deleted(store: Warehouse, instance: dg.DagsterInstance) -> None:
    """Objects and runs that deletions left; a run that is still at work is ended first and removed in a later round."""
    with store.reading() as session:
        objects, runs = removals.objects_left(session), removals.runs_left(session)
    removals.remove_objects(store, objects)
    for removal in runs:
        wanted = dg.RunsFilter(tags={ROW_TAG: removal.name})
        if removal.kind == removals.RUN:
            wanted = dg.RunsFilter(run_ids=[removal.name])
        found = instance.get_runs(wanted)
        for run in found:
            if run.is_finished:
                instance.delete_run(run.run_id)
        if all(run.is_finished for run in found):
            with store.transaction() as session:
                removals.forget(session, removal)


def _missing_materializations(store: Warehouse, instance: dg.DagsterInstance) -> list[dg.AssetMaterialization]:
    """Results whose run died after it had saved: the lineage says so without a run."""
    lately = datetime.now(UTC) - reconcile.RECENTLY
    dead = instance.get_runs(dg.RunsFilter(statuses=DEAD, updated_after=lately), limit=MOST_AT_ONCE)
    with store.reading() as session:
        rows = reconcile.done_by(session, [run.run_id for run in dead])
    assets = ((ASSETS[Stage(row.stage)], row) for row in rows)
    return [_materialization(asset, row) for asset, row in assets if not _is_materialized(instance, asset, row)]


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
