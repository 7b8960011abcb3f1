"""The OpenAPI as it is served: FastAPI's own, with the keys and with every error that a call may be answered with.

What a call takes and answers when all goes well stands at its route.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from mlpipe_dagster.api.access import ACCESS

ALWAYS = (422, 429, 503)
KEYED = (401, 403)
ABOUT_THINGS = (404, 409)
WITH_BODY = (400, 413)
ERRORS: Mapping[int, str] = {
    400: "The content cannot be used.",
    401: "A key is needed, where keys are asked for.",
    403: "The key does not open this, or it is not for the caller to do.",
    404: "There is no such thing.",
    409: "It exists already, is answered already, is ambiguous, or was changed at the same moment.",
    413: "The body is too large.",
    422: "A field does not fit.",
    429: "Too many requests; Retry-After says when to come back.",
    503: "Catalogue, objects or Kafka do not answer.",
}
FAULT = {
    "type": "object",
    "title": "Fault",
    "required": ["detail"],
    "properties": {
        "detail": {
            "anyOf": [{"type": "string"}, {"type": "array", "items": {"$ref": "#/components/schemas/FieldFault"}}]
        }
    },
}
FIELD_FAULT = {
    "type": "object",
    "title": "FieldFault",
    "required": ["loc", "msg", "type"],
    "properties": {
        "loc": {"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "integer"}]}},
        "msg": {"type": "string"},
        "type": {"type": "string"},
    },
}
SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "A key, where MLPIPE_AUTH=api-keys"},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}


def describe(app: FastAPI) -> None:
    """Have the application serve the whole description."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _described(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's own way to extend it


def _described(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(title=app.title, version=app.version, routes=app.routes)
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for own in ("HTTPValidationError", "ValidationError"):
        schemas.pop(own, None)
    schemas |= {"Fault": FAULT, "FieldFault": FIELD_FAULT}
    components["securitySchemes"] = SCHEMES
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            _describe(operation, f"{method.upper()} {path}", has_ids="{" in path)
    return document


def _describe(operation: dict[str, Any], call: str, has_ids: bool) -> None:
    need = ACCESS.get(call)
    keyed = need is None or not need.open
    if keyed:
        operation["security"] = [{}, *({name: []} for name in SCHEMES)]  # none where MLPIPE_AUTH=off
    with_body = "requestBody" in operation
    codes = {
        *ALWAYS,
        *(KEYED if keyed else ()),
        *(ABOUT_THINGS if has_ids or with_body else ()),
        *(WITH_BODY if with_body else ()),
    }
    operation["responses"] |= {str(code): _error(code) for code in _ordered(codes, operation)}


def _ordered(codes: Iterable[int], operation: Mapping[str, Any]) -> list[int]:
    """The codes that the route has not described itself; FastAPI's own 422 is replaced."""
    return sorted(code for code in codes if code == 422 or str(code) not in operation["responses"])


def _error(code: int) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Fault"}}}
    return {"description": ERRORS[code], "content": content}
