"""The REST API as the command line uses it: one session, and every fault as one plain sentence."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import requests
from requests.auth import AuthBase

from mlpipe_dagster.errors import MlpipeError, UserError
from mlpipe_dagster.settings import settings

ANSWER_SECONDS = 30.0
UPLOAD_SECONDS = 600.0
PREDICT_SECONDS = 90.0
CHUNK_BYTES = 1024 * 1024
LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")


class ApiUnreachable(MlpipeError):  # noqa: N818 - as in errors.py
    """Nothing answers at the address of the API."""

    error_type = "api"


class _Bearer(AuthBase):
    """Shows the key; unlike a plain header neither netrc replaces it nor does a redirect elsewhere take it along."""

    def __init__(self, key: str) -> None:
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._key}"
        return request


class ApiClient:
    """The API at `base`; by default the one that the settings name."""

    def __init__(self, base: str | None = None) -> None:
        self.base = (base or settings().api_base).rstrip("/")
        self._session = requests.Session()
        self._session.headers["Accept"] = "application/json"  # a browser gets pages at some of the same addresses
        key = settings().api_key.get_secret_value()
        if key:
            self._session.auth = _Bearer(key)
        self._session.trust_env = urlsplit(self.base).hostname not in LOCAL_HOSTS

    def get(self, *path: str, **query: str | None) -> Any:
        """The JSON at a path, whose parts may hold anything. Raises as `_ask`."""
        return self._ask("GET", path, params=query)

    def post(self, *path: str, content: Mapping[str, object], **query: str | None) -> Any:
        """The JSON answer to JSON. Raises as `_ask`."""
        return self._ask("POST", path, json=content, params=query)

    def post_csv(self, *path: str, text: str, **query: str | None) -> str:
        """The CSV answer to CSV. Raises as `_ask`."""
        headers = {"Content-Type": "text/csv; charset=utf-8", "Accept": "text/csv"}
        content = text.encode()
        answer = self._answer("POST", path, PREDICT_SECONDS, data=content, headers=headers, params=query)
        answer.encoding = "utf-8"
        return answer.text

    def delete(self, *path: str) -> Any:
        """The JSON answer. Raises as `_ask`."""
        return self._ask("DELETE", path)

    def put(self, *path: str, content: Mapping[str, object]) -> Any:
        """The JSON answer to JSON. Raises as `_ask`."""
        return self._ask("PUT", path, json=content)

    def upload(self, file: Path, filename: str, form: Mapping[str, str | None]) -> dict[str, Any]:
        """Upload a table with its choices; fields that are None are left out. Returns the dataset object."""
        fields = {name: value for name, value in form.items() if value is not None}
        with file.open("rb") as content:
            files = {"file": (filename, content)}
            answer = self._ask("POST", ("datasets", "upload"), data=fields, files=files, timeout=UPLOAD_SECONDS)
        return dict(answer)

    def download(self, *path: str, target: Path, **query: str | None) -> int:
        """The content at a path as a file, which is there whole or not at all; returns its bytes. Raises as `_ask`."""
        part = target.with_name(f".{target.name}.part")
        try:
            with (
                self._answer("GET", path, UPLOAD_SECONDS, stream=True, params=query) as answer,
                part.open("wb") as file,
            ):
                for chunk in answer.iter_content(CHUNK_BYTES):
                    file.write(chunk)
            part.replace(target)
        except requests.RequestException as error:
            raise self._unreachable(error) from error
        finally:
            part.unlink(missing_ok=True)
        return target.stat().st_size

    def page(self, link: str) -> tuple[int, str]:
        """Status and content type of a page, asked for as a browser would."""
        try:
            answer = self._session.get(link, headers={"Accept": "text/html"}, timeout=ANSWER_SECONDS)
        except requests.RequestException as error:
            raise self._unreachable(error) from error
        return answer.status_code, answer.headers.get("Content-Type", "")

    def _ask(self, method: str, path: tuple[str, ...], timeout: float = ANSWER_SECONDS, **content: Any) -> Any:
        """Ask, and parse the answer.

        Raises
        ------
        ApiUnreachable
            Nothing answers there.
        UserError
            The API refuses; the message is its own.
        """
        answer = self._answer(method, path, timeout, **content)
        try:
            return answer.json()
        except ValueError:
            raise ApiUnreachable(f"What answers at {self.base} is not the mlpipe API. Set API_BASE to it.") from None

    def _answer(self, method: str, path: tuple[str, ...], timeout: float, **content: Any) -> requests.Response:
        url = "/".join((self.base, *(quote(part, safe="") for part in path)))
        try:
            answer = self._session.request(method, url, timeout=timeout, **content)
        except requests.RequestException as error:
            raise self._unreachable(error) from error
        if not answer.ok:
            raise UserError(_detail(answer))
        return answer

    def _unreachable(self, error: requests.RequestException) -> ApiUnreachable:
        if isinstance(error, requests.Timeout):
            return ApiUnreachable(f"The API at {self.base} does not answer in time. Look with: mlpipe doctor")
        return ApiUnreachable(f"Nothing answers at {self.base}. Start it with: mlpipe up")


def _detail(answer: requests.Response) -> str:
    """What the API says is wrong, on one line."""
    try:
        content = answer.json()
    except ValueError:
        content = None
    detail = content.get("detail") if isinstance(content, dict) else None
    if isinstance(detail, list):
        faults = (f"{'.'.join(map(str, fault.get('loc', ())[1:]))}: {fault.get('msg')}" for fault in detail)
        return "; ".join(faults)
    return str(detail) if detail else f"The API answered {answer.status_code} {answer.reason} at {answer.url}"
