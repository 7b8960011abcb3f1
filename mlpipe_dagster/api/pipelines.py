"""Routes of pipelines: JSON for programs, the page for people who follow a link.

What they show is put together in warehouse/pipelines.py.
"""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response

from mlpipe_dagster.api import dagster_runs, pipeline_page
from mlpipe_dagster.api.access import TheCaller
from mlpipe_dagster.api.parameters import OptionalId, PartitionKey, TheFlusher, TheWarehouse
from mlpipe_dagster.api.templating import prefers_html
from mlpipe_dagster.vocabulary import Stage
from mlpipe_dagster.warehouse import interventions, pipelines

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


@router.post("/{dataset_id}/cancel")
def cancel(
    dataset_id: PartitionKey,
    warehouse: TheWarehouse,
    flusher: TheFlusher,
    caller: TheCaller,
    user_id: OptionalId = None,
) -> dict[str, Any]:
    """End a pipeline: its run is stopped, its question closed, its later triggers ignored. 409 when it has ended."""
    ended = interventions.cancel_pipeline(warehouse, dataset_id, user_id, by=caller.user_id or user_id or "the API")
    dagster_runs.terminate(warehouse.settings.dagster_base, ended.run_ids)
    flusher.nudge()
    owner = ended.owner
    return {"dataset_id": owner.dataset_id, "user_id": owner.user_id, "status": "cancelled", "runs": ended.run_ids}


@router.post("/{dataset_id}/retry")
def retry(
    dataset_id: PartitionKey,
    warehouse: TheWarehouse,
    flusher: TheFlusher,
    user_id: OptionalId = None,
    stage: Stage | None = None,
) -> dict[str, Any]:
    """Try a stage again, by default the one that failed last. 409 when there is nothing to try again."""
    again = interventions.retry_pipeline(warehouse, dataset_id, user_id, stage)
    flusher.nudge()
    return {"dataset_id": dataset_id, "stage": again, "status": "running"}
