"""Questions and notifications: what waits for a person, and what they are told. Answers are bound to their question."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, select, update
from sqlalchemy.orm import Session

from mlpipe_dagster import clock
from mlpipe_dagster.agentic_core import Ask, Notice
from mlpipe_dagster.errors import Conflict, UnknownThing, UserError
from mlpipe_dagster.vocabulary import split_list
from mlpipe_dagster.warehouse import audit, deliveries
from mlpipe_dagster.warehouse.listing import of_version
from mlpipe_dagster.warehouse.outbox import Owner, insert_once, stable_id
from mlpipe_dagster.warehouse.schema import Notification, Question, Respondent

THE_TIMEOUT = "the timeout"
"""Who answered where nobody did in time; no id of a user has a blank."""
AT_DEADLINE = {"default": "its suggestion was taken", "cancel": "its pipeline was cancelled"}


def notify(session: Session, owner: Owner, notice: Notice, cause: str, question: Question | None = None) -> None:
    """Tell the owner, and who else may answer the question it is about; the same cause tells it once."""
    values = {
        "id": stable_id("notification", cause),
        "cause": cause,
        "user_id": owner.user_id,
        "dataset_id": owner.dataset_id,
        "number": owner.number,
        "severity": notice.severity,
        "subject": notice.subject,
        "body": notice.body,
        "link": notice.link,
        "question_id": question.id if question else None,
        "created_at": clock.now(),
    }
    if insert_once(session, Notification, values):
        people = respondents_of(question) if question else []
        deliveries.enqueue(session, "notification", str(values["id"]), owner, [owner.user_id, *people])


def ask(session: Session, owner: Owner, question: Ask, cause: str) -> Question:
    """Put the question into the inbox of who may answer it; put anew for the same cause it is a newer version."""
    now, terms = clock.now(), question.patience
    row = session.get(Question, stable_id("question", cause), with_for_update=True)
    if row is None:
        row = Question(id=stable_id("question", cause), cause=cause, version=0)
        row.user_id, row.dataset_id, row.number = owner.user_id, owner.dataset_id, owner.number or 0
        session.add(row)
    row.version += 1
    row.kind, row.subject, row.body = question.kind, question.subject, question.body
    row.fields, row.about = question.fields, question.about
    row.created_at, row.deadline, row.remind_at = now, _after(now, terms.seconds), _after(now, terms.reminder_seconds)
    row.outcome, row.reminded_at = terms.outcome, None
    row.status, row.answer, row.answered_by, row.answered_at = "open", None, None, None
    row.respondents = [Respondent(user_id=user_id) for user_id in dict.fromkeys(terms.respondents)]
    session.flush()
    deliveries.enqueue(session, "question", row.id, owner, respondents_of(row), row.version)
    audit.record(
        session, "question.asked", audit.CORE, owner, cause=cause, question=row.id, kind=row.kind, version=row.version,
        deadline=clock.iso_or_none(row.deadline), outcome=row.outcome, respondents=[*terms.respondents] or None,
    )  # fmt: skip
    return row


def _after(moment: datetime, seconds: float | None) -> datetime | None:
    return moment + timedelta(seconds=seconds) if seconds is not None else None


def close_questions(session: Session, owner: Owner) -> int:
    """Nobody needs an answer any more to what is asked about this dataset version; returns how many were open."""
    closed = session.execute(
        update(Question).where(*of_version(Question, owner), Question.status == "open").values(status="closed")
    )
    return closed.rowcount  # type: ignore[attr-defined, no-any-return]


def get_question(session: Session, question_id: str) -> Question:
    """The question of that id; raises UnknownThing."""
    row = session.get(Question, question_id)
    if row is None:
        raise UnknownThing(f"There is no question {question_id}.")
    return row


def close_with_answer(
    session: Session, question_id: str, answer: dict[str, Any], answered_by: str | None, version: int | None = None
) -> Question:
    """Record an answer to an open question; nobody named: its owner's. `version`: which one the person has read.

    Raises
    ------
    UnknownThing, Conflict, PermissionError, UserError
        No such question; answered, closed or put anew meanwhile; not the respondent's; not one of the choices.
    """
    row = get_question(session, question_id)
    answered_by = answered_by or row.user_id
    if not row.may_answer(answered_by):
        raise PermissionError(f"This question is for {', '.join(respondents_of(row))}.")
    lock_open(session, row)
    if version is not None and version != row.version:
        raise Conflict(f"This question was put anew: you answered version {version}, it is version {row.version} now.")
    return _record_answer(session, row, answer, answered_by, audit.person(answered_by))


def close_with_default(session: Session, question_id: str) -> Question:
    """Record the question's own suggestion, as nobody answered in time. Raises as `close_with_answer`."""
    row = lock_open(session, get_question(session, question_id))
    return _record_answer(session, row, {}, THE_TIMEOUT, audit.SWEEP)


def close_without_answer(session: Session, question_id: str) -> Question:
    """Close the question, as nobody answered in time; raises UnknownThing and Conflict."""
    row = lock_open(session, get_question(session, question_id))
    row.status, row.answered_by, row.answered_at = "closed", THE_TIMEOUT, clock.now()
    _record_closing(session, row, audit.SWEEP)
    return row


