"""Routes of datasets: what is refused, what is stored, what comes back."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from mlpipe_dagster.api.app import FORM_BYTES, create_app
from mlpipe_dagster.automl.engines.known import KnownEngine
from mlpipe_dagster.settings import settings
from mlpipe_dagster.tables.inspector import Inspector
from mlpipe_dagster.warehouse.warehouse import Warehouse, open_warehouse
from mlpipe_dagster_tests.api.requests import BAD_IDS, CSV, CSV_MD5, upload
from mlpipe_dagster_tests.warehouse import scenes

KEYS = {
    "dataset_id", "user_id", "name", "description", "version", "file_type", "file_size", "original_filename", "columns",
    "row_count", "data_types", "tags", "custom_metadata", "created_at", "updated_at", "file_hash",
}  # fmt: skip


def stored(home: Path) -> list[Path]:
    return [path for path in (home / "objects").rglob("*") if path.is_file()]


@pytest.mark.parametrize("bad", BAD_IDS)
def test_a_bad_id_in_a_form_is_refused(client: TestClient, home: Path, bad: str) -> None:
    for fields in ({"dataset_id": bad}, {"user_id": bad}):
        answer = upload(client, **fields)
        assert answer.status_code == 422
        assert answer.json()["detail"][0]["loc"] == ["body", *fields]
    assert stored(home) == []


@pytest.mark.parametrize(
    "path",
    [
        "/datasets/-a",
        "/datasets/ann/-a",
        "/datasets/ann/a b",
        "/datasets/%2E%2E/loans",
        "/datasets/ann/%2E%2E",
        "/datasets/ann/loans/version/%2E%2E",
        "/datasets/ann/loans/version/-1/download",
        "/datasets/search/a~b",
        "/bias-reports/ann/-a",
        "/transformation-reports/ann/loans/a b",
        "/ai-models/ann/-a",
        "/ai-models/ann/m?version=-1",
        "/xai-reports/ann/loans/-m",
        "/plots/dataset/ann/loans/%2E%2E.svg",
        "/pipelines/-a",
    ],
)
def test_a_bad_id_in_a_path_is_refused(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 422


@pytest.mark.parametrize("path", ["/datasets/ann/..%2F..%2Fetc%2Fpasswd", "/plots/dataset/..%2F..%2Fx/loans/v1.svg"])
def test_an_encoded_slash_reaches_nothing(client: TestClient, path: str) -> None:
    assert client.get(path).status_code in (404, 422)


@pytest.mark.parametrize("missing", ["user_id", "dataset_id", "name"])
def test_a_missing_field_is_refused(client: TestClient, missing: str) -> None:
    data = {"user_id": "ann", "dataset_id": "loans", "name": "Loans"}
    del data[missing]
    assert client.post("/datasets/upload", files={"file": ("a.csv", CSV)}, data=data).status_code == 422


def test_a_file_that_is_only_a_text_field_is_refused(client: TestClient) -> None:
    data = {"user_id": "ann", "dataset_id": "loans", "name": "Loans", "file": "a,b"}
    assert client.post("/datasets/upload", data=data).status_code == 422


@pytest.mark.parametrize(
    ("field", "text", "advice"),
    [
        ("time_budget", "abc", "Write 60 or 60s, 10m, 1h."),
        ("time_budget", "0", "Write 60 or 60s, 10m, 1h."),
        ("time_budget", "-5", "Write 60 or 60s, 10m, 1h."),
        ("task_type", "clustering", "Use one of: binary, binary_classification, classification"),
        ("xai_level", "wizard", "Use one of: beginner, intermediate, expert."),
        ("mitigation", "magic", "Use one of: auto, none, reweighing, resampling, correlation-remover, proxy-dropping."),
        ("fairness", "quota", "with the difference that is allowed, if it is another than 0.05"),
        ("engine", "h2o", "Use one of: auto, portfolio, deterministic, flaml, autosklearn, autogluon."),
        ("short_budget", "ignore", "Use one of: refuse, raise."),
        ("mode", "maybe", "Use one of: auto, ask."),
    ],
)
def test_a_choice_that_is_not_understood_says_what_to_write(
    client: TestClient, home: Path, field: str, text: str, advice: str
) -> None:
    answer = upload(client, **{field: text})
    assert answer.status_code == 422
    assert f"“{text}”" in answer.json()["detail"]
    assert advice in answer.json()["detail"]
    assert stored(home) == []
    assert client.get("/datasets/ann").json() == []


@pytest.mark.parametrize(
    ("engine", "command"),
    [("flaml", "pip install"), ("AutoSklearn", "mlpipe engines install autosklearn"), ("autogluon", "mlpipe engines")],
)
def test_an_engine_that_is_not_installed_is_refused_at_the_upload(
    client: TestClient, home: Path, monkeypatch: pytest.MonkeyPatch, engine: str, command: str
) -> None:
    monkeypatch.setattr(KnownEngine, "is_installed", lambda known: known.name == "portfolio")
    answer = upload(client, engine=engine)
    assert answer.status_code == 422
    assert f"is not installed on this machine. Install it with `{command}" in answer.json()["detail"]
    assert "or choose the engine portfolio" in answer.json()["detail"]
    assert stored(home) == []
    assert upload(client, engine="portfolio").status_code == 200
    wished = client.put("/datasets/ann/loans", json={"custom_metadata": {"pipeline": {"engine": engine}}})
    assert (wished.status_code, "is not installed" in wished.json()["detail"]) == (422, True)
    rerun = client.post("/pipelines/loans/again", json={"engine": engine})
    assert (rerun.status_code, "is not installed" in rerun.json()["detail"]) == (422, True)
    policy = client.put("/users/ann/policy", json={"engine": engine})
    assert (policy.status_code, "is not installed" in policy.json()["detail"]) == (422, True)


@pytest.fixture
def small_client(client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """An API that takes files of 100 bytes; temporary files go where the test can see them."""
    monkeypatch.setenv("MLPIPE_MAX_UPLOAD_BYTES", "100")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    settings.cache_clear()
    small = TestClient(create_app())
    small.app.state.warehouse = open_warehouse()  # type: ignore[attr-defined]
    small.app.state.flusher = client.app.state.flusher  # type: ignore[attr-defined]
    small.app.state.inspector = Inspector()  # type: ignore[attr-defined]  # the session's does not know the limit
    yield small
    small.app.state.inspector.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("size", [101, FORM_BYTES + 200])
def test_a_file_over_the_limit_leaves_nothing(small_client: TestClient, home: Path, tmp_path: Path, size: int) -> None:
    before = set(tmp_path.iterdir())
    answer = upload(small_client, content=b"x" * size)
    assert answer.status_code == 413
    assert "smaller" in answer.json()["detail"]
    assert stored(home) == []
    assert set(tmp_path.iterdir()) == before
    assert upload(small_client, content=b"a,b\n" + b"1,2\n" * 24).status_code == 200  # exactly 100 bytes


def test_a_form_that_breaks_off_stores_nothing(client: TestClient, home: Path) -> None:
    body = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\na,b\n1,2\n'
    answer = client.post("/datasets/upload", content=body, headers={"content-type": "multipart/form-data; boundary=x"})
    assert answer.status_code in (400, 422)
    assert stored(home) == []


def test_an_upload_answers_the_dataset(client: TestClient) -> None:
    answer = upload(client, description="who paid", tags="money, people,", user_id="ann@example.org")
    dataset = answer.json()
    assert answer.status_code == 200
    assert set(dataset) >= KEYS
    given = ("user_id", "version", "file_type", "file_size", "row_count", "original_filename", "description")
    assert [dataset[key] for key in given] == ["ann@example.org", "v1", "csv", 33, 2, "loans.csv", "who paid"]
    assert dataset["columns"] == ["income", "sex", "paid"]
    assert dataset["data_types"]["income"] == "int64"
    assert dataset["file_hash"] == CSV_MD5
    assert dataset["tags"] == ["money", "people"]
    assert dataset["custom_metadata"] == {}


def test_choices_land_in_the_metadata(client: TestClient) -> None:
    said = {
        "target_column_name": "paid",
        "task_type": "Binary",
        "time_budget": "10m",
        "xai_level": "EXPERT",
        "mitigation": "Reweighing",
        "sensitive_features": "sex, age",
        "mode": "ask",
    }
    assert upload(client, **said).json()["custom_metadata"] == {
        "pipeline": said | {"xai_level": "expert", "mitigation": "reweighing", "sensitive_features": ["sex", "age"]}
    }


def test_the_user_may_stand_in_the_path(client: TestClient) -> None:
    data = {"dataset_id": "loans", "name": "Loans"}
    answer = client.post("/datasets/upload/bob", files={"file": ("a.csv", CSV)}, data=data)
    assert (answer.status_code, answer.json()["user_id"]) == (200, "bob")


@pytest.mark.parametrize("content", [b"\x89PNG\r\n\x1a\n" + bytes(range(256)), b""])
def test_what_is_no_table_is_stored_all_the_same(client: TestClient, content: bytes) -> None:
    answer = upload(client, content=content, filename="picture.png")
    assert answer.status_code == 200
    assert (answer.json()["file_type"], answer.json()["columns"], answer.json()["row_count"]) == ("other", None, None)
    assert client.get("/datasets/ann/loans/download").content == content


def test_without_kafka_an_upload_is_taken_and_its_event_waits(lonely_client: TestClient) -> None:
    assert upload(lonely_client).status_code == 200
    row = scenes.outbox_rows(open_warehouse())[0]
    assert (row.event_type, row.acknowledged_at, row.undeliverable) == ("dataset.uploaded", None, None)


def test_with_kafka_the_event_leaves_at_once(client: TestClient, warehouse: Warehouse) -> None:
    upload(client)
    client.app.state.flusher.stop()  # type: ignore[attr-defined]  # what it was nudged to is done before it ends
    client.app.state.flusher._flush()  # type: ignore[attr-defined]
    row = scenes.outbox_rows(warehouse)[0]
    assert (row.topic, row.record_key, row.partition, row.sends) == ("dataset-events", "loans", 0, 1)


def test_an_event_over_kafkas_limit_does_not_refuse_the_upload(client: TestClient, monkeypatch: Any) -> None:
    monkeypatch.setenv("MLPIPE_KAFKA_MAX_MESSAGE_BYTES", "10000")
    settings.cache_clear()
    client.app.state.warehouse = open_warehouse()  # type: ignore[attr-defined]
    names = [f"column_{place}" for place in range(400)]
    content = (",".join(names) + "\n" + ",".join("1" * 400) + "\n").encode()
    answer = upload(client, content=content)
    assert answer.status_code == 200
    assert len(answer.json()["columns"]) == 400
    event = scenes.value_of(scenes.outbox_rows(open_warehouse())[0])
    assert event["dataset"]["columns"] is None


def test_two_users_may_have_the_same_dataset(client: TestClient) -> None:
    assert upload(client).json()["version"] == "v1"
    assert upload(client, user_id="bob", name="Bob's").json()["version"] == "v1"
    assert [row["name"] for row in client.get("/datasets/ann").json()] == ["Loans"]
    assert client.get("/datasets/bob/loans").json()["name"] == "Bob's"
    assert client.delete("/datasets/bob/loans").status_code == 200
    assert client.get("/datasets/ann/loans").status_code == 200


def test_a_deleted_dataset_comes_back_with_the_next_number(client: TestClient, home: Path) -> None:
    upload(client)
    upload(client)
    deleted = client.delete("/datasets/ann/loans").json()
    assert {key: deleted[key] for key in deleted if key != "message"} == {
        "versions_deleted": 2,
        "files_deleted": 2,
        "files_failed": 0,
    }
    assert stored(home) == []
    assert client.get("/datasets/ann/loans").status_code == 404
    assert client.delete("/datasets/ann/loans").status_code == 404
    assert upload(client).json()["version"] == "v3"


def test_one_version_is_deleted(client: TestClient) -> None:
    for content in (b"a,b\n1,2\n", b"a,b\n3,4\n"):
        upload(client, content=content)
    assert [row["version"] for row in client.get("/datasets/ann/loans/versions").json()] == ["v2", "v1"]
    assert client.get("/datasets/ann/loans/version/v1/download").content == b"a,b\n1,2\n"
    assert list(client.delete("/datasets/ann/loans/version/v1").json()) == ["message"]
    assert client.get("/datasets/ann/loans/version/v1").status_code == 404
    assert client.get("/datasets/ann/loans/version/v2").json()["version"] == "v2"


@pytest.mark.parametrize(
    "path",
    [
        "/datasets/ann/nothing",
        "/datasets/ann/nothing/versions",
        "/datasets/ann/nothing/download",
        "/datasets/ann/nothing/version/v1",
        "/datasets/ann/nothing/version/v1/download",
    ],
)
def test_what_is_not_there_is_said_to_be_unknown(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert "nothing" in answer.json()["detail"]


@pytest.mark.parametrize("query", ["skip=-1", "limit=0", "limit=1001", "skip=99999999999999999999", "limit=x"])
def test_paging_has_limits(client: TestClient, query: str) -> None:
    assert client.get(f"/datasets/ann?{query}").status_code == 422
    assert client.get(f"/datasets/search/ann?{query}").status_code == 422


def test_an_unknown_user_has_no_datasets(client: TestClient) -> None:
    assert client.get("/datasets/nobody").json() == []
    assert client.get("/datasets/search/nobody?query=x").json() == []


def test_search_finds_by_text_tags_and_type(client: TestClient) -> None:
    upload(client, "one", name="Paid loans", tags="money")
    upload(client, "two", name="Irises", tags="flowers")

    def found(query: str) -> list[str]:
        return [row["dataset_id"] for row in client.get(f"/datasets/search/ann?{query}").json()]

    assert found("query=LOANS") == ["one"]
    assert found("tags=flowers,birds") == ["two"]
    assert found("file_type=parquet") == []
    assert found("limit=1&skip=1") == ["one"]


@pytest.mark.parametrize(
    ("filename", "disposition"),
    [
        ("loans 1.csv", 'attachment; filename="loans 1.csv"'),
        ("../../loans.csv", 'attachment; filename="loans.csv"'),
        ("C:\\data\\loans.csv", 'attachment; filename="loans.csv"'),
        ("żółć.csv", "attachment; filename=\"____.csv\"; filename*=UTF-8''%C5%BC%C3%B3%C5%82%C4%87.csv"),
    ],
)
def test_a_download_has_the_files_own_name(client: TestClient, filename: str, disposition: str) -> None:
    upload(client, filename=filename)
    answer = client.get("/datasets/ann/loans/download")
    assert (answer.content, answer.headers["content-disposition"]) == (CSV, disposition)
    assert answer.headers["content-length"] == "33"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_change_is_announced_off_the_datasets_topic(client: TestClient, warehouse: Warehouse) -> None:
    upload(client)
    changed = client.put("/datasets/ann/loans", json={"name": "Debts", "tags": ["a"], "custom_metadata": {"x": 1}})
    assert changed.status_code == 200
    assert (changed.json()["name"], changed.json()["tags"], changed.json()["custom_metadata"]) == (
        "Debts",
        ["a"],
        {"x": 1},
    )
    rows = scenes.outbox_rows(warehouse, "dataset.updated")
    assert [row.topic for row in rows] == ["dataset-change-events"]
    assert client.put("/datasets/ann/nothing", json={"name": "x"}).status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        b'{"name": 5}',
        b'{"tags": "a,b"}',
        b'{"custom_metadata": {"x": NaN}}',
        b'{"custom_metadata": {"x": "\\ud800"}}',
        b'{"custom_metadata": {"x": "\\u0000"}}',
        b'{"custom_metadata": {"pipeline": {"time_budget": "soon"}}}',
        b'{"custom_metadata": {"pipeline": {"task_type": "clustering"}}}',
        b'{"custom_metadata": {"pipeline": {"xai_level": "wizard"}}}',
        b'{"custom_metadata": {"pipeline": 5}}',
        b"{",
    ],
)
def test_a_change_that_cannot_be_stored_is_refused(client: TestClient, body: bytes) -> None:
    upload(client)
    answer = client.put("/datasets/ann/loans", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422
    assert client.get("/datasets/ann/loans").json()["name"] == "Loans"
