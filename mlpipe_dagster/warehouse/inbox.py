"""Questions and notifications: what waits for a person, and what they are told. Answers are bound to their question."""

from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from mlpipe_dagster import clock
from mlpipe_dagster.agentic_core import Ask, Notice
from mlpipe_dagster.errors import Conflict, UnknownThing, UserError
from mlpipe_dagster.warehouse import audit
from mlpipe_dagster.warehouse.listing import of_version
from mlpipe_dagster.warehouse.outbox import Owner, insert_once, stable_id
from mlpipe_dagster.warehouse.schema import Notification, Question


def notify(session: Session, owner: Owner, notice: Notice, cause: str) -> None:
    """Tell the owner; the same cause tells it once."""
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
        "created_at": clock.now(),
    }
    insert_once(session, Notification, values)


def ask(session: Session, owner: Owner, question: Ask, cause: str) -> Question:
    """Put the question into the owner's inbox."""
    row = Question(
        id=stable_id("question", cause),
        cause=cause,
        user_id=owner.user_id,
        dataset_id=owner.dataset_id,
        number=owner.number,
        kind=question.kind,
        subject=question.subject,
        body=question.body,
        fields=question.fields,
        about=question.about,
    )
    session.add(row)
    audit.record(session, "question.asked", audit.CORE, owner, cause=cause, question=row.id, kind=row.kind)
    return row


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


def close_with_answer(session: Session, question_id: str, answer: dict[str, Any], answered_by: str) -> Question:
    """Record the answer to an open question.

    Raises
    ------
    UnknownThing, Conflict, PermissionError, UserError
        No such question; answered or closed already; not the respondent's; not one of the choices.
    """
    row = get_question(session, question_id)
    session.refresh(row, with_for_update=True)  # of two answers at the same moment one wins
    if row.user_id != answered_by:
        raise PermissionError(f"This question is for {row.user_id}.")
    if row.status != "open":
        raise Conflict("This question has been answered already." if row.answer else "This question is closed.")
    row.answer = checked_answer(row.fields, answer)
    row.status, row.answered_by, row.answered_at = "answered", answered_by, clock.now()
    owner, actor = Owner(row.user_id, row.dataset_id, row.number), audit.person(answered_by)
    audit.record(session, "question.answered", actor, owner, cause=row.cause, question=row.id, answer=row.answer)
    return row


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
        return [part.strip() for part in value.split(",") if part.strip()]
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
        query = query.where(Question.user_id == user_id)
    if status:
        query = query.where(Question.status == status)
    return list(session.scalars(query.limit(1000)))


def list_notifications(session: Session, user_id: str | None) -> list[Notification]:
    """Notifications, newest first."""
    query = select(Notification).order_by(Notification.created_at.desc())
    if user_id:
        query = query.where(Notification.user_id == user_id)
    return list(session.scalars(query.limit(1000)))


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
        "answer": row.answer,
        "answered_by": row.answered_by,
        "answered_at": clock.iso(row.answered_at) if row.answered_at else None,
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
        "created_at": clock.iso(row.created_at),
    }
