"""The upload page: its form, and what comes back from it. Storing is the upload route's (datasets.py).

Where scripts run, static/pages.js sends the same form here, with progress; what it answers is the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, cast
from urllib.parse import quote, urlencode

import fastapi
from fastapi import APIRouter, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse, Response
from pydantic import TypeAdapter, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile

from mlpipe_dagster.api import error_answers
from mlpipe_dagster.api.access import Caller, TheCaller
from mlpipe_dagster.api.datasets import DatasetFields, store
from mlpipe_dagster.api.engine_words import engine_choices
from mlpipe_dagster.api.parameters import TheFlusher, TheInspector, TheWarehouse
from mlpipe_dagster.api.pipeline_choices import ChoiceFields
from mlpipe_dagster.api.pipeline_page import FAIRNESS, LEVELS, MITIGATIONS, TASKS
from mlpipe_dagster.api.receiving import form_route
from mlpipe_dagster.api.templating import page, prefers_html
from mlpipe_dagster.choices import AskedKind
from mlpipe_dagster.events import ID_PATTERN, Id
from mlpipe_dagster.tables.inspector import Inspector
from mlpipe_dagster.vocabulary import AccessRole, AfterTimeout
from mlpipe_dagster.warehouse.schema import DatasetVersion
from mlpipe_dagster.warehouse.warehouse import Warehouse

router = APIRouter(include_in_schema=False, route_class=form_route("md5"))
Fields = TypeVar("Fields")

FILE_RULE = "CSV, TSV, XLSX, JSON or Parquet, up to {}."
ASKS: Mapping[AskedKind, str] = {
    "target": "which column to predict",
    "bias": "whether to go on after the bias report",
    "explain": "whether to explain the model",
}
DEFAULT = {"": "the default"}
OUTCOMES: Mapping[AfterTimeout, str] = {
    "default": "go on with what is suggested",
    "cancel": "end the pipeline",
    "wait": "keep waiting",
}
WAITING = ("question_timeout", "question_outcome", "question_reminder", "respondents")
"""Fields that are folded away until one of them is used."""
REFUSALS: tuple[type[Exception], ...] = (RequestValidationError, *error_answers.KNOWN)
WORDS = {"missing": "Fill this in.", "string_too_short": "Fill this in."}
"""What is wrong with a field, where the validator's own message is not for people."""


@dataclass(frozen=True, kw_only=True)
class UploadFields(DatasetFields):
    """The fields of the form that say what is uploaded for whom."""

    user_id: Id


@router.get("/upload")
def upload_page(warehouse: TheWarehouse, caller: TheCaller) -> Response:
    """The empty form."""
    return _page(warehouse, caller, {"user_id": caller.user_id or ""})


@router.post("/upload")
async def upload(
    request: Request, warehouse: TheWarehouse, inspector: TheInspector, flusher: TheFlusher, caller: TheCaller
) -> Response:
    """Store what the form holds and show its pipeline; what does not fit is said beside the form."""
    async with request.form() as form:
        said = _entered(form)
        try:
            version = await run_in_threadpool(_store, warehouse, inspector, caller, form.get("file"), said)
        except REFUSALS as error:
            if not prefers_html(request):
                raise
            return _refused(warehouse, caller, said, error)
    flusher.nudge()
    owner = urlencode({"user_id": version.user_id})
    return RedirectResponse(f"/pipelines/{quote(version.partition_key, safe='')}?{owner}", 303)


def _entered(form: FormData) -> dict[str, str]:
    """The form's texts that say something; what was ticked several times is separated by commas."""
    texts = {name: ",".join(str(value) for value in form.getlist(name)) for name in form if name != "file"}
    return {name: text for name, text in texts.items() if text}


def _store(
    warehouse: Warehouse, inspector: Inspector, caller: Caller, file: UploadFile | str | None, said: dict[str, str]
) -> DatasetVersion:
    fields = _checked(UploadFields, said)
    if not isinstance(file, UploadFile) or not file.filename:
        raise RequestValidationError([{"loc": ("body", "file"), "msg": "Choose a file.", "type": "no_file"}])
    caller.check(fields.user_id)
    upload = cast(fastapi.UploadFile, file)  # Starlette's own, which has all that is used of it
    return store(warehouse, inspector, fields.user_id, upload, fields, _checked(ChoiceFields, said))


def _checked(kind: type[Fields], said: dict[str, str]) -> Fields:
    try:
        return TypeAdapter(kind).validate_python(said)
    except ValidationError as error:
        faults = [{**fault, "loc": ("body", *fault["loc"])} for fault in error.errors()]
        raise RequestValidationError(faults) from error


def _refused(warehouse: Warehouse, caller: Caller, said: dict[str, str], error: Exception) -> Response:
    if isinstance(error, RequestValidationError):
        faults = {str(fault["loc"][-1]): _in_words(fault) for fault in error.errors()}
        return _page(warehouse, caller, said, "Please look at what is marked below.", faults, 422)
    return _page(warehouse, caller, said, str(error), {}, error_answers.status_of(error))


def _in_words(fault: Mapping[str, Any]) -> str:
    return WORDS.get(fault["type"]) or error_answers.fault_in_words(fault)


def _page(
    warehouse: Warehouse,
    caller: Caller,
    entered: Mapping[str, str],
    fault: str = "",
    faults: Mapping[str, str] | None = None,
    status: int = 200,
) -> Response:
    values = warehouse.settings
    engines, absent = engine_choices()
    return page(
        "upload.html",
        status,
        entered=entered,
        fault=fault,
        faults=faults or {},
        own=caller.user_id if caller.role is AccessRole.USER else None,
        ticked=entered.get("ask", "").split(","),
        asks=ASKS,
        tasks=TASKS,
        levels=DEFAULT | LEVELS,
        engines=DEFAULT | engines,
        absent_engines=absent,
        outcomes={**DEFAULT, **OUTCOMES},
        waiting_told=any(name in entered for name in WAITING),
        mitigations=DEFAULT | MITIGATIONS,
        constraints=DEFAULT | FAIRNESS,
        id_pattern=ID_PATTERN.strip("^$").replace("-]", r"\-]"),  # HTML's own dialect
        id_rule=error_answers.ID_RULE,
        file_rule=FILE_RULE.format(_size_text(values.max_upload_bytes)),
        limit=values.max_upload_bytes,
        unit=values.time_budget_unit,
        api_base=values.api_base,
    )


def _size_text(size: int) -> str:
    return f"{size / 1024**3:g} GB" if size >= 1024**3 else f"{size / 1024**2:g} MB"
