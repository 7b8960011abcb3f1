"""Routes of questions and notifications. What follows from an answer is decided by the agentic core."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body

from mlpipe_dagster.api.access import TheCaller
from mlpipe_dagster.api.parameters import JsonObject, OptionalId, PlainText, TheFlusher, TheWarehouse
from mlpipe_dagster.errors import UserError
from mlpipe_dagster.warehouse import decisions, inbox

router = APIRouter(tags=["inbox"])


@router.get("/questions")
def questions(
    warehouse: TheWarehouse,
    user_id: OptionalId = None,
    status: Literal["open", "answered", "closed"] | None = None,
) -> list[dict[str, Any]]:
    """Questions, newest first."""
    with warehouse.reading() as session:
        return [inbox.question_object(row) for row in inbox.list_questions(session, user_id, status)]


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
    """Answer a question: `{"answer": {…}, "user_id": …}`, or the fields of the answer directly.

    Where keys are asked for, who answers is the key's user, whatever the body says.
    """
    said, respondent = _said(body)
    row = decisions.answer_question(warehouse, question_id, said, caller.user_id or respondent)
    flusher.nudge()
    return inbox.question_object(row)


def _said(body: dict[str, Any]) -> tuple[dict[str, Any], str | None]:
    """The answer, and who says they give it."""
    respondent = body.get("user_id")
    if respondent is not None and not isinstance(respondent, str):
        raise UserError("user_id must be text.")
    wrapped = body.get("answer")
    if isinstance(wrapped, dict):
        return wrapped, respondent
    return {name: value for name, value in body.items() if name != "user_id"}, respondent


@router.get("/notifications")
def notifications(warehouse: TheWarehouse, user_id: OptionalId = None) -> list[dict[str, Any]]:
    """Notifications, newest first."""
    with warehouse.reading() as session:
        return [inbox.notification_object(row) for row in inbox.list_notifications(session, user_id)]
