"""The ledger of claims: work asked for by a cause is done once, however often the cause arrives.

States: expected -> taken -> done; or answered (by a foreign result), failed, cancelled, superseded; unknown while the
dataset or model is not there yet. Rows are entered by the sensors' ticks, taken by runs, closed by their saves.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import case, select, update
from sqlalchemy.orm import Session

from mlpipe_dagster import clock
from mlpipe_dagster.errors import StageLost, UserError
from mlpipe_dagster.events import Context, Event
from mlpipe_dagster.messaging.records import Record
from mlpipe_dagster.settings import Settings
from mlpipe_dagster.vocabulary import Role, Stage, TaskKind
from mlpipe_dagster.warehouse import answers, audit, datasets
from mlpipe_dagster.warehouse.audit import Actor
from mlpipe_dagster.warehouse.deadlines import time_allowed
from mlpipe_dagster.warehouse.listing import of_version
from mlpipe_dagster.warehouse.outbox import Owner
from mlpipe_dagster.warehouse.schema import DatasetKey, DatasetVersion, LedgerRow, ModelRow, OutboxRow, Pipeline
from mlpipe_dagster.warehouse.warehouse import FOREIGN, OURS, Warehouse, player_of

STAGE_ROLES: Mapping[Stage, Role] = {Stage.BIAS: Role.BIAS, Stage.AUTOML: Role.AUTOML, Stage.XAI: Role.XAI}
"""Who plays each stage; `dataset` is always ours, because later stages need its Parquet and partition."""

CORE_PREFIX = "core-"


@dataclass(frozen=True)
class Arrived:
    """A parsed record, and the coordinates and headers that matter."""

    event: Event
    record: Record

    @property
    def cause(self) -> str:
        """What makes two deliveries the same."""
        return self.record.cause

    @property
    def causation_id(self) -> str:
        """What results name as their cause."""
        return self.record.headers.get("ce_id") or self.record.coordinates

    @property
    def continues(self) -> bool:
        """False for what a person's run in the UI announced."""
        return self.record.headers.get("ce_pipelinecontinue") != "false"

    @property
    def at(self) -> datetime:
        """When it was stored, naive UTC; never later than now, whatever a producer's clock says."""
        if self.record.timestamp <= 0:  # its producer said nothing
            return clock.now()
        try:
            stored = datetime.fromtimestamp(self.record.timestamp / 1000, UTC).replace(tzinfo=None)
        except (OverflowError, ValueError, OSError):  # a timestamp no calendar knows
            return clock.now()
        return min(stored, clock.now())

    def owner(self, session: Session) -> Owner:
        """User, dataset and the version meant: the header's, else the latest; None for an unknown dataset."""
        user_id, dataset_id = getattr(self.event, "user_id", ""), getattr(self.event, "dataset_id", None) or ""
        said = datasets.version_number(self.record.headers.get("ce_datasetversion"))
        if said is None and hasattr(self.event, "dataset"):
            said = datasets.version_number(self.event.dataset.version)
        if said is not None:
            return Owner(user_id, dataset_id, said)
        newest = datasets.latest(session, user_id, dataset_id)
        return Owner(user_id, dataset_id, newest.number if newest else None)


@dataclass(frozen=True)
class Claim:
    """A run's hold on a row: what to work on, and for whom."""

    row_id: int
    stage: Stage
    cause: str
    causation_id: str
    run_id: str
    owner: Owner
    partition_key: str
    correlation_id: str | None
    continue_pipeline: bool
    payload: Mapping[str, Any]
    taken_at: float = field(default_factory=time.monotonic, compare=False)
    """When the work began, in the seconds of `time.monotonic`: time budgets count from here."""

    def context(self, task: TaskKind | None = None) -> Context:
        """Headers of what this work announces."""
        return Context(
            dataset_version=f"v{self.owner.number}",
            correlation_id=self.correlation_id,
            causation_id=self.causation_id,
            task_kind=task,
            pipeline_continue=self.continue_pipeline,
        )


