"""Every route of the application is tried by everybody: without a key, with a revoked one, with each role's.

The table says who gets in where the things are ann's; a route that is not in it fails.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from fastapi.testclient import TestClient
from httpx import Response

from mlpipe_dagster.api import live
from mlpipe_dagster.api.app import create_app
from mlpipe_dagster.settings import settings
from mlpipe_dagster.vocabulary import AccessRole
from mlpipe_dagster.warehouse import datasets, keys
from mlpipe_dagster.warehouse.objects import plot_name
from mlpipe_dagster.warehouse.warehouse import Warehouse, open_warehouse
from mlpipe_dagster_tests.api.conftest import DEAD_BROKER
from mlpipe_dagster_tests.api.requests import CSV
from mlpipe_dagster_tests.warehouse import scenes

EVERYBODY = "nobody revoked ann bob service auditor admin"
OWN = "ann admin"
READ = "ann auditor admin"
WORK_READ = "ann service auditor admin"
WORK_STORE = "ann service admin"

LET_IN = {
    "GET /health": EVERYBODY,
    "GET /ready": EVERYBODY,
    "GET /metrics": "service auditor admin",
    "GET /login": EVERYBODY,
    "POST /login": EVERYBODY,
    "POST /logout": EVERYBODY,
    "GET /docs": EVERYBODY,
    "GET /docs/oauth2-redirect": EVERYBODY,
    "GET /redoc": EVERYBODY,
    "GET /asyncapi.json": EVERYBODY,
    "GET /openapi.json": EVERYBODY,
    "POST /datasets/upload": OWN,
    "POST /datasets/upload/{user_id}": OWN,
    "GET /datasets/search/{user_id}": WORK_READ,
    "GET /datasets/{user_id}": WORK_READ,
    "GET /datasets/{user_id}/{dataset_id}": WORK_READ,
    "PUT /datasets/{user_id}/{dataset_id}": OWN,
    "DELETE /datasets/{user_id}/{dataset_id}": OWN,
    "GET /datasets/{user_id}/{dataset_id}/versions": WORK_READ,
    "GET /datasets/{user_id}/{dataset_id}/download": WORK_READ,
    "GET /datasets/{user_id}/{dataset_id}/version/{version}": WORK_READ,
    "DELETE /datasets/{user_id}/{dataset_id}/version/{version}": OWN,
    "GET /datasets/{user_id}/{dataset_id}/version/{version}/download": WORK_READ,
    "POST /bias-reports/": WORK_STORE,
    "GET /bias-reports/{user_id}/{dataset_id}": READ,
    "DELETE /bias-reports/{user_id}/{dataset_id}": OWN,
    "GET /bias-reports/{user_id}/{dataset_id}/view": READ,
    "POST /transformation-reports/": WORK_STORE,
    "GET /transformation-reports/{user_id}/{dataset_id}/{version}": READ,
    "GET /transformation-reports/{user_id}/{dataset_id}/{version}/view": READ,
    "DELETE /transformation-reports/{user_id}/{dataset_id}/{version}": OWN,
    "POST /ai-models/upload/single/{user_id}": WORK_STORE,
    "POST /ai-models/upload/folder/{user_id}": WORK_STORE,
    "GET /ai-models/search/{user_id}": WORK_READ,
    "GET /ai-models/{user_id}": WORK_READ,
    "GET /ai-models/{user_id}/{model_id}": WORK_READ,
    "PUT /ai-models/{user_id}/{model_id}": OWN,
    "DELETE /ai-models/{user_id}/{model_id}": OWN,
    "GET /ai-models/{user_id}/{model_id}/files": WORK_READ,
    "GET /ai-models/{user_id}/{model_id}/download": WORK_READ,
    "POST /ai-models/{user_id}/{model_id}/explain": READ,
    "POST /ai-models/{user_id}/{model_id}/predict": WORK_READ,
    "GET /what-if/{user_id}/{model_id}": READ,
    "POST /what-if/{user_id}/{model_id}": READ,
    "POST /xai-reports/upload/{user_id}": WORK_STORE,
    "GET /xai-reports/{user_id}/{dataset_id}/{model_id}": READ,
    "GET /xai-reports/{user_id}/{dataset_id}/{model_id}/{report_type}/{level}": READ,
    "DELETE /xai-reports/{user_id}/{dataset_id}/{model_id}/{report_type}/{level}": OWN,
    "GET /xai-reports/{user_id}/{dataset_id}/{model_id}/{report_type}/{level}/view": READ,
    "GET /plots/{asset}/{user_id}/{dataset_id}/{version}.svg": READ,
    "GET /pipelines": READ,
    "GET /pipelines/{dataset_id}": READ,
    "POST /pipelines/{dataset_id}/cancel": OWN,
    "POST /pipelines/{dataset_id}/retry": OWN,
    "POST /pipelines/{dataset_id}/again": OWN,
    "POST /pipelines/{dataset_id}/change": OWN,
    "GET /pipelines/{dataset_id}/history/{entry}": READ,
    "GET /questions": READ,
    "GET /questions/{question_id}": READ,
    "POST /questions/{question_id}/answer": "ann",
    "GET /notifications": READ,
    "GET /events/stream": READ,
    "POST /users/": OWN,
    "GET /users/username/{name}": READ,
    "GET /users/{user_id}": READ,
    "PUT /users/{user_id}": OWN,
    "DELETE /users/{user_id}": OWN,
    "GET /users/{user_id}/export": "ann admin",
    "GET /users/{user_id}/channels": READ,
    "PUT /users/{user_id}/channels": OWN,
    "GET /users/{user_id}/policy": READ,
    "PUT /users/{user_id}/policy": OWN,
    "GET /audit": READ,
    "GET /audit/export": READ,
    "GET /audit/chain": "auditor admin",
    "GET /roles/{role}": "ann bob service auditor admin",
    "PUT /roles/{role}": "admin",
    "GET /static/pages.js": EVERYBODY,
    "GET /": READ,
    "GET /upload": "ann bob service auditor admin",
    "POST /upload": OWN,
    "GET /inbox": READ,
    "POST /inbox/{question_id}": "ann",
}

IDS = {
    "user_id": "ann",
    "dataset_id": "loans",
    "model_id": "m",
    "version": "v1",
    "report_type": "model_explanation",
    "level": "beginner",
    "asset": "model",
    "role": "bias",
    "name": "ann a.",
    "entry": "1",
}
"""Whose things every route is asked about, in its path or, where it has no place there, in the query."""

UPLOAD = {
    "data": {"user_id": "ann", "dataset_id": "other", "name": "n"},
    "files": {"file": ("a.csv", CSV)},
}
ANN = {"user_id": "ann", "username": "ann a.", "email": "ann@example.org", "password": "not kept"}
BODIES: dict[str, dict[str, Any]] = {
    "POST /users/": {"json": ANN},
    "POST /pipelines/{dataset_id}/again": {"json": {"time_budget": "5"}},
    "POST /questions/{question_id}/answer": {"json": {"target_column_name": "paid", "task_type": "binary"}},
    "POST /inbox/{question_id}": {"data": {"target_column_name": "paid", "task_type": "binary"}},
    "POST /datasets/upload": UPLOAD,
    "POST /upload": UPLOAD,
    "POST /bias-reports/": {"json": {"user_id": "ann", "dataset_id": "loans", "report": {}}},
    "POST /transformation-reports/": {"json": {"user_id": "ann", "dataset_id": "loans", "version": "v1", "report": {}}},
}
"""Whole bodies where the route itself refuses: it must do so for their owner."""


@dataclass(frozen=True)
class Scene:
    """The application with things of ann in it, and a key for everybody."""

    client: TestClient
    warehouse: Warehouse
    ids: dict[str, str]
    headers: dict[str, dict[str, str]]

    def ask(self, who: str, route: str, **more: Any) -> Response:
        """The route about ann's things, as somebody."""
        method, path = route.split(" ")
        address = path.format(**self.ids)
        if "{user_id}" not in path:
            address += "?user_id=ann"
        sent = BODIES.get(route, {}) | more
        return self.client.request(
            method, address, headers=self.headers[who] | sent.pop("headers", {}), follow_redirects=False, **sent
        )


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """One application for all routes; no Kafka is needed."""
    folder = tmp_path_factory.mktemp("access")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLPIPE_HOME", str(folder / "home"))
        patch.setenv("KAFKA_BOOTSTRAP_SERVERS", DEAD_BROKER)
        patch.setenv("MLPIPE_AUTH", "api-keys")
        patch.setenv("MLPIPE_RATE_LIMIT", "0")
        patch.setattr(live, "POLLS", 1)
        patch.setattr(live, "POLL_SECONDS", 0.0)
        settings.cache_clear()
        with TestClient(create_app()) as client:
            yield _with_things_of_ann(client, folder)
    settings.cache_clear()


