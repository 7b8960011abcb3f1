"""The one door of the API: who asks, how often, and whether the route's line in access.py lets them.

An ASGI middleware, so that nobody's body is read before it is known who sends it. Routes are found in the router's own
order; `confirm`, which runs in the chosen route, refuses should the two ever disagree.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import RedirectResponse, Response
from fastapi.routing import iter_route_contexts
from sqlalchemy.exc import OperationalError
from starlette._utils import get_route_path  # what the router itself matches
from starlette.concurrency import run_in_threadpool
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Receive, Scope, Send

from mlpipe_dagster.api import error_answers
from mlpipe_dagster.api.access import ACCESS, NOBODY, NOT_YOURS, UNASKED, Caller, Need, Owner
from mlpipe_dagster.api.guard import READING
from mlpipe_dagster.api.rates import Rates
from mlpipe_dagster.api.templating import prefers_html
from mlpipe_dagster.exposure import ADVICE, OFF, is_beyond
from mlpipe_dagster.settings import Settings
from mlpipe_dagster.vocabulary import AccessRole
from mlpipe_dagster.warehouse import audit, keys
from mlpipe_dagster.warehouse.audit import Actor
from mlpipe_dagster.warehouse.keys import Bearer
from mlpipe_dagster.warehouse.schema import Question
from mlpipe_dagster.warehouse.warehouse import Warehouse

COOKIE = "mlpipe_session"
DEFAULT_RATE = 50.0
NO_KEY = "This needs a key. Send it as “Authorization: Bearer KEY” or “X-API-Key: KEY”, or log in at /login."
BAD_KEY = "This key is unknown or was revoked. Ask an operator for a new one (mlpipe keys create)."
NO_RULE = "This route has no line in the table of access, so nobody may use it."
NOT_FOR_ROLE = "A key of the role {} does not open this."
TOO_FAST = "Too many requests. Try again in {} s."
EXPOSED = f"The API answers other machines only where it asks for keys. {ADVICE}"


class Refused(Exception):  # noqa: N818 - reads as what it says where it is raised
    """A request that goes no further; the answer to it."""

    def __init__(self, status: int, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, headers


@dataclass(frozen=True)
class Route:
    """One route of the application, as the router matches it."""

    name: str
    """Its path as written, `/datasets/{user_id}`."""
    pattern: re.Pattern[str]
    methods: frozenset[str] | None
    query: frozenset[str]


def routes_of(app: FastAPI) -> list[Route]:
    """All routes in the order in which the router tries them."""
    found = []
    for context in iter_route_contexts(app.router.routes):
        dependant = getattr(context, "dependant", None)
        methods = context.methods
        found.append(
            Route(
                name=str(context.path),
                pattern=context.path_regex,
                methods=frozenset(methods) if methods else None,
                query=frozenset(_query_names(dependant)) if dependant else frozenset(),
            )
        )
    return found


def _query_names(dependant: Any) -> Iterable[str]:
    yield from (field.alias for field in dependant.query_params)
    for inner in dependant.dependencies:
        yield from _query_names(inner)


class Gate:
    """Lets a request through to its route, or answers it with 401, 403 or 429."""

    def __init__(self, app: ASGIApp, owner: FastAPI, settings: Settings) -> None:
        self.app, self._application, self._settings = app, owner, settings
        asked = settings.auth != OFF
        rate = settings.rate_limit if settings.rate_limit is not None else (DEFAULT_RATE if asked else 0.0)
        self._asks, self._rates = asked, Rates(rate, settings.rate_burst)
        self._routes: list[Route] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan" or not self._asks:
                await self.app(scope, receive, send)
            return
        request = Request(scope)
        try:
            await self._admit(request)
        except Refused as refusal:
            await _answer(request, refusal)(scope, receive, send)
        except OperationalError:
            await error_answers.answer(request, 503, error_answers.NO_CATALOGUE)(scope, receive, send)
        else:
            with audit.acting(_actor(request.state.caller)):
                await self.app(scope, receive, send)

    async def _admit(self, request: Request) -> None:
        address = request.client.host if request.client else ""
        if not self._asks:
            if is_beyond((request.scope.get("server") or ("",))[0]):
                raise Refused(403, EXPOSED)
            self._count(address)
            _let_in(request, UNASKED, None)
            return
        route = self._route_of(request.scope)
        need = ACCESS.get(f"{_method(request.scope)} {route.name}") if route else None
        if need and need.open:
            self._count(address)
            _let_in(request, NOBODY, route)
            return
        bearer = await run_in_threadpool(self._bearer, request)
        self._count(f"key {bearer.key_id}" if bearer else address)
        if bearer is None:
            raise Refused(401, BAD_KEY if _shown(request) else NO_KEY, {"WWW-Authenticate": "Bearer"})
        if route is None:  # the router will say 404 or 405
            _let_in(request, NOBODY, None)
        elif need is None:
            raise Refused(403, NO_RULE)
        else:
            _let_in(request, await self._allowed(request, bearer, need, route), route)

    def _count(self, who: str) -> None:
        seconds = self._rates.wait(who)
        if seconds:
            raise Refused(429, TOO_FAST.format(seconds), {"Retry-After": str(seconds)})

    def _route_of(self, scope: Scope) -> Route | None:
        if self._routes is None:
            self._routes = routes_of(self._application)
        path, method = get_route_path(scope), scope["method"]
        for route in self._routes:
            if (route.methods is None or method in route.methods) and route.pattern.match(path):
                return route
        return None

    def _bearer(self, request: Request) -> Bearer | None:
        key, token = _shown(request), session_token(request)
        with _warehouse(request).reading() as session:
            if key:
                return keys.bearer_of_key(session, key)
            return keys.bearer_of_session(session, token) if token else None

    async def _allowed(self, request: Request, bearer: Bearer, need: Need, route: Route) -> Caller:
        if bearer.role in need.roles:
            return Caller(bearer.user_id, bearer.role, everybodys=True)
        if not need.users or bearer.role is not AccessRole.USER:
            raise Refused(403, NOT_FOR_ROLE.format(bearer.role.value))
        owner = await run_in_threadpool(self._owner_of, request, need, route, bearer.user_id)
        if owner != bearer.user_id:
            raise Refused(403, NOT_YOURS)
        return Caller(bearer.user_id, bearer.role, everybodys=False)

    def _owner_of(self, request: Request, need: Need, route: Route, user_id: str) -> str | None:
        """Whom the request is about; None where it does not say so in one voice."""
        asked = parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True)
        named = {value for name, value in asked if name == "user_id"}
        if named - {user_id}:
            return None
        matched = route.pattern.match(get_route_path(request.scope))
        path = matched.groupdict() if matched else {}
        match need.owner:
            case Owner.PATH:
                return path.get("user_id")
            case Owner.QUESTION:
                with _warehouse(request).reading() as session:
                    question = session.get(Question, path.get("question_id"))
                    mine = question is None or question.may_answer(user_id)  # the route says that there is none
                return user_id if mine else None
            case Owner.QUERY if "user_id" in route.query:
                query = [pair for pair in asked if pair[0] != "user_id"]
                request.scope["query_string"] = urlencode([*query, ("user_id", user_id)]).encode()
                return user_id
            case Owner.ROUTE | Owner.NOBODY:
                return user_id
        return None


async def confirm(request: Request) -> None:
    """Raise 403 unless the gate let this request in for the very route that it has reached."""
    admitted = getattr(request.state, "admitted", None)
    if getattr(request.state, "caller", None) is UNASKED:
        return
    route = request.scope.get("route")
    if admitted is None or route is None or admitted != route.path:
        raise HTTPException(403, NO_RULE)


def _let_in(request: Request, caller: Caller, route: Route | None) -> None:
    request.state.caller = caller
    request.state.admitted = route.name if route else None


def _actor(caller: Caller) -> Actor | None:
    """Whom the audit trail names: the key's user; None where no key was asked for, and the request says who it is."""
    if caller.user_id is None:
        return None
    return Actor("service" if caller.role is AccessRole.SERVICE else "user", caller.user_id)


def _method(scope: Scope) -> str:
    return "GET" if scope["method"] == "HEAD" else str(scope["method"])


def _shown(request: Request) -> str:
    """The key in the request's headers, else nothing."""
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and credentials.strip():
        return credentials.strip()
    return request.headers.get("x-api-key", "").strip()


def session_token(request: Request) -> str:
    """The session of this browser; none for a write that another origin's page asks for."""
    if request.method not in READING and request.headers.get("sec-fetch-site") not in (None, "same-origin", "none"):
        return ""
    return cookie_parser(request.headers.get("cookie", "")).get(COOKIE, "")


def _warehouse(request: Request) -> Warehouse:
    warehouse: Warehouse = request.app.state.warehouse
    return warehouse


def _answer(request: Request, refusal: Refused) -> Response:
    if refusal.status == 401 and request.method == "GET" and prefers_html(request):
        target = f"{request.url.path}?{request.url.query}".rstrip("?")
        return RedirectResponse(f"/login?{urlencode({'next': target})}", 303)
    return error_answers.answer(request, refusal.status, refusal.detail, refusal.headers)
