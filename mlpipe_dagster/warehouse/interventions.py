"""What a person does to a pipeline in flight: cancel it, or try a failed stage again. Each is one transaction.

Runs are Dagster's: the sweep terminates those of cancelled rows, and asks for those of retried ones.
"""

import uuid
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from mlpipe_dagster import clock
from mlpipe_dagster.agentic_core import Notice
from mlpipe_dagster.errors import Conflict, UnknownThing
from mlpipe_dagster.events import AutomlTrigger, BiasTrigger, Context, Event, XaiTrigger
from mlpipe_dagster.settings import Settings
from mlpipe_dagster.vocabulary import Stage, parse_time_budget
from mlpipe_dagster.warehouse import audit, datasets, decisions, inbox, ledger, outbox
from mlpipe_dagster.warehouse.datasets import LIVE_STATUSES, OPEN_STATES
from mlpipe_dagster.warehouse.deadlines import time_allowed
from mlpipe_dagster.warehouse.listing import of_version
from mlpipe_dagster.warehouse.outbox import Owner
from mlpipe_dagster.warehouse.schema import DatasetVersion, LedgerRow, Pipeline
from mlpipe_dagster.warehouse.warehouse import OURS, Warehouse

RETRIABLE = ("failed", "cancelled")


@dataclass(frozen=True)
class Cancelled:
    """What a cancellation ended; `run_ids` are the runs that were at work."""

    owner: Owner
    run_ids: tuple[str, ...]


def cancel_pipeline(warehouse: Warehouse, dataset_id: str, user_id: str | None, by: str) -> Cancelled:
    """End the pipeline of a dataset's latest version: open work, its question, and what triggers arrive later.

    Raises
    ------
    UnknownThing, Conflict
        There is no such dataset; several users have one; the pipeline has ended already.
    """
    with warehouse.transaction() as session:
        owner = latest_owner(session, dataset_id, user_id)
        pipeline = ledger.get_pipeline(session, owner)
        if pipeline is None or pipeline.status not in LIVE_STATUSES:
            raise Conflict(f"The pipeline of {dataset_id} is {pipeline.status if pipeline else 'unknown'} already.")
        return end_pipeline(session, pipeline, owner, by, audit.person(user_id))


def end_pipeline(
    session: Session, pipeline: Pipeline, owner: Owner, by: str, actor: audit.Actor, why: str = ""
) -> Cancelled:
    """Cancel a pipeline that has not ended yet, with all that is open in it, and tell its owner."""
    pipeline.status = "cancelled"
    rows = [row for row in rows_of(session, owner) if row.state in OPEN_STATES]
    runs = tuple(row.run_id for row in rows if row.state == "taken" and row.run_id)
    for row in rows:
        row.state, row.note = "cancelled", f"cancelled by {by}"
        ledger.record(session, "stage.cancelled", actor, row)
    closed = inbox.close_questions(session, owner)
    audit.record(session, "pipeline.cancelled", actor, owner, questions_closed=closed)
    notice = Notice(f"{owner.dataset_id}: cancelled", f"By {by}. {why}".rstrip(), "warning")
    inbox.notify(session, owner, notice, _fresh("cancel"))
    return Cancelled(owner, runs)


def retry_pipeline(
    warehouse: Warehouse, dataset_id: str, user_id: str | None = None, stage: Stage | None = None
) -> Stage:
    """Try a stage again: the one that failed last, or the one named. A new trigger goes out, caused by the old one.

    Raises
    ------
    UnknownThing, Conflict
        There is no such dataset; nothing failed; the stage never ran, or is at work.
    """
    with warehouse.transaction() as session:
        owner = latest_owner(session, dataset_id, user_id)
        row = _row_to_retry(session, owner, stage)
        _reopen(session, owner)
        ledger.record(session, "stage.retried", audit.person(user_id), row)
        if row.stage == Stage.DATASET.value:
            session.add(_dataset_again(row, warehouse.settings))
        else:
            version = datasets.get_version(session, owner.user_id, owner.dataset_id, owner.number)
            event = _trigger_again(row, version, warehouse.settings)
            outbox.emit(session, warehouse.settings, event, _context(session, warehouse, row), owner)
        return Stage(row.stage)


