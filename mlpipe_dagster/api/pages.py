"""The list of pipelines as a page, and the script of all pages. They work without it.

The other pages: upload_page.py, inbox_page.py, pipeline_page.py, login.py.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Query
from fastapi.responses import Response

from mlpipe_dagster.api.access import TheCaller
from mlpipe_dagster.api.parameters import FormId, FormStatus, PlainText, TheWarehouse
from mlpipe_dagster.api.templating import page
from mlpipe_dagster.vocabulary import PIPELINE_STATUSES
from mlpipe_dagster.warehouse import inbox, pipelines

router = APIRouter(include_in_schema=False)
SCRIPT = Path(__file__).parent / "static" / "pages.js"
ROWS = 50
"""Pipelines on a page of the list."""
LAST_PAGE = 10**6


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
