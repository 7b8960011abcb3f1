"""Pages for people: all pipelines with an upload form, and the inbox whose questions are answered by a click.

They work without scripts; what they do is what the JSON routes do.
"""

from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response
from starlette.concurrency import run_in_threadpool

from mlpipe_dagster.api.access import TheCaller
from mlpipe_dagster.api.datasets import Choices, Fields, UploadedFile, store
from mlpipe_dagster.api.error_answers import STATUS_OF
from mlpipe_dagster.api.parameters import OptionalId, PlainText, TheFlusher, TheInspector, TheWarehouse
from mlpipe_dagster.api.receiving import form_route
from mlpipe_dagster.api.templating import page
from mlpipe_dagster.errors import UserError
from mlpipe_dagster.events import Id
from mlpipe_dagster.vocabulary import PIPELINE_STATUSES, PipelineStatus
from mlpipe_dagster.warehouse import decisions, inbox, pipelines
from mlpipe_dagster.warehouse.warehouse import Warehouse

router = APIRouter(include_in_schema=False, route_class=form_route("md5"))
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


@router.post("/upload")
def upload(
    file: UploadedFile,
    user_id: Annotated[Id, Form()],
    fields: Fields,
    choices: Choices,
    warehouse: TheWarehouse,
    inspector: TheInspector,
    flusher: TheFlusher,
    caller: TheCaller,
) -> Response:
    """The upload form of the page."""
    caller.check(user_id)
    version = store(warehouse, inspector, user_id, file, fields, choices)
    flusher.nudge()
    owner = quote(version.user_id, safe="")
    return RedirectResponse(f"/pipelines/{quote(version.partition_key, safe='')}?user_id={owner}", 303)


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
        kind = next(kind for kind in type(error).__mro__ if kind in STATUS_OF)
        return await run_in_threadpool(_inbox, warehouse, caller.own, fault=str(error), status=STATUS_OF[kind])
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