def _with_things_of_ann(client: TestClient, folder: Any) -> Scene:
    warehouse = open_warehouse()
    headers = {"nobody": {}} | {
        who: {"x-api-key": _key(warehouse, who, role)}
        for who, role in (
            ("ann", AccessRole.USER),
            ("bob", AccessRole.USER),
            ("search", AccessRole.USER),
            ("revoked", AccessRole.ADMIN),
            ("service", AccessRole.SERVICE),
            ("auditor", AccessRole.AUDITOR),
            ("admin", AccessRole.ADMIN),
        )
    }
    with warehouse.transaction() as session:
        (revoked,) = [row for row in keys.list_keys(session) if row.user_id == "revoked"]
        keys.revoke_key(session, revoked.id)
    ann = headers["ann"]
    for dataset_id in ("loans", "kept"):
        data = {"user_id": "ann", "dataset_id": dataset_id, "name": "n", "mode": "ask"}
        stored = client.post("/datasets/upload", files={"file": ("a.csv", CSV)}, data=data, headers=ann)
        assert stored.status_code == 200, stored.text
    with warehouse.reading() as session:
        version = datasets.get_version(session, "ann", "loans")
    scenes.read_table(warehouse, folder, version)
    model = {"model_id": "m", "name": "M", "framework": "onnx", "model_type": "classification"}
    page = {"dataset_id": "loans", "model_id": "m", "report_type": "model_explanation", "level": "beginner"}
    for path, content, fields in (
        ("/ai-models/upload/single/ann", ("m.onnx", b"m"), model | {"training_dataset": "loans"}),
        ("/xai-reports/upload/ann", ("a.html", b"<p>why</p>"), page),
    ):
        stored = client.post(path, files={"file": content}, data=fields, headers=headers["service"])
        assert stored.status_code == 200, stored.text
    plot = folder / "plot.svg"
    plot.write_text("<svg/>")
    warehouse.objects.put(plot_name("model", "ann", "loans", "v1"), plot)
    assert client.post("/users/", json=ANN, headers=ann).status_code == 200
    (question,) = client.get("/questions?user_id=ann", headers=ann).json()
    return Scene(client, warehouse, IDS | {"question_id": question["id"]}, headers)


