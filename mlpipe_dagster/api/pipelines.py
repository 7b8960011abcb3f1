"""Routes of pipelines: JSON for programs, the page for people who follow a link.

What they show is put together in warehouse/pipelines.py.
"""

from typing import Annotated, Any, Literal
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from pydantic import BaseModel, ConfigDict

from mlpipe_dagster.api import dagster_runs, pipeline_page
from mlpipe_dagster.api.access import TheCaller
from mlpipe_dagster.api.parameters import (
    AnyCaseLevel,
    OptionalId,
    PartitionKey,
    PlainText,
    TheFlusher,
    TheWarehouse,
)
from mlpipe_dagster.api.templating import prefers_html
from mlpipe_dagster.api.xai_reports import stored_page
from mlpipe_dagster.automl.engines.known import ShortBudget, usable_engine
from mlpipe_dagster.bias.mitigation.choice import MitigationWish
from mlpipe_dagster.choices import Wishes
from mlpipe_dagster.events import Id
from mlpipe_dagster.vocabulary import PipelineStatus, Stage, parse_task
from mlpipe_dagster.warehouse import again as running_again
from mlpipe_dagster.warehouse import datasets, former, interventions, pipelines

router = APIRouter(prefix="/pipelines", tags=["pipelines"])

LARGEST_ENTRY = 2**31 - 1


class Change(BaseModel):
    """What is to be different; what is left out stays as it was."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    target_column_name: PlainText | None = None
    task_type: PlainText | None = None
    sensitive_features: tuple[PlainText, ...] | None = None
    positive_class: PlainText | None = None
    conditioning_column: PlainText | None = None
    reference_shares: PlainText | None = None
    drop: tuple[PlainText, ...] | None = None
    time_budget: PlainText | None = None
    engine: PlainText | None = None
    short_budget: ShortBudget | None = None
    continue_from: Id | None = None
    """Version of this dataset's model whose search the training goes on from."""
    xai_level: AnyCaseLevel | None = None
    mitigation: MitigationWish | None = None
    fairness: PlainText | None = None
    stage: Literal["bias", "automl", "xai"] | None = None
    """Where to start; by default the first stage that the changes concern."""

    def wishes(self) -> Wishes:
        """The changes as a pipeline understands them; raises TaskError or EngineError for what is not there."""
        if self.task_type is not None:
            parse_task(self.task_type)
        if self.engine is not None:
            usable_engine(self.engine)
        return Wishes.model_validate(self.model_dump(exclude={"stage"}))


@router.get("")
def list_all(
    warehouse: TheWarehouse,
    user_id: OptionalId = None,
    status: PipelineStatus | None = None,
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
    if prefers_html(request):
        return pipeline_page.show(warehouse, dataset_id, user_id, version, reload=reload == "yes")
    with warehouse.reading() as session:
        found = pipelines.pipeline_object(session, warehouse.settings, dataset_id, user_id, version)
    return JSONResponse(found, headers={"Vary": "Accept"})


@router.post("/{dataset_id}/cancel", response_model=dict[str, Any])
def cancel(
    request: Request,
    dataset_id: PartitionKey,
    warehouse: TheWarehouse,
    flusher: TheFlusher,
    caller: TheCaller,
    user_id: OptionalId = None,
) -> dict[str, Any] | Response:
    """End a pipeline: its run is stopped, its question closed, its later triggers ignored. 409 when it has ended."""
    ended = interventions.cancel_pipeline(warehouse, dataset_id, user_id, by=caller.user_id or user_id or "the API")
    dagster_runs.terminate(warehouse.settings.dagster_base, ended.run_ids)
    flusher.nudge()
    owner = ended.owner
    if prefers_html(request):
        return back_to_page(dataset_id, user_id)
    return {"dataset_id": owner.dataset_id, "user_id": owner.user_id, "status": "cancelled", "runs": ended.run_ids}


@router.post("/{dataset_id}/retry", response_model=dict[str, Any])
def retry(
    request: Request,
    dataset_id: PartitionKey,
    warehouse: TheWarehouse,
    flusher: TheFlusher,
    user_id: OptionalId = None,
    stage: Stage | None = None,
) -> dict[str, Any] | Response:
    """Try a stage again, by default the one that failed last. 409 when there is nothing to try again."""
    again = interventions.retry_pipeline(warehouse, dataset_id, user_id, stage)
    flusher.nudge()
    if prefers_html(request):
        return back_to_page(dataset_id, user_id)
    return {"dataset_id": dataset_id, "stage": again, "status": "running"}


def back_to_page(key: str, user_id: str | None) -> Response:
    """Where a browser goes after its button's request, so that loading again repeats nothing."""
    owner = f"?{urlencode({'user_id': user_id})}" if user_id else ""
    return RedirectResponse(f"/pipelines/{quote(key, safe='')}{owner}", 303)


@router.post("/{dataset_id}/again")
def again(
    dataset_id: PartitionKey,
    change: Change,
    warehouse: TheWarehouse,
    flusher: TheFlusher,
    caller: TheCaller,
    user_id: OptionalId = None,
) -> dict[str, Any]:
    """Change what the pipeline does and run it again from a stage. 409 while it is at work, 422 for what cannot be."""
    by = caller.user_id or user_id or "the API"
    stage = Stage(change.stage) if change.stage else None
    started = running_again.run_again(warehouse, dataset_id, user_id, change.wishes(), stage, by)
    flusher.nudge()
    owner = started.owner
    return {
        "dataset_id": owner.dataset_id,
        "user_id": owner.user_id,
        "version": f"v{owner.number}",
        "stage": started.stage,
        "status": "running",
        "choices": started.choices.model_dump(mode="json"),
    }


@router.get("/{dataset_id}/history/{entry}", response_model=None)
def history(
    dataset_id: PartitionKey,
    entry: Annotated[int, Path(ge=1, le=LARGEST_ENTRY)],
    warehouse: TheWarehouse,
    user_id: OptionalId = None,
) -> Response:
    """What something newer has replaced: an explanation as its page, a bias report or choices as JSON."""
    with warehouse.reading() as session:
        key = datasets.find_key(session, dataset_id, user_id)
        row = former.get_former(session, key.user_id, key.dataset_id, entry)
    if row.kind != "explanation":
        return JSONResponse(row.about)
    return stored_page(warehouse, row.about["file_path"], foreign=row.about["foreign"])
