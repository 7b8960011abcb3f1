"""The inbox as a page: every open question with its form, then notifications. Answers are what the JSON routes take.

A link may open a question with the answer chosen: `/inbox?question=ID&field=value`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import ImmutableMultiDict

from mlpipe_dagster.api.access import Caller, TheCaller
from mlpipe_dagster.api.answer_forms import Field, answer_of, fields_of
from mlpipe_dagster.api.error_answers import KNOWN, status_of
from mlpipe_dagster.api.inbox import ABOUT_THE_ANSWER, said_in
from mlpipe_dagster.api.parameters import FormId, PlainText, TheFlusher, TheWarehouse
from mlpipe_dagster.api.templating import page, prefers_html
from mlpipe_dagster.warehouse import decisions, deliveries, inbox
from mlpipe_dagster.warehouse.schema import Question
from mlpipe_dagster.warehouse.warehouse import Warehouse

router = APIRouter(include_in_schema=False)
QUESTIONS, NOTIFICATIONS = 50, 100
"""So many of each are shown."""
AT_DEADLINE = {"default": "what is suggested is taken", "cancel": "the pipeline is cancelled"}
NO_FIELDS = frozenset({*ABOUT_THE_ANSWER, "question", "answered", "reload"})


@dataclass(frozen=True)
class Asked:
    """A question with its form, and what was wrong with the answer that was given."""

    question: Mapping[str, Any]
    fields: Sequence[Field]
    opened: bool
    fault: str


@dataclass(frozen=True)
class Opened:
    """The question that the page is about, and what its form holds."""

    question_id: str | None = None
    said: Mapping[str, Sequence[str]] = field(default_factory=dict)
    fault: str = ""

    def draw(self, question: Mapping[str, Any]) -> Asked:
        """The question with its form; another one than the opened with its defaults."""
        opened = question["id"] == self.question_id
        fields = fields_of(question["fields"], self.said if opened else None)
        return Asked(question, fields, opened, self.fault if opened else "")


@router.get("/inbox")
def inbox_page(
    request: Request,
    warehouse: TheWarehouse,
    user_id: FormId = None,
    answered: PlainText | None = None,
    question: PlainText | None = None,
    reload: Literal["yes", "no"] = "yes",
) -> Response:
    """Open questions, the one of a link first and filled in, then notifications."""
    said = _said(request.query_params) if question else {}
    return _inbox(warehouse, user_id, Opened(question, said), answered=answered, live=reload == "yes")


@router.post("/inbox/{question_id}")
async def answer(
    request: Request, question_id: PlainText, warehouse: TheWarehouse, flusher: TheFlusher, caller: TheCaller
) -> Response:
    """The form of one question; what does not fit is said beside it, and what was entered stays."""
    form = await request.form()
    said = _said(form)
    about = {name: form.get(name) or None for name in ABOUT_THE_ANSWER}
    try:
        await run_in_threadpool(_answer, warehouse, question_id, said, about, caller)
    except KNOWN as error:
        if not prefers_html(request):
            raise
        opened = Opened(question_id, said, str(error))
        return await run_in_threadpool(_inbox, warehouse, caller.own, opened, status=status_of(error))
    flusher.nudge()
    return RedirectResponse(f"/inbox?answered={quote(question_id, safe='')}", 303)


def _said(fields: ImmutableMultiDict[str, Any]) -> dict[str, list[str]]:
    names = [name for name in fields if name not in NO_FIELDS]
    return {name: [str(value) for value in fields.getlist(name)] for name in names}


def _answer(
    warehouse: Warehouse, question_id: str, said: Mapping[str, Sequence[str]], about: Mapping[str, Any], caller: Caller
) -> None:
    with warehouse.reading() as session:
        schema = inbox.get_question(session, question_id).fields
    read = said_in({**about, "answer": answer_of(schema, said)})
    who = caller.user_id or read.respondent
    decisions.answer_question(warehouse, question_id, read.answer, who, read.version)


def _inbox(
    warehouse: Warehouse,
    user_id: str | None,
    opened: Opened,
    answered: str | None = None,
    live: bool = False,
    status: int = 200,
) -> Response:
    with warehouse.reading() as session:
        rows = inbox.list_questions(session, user_id, "open")
        rows.sort(key=lambda row: row.id != opened.question_id)
        told = inbox.list_notifications(session, user_id)[:NOTIFICATIONS]
        notifications = deliveries.beside(session, [inbox.notification_object(row) for row in told])
        asked = [opened.draw(inbox.question_object(row)) for row in rows[:QUESTIONS]]
        about = _closed(session, answered or opened.question_id, user_id)
    is_open = any(each.opened for each in asked)
    return page(
        "inbox.html",
        status,
        asked=asked,
        hidden=len(rows) - len(asked),
        notifications=notifications,
        user_id=user_id,
        answered=answered,
        about=about,
        fault="" if is_open else opened.fault,
        gone=bool(opened.question_id) and not is_open and not opened.fault,
        live=live,
        at_deadline=AT_DEADLINE,
    )


def _closed(session: Session, question_id: str | None, user_id: str | None) -> dict[str, Any] | None:
    """The question of that id where it is not open any more and the reader is one of those it was put to."""
    row = session.get(Question, question_id) if question_id else None
    theirs = row is not None and row.status != "open" and (user_id is None or row.may_answer(user_id))
    return inbox.question_object(row) if row and theirs else None
