"""Routes of bias reports, transformation reports and explanations, as foreign workers use them."""

import pytest
from fastapi.testclient import TestClient

from mlpipe_dagster.bias.report import BiasReport, Quality
from mlpipe_dagster.vocabulary import Level, ReportType, Stage, TaskKind
from mlpipe_dagster.warehouse import results
from mlpipe_dagster.warehouse.objects import object_name
from mlpipe_dagster.warehouse.results import NewExplanation, NewModel, StoredFile
from mlpipe_dagster.warehouse.warehouse import Warehouse
from mlpipe_dagster_tests.api.requests import SCRIPT, post_model, post_page, upload
from mlpipe_dagster_tests.warehouse import scenes

FOREIGN = {
    "overall": {"disparate impact": 0.71, SCRIPT: [1, 2, None]},
    "groups": [{"name": SCRIPT, "n": 3}],
    "ok": True,
}


def bias(client: TestClient, **body: object) -> dict[str, object]:
    answer = client.post("/bias-reports/", json={"user_id": "ann", "dataset_id": "loans", "report": FOREIGN} | body)
    content: dict[str, object] = answer.json()
    assert answer.status_code == 200, content
    return content


# bias reports


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"user_id": "ann", "dataset_id": "loans"}, 422),
        ({"user_id": "ann", "dataset_id": "loans", "report": "text"}, 422),
        ({"user_id": "../x", "dataset_id": "loans", "report": {}}, 422),
        ({"user_id": "ann", "dataset_id": "nothing", "report": {}}, 404),
        ({"user_id": "bob", "dataset_id": "loans", "report": {}}, 404),
    ],
)
def test_a_report_that_does_not_fit_is_refused(client: TestClient, body: dict[str, object], status: int) -> None:
    upload(client)
    assert client.post("/bias-reports/", json=body).status_code == status


def test_a_report_with_nan_is_refused_plainly(client: TestClient) -> None:
    upload(client)
    body = b'{"user_id": "ann", "dataset_id": "loans", "report": {"a": NaN}}'
    answer = client.post("/bias-reports/", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422
    assert "null" in answer.json()["detail"][0]["msg"]


def test_a_report_is_stored_replaced_announced_and_deleted(client: TestClient, warehouse: Warehouse) -> None:
    upload(client)
    first, second = bias(client), bias(client, report={"b": 2}, target_column_name="paid", task_type="binary")
    assert set(first) >= {"id", "user_id", "dataset_id", "report", "created_at", "updated_at"}
    assert (first["id"], first["report"], second["report"]) == (second["id"], FOREIGN, {"b": 2})
    event = scenes.value_of(scenes.outbox_rows(warehouse, "bias.reported")[-1])
    assert (event["bias_report_id"], event["target_column_name"], event["task_type"]) == (
        first["id"],
        "paid",
        "classification",
    )
    assert client.get("/bias-reports/ann/loans").json() == second
    assert client.get("/bias-reports/ann/loans?version=v2").status_code == 404
    assert list(client.delete("/bias-reports/ann/loans").json()) == ["message"]
    assert client.get("/bias-reports/ann/loans").status_code == 404
    assert client.get("/bias-reports/ann/loans/view").status_code == 404
    assert client.delete("/bias-reports/ann/loans").status_code == 404


def test_a_foreign_report_is_shown_escaped_in_plain_tables(client: TestClient) -> None:
    upload(client, name=SCRIPT)
    bias(client, target_column_name=SCRIPT)
    page = client.get("/bias-reports/ann/loans/view?level=expert")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert SCRIPT not in page.text
    assert "&lt;script&gt;" in page.text
    for words in ("disparate impact", "0.71", "1, 2, none", "yes"):
        assert words in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]