def enter(session: Session, warehouse: Warehouse, stage: Stage, arrived: Arrived) -> LedgerRow:
    """The row of this trigger: entered now, or there already. Its state says what to do."""
    known = find(session, stage.value, arrived.cause)
    if known:
        return known
    owner = arrived.owner(session)
    role = STAGE_ROLES.get(stage)
    row = _new_row(session, warehouse.settings, stage.value, owner, arrived.cause, arrived.causation_id)
    row.player = player_of(session, role) if role else OURS
    row.payload = trigger_payload(arrived.event)
    row.coordinates = arrived.record.coordinates
    row.triggered_at = arrived.at
    row.correlation_id = arrived.record.headers.get("ce_correlationid") or row.correlation_id
    row.deadline = clock.now() + time_allowed(stage, warehouse.settings, row.payload)
    row.state, row.note = first_state(session, row)
    row.requests = int(row.state == "expected" and row.player == OURS)  # the tick asks for the first run
    session.add(row)
    if row.state == "expected":
        reopen_pipeline(session, row)
    if row.state == "answered" and stage is Stage.XAI:  # a foreign worker read its trigger before we did
        finish_pipeline(session, owner)
    if row.state != "unknown":
        close_expected_trigger(session, stage, owner)
    session.flush()
    record(session, "stage.asked", _asked_by(arrived), row)
    return row


def record(session: Session, what: str, actor: Actor, row: LedgerRow, **detail: Any) -> None:
    """Enter a change of a row's state into the audit trail."""
    owner = Owner(row.user_id, row.dataset_id, row.number)
    known = {"stage": row.stage, "state": row.state, "player": row.player, "attempt": row.attempt or None}
    audit.record(
        session, what, actor, owner, cause=row.cause, coordinates=row.coordinates, run_id=row.run_id, **known | detail
    )


def _asked_by(arrived: Arrived) -> Actor:
    """Whose record it is: ours say so in their source; other producers send no such header."""
    ours = arrived.record.headers.get("ce_source", "").startswith("/mlpipe/")
    return audit.CORE if ours else Actor("service", Role.AGENTIC_CORE.value)


def find(session: Session, stage: str, cause: str) -> LedgerRow | None:
    """The row of a stage and cause."""
    return session.scalar(select(LedgerRow).where(LedgerRow.stage == stage, LedgerRow.cause == cause))


def latest_payload(session: Session, stage: Stage, owner: Owner) -> Mapping[str, Any]:
    """What the last trigger of a stage said for this dataset version; empty where there was none."""
    query = select(LedgerRow.payload).where(LedgerRow.stage == stage.value, *of_version(LedgerRow, owner))
    return session.scalar(query.order_by(LedgerRow.id.desc()).limit(1)) or {}


def _new_row(
    session: Session, settings: Settings, stage: str, owner: Owner, cause: str, causation_id: str
) -> LedgerRow:
    now = clock.now()
    partition_key = datasets.partition_key_of(session, owner.user_id, owner.dataset_id)
    version = None
    if owner.number is not None and partition_key:
        version = datasets.numbered(session, owner.user_id, owner.dataset_id, owner.number)
    return LedgerRow(
        stage=stage,
        cause=cause,
        causation_id=causation_id,
        user_id=owner.user_id,
        dataset_id=owner.dataset_id,
        number=owner.number,
        partition_key=partition_key or owner.dataset_id,
        correlation_id=version.correlation_id if version else None,
        payload={},
        player=OURS,
        state="expected",
        continue_pipeline=True,
        attempt=0,
        triggered_at=now,
        deadline=now + timedelta(seconds=settings.core_deadline_seconds),
        requested_at=now,
    )


def trigger_payload(event: Event) -> dict[str, Any]:
    """The scalars of a trigger that a run's config carries."""
    wanted = ("target_column_name", "task_type", "time_budget", "model_id", "version", "level", "record_count")
    content = event.model_dump(mode="json", include=set(wanted))  # metadata may be nested deeper than can be dumped
    return {name: content[name] for name in wanted if content.get(name) is not None}


def first_state(session: Session, row: LedgerRow) -> tuple[str, str | None]:
    """The state a trigger starts in, given what is stored: wait for what is unknown, skip what needs no work."""
    if _was_deleted(session, row):
        return "cancelled", "the dataset was deleted"
    newest = datasets.latest(session, row.user_id, row.dataset_id)
    if newest is None or row.number is None:
        return "unknown", "the dataset is not known yet"
    if row.number < newest.number:
        return "superseded", f"superseded by {newest.version}"
    if datasets.numbered(session, row.user_id, row.dataset_id, row.number) is None:
        return "unknown", "this dataset version is not known yet"
    if was_cancelled(session, Owner(row.user_id, row.dataset_id, row.number), row.cause):
        return "cancelled", "the pipeline was cancelled"
    if row.stage == Stage.XAI.value and _model_of(session, row) is None:
        return "unknown", f"{UNKNOWN_MODEL} {row.payload.get('model_id')} is not known yet"
    if answers.answered_since(session, row):
        return "answered", "a foreign result has answered it already"
    return "expected", None


