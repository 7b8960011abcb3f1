"""What routes take: ids held to their pattern, paging, plain text, and the parts of the application they work with.

One place for every check of a field's form; what a field means is the routes' business.
"""

import json
from typing import Annotated, Any, cast

from fastapi import Depends, Form, Query, Request
from pydantic import AfterValidator, BeforeValidator, StringConstraints

from mlpipe_dagster.api.explainer import Explainer
from mlpipe_dagster.api.flusher import Flusher
from mlpipe_dagster.events import Id
from mlpipe_dagster.tables.inspector import Inspector
from mlpipe_dagster.vocabulary import Level, PipelineStatus
from mlpipe_dagster.warehouse.warehouse import Warehouse

LARGEST_SKIP = 2**31

PartitionKey = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@+:=~-]{0,511}$")]
"""A dataset_id, or the key `dataset_id~user_id` of a second user's dataset of that id."""

PlainText = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$")]
"""Any text a database can hold."""


def any_case(value: object) -> object:
    """A word of a closed list as it is written there."""
    return value.strip().lower() if isinstance(value, str) else value


AnyCaseLevel = Annotated[Level, BeforeValidator(any_case)]


def _storable(content: dict[str, Any]) -> dict[str, Any]:
    """JSON as databases and other readers of JSON take it: no NaN, no lone surrogates, no NUL."""
    try:
        text = json.dumps(content, allow_nan=False, ensure_ascii=False)
        text.encode()
    except ValueError as error:
        raise ValueError(f"this is not storable JSON ({error}); write null for NaN and Infinity") from error
    if "\\u0000" in text:
        raise ValueError("this JSON holds the character NUL, which cannot be stored")
    return content


JsonObject = Annotated[dict[str, Any], AfterValidator(_storable)]

Skip = Annotated[int, Query(ge=0, le=LARGEST_SKIP)]
Limit = Annotated[int, Query(ge=1, le=1000)]
Search = Annotated[PlainText | None, Query(alias="query")]
Tags = Annotated[PlainText | None, Query(description="comma-separated; any of them")]
OptionalText = Annotated[PlainText | None, Form()]
OptionalId = Annotated[Id | None, Query()]


def _said(value: object) -> object:
    """What a form's field says; a field left empty says nothing."""
    return None if value == "" else value


FormId = Annotated[Id | None, BeforeValidator(_said), Query()]
"""As OptionalId, where a form with a field left empty asks."""
FormStatus = Annotated[PipelineStatus | None, BeforeValidator(_said), Query()]

OptionalLevel = Annotated[AnyCaseLevel | None, Query()]


async def _warehouse(request: Request) -> Warehouse:
    return cast(Warehouse, request.app.state.warehouse)


async def _flusher(request: Request) -> Flusher:
    return cast(Flusher, request.app.state.flusher)


async def _inspector(request: Request) -> Inspector:
    return cast(Inspector, request.app.state.inspector)


async def _explainer(request: Request) -> Explainer:
    return cast(Explainer, request.app.state.explainer)


TheWarehouse = Annotated[Warehouse, Depends(_warehouse)]
TheFlusher = Annotated[Flusher, Depends(_flusher)]
TheInspector = Annotated[Inspector, Depends(_inspector)]
TheExplainer = Annotated[Explainer, Depends(_explainer)]
