"""The agentic core's decisions, stored with what follows from them: at most one for each cause.

What is decided stands in agentic_core.py; here the facts are gathered and the outcome becomes rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import singledispatch
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from mlpipe_dagster import clock
from mlpipe_dagster.agentic_core import (
    ENDS,
    Ask,
    Failure,
    Known,
    Notice,
    Outcome,
    Stop,
    Trigger,
    decide,
    decide_answer,
)
from mlpipe_dagster.choices import Choices, Wishes
from mlpipe_dagster.events import (
    BiasReported,
    Context,
    DatasetUploaded,
    Event,
    ModelUploaded,
    XaiReported,
    XaiTrigger,
    contracts_by_topic,
)
from mlpipe_dagster.settings import Settings
from mlpipe_dagster.vocabulary import Role, Stage, TaskKind
from mlpipe_dagster.warehouse import audit, datasets, failures, inbox, ledger, outbox, policies, reports
from mlpipe_dagster.warehouse.answers import PERSONS_CAUSE
from mlpipe_dagster.warehouse.ledger import Arrived, Claim
from mlpipe_dagster.warehouse.links import bias_view_link, xai_view_link
from mlpipe_dagster.warehouse.listing import of_version
from mlpipe_dagster.warehouse.outbox import Owner, insert_once, stable_id
from mlpipe_dagster.warehouse.schema import DatasetVersion, Decision, LedgerRow, OutboxRow, Question
from mlpipe_dagster.warehouse.warehouse import FOREIGN, Warehouse, player_of

DEAD_LETTER = "dead letter"
LONGEST_DETAIL = 500
NEXT_STAGE: dict[type[Event], Stage] = {BiasReported: Stage.AUTOML, ModelUploaded: Stage.XAI}


@dataclass(frozen=True)
class Basis:
    """What a decision rests on."""

    owner: Owner
    cause: str
    causation_id: str
    correlation_id: str | None
    record_key: str | None = None


def decide_record(session: Session, warehouse: Warehouse, arrived: Arrived) -> str | None:
    """Decide on a warehouse event that arrived from Kafka; None when it was decided before."""
    known = session.get(Decision, arrived.cause)
    if known is not None and known.outcome != DEAD_LETTER:
        return None
    if known is not None:  # it was mended and sent to its topic again
        session.delete(known)
        session.flush()
    owner = arrived.owner(session)
    version = _version(session, owner)
    basis = Basis(
        owner=owner,
        cause=arrived.cause,
        causation_id=arrived.causation_id,
        correlation_id=arrived.record.headers.get("ce_correlationid") or (version.correlation_id if version else None),
        record_key=arrived.record.key.decode("utf-8", "replace") if arrived.record.key else None,
    )
    outcome = _outcome(session, warehouse, arrived, owner, version)
    topic = arrived.record.topic
    _store(session, warehouse.settings, basis, outcome, topic, arrived.record.coordinates)
    return type(outcome).__name__.lower()


def _outcome(
    session: Session, warehouse: Warehouse, arrived: Arrived, owner: Owner, version: DatasetVersion | None
) -> Outcome:
    if not arrived.continues:
        return Stop("A person's run in the Dagster UI announced it: no next step is taken.")
    if ledger.was_cancelled(session, owner, arrived.cause):
        return Stop("The pipeline was cancelled.")
    if player_of(session, Role.AGENTIC_CORE) == FOREIGN:
        next_stage = NEXT_STAGE.get(type(arrived.event))
        if next_stage and version and _newer(session, owner) is None:
            ledger.expect_trigger(session, warehouse.settings, next_stage, arrived)
        return Stop("The agentic core is played by a foreign worker.")
    known = what_is_known(session, warehouse, owner, version, arrived.event)
    return decide(arrived.event, known)


def _version(session: Session, owner: Owner) -> DatasetVersion | None:
    if owner.number is None:
        return None
    return datasets.numbered(session, owner.user_id, owner.dataset_id, owner.number)


def _newer(session: Session, owner: Owner) -> str | None:
    newest = datasets.latest(session, owner.user_id, owner.dataset_id)
    return newest.version if newest and owner.number is not None and newest.number > owner.number else None


def what_is_known(
    session: Session, warehouse: Warehouse, owner: Owner, version: DatasetVersion | None, event: Event | None = None
) -> Known:
    """The facts that a decision on this dataset version rests on."""
    told = _what_bias_told(session, owner) if isinstance(event, BiasReported) else _Told()
    return Known(
        timestamp=clock.iso(clock.now()),
        profile=datasets.profile_of(version) if version else None,
        wishes=Wishes.from_metadata(version.custom_metadata) if version else Wishes(),
        defaults=policies.defaults_of(session, warehouse.settings, owner.user_id),
        choices=recorded_choices(session, owner),
        dataset_object=datasets.dataset_object(version) if version else {},
        budget_unit=warehouse.settings.time_budget_unit,
        superseded_by=_newer(session, owner),
        view_link=xai_view_link(warehouse.settings, event) if isinstance(event, XaiReported) else None,
        findings=told.findings,
        leaks=told.leaks,
        unmeasured=told.unmeasured,
        bias_link=bias_view_link(warehouse.settings, owner.user_id, owner.dataset_id),
    )


@dataclass(frozen=True)
class _Told:
    """What our bias report says; another detector's has a shape of its own."""

    findings: tuple[str, ...] = ()
    leaks: tuple[str, ...] = ()
    unmeasured: bool = False


