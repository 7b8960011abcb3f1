"""The form “change and run again from here” on a pipeline's page: what it offers, and what it asks for.

It does what `POST /pipelines/{dataset_id}/again` does: what is sent as it was before is no change.
"""

from collections.abc import Collection, Mapping
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData

from mlpipe_dagster.api import pipeline_page
from mlpipe_dagster.api.access import TheCaller
from mlpipe_dagster.api.answer_forms import some_of
from mlpipe_dagster.api.error_answers import KNOWN, status_of
from mlpipe_dagster.api.parameters import OptionalId, PartitionKey, TheFlusher, TheWarehouse
from mlpipe_dagster.api.pipeline_page import Attempt
from mlpipe_dagster.api.pipelines import Change, again, back_to_page
from mlpipe_dagster.api.templating import prefers_html
from mlpipe_dagster.errors import UserError
from mlpipe_dagster.warehouse import datasets, pipelines
from mlpipe_dagster.warehouse.warehouse import Warehouse

router = APIRouter(include_in_schema=False)
TEXTS = ("target_column_name", "task_type", "time_budget", "engine", "xai_level", "mitigation", "fairness", "stage")
TAKEN_BACK = ("positive_class", "conditioning_column", "reference_shares")
"""Texts that are found out where they are empty."""
LISTS = ("sensitive_features", "drop")


@router.post("/pipelines/{dataset_id}/change")
async def change(
    request: Request,
    dataset_id: PartitionKey,
    warehouse: TheWarehouse,
    flusher: TheFlusher,
    caller: TheCaller,
    user_id: OptionalId = None,
) -> Response:
    """Run the pipeline again with what was changed, and show it; what does not fit is said beside the form."""
    said = _said(await request.form())
    try:
        settled, columns = await run_in_threadpool(_settled, warehouse, dataset_id, user_id)
        said |= {listed: some_of(said[listed], columns) for listed in LISTS}
        asked = _change(said, settled)
        await run_in_threadpool(again, dataset_id, asked, warehouse, flusher, caller, user_id)
    except KNOWN as error:
        if not prefers_html(request):
            raise
        attempt = Attempt(said, str(error), status_of(error))
        return await run_in_threadpool(pipeline_page.show, warehouse, dataset_id, user_id, attempt=attempt)
    return back_to_page(dataset_id, user_id)


def _said(form: FormData) -> dict[str, Any]:
    texts = {name: str(form.get(name) or "").strip() for name in TEXTS}
    texts |= {name: str(form[name]).strip() for name in TAKEN_BACK if name in form}
    return texts | {listed: tuple(str(name) for name in form.getlist(listed) if name) for listed in LISTS}


def _settled(warehouse: Warehouse, dataset_id: str, user_id: str | None) -> tuple[Mapping[str, Any], Collection[str]]:
    """What the pipeline does now, as the form shows it, and the table's columns."""
    with warehouse.reading() as session:
        found = pipelines.pipeline_object(session, warehouse.settings, dataset_id, user_id)
        profile = datasets.profile_of(datasets.get_version(session, found["user_id"], found["dataset_id"]))
    return pipeline_page.settled_choices(found), profile.names if profile else ()


def _change(said: Mapping[str, Any], settled: Mapping[str, Any]) -> Change:
    differing = {name: text for name, text in said.items() if name in TEXTS and text and text != settled.get(name)}
    differing |= {name: said[name] for name in TAKEN_BACK if name in said and said[name] != settled.get(name, "")}
    differing |= {listed: said[listed] for listed in LISTS if set(said[listed]) != set(settled.get(listed, ()))}
    try:
        return Change.model_validate(differing)
    except ValueError as error:
        raise UserError("The form holds a value that it does not offer. Load the page again.") from error