def was_cancelled(session: Session, owner: Owner, cause: str) -> bool:
    """Whether nothing may follow from an event that is read now: its pipeline is cancelled, or was while the event was
    on its way, and has been set going again since with an event of its own."""
    pipeline = get_pipeline(session, owner)
    if pipeline is None or pipeline.status == "cancelled":
        return pipeline is not None
    written = session.scalar(select(OutboxRow.created_at).where(OutboxRow.ce_id == cause))
    wanted = audit.AuditFilter(owner.user_id, owner.dataset_id, owner.number, "pipeline.cancelled", since=written)
    return written is not None and bool(audit.latest_audit(session, wanted, 1))


UNKNOWN_MODEL = "the model"


def _was_deleted(session: Session, row: LedgerRow) -> bool:
    """The version was there once: numbers are never used again."""
    key = session.get(DatasetKey, (row.user_id, row.dataset_id))
    if key is None or row.number is None or row.number > key.last_version:
        return False
    return datasets.numbered(session, row.user_id, row.dataset_id, row.number) is None


def _model_of(session: Session, row: LedgerRow) -> ModelRow | None:
    query = select(ModelRow).where(ModelRow.user_id == row.user_id, ModelRow.model_id == row.payload.get("model_id"))
    number = datasets.version_number(row.payload.get("version"))
    if row.payload.get("version") is not None:
        query = query.where(ModelRow.number == number)
    return session.scalar(query.order_by(ModelRow.number.desc()).limit(1))


def take(session: Session, stage: Stage, cause: str, run_id: str, rerun: bool = False) -> Claim | None:
    """Compare-and-set: this run does the work of the row, or None when somebody else does or did.

    `rerun`: a person re-executes a run; a row that failed or was cancelled gets another attempt.
    """
    states = ("expected", "failed", "cancelled") if rerun else ("expected",)
    changes = {"state": "taken", "run_id": run_id, "attempt": LedgerRow.attempt + 1, "retry_at": None}
    # why it is tried again stays to be seen, until it is done
    changes["note"] = case((LedgerRow.state == "expected", LedgerRow.note), else_=None)
    taken = session.execute(
        update(LedgerRow)
        .where(LedgerRow.stage == stage.value, LedgerRow.cause == cause, LedgerRow.state.in_(states))
        .values(changes)
    )
    row = find(session, stage.value, cause)
    if row is None or not taken.rowcount:  # type: ignore[attr-defined]
        return None
    now = clock.now()  # waiting for its turn takes nothing from a run's time
    row.deadline, row.taken_at = now + (row.deadline - (row.taken_at or row.created_at)), now
    if rerun:
        row.failures = 0
        reopen_pipeline(session, row)
    record(session, "stage.taken", audit.run(run_id), row)
    return _claim(row)


def reopen_pipeline(session: Session, row: LedgerRow) -> None:
    """A pipeline that had failed or was cancelled goes on: somebody asked for this work again."""
    pipeline = get_pipeline(session, Owner(row.user_id, row.dataset_id, row.number))
    if pipeline and pipeline.status in ("failed", "cancelled"):
        pipeline.status = "running"
        record(session, "pipeline.reopened", audit.CORE, row)


def finish_pipeline(session: Session, owner: Owner) -> None:
    """Its explanations are there: nothing more follows."""
    pipeline = get_pipeline(session, owner)
    if pipeline and pipeline.status == "running":
        pipeline.status = "done"
        audit.record(session, "pipeline.done", audit.CORE, owner)


def take_for_person(
    session: Session, settings: Settings, stage: Stage, version: DatasetVersion, run_id: str,
    payload: dict[str, Any], continue_pipeline: bool,
) -> Claim:  # fmt: skip
    """The row of a run that a person started in the UI: its cause is the run itself."""
    cause = f"{answers.PERSONS_CAUSE}{run_id}"
    owner = datasets.owner_of(version)
    row = _new_row(session, settings, stage.value, owner, cause, cause)
    row.payload, row.continue_pipeline = payload, continue_pipeline
    row.state, row.run_id, row.attempt, row.requests = "taken", run_id, 1, 1
    pipeline = get_pipeline(session, owner)
    row.taken_at = row.requested_at
    row.deadline = row.taken_at + time_allowed(stage, settings, (pipeline.choices if pipeline else {}) | payload)
    session.add(row)
    session.flush()
    record(session, "stage.taken", audit.run(run_id), row, started_in="Dagster")
    return _claim(row)


def _claim(row: LedgerRow) -> Claim:
    return Claim(
        row_id=row.id,
        stage=Stage(row.stage),
        cause=row.cause,
        causation_id=row.causation_id,
        run_id=row.run_id or "",
        owner=Owner(row.user_id, row.dataset_id, row.number),
        partition_key=row.partition_key,
        correlation_id=row.correlation_id,
        continue_pipeline=row.continue_pipeline,
        payload=row.payload,
    )


