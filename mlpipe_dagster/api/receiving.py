"""An uploaded file on its way in: written once, hashed and measured as it arrives, and gone when its request ends.

`form_route` gives a router's routes the form parser of this module; `received` is what a route makes of its file.
"""

import hashlib
import logging
import mimetypes
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from fastapi import HTTPException, Request, Response, UploadFile
from fastapi.routing import APIRoute
from starlette._utils import AwaitableOrContextManagerWrapper
from starlette.datastructures import FormData, Headers
from starlette.formparsers import MultiPartException, MultiPartParser

from mlpipe_dagster.errors import TooLarge
from mlpipe_dagster.settings import settings

log = logging.getLogger(__name__)
Algorithm = Literal["md5", "sha256"]
PREFIX = "arriving-"
ABANDONED_SECONDS = 24 * 3600.0
BUFFER_BYTES = 1024 * 1024


@dataclass(frozen=True)
class ReceivedFile:
    """A complete file in a temporary place; `digest` in hex."""

    path: Path
    filename: str
    size: int
    digest: str
    content_type: str


class ArrivingFile:
    """What the form parser writes a file into: a named file, hashed on the way. Closing it removes it."""

    def __init__(self, algorithm: Algorithm) -> None:
        self.size = 0
        self._digest = hashlib.new(algorithm, usedforsecurity=False)
        self._file = tempfile.NamedTemporaryFile(  # noqa: SIM115 - its form closes it
            prefix=PREFIX, dir=_place(), buffering=BUFFER_BYTES
        )

    @property
    def path(self) -> Path:
        """Where it lies; complete once the parser has gone to its beginning."""
        return Path(self._file.name)

    @property
    def digest(self) -> str:
        """Hex digest of all that was written."""
        return self._digest.hexdigest()

    def write(self, data: bytes) -> int:
        """The next piece."""
        self._digest.update(data)
        self.size += len(data)
        return self._file.write(data)

    def seek(self, offset: int) -> int:
        """The parser's last call: everything is in the file now."""
        self._file.flush()
        return self._file.seek(offset)

    def close(self) -> None:
        """Remove the file."""
        self._file.close()


def _place() -> Path:
    """Beside the objects, as a rule on one file system with them: what arrived need not be copied to be stored."""
    place = settings().home / "scratch"
    place.mkdir(parents=True, exist_ok=True)
    return place


def remove_abandoned() -> None:
    """Remove what arrived in processes that were killed: files to which nothing was written for a day."""
    for path in _place().glob(f"{PREFIX}*"):
        try:
            if time.time() - path.stat().st_mtime > ABANDONED_SECONDS:
                path.unlink()
        except FileNotFoundError:  # its request has just ended
            log.debug("%s is gone already", path)


class _Parser(MultiPartParser):
    """Starlette's parser with files of ours in place of its spooled ones."""

    def __init__(
        self, algorithm: Algorithm, headers: Headers, stream: AsyncGenerator[bytes, None], **most: Any
    ) -> None:
        super().__init__(headers, stream, **most)
        self._algorithm = algorithm

    def on_headers_finished(self) -> None:
        super().on_headers_finished()
        upload = self._current_part.file
        if upload is not None:
            self._files_to_close_on_error.pop().close()
            upload.file = cast(Any, ArrivingFile(self._algorithm))
            self._files_to_close_on_error.append(cast(Any, upload.file))


class _FormRequest(Request):
    def __init__(self, request: Request, algorithm: Algorithm) -> None:
        super().__init__(request.scope, request.receive)
        self._algorithm = algorithm

    def form(self, **most: Any) -> AwaitableOrContextManagerWrapper[FormData]:
        """The form, read once; raises HTTPException 400 for what is none."""
        return AwaitableOrContextManagerWrapper(self._read_form(most))

    async def _read_form(self, most: dict[str, Any]) -> FormData:
        if not self.headers.get("content-type", "").lower().startswith("multipart/form-data"):
            return await super().form(**most)
        if self._form is None:
            try:
                async with aclosing(self.stream()) as stream:
                    self._form = await _Parser(self._algorithm, self.headers, stream, **most).parse()
            except MultiPartException as error:
                raise HTTPException(400, error.message) from error
        return self._form


def form_route(algorithm: Algorithm) -> type[APIRoute]:
    """Routes whose files are hashed with that algorithm as they arrive: `APIRouter(route_class=form_route("md5"))`."""

    class FormRoute(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            inner = super().get_route_handler()

            async def handle(request: Request) -> Response:
                return await inner(_FormRequest(request, algorithm))

            return handle

    return FormRoute


def received(upload: UploadFile, limit: int) -> ReceivedFile:
    """The upload as a local file, there until its request ends; raises TooLarge beyond `limit` bytes."""
    arrived = cast(ArrivingFile, upload.file)
    if arrived.size > limit:
        raise TooLarge(f"The file is larger than the limit of {limit:,} bytes. Upload a smaller one.")
    name = plain_filename(upload.filename)
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return ReceivedFile(arrived.path, name, arrived.size, arrived.digest, kind)


def plain_filename(name: str | None) -> str:
    """The last part of a client's file name, printable; `upload` where nothing is left."""
    last = (name or "").replace("\\", "/").rpartition("/")[2]
    printable = "".join(letter for letter in last if letter.isprintable()).strip()
    return printable if printable.strip(".") else "upload"