def lock_open(session: Session, row: Question) -> Question:
    """The row as it stands now, kept from others until the transaction ends; raises Conflict unless it is open."""
    session.refresh(row, with_for_update=True)  # of two at the same moment one wins
    if row.status == "open":
        return row
    if row.answered_by == THE_TIMEOUT:
        when = f"{row.answered_at:%Y-%m-%d %H:%M:%S} UTC"
        raise Conflict(f"The time for this question was over: {AT_DEADLINE[row.outcome]} at {when}.")
    raise Conflict("This question has been answered already." if row.answer else "This question is closed.")


def _record_answer(
    session: Session, row: Question, answer: dict[str, Any], answered_by: str, actor: audit.Actor
) -> Question:
    row.answer = checked_answer(row.fields, answer)
    row.status, row.answered_by, row.answered_at = "answered", answered_by, clock.now()
    _record_closing(session, row, actor)
    return row


def _record_closing(session: Session, row: Question, actor: audit.Actor) -> None:
    what = "question.timed_out" if row.answered_by == THE_TIMEOUT else "question.answered"
    owner = Owner(row.user_id, row.dataset_id, row.number)
    audit.record(
        session, what, actor, owner, cause=row.cause, question=row.id, version=row.version, answer=row.answer,
        outcome=row.outcome if row.answered_by == THE_TIMEOUT else None,
    )  # fmt: skip


def respondents_of(row: Question) -> list[str]:
    """Who may answer, the owner first."""
    return list(dict.fromkeys([row.user_id, *(named.user_id for named in row.respondents)]))


def checked_answer(fields: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    """The answer with defaults filled in, held to the question's JSON Schema; a list may come as `a,b`.

    Raises
    ------
    UserError
        A field does not fit; the message names it.
    """
    properties: dict[str, dict[str, Any]] = fields["properties"]
    unknown = sorted(set(answer) - set(properties))
    if unknown:
        raise UserError(f"The question has no field “{unknown[0]}”. Its fields are: {', '.join(properties)}.")
    complete = {name: _typed(shape, answer.get(name, shape.get("default"))) for name, shape in properties.items()}
    for name in fields.get("required", []):
        if complete[name] is None:
            raise UserError(f"“{name}” needs an answer.")
    for name, value in complete.items():
        if value is not None:
            _check_field(name, properties[name], value)
    return complete


def _typed(shape: dict[str, Any], value: object) -> object:
    """Forms and command lines have no lists: `a,b` stands for one."""
    if shape.get("type") == "array" and isinstance(value, str):
        return list(split_list(value))
    return value


def _check_field(name: str, shape: dict[str, Any], value: object) -> None:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    fault = best_match(Draft202012Validator(shape).iter_errors(value))
    if fault is None:
        return
    allowed = fault.schema.get("enum", ())
    if allowed:
        choices = ", ".join(map(str, allowed[:30]))
        raise UserError(f"“{name}” cannot be “{fault.instance}”. Choose one of: {choices}.")
    raise UserError(f"“{name}” does not fit: {fault.message}.")


def list_questions(session: Session, user_id: str | None, status: str | None) -> list[Question]:
    """Questions, newest first."""
    query = select(Question).order_by(Question.created_at.desc())
    if user_id:
        query = query.where((Question.user_id == user_id) | Question.id.in_(_put_to(user_id)))
    if status:
        query = query.where(Question.status == status)
    return list(session.scalars(query.limit(1000)))


def list_notifications(session: Session, user_id: str | None) -> list[Notification]:
    """Notifications, newest first."""
    query = select(Notification).order_by(Notification.created_at.desc())
    if user_id:
        query = query.where((Notification.user_id == user_id) | Notification.question_id.in_(_put_to(user_id)))
    return list(session.scalars(query.limit(1000)))


def _put_to(user_id: str) -> Select[str]:
    """Ids of other people's questions that this person may answer."""
    return select(Respondent.question_id).where(Respondent.user_id == user_id)


def question_object(row: Question) -> dict[str, Any]:
    """The question as the REST API answers it."""
    return {
        "id": row.id,
        "user_id": row.user_id,
        "dataset_id": row.dataset_id,
        "version": f"v{row.number}",
        "kind": row.kind,
        "subject": row.subject,
        "body": row.body,
        "fields": row.fields,
        "status": row.status,
        "question_version": row.version,
        "respondents": respondents_of(row),
        "deadline": clock.iso_or_none(row.deadline),
        "outcome": row.outcome,
        "remind_at": clock.iso_or_none(row.remind_at),
        "reminded_at": clock.iso_or_none(row.reminded_at),
        "answer": row.answer,
        "answered_by": row.answered_by,
        "answered_at": clock.iso_or_none(row.answered_at),
        "timed_out": row.answered_by == THE_TIMEOUT,
        "created_at": clock.iso(row.created_at),
    }


def notification_object(row: Notification) -> dict[str, Any]:
    """The notification as the REST API answers it."""
    return {
        "id": row.id,
        "user_id": row.user_id,
        "dataset_id": row.dataset_id,
        "version": f"v{row.number}" if row.number else None,
        "severity": row.severity,
        "subject": row.subject,
        "body": row.body,
        "link": row.link,
        "question_id": row.question_id,
        "created_at": clock.iso(row.created_at),
    }
