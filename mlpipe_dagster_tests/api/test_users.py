"""Routes of users' records."""

import pytest
from fastapi.testclient import TestClient

from mlpipe_dagster.warehouse.warehouse import Warehouse

ANN = {"user_id": "ann", "username": "Ann", "email": "ann@example.org", "full_name": "Ann A.", "password": "s3cret!"}


def test_a_record_is_made_read_and_changed_and_its_password_dropped(client: TestClient, warehouse: Warehouse) -> None:
    made = client.post("/users/", json=ANN)
    assert made.status_code == 200
    stored = made.json()
    assert (stored["user_id"], stored["username"], stored["email"], stored["full_name"]) == (
        "ann",
        "Ann",
        "ann@example.org",
        "Ann A.",
    )
    assert (stored["is_active"], stored["is_admin"]) == (True, False)
    assert client.get("/users/ann").json() == client.get("/users/username/Ann").json() == stored
    changed = client.put("/users/ann", json={"full_name": None, "email": "a@example.org", "username": None})
    assert (changed.json()["full_name"], changed.json()["email"], changed.json()["username"]) == (
        None,
        "a@example.org",
        "Ann",
    )
    assert "s3cret!" not in (warehouse.settings.home / "catalogue.db").read_bytes().decode("latin-1")


@pytest.mark.parametrize(
    "other",
    [
        {"username": "Bob", "email": "bob@example.org"},
        {"user_id": "bob", "email": "bob@example.org"},
        {"user_id": "bob", "username": "Bob"},
    ],
    ids=["id", "name", "e-mail"],
)
def test_what_is_taken_is_refused(client: TestClient, other: dict[str, str]) -> None:
    client.post("/users/", json=ANN)
    assert client.post("/users/", json=ANN | other).status_code == 400
    assert client.get("/users/bob").status_code == 404


def test_a_change_to_what_is_taken_is_refused(client: TestClient) -> None:
    client.post("/users/", json=ANN)
    client.post("/users/", json=ANN | {"user_id": "bob", "username": "Bob", "email": "bob@example.org"})
    assert client.put("/users/bob", json={"username": "Ann"}).status_code == 400
    assert client.put("/users/bob", json={"username": "Bob"}).status_code == 200
    assert client.put("/users/nobody", json={}).status_code == 404
    assert client.get("/users/username/nobody").status_code == 404


@pytest.mark.parametrize("fault", [{"email": "nowhere"}, {"user_id": "../x"}, {"username": ""}, {"password": None}])
def test_a_field_that_does_not_fit_is_refused(client: TestClient, fault: dict[str, str]) -> None:
    assert client.post("/users/", json=ANN | fault).status_code == 422


def test_nobody_is_made_an_admin_by_asking(client: TestClient) -> None:
    made = client.post("/users/", json=ANN | {"is_admin": True})
    assert made.json()["is_admin"] is False
    assert client.put("/users/ann", json={"is_admin": True}).json()["is_admin"] is False
