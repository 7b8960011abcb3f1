"""`mlpipe keys`: made, shown once, listed without secrets, revoked; and the command line shows its own."""

import re
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner

from mlpipe_dagster.commands.client import ApiClient
from mlpipe_dagster.commands.keys import keys
from mlpipe_dagster.errors import UnknownThing, UserError
from mlpipe_dagster.settings import settings
from mlpipe_dagster.vocabulary import AccessRole
from mlpipe_dagster.warehouse import keys as stored
from mlpipe_dagster.warehouse.warehouse import open_warehouse


def test_a_key_is_made_listed_and_revoked(home: Path) -> None:
    run = CliRunner()
    assert "There is no key." in run.invoke(keys, ["list"]).output
    made = run.invoke(keys, ["create", "--user-id", "ann@example.org", "--role", "user", "--name", "laptop"])
    key = made.stdout.strip()
    assert re.fullmatch(r"mlp_[0-9a-f]{12}_[A-Za-z0-9_-]{43}", key)
    with open_warehouse().reading() as session:
        bearer = stored.bearer_of_key(session, key)
    assert bearer == stored.Bearer(key.split("_")[1], "ann@example.org", AccessRole.USER)
    listed = run.invoke(keys, ["list"]).output
    assert re.search(rf"^{bearer.key_id}  user     ann@example\.org  .*  valid  laptop$", listed, re.MULTILINE)
    assert key.split("_", 2)[2] not in listed
    assert "opens nothing any more" in run.invoke(keys, ["revoke", bearer.key_id]).output
    assert "  revoked " in run.invoke(keys, ["list"]).output
    with open_warehouse().reading() as session:
        assert stored.bearer_of_key(session, key) is None


def test_what_cannot_be_done_is_said(home: Path) -> None:
    run = CliRunner()
    assert isinstance(run.invoke(keys, ["create", "--user-id", "../x", "--role", "user"]).exception, UserError)
    assert run.invoke(keys, ["create", "--user-id", "ann", "--role", "king"]).exit_code == 2
    assert isinstance(run.invoke(keys, ["revoke", "nothing"]).exception, UnknownThing)


def test_the_command_line_shows_its_key_to_the_api_alone(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[requests.PreparedRequest] = []

    def answer(_self: object, request: requests.PreparedRequest, **_: object) -> requests.Response:
        seen.append(request)
        response = requests.Response()
        response.status_code, response._content, response.request, response.url = 200, b"{}", request, str(request.url)
        return response

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", answer)
    monkeypatch.setenv("MLPIPE_API_KEY", "mlp_1_secret")
    settings.cache_clear()
    assert "mlp_1_secret" not in repr(settings())
    ApiClient().get("roles", "bias")
    monkeypatch.delenv("MLPIPE_API_KEY")
    settings.cache_clear()
    ApiClient().get("roles", "bias")
    assert [request.headers.get("Authorization") for request in seen] == ["Bearer mlp_1_secret", None]
