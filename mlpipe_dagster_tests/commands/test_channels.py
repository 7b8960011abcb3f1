"""`mlpipe channels`: the URL comes by standard input and is not repeated; what is there stays."""

from typing import Any

import pytest
from click.testing import CliRunner

from mlpipe_dagster.commands import channels as command
from mlpipe_dagster.errors import UserError

PRESENT = [{"id": "c1", "channel": "mailtos://example.org", "created_at": "2026-01-01T10:00:00.000000"}]


class Api:
    """Answers as the API does, and keeps what it was sent."""

    def __init__(self) -> None:
        self.sent: dict[str, Any] = {}

    def get(self, *_path: str) -> list[dict[str, str]]:
        return PRESENT

    def put(self, *path: str, content: dict[str, Any]) -> list[dict[str, str]]:
        self.sent = {"path": path, **content}
        return [one for one in PRESENT if one["id"] in content["keep"]]


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Api:
    answering = Api()
    monkeypatch.setattr(command, "ApiClient", lambda: answering)
    return answering


def test_a_channel_is_added_to_those_that_are_there(api: Api) -> None:
    ended = CliRunner().invoke(command.channels, ["add", "ann"], input="jsons://u:sesame@example.org\n")
    assert api.sent == {"path": ("users", "ann", "channels"), "urls": ["jsons://u:sesame@example.org"], "keep": ["c1"]}
    assert ended.output == "c1  2026-01-01T10:00  mailtos://example.org\n"


def test_a_channel_is_removed_and_an_unknown_one_is_told(api: Api) -> None:
    ended = CliRunner().invoke(command.channels, ["remove", "ann", "c1"])
    assert (api.sent["keep"], ended.output) == ([], "There is no channel of the user's own.\n")
    ended = CliRunner().invoke(command.channels, ["remove", "ann", "c2"])
    assert isinstance(ended.exception, UserError)
    assert "ann has no channel c2" in str(ended.exception)