def close(session: Session, claim: Claim) -> None:
    """End the row in the transaction that saves its result.

    Raises
    ------
    StageLost
        The row is no longer this run's: superseded, cancelled, or answered by another. Nothing may be stored.
    """
    closed = session.execute(
        update(LedgerRow)
        .where(LedgerRow.id == claim.row_id, LedgerRow.state == "taken", LedgerRow.run_id == claim.run_id)
        .values(state="done", note=None)
    )
    row = session.get_one(LedgerRow, claim.row_id)
    if not closed.rowcount:  # type: ignore[attr-defined]
        raise StageLost(f"This work is not this run's any more: {row.state} ({row.note or 'taken by another run'}).")
    record(session, "stage.done", audit.run(claim.run_id), row)


def get_pipeline(session: Session, owner: Owner) -> Pipeline | None:
    """The pipeline of a dataset version."""
    return session.scalar(select(Pipeline).where(*of_version(Pipeline, owner)))


def expect_trigger(session: Session, settings: Settings, next_stage: Stage, arrived: Arrived) -> None:
    """A foreign core must answer this event with a trigger: enter a row with its deadline, closed by that trigger.

    The trigger may be here already: topics are read independently of each other.
    """
    stage = CORE_PREFIX + next_stage.value
    if find(session, stage, arrived.cause) is None:
        row = _new_row(session, settings, stage, arrived.owner(session), arrived.cause, arrived.causation_id)
        row.player, row.coordinates, row.triggered_at = FOREIGN, arrived.record.coordinates, arrived.at
        row.state = "answered" if _triggered_since(session, next_stage, row) else "expected"
        session.add(row)
        record(session, "stage.asked", audit.SENSOR, row)


def _triggered_since(session: Session, stage: Stage, event: LedgerRow) -> bool:
    """A trigger of the stage was entered after the event was stored; by our clock, a foreign one may be wrong."""
    query = select(LedgerRow.id).where(
        LedgerRow.stage == stage.value,
        LedgerRow.user_id == event.user_id,
        LedgerRow.dataset_id == event.dataset_id,
        LedgerRow.number == event.number,
        LedgerRow.created_at >= event.triggered_at,
        ~LedgerRow.cause.startswith(answers.PERSONS_CAUSE),
    )
    return session.scalar(query.limit(1)) is not None


def close_expected_trigger(session: Session, stage: Stage, owner: Owner) -> None:
    """The foreign core has sent the trigger that was expected of it, if late."""
    session.execute(
        update(LedgerRow)
        .where(
            LedgerRow.stage == CORE_PREFIX + stage.value,
            *of_version(LedgerRow, owner),
            (LedgerRow.state == "expected") | answers.overdue(),
        )
        .values(state="answered", note=None)
    )


def recheck_unknown(session: Session, settings: Settings, row: LedgerRow) -> None:
    """Look again for what a trigger named; after the grace raise a plain error for its failure.

    Raises
    ------
    UserError
        The dataset or model is still unknown after `unknown_grace_seconds`.
    """
    owner = Owner(row.user_id, row.dataset_id, row.number)
    if owner.number is None:
        newest = datasets.latest(session, row.user_id, row.dataset_id)
        row.number = newest.number if newest else None
    row.partition_key = datasets.partition_key_of(session, row.user_id, row.dataset_id) or row.partition_key
    row.state, row.note = first_state(session, row)
    if row.state != "unknown":
        record(session, "stage.asked", audit.SWEEP, row)
    if row.state == "expected":
        row.requested_at = NEVER_REQUESTED
        close_expected_trigger(session, Stage(row.stage), Owner(row.user_id, row.dataset_id, row.number))
    if row.state == "unknown" and clock.now() - row.created_at > timedelta(seconds=settings.unknown_grace_seconds):
        raise UnknownForTooLong(row)


NEVER_REQUESTED = datetime(1970, 1, 1)


class UnknownForTooLong(UserError):  # noqa: N818 - reads as what it says where it is raised
    """A trigger's dataset or model did not appear within the grace."""

    def __init__(self, row: LedgerRow) -> None:
        dataset_missing = row.number is None or not (row.note or "").startswith(UNKNOWN_MODEL)
        self.kind = "unknown_dataset" if dataset_missing else "unknown_model"
        what = f"dataset {row.dataset_id}" if dataset_missing else f"model {row.payload.get('model_id')}"
        super().__init__(
            f"The {what} of {row.user_id} is not in the warehouse. Upload it, then send the trigger again."
        )
