"""Beyond this machine the API asks for keys, or does not start."""

import pytest
from click.testing import CliRunner

from mlpipe_dagster.api.app import create_app
from mlpipe_dagster.commands.up import up
from mlpipe_dagster.exposure import OpenToAll, check_exposure, is_beyond, is_loopback
from mlpipe_dagster.settings import Settings, settings


@pytest.mark.parametrize(
    ("host", "auth", "starts"),
    [
        ("127.0.0.1", "off", True),
        ("127.8.0.1", "off", True),
        ("::1", "off", True),
        ("localhost", "off", True),
        ("0.0.0.0", "off", False),
        ("::", "off", False),
        ("192.168.1.5", "off", False),
        ("api.example.org", "off", False),
        ("", "off", False),
        ("0.0.0.0", "api-keys", True),
        ("127.0.0.1", "api-keys", True),
    ],
)
def test_where_it_may_listen(host: str, auth: str, starts: bool, home: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLPIPE_API_HOST", host)
    monkeypatch.setenv("MLPIPE_AUTH", auth)
    settings.cache_clear()
    if starts:
        check_exposure(Settings())
        assert create_app().title == "mlpipe data warehouse"
        return
    with pytest.raises(OpenToAll, match=r"Set MLPIPE_AUTH=api-keys and make a key with: mlpipe keys create"):
        create_app()


def test_the_platform_does_not_start_open_to_all(home: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLPIPE_API_HOST", "0.0.0.0")
    settings.cache_clear()
    refused = CliRunner().invoke(up)
    assert isinstance(refused.exception, OpenToAll)
    assert "Set MLPIPE_AUTH=api-keys" in str(refused.exception)


def test_addresses_of_connections() -> None:
    assert [is_beyond(address) for address in ("127.0.0.1", "::1", "10.0.0.1", "fe80::1", "/run/api.sock")] == [
        False,
        False,
        True,
        True,
        False,
    ]
    assert not is_loopback("example.org")