@pytest.mark.long
def test_a_deep_or_huge_foreign_report_is_still_a_page(client: TestClient) -> None:
    upload(client)
    deep: dict[str, object] = {"end": 1}
    for _ in range(200):
        deep = {"in": deep}
    bias(client, report={"deep": deep, "many": {str(place): place for place in range(6000)}})
    page = client.get("/bias-reports/ann/loans/view")
    assert page.status_code == 200
    assert "The rest is left out here" in page.text


def test_our_report_is_rendered_for_the_reader(client: TestClient) -> None:
    upload(client)
    report = BiasReport(
        row_count=400,
        target="paid",
        task=TaskKind.BINARY,
        positive="yes",
        overall=(),
        features=(),
        findings=(),
        verdict=f"Nothing stands out in {SCRIPT}.",
        quality=Quality(duplicate_rows=0, constant_columns=(), empty_columns=(), missing_target=0),
    )
    bias(client, report=report.model_dump(mode="json"))
    for level in ("beginner", "Intermediate", "expert"):
        page = client.get(f"/bias-reports/ann/loans/view?level={level}")
        assert page.status_code == 200
        assert "Nothing stands out" in page.text
        assert SCRIPT not in page.text
        assert "?level=expert" in page.text or level == "expert"
    assert client.get("/bias-reports/ann/loans/view?level=wizard").status_code == 422


# transformation reports


def test_a_transformation_report_is_told_with_the_next_bias_report(client: TestClient, warehouse: Warehouse) -> None:
    upload(client)
    body = {"user_id": "ann", "dataset_id": "loans", "version": "v1", "report": {"method": "reweighing"}}
    assert client.post("/transformation-reports/", json=body | {"version": "v2"}).status_code == 404
    assert client.post("/transformation-reports/", json=body | {"report": [1]}).status_code == 422
    stored = client.post("/transformation-reports/", json=body).json()
    assert set(stored) == {"user_id", "dataset_id", "version", "report", "created_at", "updated_at"}
    client.post("/transformation-reports/", json=body | {"report": {"method": "none"}})
    assert client.get("/transformation-reports/ann/loans/v1").json()["report"] == {"method": "none"}
    bias(client)
    assert scenes.value_of(scenes.outbox_rows(warehouse, "bias.reported")[-1])["has_transformation_report"] is True
    shown = client.get("/transformation-reports/ann/loans/v1/view")
    assert (shown.status_code, "Another program made this report" in shown.text) == (200, True)
    assert list(client.delete("/transformation-reports/ann/loans/v1").json()) == ["message"]
    assert client.get("/transformation-reports/ann/loans/v1").status_code == 404
    assert client.delete("/transformation-reports/ann/loans/v1").status_code == 404


def test_our_transformation_report_is_a_page(client: TestClient) -> None:
    upload(client)
    gap = {"value": 0.4375, "low": 0.35, "high": 0.5}
    line = {"column": "sex", "group": SCRIPT, "reference": "man", "about": "yes", "measure": "DPL", "before": gap}
    report = {
        "method": "reweighing", "explained": "rows are weighted", "target": "paid", "task": "binary",
        "sensitive": ["sex"], "transformations": [], "notes": ["The smallest weight is 0.5."],
        "before_after": [line | {"after": {"value": 0.0}, "model": {"value": -0.12, "low": -0.2, "high": -0.04}}],
    }  # fmt: skip
    body = {"user_id": "ann", "dataset_id": "loans", "version": "v1", "report": report}
    assert client.post("/transformation-reports/", json=body).status_code == 200
    shown = client.get("/transformation-reports/ann/loans/v1/view")
    assert "points; After: 0 points; In the model&#39;s predictions: \N{MINUS SIGN}12 points." in shown.text
    assert "The smallest weight is 0.5." in shown.text
    assert SCRIPT not in shown.text
    assert "default-src 'none'" in shown.headers["content-security-policy"]
    links = client.get("/pipelines/loans").json()["links"]
    assert links["mitigation"].endswith("/transformation-reports/ann/loans/v1/view")


# explanations

