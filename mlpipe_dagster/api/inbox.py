"""Routes of questions and notifications. What follows from an answer is decided by the agentic core."""

import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body

from mlpipe_dagster.api.access import TheCaller
from mlpipe_dagster.api.parameters import JsonObject, OptionalId, PlainText, TheFlusher, TheWarehouse
from mlpipe_dagster.errors import UserError
from mlpipe_dagster.events import ID_PATTERN
from mlpipe_dagster.warehouse import decisions, deliveries, inbox

router = APIRouter(tags=["inbox"])
ABOUT_THE_ANSWER = ("user_id", "question_version")


@router.get("/questions")
def questions(
    warehouse: TheWarehouse,
    user_id: OptionalId = None,
    status: Literal["open", "answered", "closed"] | None = None,
) -> list[dict[str, Any]]:
    """Questions, newest first; `deliveries` says which outside channel was told."""
    with warehouse.reading() as session:
        found = [inbox.question_object(row) for row in inbox.list_questions(session, user_id, status)]
        return deliveries.beside(session, found)


@router.get("/questions/{question_id}")
def question(question_id: PlainText, warehouse: TheWarehouse) -> dict[str, Any]:
    """One question."""
    with warehouse.reading() as session:
        return inbox.question_object(inbox.get_question(session, question_id))


@router.post("/questions/{question_id}/answer")
def answer(
    question_id: PlainText,
    body: Annotated[JsonObject, Body()],
    warehouse: TheWarehouse,
    flusher: TheFlusher,
    caller: TheCaller,
) -> dict[str, Any]:
    """Answer a question: `{"answer": {…}, "user_id": …, "question_version": …}`, or the fields of the answer directly.

    Where keys are asked for, who answers is the key's user, whatever the body says. With `question_version`, the one
    that was read, an answer to a question that was put anew since is refused.
    """
    said = said_in(body)
    answered_by = caller.user_id or said.respondent
    row = decisions.answer_question(warehouse, question_id, said.answer, answered_by, said.version)
    flusher.nudge()
    return inbox.question_object(row)


@dataclass(frozen=True)
class Said:
    """An answer, who says they give it, and which version of the question they have read."""

    answer: dict[str, Any]
    respondent: str | None
    version: int | None


def said_in(body: dict[str, Any]) -> Said:
    """The answer in a body or a form; raises UserError where what is said beside it is not understood."""
    respondent, version = body.get("user_id"), body.get("question_version")
    if respondent is not None and not (isinstance(respondent, str) and re.fullmatch(ID_PATTERN, respondent)):
        raise UserError("user_id must be the id of a user.")
    if version is not None and not re.fullmatch(r"[1-9][0-9]{0,8}", str(version)):
        raise UserError("question_version must be the number that the question has in GET /questions.")
    wrapped = body.get("answer")
    fields = wrapped if isinstance(wrapped, dict) else body
    answer = {name: value for name, value in fields.items() if fields is wrapped or name not in ABOUT_THE_ANSWER}
    return Said(answer, respondent, int(version) if version is not None else None)


@router.get("/notifications")
def notifications(warehouse: TheWarehouse, user_id: OptionalId = None) -> list[dict[str, Any]]:
    """Notifications, newest first; `deliveries` says which outside channel was told."""
    with warehouse.reading() as session:
        found = [inbox.notification_object(row) for row in inbox.list_notifications(session, user_id)]
        return deliveries.beside(session, found)