def _what_bias_told(session: Session, owner: Owner) -> _Told:
    row = reports.get_bias_report(session, owner)
    if row is None or row.run_id is None:
        return _Told()
    found = [str(one["headline"]) for one in row.report.get("findings", ()) if one.get("severity") != "info"]
    leaks = (row.report.get("signals") or {}).get("leaks", ())
    return _Told(
        findings=(*((row.report["verdict"],) if "verdict" in row.report else ()), *found),
        leaks=tuple(str(leak["column"]) for leak in leaks if leak["severity"] == "warning"),
        unmeasured="features" in row.report and not row.report["features"],
    )


def recorded_choices(session: Session, owner: Owner) -> Choices | None:
    """The choices this pipeline has settled, if any."""
    pipeline = ledger.get_pipeline(session, owner)
    return Choices.model_validate(pipeline.choices) if pipeline and pipeline.choices else None


def asks_for_target(session: Session, warehouse: Warehouse, claim: Claim, version: DatasetVersion) -> bool:
    """Whether its owner may be asked what to predict once this version is read: a question shows the first rows."""
    return what_is_known(session, warehouse, claim.owner, version).asks("target")


def decide_upload(
    session: Session,
    warehouse: Warehouse,
    claim: Claim,
    version: DatasetVersion,
    event: Event,
    first_rows: Sequence[Mapping[str, str]] = (),
) -> None:
    """Decide on an upload in the very transaction that stores its profile."""
    if not claim.continue_pipeline or _is_for_foreign_core(session, claim):
        return
    if session.get(Decision, claim.cause) is not None:
        return
    basis = Basis(claim.owner, claim.cause, claim.causation_id, claim.correlation_id)
    known = what_is_known(session, warehouse, claim.owner, version)
    outcome = decide(event, replace(known, first_rows=tuple(first_rows)))
    _store(session, warehouse.settings, basis, outcome, type(event).topic(warehouse.settings), None)


def _is_for_foreign_core(session: Session, claim: Claim) -> bool:
    """The player was read in the tick that met the upload; a person's run or retry has no tick."""
    if claim.cause.startswith((PERSONS_CAUSE, "retry:")):
        return player_of(session, Role.AGENTIC_CORE) == FOREIGN
    return ledger.find(session, ledger.CORE_PREFIX + Stage.BIAS.value, claim.cause) is not None


def decide_in_place_of(session: Session, warehouse: Warehouse, row: LedgerRow) -> None:
    """Decide what a foreign core left open; an upload whose table is not read yet waits for its own stage."""
    sent = session.scalar(select(OutboxRow).where(OutboxRow.ce_id == row.cause))
    owner = Owner(row.user_id, row.dataset_id, row.number)
    version = _version(session, owner)
    row.state, row.note = "answered", "decided by ours"
    if sent is None or version is None:  # somebody else's event, or a deleted version
        row.state, row.note = "cancelled", "its event is not in the warehouse"
        return
    event = contracts_by_topic(warehouse.settings)[sent.topic].from_bytes(sent.value.encode())
    if version.profile is None and isinstance(event, DatasetUploaded):
        row.state, row.note = "expected", None
        return
    session.execute(delete(Decision).where(Decision.cause == row.cause))
    basis = Basis(owner, row.cause, row.causation_id, row.correlation_id)
    outcome = decide(event, what_is_known(session, warehouse, owner, version, event))
    _store(session, warehouse.settings, basis, outcome, sent.topic, row.coordinates)


def answer_question(
    warehouse: Warehouse, question_id: str, answer: dict[str, Any], answered_by: str | None, version: int | None = None
) -> Question:
    """Store an answer together with the trigger that follows from it; `version`: the one that was read.

    Raises
    ------
    UnknownThing, Conflict, PermissionError, UserError
        As `inbox.close_with_answer`; also when the chosen target or task does not fit the table.
    """
    with warehouse.transaction() as session:
        question = inbox.close_with_answer(session, question_id, answer, answered_by, version)
        _follow(session, warehouse, question)
    return question


def take_default(session: Session, warehouse: Warehouse, question_id: str) -> Question:
    """Answer a question whose time is over with its own suggestion. Raises as `answer_question`."""
    question = inbox.close_with_default(session, question_id)
    _follow(session, warehouse, question, nobody_answered=True)
    return question


