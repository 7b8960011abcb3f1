"""Pages for people: all pipelines, the inbox whose questions are answered by a click, and the script of all pages.

They work without scripts; what they do is what the JSON routes do. Uploading is in upload_page.py.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response
from starlette.concurrency import run_in_threadpool

from mlpipe_dagster.api.access import TheCaller
from mlpipe_dagster.api.error_answers import status_of
from mlpipe_dagster.api.inbox import said_in
from mlpipe_dagster.api.parameters import FormId, FormStatus, OptionalId, PlainText, TheFlusher, TheWarehouse
from mlpipe_dagster.api.templating import page
from mlpipe_dagster.errors import UserError
from mlpipe_dagster.vocabulary import PIPELINE_STATUSES
from mlpipe_dagster.warehouse import decisions, inbox, pipelines
from mlpipe_dagster.warehouse.warehouse import Warehouse

router = APIRouter(include_in_schema=False)
SCRIPT = Path(__file__).parent / "static" / "pages.js"
ROWS = 50
"""Pipelines on a page of the list."""
LAST_PAGE = 10**6
RADIO_CHOICES = 6
"""Up to so many choices are shown at once; more of them are a list to choose from."""


@dataclass(frozen=True)
class Filters:
    """Which pipelines are listed, as the address says it."""

    user_id: str | None
    status: str | None
    text: str | None
    page: int
    reload: str

    def address(self, **changes: object) -> str:
        """Of the same list but for the changes; every change but of the page leads to its first page."""
        said = {**asdict(self), "page": 1, **changes}
        plain = {"page": 1, "reload": "yes"}
        query = {name: value for name, value in said.items() if value and value != plain.get(name)}
        return f"/?{urlencode(query)}".rstrip("?")


@router.get("/")
def pipelines_page(
    warehouse: TheWarehouse,
    caller: TheCaller,
    user_id: FormId = None,
    status: FormStatus = None,
    text: PlainText | None = None,
    page_number: Annotated[int, Query(alias="page", ge=1, le=LAST_PAGE)] = 1,
    reload: Literal["yes", "no"] = "yes",
) -> Response:
    """Pipelines, newest first, a page at a time."""
    skip = (page_number - 1) * ROWS
    with warehouse.reading() as session:
        found = pipelines.list_pipelines(session, warehouse.settings, user_id, status, ROWS + 1, text=text, skip=skip)
        waiting = len(inbox.list_questions(session, user_id, "open"))
    return page(
        "pipelines.html",
        pipelines=found[:ROWS],
        more=len(found) > ROWS,
        waiting=waiting,
        statuses=PIPELINE_STATUSES,
        filters=Filters(user_id, status, text, page_number, reload),
        own=caller.own,
        live=reload == "yes",
    )


@router.get("/static/pages.js")
def script() -> Response:
    """What the pages do beyond forms and links, where scripts run."""
    return Response(SCRIPT.read_bytes(), media_type="text/javascript", headers={"Cache-Control": "no-cache"})


@router.get("/inbox")
def inbox_page(warehouse: TheWarehouse, user_id: OptionalId = None, answered: PlainText | None = None) -> Response:
    """Open questions, then notifications."""
    return _inbox(warehouse, user_id, answered=answered)


@router.post("/inbox/{question_id}")
async def answer(
    request: Request, question_id: PlainText, warehouse: TheWarehouse, flusher: TheFlusher, caller: TheCaller
) -> Response:
    """The form of one question; what does not fit is said above the questions."""
    form = await request.form()
    said: dict[str, Any] = {name: value for name, value in form.items() if value != ""}
    try:
        read = said_in(said)
        who = caller.user_id or read.respondent
        await run_in_threadpool(decisions.answer_question, warehouse, question_id, read.answer, who, read.version)
    except UserError as error:
        return await run_in_threadpool(_inbox, warehouse, caller.own, fault=str(error), status=status_of(error))
    flusher.nudge()
    return RedirectResponse(f"/inbox?answered={quote(question_id, safe='')}", 303)


def _inbox(
    warehouse: Warehouse, user_id: str | None, answered: str | None = None, fault: str = "", status: int = 200
) -> Response:
    with warehouse.reading() as session:
        questions = [inbox.question_object(row) for row in inbox.list_questions(session, user_id, "open")]
        told = [inbox.notification_object(row) for row in inbox.list_notifications(session, user_id)]
    return page(
        "inbox.html",
        status,
        questions=questions,
        notifications=told[:200],
        user_id=user_id,
        answered=answered,
        fault=fault,
        radio_choices=RADIO_CHOICES,
    )