PAGE = "/xai-reports/ann/loans/m/model_explanation/beginner"


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"filename": "why.pdf"}, 400),
        ({"filename": "why.html.exe"}, 400),
        ({"report_type": "story"}, 422),
        ({"level": "wizard"}, 422),
        ({"model_id": "../m"}, 422),
        ({"dataset_id": "nothing"}, 404),
    ],
)
def test_an_explanation_that_does_not_fit_is_refused(client: TestClient, fields: dict[str, str], status: int) -> None:
    upload(client)
    assert post_page(client, **fields).status_code == status  # type: ignore[arg-type]
    assert client.get("/xai-reports/ann/loans/m").json() == []
    assert list(client.app.state.warehouse.objects.folder.glob("explanations/**/*.html")) == []  # type: ignore[attr-defined]


def test_an_explanation_is_stored_replaced_announced_and_deleted(client: TestClient, warehouse: Warehouse) -> None:
    upload(client)
    post_model(client, training_dataset="loans")
    first = post_page(client, level="Beginner").json()
    second = post_page(client, content=b"<p>better</p>").json()
    assert set(first) == {
        "user_id", "dataset_id", "model_id", "report_type", "level", "file_path", "file_size", "file_hash",
        "custom_metadata", "created_at", "updated_at",
    }  # fmt: skip
    assert (first["level"], first["file_size"], second["file_size"]) == ("beginner", 10, 13)
    assert len(scenes.outbox_rows(warehouse, "xai.reported")) == 2
    assert [row["file_path"] for row in client.get("/xai-reports/ann/loans/m").json()] == [second["file_path"]]
    assert client.get(PAGE).json() == second
    assert client.get(f"{PAGE}/view").text == "<p>better</p>"
    assert list(client.delete(PAGE).json()) == ["message"]
    for path in (PAGE, f"{PAGE}/view"):
        assert client.get(path).status_code == 404
    assert client.delete(PAGE).status_code == 404
    (former,) = client.get("/pipelines/loans").json()["history"]  # what was replaced can be read until the dataset goes
    assert (former["kind"], former["level"], "file_path" in former) == ("explanation", "beginner", False)
    page = client.get(former["link"])
    assert (page.text, page.headers["content-security-policy"].split(";")[0]) == ("<p>why</p>", "sandbox")
    assert client.get("/pipelines/loans/history/999").status_code == 404
    client.delete("/datasets/ann/loans")
    folder = client.app.state.warehouse.objects.folder  # type: ignore[attr-defined]
    assert list(folder.glob("explanations/**/*.html")) == []


def test_a_foreign_page_is_sandboxed(client: TestClient) -> None:
    upload(client)
    post_page(client, content=SCRIPT.encode())
    page = client.get(f"{PAGE}/view")
    assert page.headers["content-type"].startswith("text/html")
    policy = page.headers["content-security-policy"].split("; ")
    assert "sandbox" in policy
    assert "script-src 'none'" in policy


def test_our_page_needs_no_network(client: TestClient, warehouse: Warehouse, tmp_path: object) -> None:
    upload(client)
    model = results.receive_model(warehouse, "ann", "loans", NewModel("m", "M", "sklearn", "classification", ()))
    what = scenes.arrived(scenes.xai_trigger(), "xai-trigger-events", ce_id="x1", version="v1")
    held = scenes.claim(warehouse, Stage.XAI, what)
    name = object_name("explanations", "ann", "loans", "1", "page.html")
    file = warehouse.settings.home / "page.html"
    file.write_text("<p>ours</p>")
    warehouse.objects.put(name, file)
    page = NewExplanation(
        ReportType.MODEL, Level.BEGINNER, StoredFile("page.html", name, 11, "0" * 64, "text/html", is_primary=True)
    )
    results.save_explanations(warehouse, held, model, [page], Level.BEGINNER)
    answer = client.get(f"{PAGE}/view")
    assert answer.text == "<p>ours</p>"
    assert answer.headers["content-security-policy"] == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
