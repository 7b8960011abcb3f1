"""The route that predicts rows: JSON or CSV in, JSON or CSV out."""

from typing import Annotated, cast

from fastapi import APIRouter, Depends, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError
from starlette.concurrency import run_in_threadpool

from mlpipe_dagster.api.parameters import OptionalId, PlainText, TheWarehouse
from mlpipe_dagster.api.predictor import MOST_ROWS, Predictions, Predictor, Sent
from mlpipe_dagster.errors import TooLarge, UserError
from mlpipe_dagster.events import Id
from mlpipe_dagster.vocabulary import TaskKind
from mlpipe_dagster.warehouse import models
from mlpipe_dagster.warehouse.schema import ModelRow
from mlpipe_dagster.warehouse.warehouse import Warehouse

router = APIRouter(tags=["models"])
MOST_BYTES = 8 * 1024 * 1024
CSV, JSON = "text/csv", "application/json"


class RowsToPredict(BaseModel):
    """Rows as values by column; a column that a row does not name, null and "" are missing values."""

    model_config = ConfigDict(extra="forbid")
    rows: Annotated[
        list[dict[PlainText, PlainText | int | FiniteFloat | bool | None]], Field(min_length=1, max_length=MOST_ROWS)
    ]


class Prediction(BaseModel):
    """What the model says of one row."""

    prediction: str | float
    probabilities: dict[str, float] = {}
    """Of each class; empty for numbers."""


class PredictedRows(BaseModel):
    """What the model says, row by row, in the order they were sent."""

    target: str
    task: TaskKind
    predictions: list[Prediction]


SENT = {
    "required": True,
    "content": {
        JSON: {"schema": RowsToPredict.model_json_schema()},
        CSV: {"schema": {"type": "string", "minLength": 1, "description": "A header, and at most 10,000 rows."}},
    },
}


async def _predictor(request: Request) -> Predictor:
    return cast(Predictor, request.app.state.predictor)


@router.post(
    "/ai-models/{user_id}/{model_id}/predict",
    response_model=PredictedRows,
    responses={200: {"content": {CSV: {"schema": {"type": "string"}}}, "description": "As the Accept header asks."}},
    openapi_extra={"requestBody": SENT},
)
async def predict(
    request: Request,
    user_id: Id,
    model_id: Id,
    warehouse: TheWarehouse,
    predictor: Annotated[Predictor, Depends(_predictor)],
    version: OptionalId = None,
) -> Response:
    """What a model says of up to 10,000 rows (8 MB, one minute), by the columns that it was trained on."""
    sent = _rows(request.headers.get("content-type", ""), await _body(request))
    found = await run_in_threadpool(_model, warehouse, user_id, model_id, version)
    said = await run_in_threadpool(predictor.ask, warehouse, found, sent)
    if CSV in request.headers.get("accept", ""):
        return Response(said.csv, media_type=CSV)
    return Response(_answer(said).model_dump_json(), media_type=JSON)


async def _body(request: Request) -> bytes:
    taken = bytearray()
    async for part in request.stream():
        taken += part
        if len(taken) > MOST_BYTES:
            raise TooLarge(f"At most {MOST_BYTES // 1024**2} MB are predicted at once. Send the rows in parts.")
    return bytes(taken)


def _rows(content_type: str, body: bytes) -> Sent:
    kind = content_type.partition(";")[0].strip().lower()
    if kind == CSV:
        try:
            return body.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise UserError("The rows are not UTF-8. Send them as CSV in UTF-8.") from error
    if kind != JSON:
        raise UserError(f"Send the rows as {JSON} or {CSV}, and say so in Content-Type.")
    try:
        return cast(Sent, RowsToPredict.model_validate_json(body).rows)
    except ValidationError as error:
        raise RequestValidationError(error.errors()) from error


def _model(warehouse: Warehouse, user_id: str, model_id: str, version: str | None) -> ModelRow:
    with warehouse.reading() as session:
        return models.model_of(session, user_id, model_id, version)


def _answer(said: Predictions) -> PredictedRows:
    chances = [dict(zip(said.classes, row, strict=True)) for row in said.chances] or [{}] * len(said.said)
    predictions = [
        Prediction(prediction=one, probabilities=shares) for one, shares in zip(said.said, chances, strict=True)
    ]
    return PredictedRows(target=said.target, task=said.task, predictions=predictions)
