"""Routes that explain one row: as JSON for programs, and as a page on which a person tries other values.

The page needs no script: it is a form that is sent and drawn again.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from mlpipe_dagster.api.error_answers import KNOWN, status_of
from mlpipe_dagster.api.explainer import Explainer
from mlpipe_dagster.api.parameters import JsonObject, OptionalId, PlainText, TheExplainer, TheWarehouse
from mlpipe_dagster.api.templating import page
from mlpipe_dagster.events import Id
from mlpipe_dagster.reports.wording import written_in
from mlpipe_dagster.warehouse import models
from mlpipe_dagster.warehouse.warehouse import Warehouse

router = APIRouter(tags=["explanations"])
MOST_FIELDS = 40
"""Columns that the page offers to change, the strongest first."""


class RowToExplain(BaseModel):
    """A table row (counted from 1), values by column, or both: then the values replace the row's own."""

    model_config = ConfigDict(extra="forbid")
    row: int | None = Field(None, ge=1)
    values: dict[PlainText, PlainText | int | float | bool | None] = {}
    seed: int = Field(0, ge=0)


@router.post("/ai-models/{user_id}/{model_id}/explain")
def explain(
    user_id: Id,
    model_id: Id,
    asked: RowToExplain,
    warehouse: TheWarehouse,
    explainer: TheExplainer,
    version: OptionalId = None,
) -> JsonObject:
    """What a model says of one row, why (SHAP and LIME), and the fewest changes that would turn it."""
    with warehouse.reading() as session:
        found = models.model_of(session, user_id, model_id, version)
    answer = explainer.ask(warehouse, found, asked.row, dict(asked.values), asked.seed)
    return answer.model_dump(mode="json")


@router.get("/what-if/{user_id}/{model_id}", include_in_schema=False)
def what_if(
    user_id: Id,
    model_id: Id,
    warehouse: TheWarehouse,
    explainer: TheExplainer,
    version: OptionalId = None,
    row: Annotated[int, Query(ge=1)] = 1,
) -> Response:
    """The page with a table row as it is."""
    return _page(warehouse, explainer, user_id, model_id, version, row, {})


@router.post("/what-if/{user_id}/{model_id}", include_in_schema=False)
async def what_if_changed(
    request: Request,
    user_id: Id,
    model_id: Id,
    warehouse: TheWarehouse,
    explainer: TheExplainer,
    version: OptionalId = None,
    row: Annotated[int, Query(ge=1)] = 1,
) -> Response:
    """The page with what was entered; what does not fit is said beside the form."""
    form = await request.form()
    columns, entered = form.getlist("column"), form.getlist("value")
    said = {str(name): str(value) for name, value in zip(columns, entered, strict=False)}
    return await run_in_threadpool(_page, warehouse, explainer, user_id, model_id, version, row, said)


def _page(
    warehouse: Warehouse,
    explainer: Explainer,
    user_id: str,
    model_id: str,
    version: str | None,
    row: int,
    said: Mapping[str, str],
) -> Response:
    from mlpipe_dagster.reports.what_if import pictures

    with warehouse.reading() as session:
        found = models.model_of(session, user_id, model_id, version)
    before = explainer.ask(warehouse, found, row, {})
    own = {field.column: field.value for field in before.fields}
    changes: dict[str, Any] = {name: value for name, value in said.items() if value.strip() != own.get(name)}
    answer, fault, status = before, "", 200
    if changes:
        try:
            answer = explainer.ask(warehouse, found, row, changes)
        except KNOWN as error:
            fault, status = str(error), status_of(error)
    with written_in(warehouse.settings.report_language):
        return page(
            "what_if.html",
            status,
            model=found,
            row=row,
            before=before,
            answer=answer,
            fault=fault,
            changes=changes,
            entered={**{field.column: field.value for field in answer.fields}, **said},
            fields=before.fields[:MOST_FIELDS],
            hidden=len(before.fields) - MOST_FIELDS,
            **pictures(answer),
        )