def latest_owner(session: Session, dataset_id: str, user_id: str | None) -> Owner:
    """The latest version of a dataset; raises UnknownThing and Conflict as `datasets.find_key`."""
    key = datasets.find_key(session, dataset_id, user_id)
    return datasets.owner_of(datasets.get_version(session, key.user_id, key.dataset_id))


def rows_of(session: Session, owner: Owner) -> list[LedgerRow]:
    """The ledger of a dataset version, oldest first."""
    return list(session.scalars(select(LedgerRow).where(*of_version(LedgerRow, owner)).order_by(LedgerRow.id)))


def _row_to_retry(session: Session, owner: Owner, stage: Stage | None) -> LedgerRow:
    rows = rows_of(session, owner)
    if any(row.state in OPEN_STATES and not row.stage.startswith(ledger.CORE_PREFIX) for row in rows):
        raise Conflict(f"The pipeline of {owner.dataset_id} is at work. Cancel it first, or wait.")
    wanted = {stage.value} if stage else {each.value for each in Stage}
    ours = [row for row in rows if row.stage in wanted]
    if stage is None:
        ours = [row for row in ours if row.state in RETRIABLE]
    if not ours:
        what = f"has not reached the stage {stage.value}" if stage else "has no failed stage"
        raise Conflict(f"The pipeline of {owner.dataset_id} {what}: there is nothing to try again.")
    return ours[-1]


def _reopen(session: Session, owner: Owner) -> None:
    pipeline = ledger.get_pipeline(session, owner)
    if pipeline is None:
        raise UnknownThing(f"There is no pipeline of {owner.dataset_id}.")
    pipeline.status = "running"


def _fresh(what: str) -> str:
    return f"{what}:{uuid.uuid4()}"


def _dataset_again(row: LedgerRow, settings: Settings) -> LedgerRow:
    """A new row and no record: `dataset-events` says that somebody uploaded, and nobody has."""
    now = clock.now()
    return LedgerRow(
        stage=row.stage,
        cause=_fresh("retry"),
        causation_id=row.causation_id,
        user_id=row.user_id,
        dataset_id=row.dataset_id,
        number=row.number,
        partition_key=row.partition_key,
        correlation_id=row.correlation_id,
        payload=row.payload,
        player=OURS,
        state="expected",
        continue_pipeline=True,
        attempt=0,
        triggered_at=now,
        deadline=now + time_allowed(Stage.DATASET, settings, {}),
        requested_at=ledger.NEVER_REQUESTED,
    )


def _context(session: Session, warehouse: Warehouse, row: LedgerRow) -> Context:
    owner = Owner(row.user_id, row.dataset_id, row.number)
    choices = decisions.recorded_choices(session, owner)
    budget = row.payload.get("time_budget")
    return Context(
        dataset_version=f"v{row.number}",
        correlation_id=row.correlation_id,
        causation_id=row.causation_id,
        task_kind=choices.task if choices else None,
        time_budget_seconds=parse_time_budget(budget, warehouse.settings.time_budget_unit) if budget else None,
    )


def _trigger_again(row: LedgerRow, version: DatasetVersion, settings: Settings) -> Event:
    """The trigger of a row once more, as of now."""
    payload = row.payload
    common = {"user_id": row.user_id, "dataset_id": row.dataset_id, "timestamp": clock.iso(clock.now())}
    asked = {"target_column_name": payload.get("target_column_name"), "task_type": payload.get("task_type")}
    match Stage(row.stage):
        case Stage.BIAS:
            metadata = datasets.dataset_object(version)
            return BiasTrigger(**common, **asked, metadata=metadata, record_count=version.row_count)
        case Stage.AUTOML:
            budget = payload.get("time_budget") or settings.default_time_budget
            return AutomlTrigger(**common, **asked, time_budget=budget)
        case Stage.XAI:
            model = {name: payload.get(name) for name in ("model_id", "level", "version")}
            return XaiTrigger.model_validate(common | model)
        case Stage.DATASET:
            raise ValueError("an upload is not sent again")