def _key(warehouse: Warehouse, user_id: str, role: AccessRole) -> str:
    with warehouse.transaction() as session:
        return keys.create_key(session, user_id, role)


def routes(app: FastAPI) -> list[str]:
    """`METHOD path` of every route; what is mounted counts as read."""
    found = [
        f"{method} {context.path}"
        for context in iter_route_contexts(app.router.routes)
        for method in sorted(context.methods or {"GET"})
    ]
    return [name for name in found if not name.startswith("HEAD ")]


def test_the_table_names_every_route(scene: Scene) -> None:
    app = scene.client.app
    assert isinstance(app, FastAPI)
    assert sorted(routes(app)) == sorted(LET_IN)


@pytest.mark.parametrize("route", LET_IN)
def test_who_is_not_let_in_changes_and_sees_nothing(scene: Scene, route: str) -> None:
    for who in set(EVERYBODY.split()) - set(LET_IN[route].split()):
        refused = scene.ask(who, route)
        assert refused.status_code == (401 if who in ("nobody", "revoked") else 403), (who, refused.text)
        assert list(refused.json()) == ["detail"]
        assert who not in ("nobody", "revoked") or refused.headers["www-authenticate"] == "Bearer"
    kept = scene.client.get("/datasets/ann/loans", headers=scene.headers["ann"])
    assert (kept.status_code, kept.json()["name"], kept.json()["version"]) == (200, "n", "v1")


READING_FIRST = sorted(LET_IN, key=lambda route: (not route.startswith("GET"), "DELETE" in route, -route.count("/")))


def test_who_is_let_in_reaches_every_route(scene: Scene) -> None:
    for route in READING_FIRST:
        for who in LET_IN[route].split():
            let_in = scene.ask(who, route)
            assert let_in.status_code not in (401, 403, 500) or route == "POST /login", (who, route, let_in.text)
