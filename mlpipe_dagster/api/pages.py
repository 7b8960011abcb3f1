"""Pages for people: all pipelines, the inbox whose questions are answered by a click, and the script of all pages.

They work without scripts; what they do is what the JSON routes do. Uploading is in upload_page.py.
"""

from pathlib import Path
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from starlette.concurrency import run_in_threadpool

from mlpipe_dagster.api.access import TheCaller
from mlpipe_dagster.api.error_answers import status_of
from mlpipe_dagster.api.parameters import OptionalId, PlainText, TheFlusher, TheWarehouse
from mlpipe_dagster.api.templating import page
from mlpipe_dagster.errors import UserError
from mlpipe_dagster.vocabulary import PIPELINE_STATUSES, PipelineStatus
from mlpipe_dagster.warehouse import decisions, inbox, pipelines
from mlpipe_dagster.warehouse.warehouse import Warehouse

router = APIRouter(include_in_schema=False)
SCRIPT = Path(__file__).parent / "static" / "pages.js"
RADIO_CHOICES = 6
"""Up to so many choices are shown at once; more of them are a list to choose from."""


@router.get("/")
def pipelines_page(
    warehouse: TheWarehouse, user_id: OptionalId = None, status: PipelineStatus | None = None
) -> Response:
    """All pipelines, newest first."""
    with warehouse.reading() as session:
        found = pipelines.list_pipelines(session, warehouse.settings, user_id, status)
        waiting = len(inbox.list_questions(session, user_id, "open"))
    return page(
        "pipelines.html",
        pipelines=found,
        waiting=waiting,
        statuses=PIPELINE_STATUSES,
        status=status,
        user_id=user_id,
        api_base=warehouse.settings.api_base,
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
        await run_in_threadpool(decisions.answer_question, warehouse, question_id, said, caller.user_id)
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
