"""Routes with which a browser logs in and out: a key is exchanged for a session, whose token is a cookie.

Who a session speaks for is found by the gate.
"""

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from mlpipe_dagster.api.gate import BAD_KEY, COOKIE, session_token
from mlpipe_dagster.api.parameters import PlainText, TheWarehouse
from mlpipe_dagster.api.templating import page
from mlpipe_dagster.exposure import OFF
from mlpipe_dagster.warehouse import keys
from mlpipe_dagster.warehouse.warehouse import Warehouse

router = APIRouter(include_in_schema=False)
SECONDS = int(keys.SESSION_TIME.total_seconds())


@router.get("/login")
def login_page(request: Request, warehouse: TheWarehouse, next: PlainText = "/") -> Response:  # noqa: A002 - in links
    """Where to type a key; who is logged in, and the way out."""
    with warehouse.reading() as session:
        bearer = keys.bearer_of_session(session, session_token(request))
    return _page(warehouse, next, bearer=bearer)


@router.post("/login")
def login(
    warehouse: TheWarehouse,
    key: Annotated[PlainText, Form()],
    next: Annotated[PlainText, Form()] = "/",  # noqa: A002
) -> Response:
    """Exchange a key for a session."""
    with warehouse.transaction() as session:
        bearer = keys.bearer_of_key(session, key.strip())
        token = keys.open_session(session, bearer.key_id) if bearer else ""
    if not token:
        return _page(warehouse, next, fault=BAD_KEY, status=401)
    answer = RedirectResponse(own_path(next), 303)
    secure = warehouse.settings.api_base.startswith("https:")
    answer.set_cookie(COOKIE, token, max_age=SECONDS, secure=secure, httponly=True, samesite="strict")
    return answer


@router.post("/logout")
def logout(request: Request, warehouse: TheWarehouse) -> Response:
    """End this browser's session."""
    with warehouse.transaction() as session:
        keys.close_session(session, session_token(request))
    answer = RedirectResponse("/login", 303)
    answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return answer


def own_path(target: str) -> str:
    """The target where it is a path of this site; else `/`, so that no link leads elsewhere by way of the login."""
    plain = target.startswith("/") and target.isprintable() and "\\" not in target
    return target if plain and not target.startswith("//") else "/"


def _page(
    warehouse: Warehouse, target: str, bearer: keys.Bearer | None = None, fault: str = "", status: int = 200
) -> Response:
    asked = warehouse.settings.auth != OFF
    return page("login.html", status, target=own_path(target), bearer=bearer, fault=fault, asked=asked)