def _follow(session: Session, warehouse: Warehouse, question: Question, nobody_answered: bool = False) -> None:
    """What follows from the answer that was just recorded."""
    owner = Owner(question.user_id, question.dataset_id, question.number)
    version = datasets.get_version(session, owner.user_id, owner.dataset_id, question.number)
    known = replace(what_is_known(session, warehouse, owner, version), nobody_answered=nobody_answered)
    outcome = decide_answer(
        question.kind, question.about or {}, question.answer or {}, (owner.dataset_id, owner.user_id), known
    )
    cause = question.id if question.version == 1 else f"{question.id}/{question.version}"
    basis = Basis(owner, cause, question.cause, version.correlation_id)
    _store(session, warehouse.settings, basis, outcome, "questions", None)
    pipeline = ledger.get_pipeline(session, owner)
    if pipeline and pipeline.status == "waiting":
        pipeline.status = ENDS.get(outcome.reason, "running") if isinstance(outcome, Stop) else "running"


def _store(
    session: Session, settings: Settings, basis: Basis, outcome: Outcome, topic: str, coordinates: str | None
) -> None:
    values = {
        "cause": basis.cause,
        "topic": topic,
        "coordinates": coordinates,
        "user_id": basis.owner.user_id,
        "dataset_id": basis.owner.dataset_id,
        "number": basis.owner.number,
        "outcome": type(outcome).__name__.lower(),
        "detail": _detail(outcome),
        "created_at": clock.now(),
    }
    if insert_once(session, Decision, values):
        what, detail = f"decision.{values['outcome']}", _detail(outcome)[:LONGEST_DETAIL]
        audit.record(
            session, what, audit.CORE, basis.owner, cause=basis.cause, coordinates=coordinates, topic=topic,
            detail=None if isinstance(outcome, Failure) else detail,
        )  # fmt: skip
        _apply(outcome, session, settings, basis)


def note_dead_letter(session: Session, cause: str, topic: str, coordinates: str, detail: str) -> None:
    """Remember that a record went to the dead letters, so that the sweep does not send our own one again."""
    values = {
        "cause": cause,
        "topic": topic,
        "coordinates": coordinates,
        "user_id": "",
        "dataset_id": "",
        "outcome": DEAD_LETTER,
        "detail": detail,
        "created_at": clock.now(),
    }
    insert_once(session, Decision, values)


def _detail(outcome: Outcome) -> str:
    match outcome:
        case Trigger():
            return " ".join((outcome.event.event_type, *(outcome.choices.reasons if outcome.choices else ())))
        case Ask() | Notice():
            return outcome.subject
        case Failure():
            return outcome.message
        case Stop():
            return outcome.reason


@singledispatch
def _apply(outcome: Outcome, session: Session, settings: Settings, basis: Basis) -> None:
    """What an outcome writes; a Stop writes nothing but its decision."""


@_apply.register
def _apply_trigger(outcome: Trigger, session: Session, settings: Settings, basis: Basis) -> None:
    choices = outcome.choices or recorded_choices(session, basis.owner)
    context = Context(
        dataset_version=f"v{basis.owner.number}" if basis.owner.number else None,
        correlation_id=basis.correlation_id,
        causation_id=basis.causation_id,
        task_kind=_task_of(outcome.event, choices),
        time_budget_seconds=choices.time_budget_seconds if choices and hasattr(outcome.event, "time_budget") else None,
    )
    ce_id = stable_id("trigger", basis.cause)
    record_key = basis.record_key if isinstance(outcome.event, XaiTrigger) else None
    outbox.emit(session, settings, outcome.event, context, basis.owner, ce_id=ce_id, record_key=record_key)
    event_type = outcome.event.event_type
    audit.record(session, "trigger.sent", audit.CORE, basis.owner, cause=basis.cause, event=ce_id, type=event_type)
    pipeline = ledger.get_pipeline(session, basis.owner)
    if pipeline and outcome.choices:
        pipeline.choices = outcome.choices.model_dump(mode="json")
    if outcome.notice:
        inbox.notify(session, basis.owner, outcome.notice, f"notice:{basis.cause}")


def _task_of(event: Event, choices: Choices | None) -> TaskKind | None:
    said = getattr(event, "task_type", None)
    return choices.task if choices and said == choices.task.published else None


@_apply.register
def _apply_ask(outcome: Ask, session: Session, _settings: Settings, basis: Basis) -> None:
    inbox.ask(session, basis.owner, outcome, basis.cause)
    pipeline = ledger.get_pipeline(session, basis.owner)
    if pipeline:
        pipeline.status = "waiting"


@_apply.register
def _apply_notice(outcome: Notice, session: Session, _settings: Settings, basis: Basis) -> None:
    inbox.notify(session, basis.owner, outcome, f"notice:{basis.cause}")


@_apply.register
def _apply_failure(outcome: Failure, session: Session, settings: Settings, basis: Basis) -> None:
    context = Context(
        dataset_version=f"v{basis.owner.number}",
        correlation_id=basis.correlation_id,
        causation_id=basis.causation_id,
    )
    failures.fail_pipeline(
        session, settings, basis.owner, outcome.stage, outcome.error_type, outcome.message, basis.cause, context,
        actor=audit.CORE,
    )  # fmt: skip


def decisions_of(session: Session, owner: Owner) -> list[Decision]:
    """Every decision on a dataset version, oldest first."""
    query = select(Decision).where(*of_version(Decision, owner))
    return list(session.scalars(query.order_by(Decision.created_at)))
