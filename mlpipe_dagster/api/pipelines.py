"""Routes of pipelines: JSON for programs, the page for people who follow a link.

What they show is put together in warehouse/pipelines.py.
"""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response

from mlpipe_dagster.api import pipeline_page
from mlpipe_dagster.api.parameters import OptionalId, PartitionKey, TheWarehouse
from mlpipe_dagster.api.templating import prefers_html
from mlpipe_dagster.warehouse import pipelines

router = APIRouter(prefix="/pipelines", tags=["pipelines"])

Status = Literal["running", "waiting", "done", "failed", "cancelled", "superseded"]


@router.get("")
def list_all(
    warehouse: TheWarehouse,
    user_id: OptionalId = None,
    status: Status | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> list[dict[str, Any]]:
    """Pipelines, newest first."""
    with warehouse.reading() as session:
        return pipelines.list_pipelines(session, warehouse.settings, user_id, status, limit)


@router.get("/{dataset_id}", response_model=None)
def read(
    request: Request,
    dataset_id: PartitionKey,
    warehouse: TheWarehouse,
    user_id: OptionalId = None,
    version: OptionalId = None,
    reload: Literal["yes", "no"] = "yes",
) -> Response:
    """One dataset version's pipeline with all that happened in it; a page where the reader prefers HTML."""
    with warehouse.reading() as session:
        found = pipelines.pipeline_object(session, warehouse.settings, dataset_id, user_id, version)
    if prefers_html(request):
        return pipeline_page.render(found, reload == "yes")
    return JSONResponse(found, headers={"Vary": "Accept"})
