"""Exceptions become answers here and nowhere else: `{"detail": …}` for programs, a short page for people.

No stack trace, no input and no internal name leaves the process.
"""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from sqlalchemy.exc import IntegrityError, OperationalError
from starlette.exceptions import HTTPException

from mlpipe_dagster.api.templating import page, prefers_html
from mlpipe_dagster.errors import BrokerUnavailable, Conflict, ModelError, TableError, TooLarge, UnknownThing, UserError
from mlpipe_dagster.events import ID_PATTERN
from mlpipe_dagster.warehouse.objects import ObjectsUnavailable

log = logging.getLogger(__name__)

STATUS_OF: dict[type[Exception], int] = {
    UnknownThing: 404,
    Conflict: 409,
    PermissionError: 403,
    TableError: 400,
    ModelError: 400,
    TooLarge: 413,
    UserError: 422,
    BrokerUnavailable: 503,
    ObjectsUnavailable: 503,
}
"""The nearest class in an exception's ancestry decides."""
KNOWN: tuple[type[Exception], ...] = tuple(STATUS_OF)
"""Whose messages are written for whoever sent the request."""

ID_RULE = "Letters, digits and . _ @ + : = - only, 255 at most; a letter or digit comes first."
BUSY = "Somebody else changed the same thing at the same moment. Send the request again."
NO_CATALOGUE = "The catalogue cannot be reached at the moment. Try again shortly."
OUR_FAULT = "Something went wrong on our side. It is in the log of the API."


def install(app: FastAPI) -> None:
    """Register the handlers."""
    for kind in STATUS_OF:
        app.add_exception_handler(kind, _answer_known)
    app.add_exception_handler(HTTPException, _answer_http)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(IntegrityError, _answer_busy)
    app.add_exception_handler(OperationalError, _answer_no_catalogue)
    app.add_exception_handler(Exception, _answer_unexpected)


def answer(request: Request, status: int, detail: object, headers: dict[str, str] | None = None) -> Response:
    """The error as the reader of this request wants it."""
    if prefers_html(request) and isinstance(detail, str):
        title = HTTPStatus(status).phrase
        return page("error.html", status, headers, title=title, detail=detail)
    return JSONResponse({"detail": detail}, status, headers)


def status_of(error: Exception) -> int:
    """The status of an error that is one of `KNOWN`."""
    return next(STATUS_OF[kind] for kind in type(error).__mro__ if kind in STATUS_OF)


def fault_in_words(fault: Mapping[str, Any]) -> str:
    """What the validator says of a field; of an id, what one looks like."""
    return ID_RULE if fault.get("ctx", {}).get("pattern") == ID_PATTERN else str(fault["msg"])


def _answer_known(request: Request, error: Exception) -> Response:
    return answer(request, status_of(error), str(error))


def _answer_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - what it is registered for
    return answer(request, error.status_code, error.detail, dict(error.headers or {}))


def _answer_invalid(request: Request, error: Exception) -> Response:
    """As FastAPI, without the input: it may be large, private, or no JSON (NaN)."""
    assert isinstance(error, RequestValidationError)  # noqa: S101
    faults = [
        {"loc": list(fault["loc"]), "msg": fault_in_words(fault), "type": fault["type"]} for fault in error.errors()
    ]
    if prefers_html(request):
        return answer(request, 422, "; ".join(f"{fault['loc'][-1]}: {fault['msg']}" for fault in faults))
    return JSONResponse({"detail": faults}, 422)


def _answer_busy(request: Request, error: Exception) -> Response:
    log.warning("a write met another one: %s", error)
    return answer(request, 409, BUSY)


def _answer_no_catalogue(request: Request, error: Exception) -> Response:
    log.error("the catalogue does not answer: %s", error)
    return answer(request, 503, NO_CATALOGUE)


def _answer_unexpected(request: Request, error: Exception) -> Response:
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return answer(request, 500, OUR_FAULT)
