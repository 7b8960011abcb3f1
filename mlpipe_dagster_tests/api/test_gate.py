"""What happens at the door: how a key is shown, browsers and sessions, narrowed lists, rates, forgotten routes."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from fastapi import APIRouter, FastAPI
from fastapi.testclient import TestClient
from starlette.responses import PlainTextResponse

from mlpipe_dagster import clock
from mlpipe_dagster.api.app import create_app
from mlpipe_dagster.api.login import own_path
from mlpipe_dagster.api.rates import REMEMBERED, Rates
from mlpipe_dagster.settings import settings
from mlpipe_dagster.tables.inspector import Inspector
from mlpipe_dagster.vocabulary import AccessRole
from mlpipe_dagster.warehouse import keys
from mlpipe_dagster.warehouse.warehouse import Warehouse, open_warehouse
from mlpipe_dagster_tests.api.conftest import DEAD_BROKER
from mlpipe_dagster_tests.api.requests import CSV, HTML


@pytest.fixture
def asking(home: Path, inspector: Inspector, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """The API where it asks for keys; without a Kafka."""
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", DEAD_BROKER)
    monkeypatch.setenv("MLPIPE_AUTH", "api-keys")
    monkeypatch.setenv("API_BASE", "https://testserver")
    settings.cache_clear()
    with TestClient(create_app(inspector), base_url="https://testserver", follow_redirects=False) as running:
        yield running


def make_key(user_id: str = "ann", role: AccessRole = AccessRole.USER) -> str:
    """A key in the catalogue that the settings name."""
    with open_warehouse().transaction() as session:
        return keys.create_key(session, user_id, role)


def revoke_all(warehouse: Warehouse) -> None:
    with warehouse.transaction() as session:
        for row in keys.list_keys(session):
            keys.revoke_key(session, row.id)


def send(client: TestClient, user_id: str, dataset_id: str) -> None:
    """Upload a small table for that user."""
    data = {"dataset_id": dataset_id, "name": "n"}
    headers = {"x-api-key": make_key(user_id)}
    files = {"file": ("a.csv", CSV)}
    assert client.post(f"/datasets/upload/{user_id}", files=files, data=data, headers=headers).status_code == 200


# showing a key


def test_a_key_is_shown_in_either_header(asking: TestClient) -> None:
    key = make_key()
    for headers in ({"authorization": f"Bearer {key}"}, {"authorization": f"bearer  {key} "}, {"x-api-key": key}):
        assert asking.get("/datasets/ann", headers=headers).status_code == 200


def test_what_is_not_the_key_opens_nothing(asking: TestClient) -> None:
    key = make_key()
    for wrong in (
        key[:-1] + ("A" if key[-1] != "A" else "B"),
        key + "A",
        key.rpartition("_")[0] + "_",
        key.replace("mlp_", "xyz_"),
        key.upper(),
        "mlp__",
        "mlp",
        "\u00fc",
    ):
        refused = asking.get("/datasets/ann", headers={"x-api-key": wrong.encode()})
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
        assert "unknown or was revoked" in refused.json()["detail"]


def test_nothing_of_a_request_without_a_key_is_read(asking: TestClient) -> None:
    def endless() -> Iterator[bytes]:
        raise AssertionError("the body was asked for")
        yield b""

    headers = {"content-type": "multipart/form-data; boundary=x"}
    assert asking.post("/datasets/upload/ann", content=endless(), headers=headers).status_code == 401


def test_a_revoked_key_opens_nothing_any_more(asking: TestClient) -> None:
    headers = {"x-api-key": make_key()}
    assert asking.get("/datasets/ann", headers=headers).status_code == 200
    revoke_all(open_warehouse())
    assert asking.get("/datasets/ann", headers=headers).status_code == 401


def test_secrets_are_stored_as_hashes_only(asking: TestClient, home: Path) -> None:
    key = make_key()
    token = _log_in(asking, key)
    stored = b"".join(path.read_bytes() for path in home.glob("catalogue.db*"))
    assert key.split("_", 2)[1].encode() in stored  # its id
    assert key.split("_", 2)[2].encode() not in stored
    assert token.encode() not in stored


# routes


def test_a_route_that_nobody_entered_is_refused_to_everybody(asking: TestClient) -> None:
    app = asking.app
    assert isinstance(app, FastAPI)
    forgotten = APIRouter()
    forgotten.add_api_route("/forgotten", lambda: "open")
    app.include_router(forgotten)
    app.add_route("/plain", lambda request: PlainTextResponse("open"))
    admin = {"x-api-key": make_key("root", AccessRole.ADMIN)}
    for path in ("/forgotten", "/plain"):
        assert asking.get(path).status_code == 401
        refused = asking.get(path, headers=admin)
        assert (refused.status_code, "no line in the table of access" in refused.text) == (403, True)


def test_a_user_named_like_a_path_opens_nothing_of_others(asking: TestClient) -> None:
    headers = {"x-api-key": make_key("search")}
    assert asking.get("/datasets/search/ann", headers=headers).status_code == 403
    assert asking.get("/datasets/search/search", headers=headers).status_code == 200
    assert asking.get("/users/username/ann", headers={"x-api-key": make_key("username")}).status_code == 404


def test_what_is_no_route_is_unknown_to_those_with_a_key(asking: TestClient) -> None:
    headers = {"x-api-key": make_key()}
    assert (asking.get("/nothing").status_code, asking.get("/nothing", headers=headers).status_code) == (401, 404)
    assert asking.patch("/datasets/ann", headers=headers).status_code == 405


# narrowed lists


def test_a_list_without_a_user_is_of_the_callers_own(asking: TestClient) -> None:
    send(asking, "ann", "loans")
    send(asking, "bob", "loans")
    for who, role, seen in (
        ("ann", AccessRole.USER, ["ann"]),
        ("bob", AccessRole.USER, ["bob"]),
        ("eve", AccessRole.USER, []),
        ("aud", AccessRole.AUDITOR, ["bob", "ann"]),
    ):
        for path in ("/pipelines", "/pipelines?status=running&limit=5"):
            found = asking.get(path, headers={"x-api-key": make_key(who, role)}).json()
            assert [row["user_id"] for row in found] == seen


def test_another_user_cannot_be_named_beside(asking: TestClient) -> None:
    send(asking, "ann", "loans")
    send(asking, "bob", "loans")
    ann = {"x-api-key": make_key("ann")}
    for query, status in (
        ("", 200),
        ("?user_id=ann", 200),
        ("?user_id=bob", 403),
        ("?user_id=", 403),
        ("?user_id=bob&user_id=ann", 403),
        ("?user_id=ann&user_id=bob", 403),
        ("?user%5Fid=bob", 403),
        ("?user_id=ann&status=done", 200),
    ):
        answer = asking.get(f"/pipelines{query}", headers=ann)
        assert (answer.status_code, "bob" in answer.text) == (status, False), query


def test_a_partition_key_opens_nothing_of_others(asking: TestClient) -> None:
    send(asking, "ann", "loans")
    send(asking, "bob", "loans")
    ann, bob = ({"x-api-key": make_key(who)} for who in ("ann", "bob"))
    assert asking.get("/pipelines/loans~bob", headers=bob).json()["user_id"] == "bob"
    assert asking.get("/pipelines/loans", headers=bob).json()["user_id"] == "bob"
    assert asking.get("/pipelines/loans~bob", headers=ann).status_code == 404
    for action in ("cancel", "retry"):
        assert asking.post(f"/pipelines/loans~bob/{action}", headers=ann).status_code == 404
    assert asking.post("/pipelines/loans~bob/cancel?user_id=bob", headers=ann).status_code == 403
    assert asking.get("/pipelines/loans", headers=bob).json()["status"] == "running"
    cancelled = asking.post("/pipelines/loans/cancel", headers=bob)
    assert (cancelled.status_code, cancelled.json()["user_id"]) == (200, "bob")
    assert asking.get("/pipelines/loans", headers=ann).json()["status"] == "running"


# browsers


def _log_in(client: TestClient, key: str, target: str = "/") -> str:
    answer = client.post("/login", data={"key": f" {key} ", "next": target})
    assert answer.status_code == 303
    return str(client.cookies["mlpipe_session"])


def test_a_browser_is_led_to_the_login_and_back(asking: TestClient) -> None:
    asked = asking.get("/pipelines/loans?version=v1", headers=HTML)
    assert asked.status_code == 303
    assert asked.headers["location"] == "/login?next=%2Fpipelines%2Floans%3Fversion%3Dv1"
    page = asking.get(asked.headers["location"], headers=HTML)
    assert '<input type="hidden" name="next" value="/pipelines/loans?version=v1">' in page.text
    refused = asking.post("/login", data={"key": "mlp_a_b"})
    assert (refused.status_code, "unknown or was revoked" in refused.text) == (401, True)
    assert "set-cookie" not in refused.headers
    accepted = asking.post("/login", data={"key": make_key(), "next": "/inbox"})
    assert (accepted.status_code, accepted.headers["location"]) == (303, "/inbox")
    name, *attributes = accepted.headers["set-cookie"].split("; ")
    assert name.startswith("mlpipe_session=")
    assert {"HttpOnly", "Secure", "SameSite=strict", "Max-Age=43200", "Path=/"} <= set(attributes)
    assert asking.get("/inbox", headers=HTML).status_code == 200
    assert "logged in as <bdi>ann</bdi> (user)" in asking.get("/login", headers=HTML).text


def test_a_session_ends_by_logging_out_revocation_and_time(asking: TestClient) -> None:
    token = _log_in(asking, make_key())
    cookie = {"cookie": f"mlpipe_session={token}"}
    assert asking.get("/pipelines", headers=cookie).status_code == 200
    asking.post("/logout", headers=cookie)
    asking.cookies.clear()
    assert asking.get("/pipelines", headers=cookie).status_code == 401
    token = _log_in(asking, make_key())
    warehouse = open_warehouse()
    with warehouse.reading() as session:
        assert keys.bearer_of_session(session, token) is not None
        assert keys.bearer_of_session(session, token, now=clock.now() + timedelta(hours=13)) is None
    revoke_all(warehouse)
    assert asking.get("/pipelines").status_code == 401


def test_other_origins_pages_cannot_write_with_the_cookie(asking: TestClient) -> None:
    send(asking, "ann", "loans")
    _log_in(asking, make_key())
    for site, status in (("cross-site", 403), ("same-site", 401), ("same-origin", 200)):
        answer = asking.post("/pipelines/loans/cancel", headers={"sec-fetch-site": site})
        assert answer.status_code == status, site


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/inbox?a=b#c", "/inbox?a=b#c"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("/a\tb", "/"),
        ("/\t/evil.example", "/"),
        ("", "/"),
    ],
)
def test_the_login_leads_to_this_site_only(target: str, path: str) -> None:
    assert own_path(target) == path


def test_where_no_keys_are_asked_for_the_login_says_so(lonely_client: TestClient) -> None:
    assert "No key is needed" in lonely_client.get("/login", headers=HTML).text


# what is asked of no one must not be seen beyond this machine


@pytest.mark.parametrize(("address", "status"), [("127.0.0.1", 200), ("10.1.2.3", 403), ("::1", 200)])
def test_without_keys_other_machines_are_refused(
    lonely_client: TestClient, address: str, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = lonely_client.app

    async def elsewhere(scope: dict[str, object], receive: object, send: object) -> None:
        await app({**scope, "server": (address, 8000)}, receive, send)  # type: ignore[operator]

    assert TestClient(elsewhere).get("/health").status_code == status


# rates


def test_a_bucket_empties_and_fills() -> None:
    moment = [0.0]
    rates = Rates(a_second=2.0, burst=3, now=lambda: moment[0])
    assert [rates.wait("a") for _ in range(4)] == [0, 0, 0, 1]
    assert rates.wait("b") == 0
    moment[0] = 0.5
    assert [rates.wait("a"), rates.wait("a")] == [0, 1]
    moment[0] = 100.0
    assert [rates.wait("a") for _ in range(4)] == [0, 0, 0, 1]


def test_a_slow_rate_says_how_long_to_wait() -> None:
    rates = Rates(a_second=0.1, burst=1, now=lambda: 0.0)
    assert [rates.wait("a"), rates.wait("a")] == [0, 10]


def test_no_rate_counts_nothing_and_the_quiet_are_forgotten() -> None:
    free = Rates(a_second=0.0, burst=1)
    assert {free.wait("a") for _ in range(1000)} == {0}
    rates = Rates(a_second=1.0, burst=1, now=lambda: 0.0)
    assert rates.wait("first") == 0
    for number in range(REMEMBERED):
        rates.wait(str(number))
    assert rates.wait("first") == 0


def test_too_many_requests_are_told_when_to_come_back(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("AUTH", "api-keys"), ("RATE_LIMIT", "0.01"), ("RATE_BURST", "2")):
        monkeypatch.setenv(f"MLPIPE_{name}", value)
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", DEAD_BROKER)
    settings.cache_clear()
    with TestClient(create_app()) as client:
        ann, bob = ({"x-api-key": make_key(who)} for who in ("ann", "bob"))
        assert [client.get("/roles/bias", headers=ann).status_code for _ in range(3)] == [200, 200, 429]
        refused = client.get("/roles/bias", headers=ann)
        assert 0 < int(refused.headers["retry-after"]) <= 100
        assert client.get("/roles/bias", headers=bob).status_code == 200
        guesses = [client.get("/roles/bias", headers={"x-api-key": f"mlp_a_{guess}"}).status_code for guess in range(3)]
        assert guesses == [401, 401, 429]
