"""What holds for every request: no writes from other sites' pages, no endless bodies, no guessing by browsers.

An ASGI middleware: it counts the bodies that stream through it and never holds one.
"""

from fastapi.responses import JSONResponse
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

READING = frozenset({"GET", "HEAD", "OPTIONS"})
FOREIGN_PAGE = "This request comes from a page of another site. Open the page here and try again."
TOO_LARGE = "The body is larger than this server takes. Upload a smaller file."
HEADERS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}


class Guard:
    """Refuses cross-site writes and bodies over their limit (bytes; forms carry files); adds the headers."""

    def __init__(self, app: ASGIApp, form_bytes: int, json_bytes: int) -> None:
        self.app = app
        self.form_bytes, self.json_bytes = form_bytes, json_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        is_form = headers.get("content-type", "").startswith("multipart/form-data")
        limit = self.form_bytes if is_form else self.json_bytes
        declared = headers.get("content-length", "0")
        if scope["method"] not in READING and headers.get("sec-fetch-site") == "cross-site":
            await JSONResponse({"detail": FOREIGN_PAGE}, 403)(scope, receive, send)
        elif declared.isdigit() and int(declared) > limit:
            await JSONResponse({"detail": TOO_LARGE}, 413)(scope, receive, send)
        else:
            await self.app(scope, _counted(receive, limit), _with_headers(send))


def _counted(receive: Receive, limit: int) -> Receive:
    taken = 0

    async def receive_counted() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > limit:
            raise HTTPException(413, TOO_LARGE)
        return message

    return receive_counted


def _with_headers(send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return send_with_headers
