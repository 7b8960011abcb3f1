"""Pages, inbox, roles, plots, health: what people see and click, and what hostile names do there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from mlpipe_dagster.api import pages
from mlpipe_dagster.api.live import Changes
from mlpipe_dagster.warehouse import datasets
from mlpipe_dagster.warehouse.objects import plot_name
from mlpipe_dagster.warehouse.warehouse import Warehouse, open_warehouse
from mlpipe_dagster_tests.api.requests import CSV, HTML, SCRIPT, upload
from mlpipe_dagster_tests.warehouse import scenes


@pytest.fixture
def question(client: TestClient, warehouse: Warehouse, tmp_path: Path) -> str:
    """Id of the question that an upload in mode `ask` led to."""
    upload(client, mode="ask", name=SCRIPT)
    with warehouse.reading() as session:
        version = datasets.get_version(session, "ann", "loans")
    scenes.read_table(warehouse, tmp_path, version)
    (found,) = client.get("/questions?user_id=ann&status=open").json()
    return str(found["id"])


# the inbox


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"answer": {"target_column_name": "nope", "task_type": "binary"}}, 422),
        ({"answer": {"target_column_name": "paid", "task_type": "regression"}}, 422),
        ({"colour": "red"}, 422),
        ({"answer": {"target_column_name": "paid", "task_type": "binary"}, "user_id": "bob"}, 403),
        ({"answer": {"target_column_name": "paid", "task_type": "binary"}, "user_id": 5}, 422),
        ([1], 422),
    ],
)
def test_an_answer_that_does_not_fit_is_refused(client: TestClient, question: str, body: object, status: int) -> None:
    assert client.post(f"/questions/{question}/answer", json=body).status_code == status
    assert client.get(f"/questions/{question}").json()["status"] == "open"


@pytest.mark.parametrize(
    "body",
    [
        {"answer": {"target_column_name": "paid", "task_type": "binary"}, "user_id": "ann"},
        {"answer": {"target_column_name": "paid", "task_type": "binary"}},
        {"target_column_name": "paid", "task_type": "binary"},
    ],
)
def test_a_question_is_answered_once(client: TestClient, question: str, body: object) -> None:
    answered = client.post(f"/questions/{question}/answer", json=body)
    assert (answered.status_code, answered.json()["answered_by"]) == (200, "ann")
    assert client.post(f"/questions/{question}/answer", json=body).status_code == 409
    assert client.get("/questions?status=open").json() == []
    assert client.get("/questions?user_id=bob").json() == []
    assert client.get("/questions?status=lost").status_code == 422


def test_an_unknown_question_is_unknown(client: TestClient) -> None:
    assert client.get("/questions/nothing").status_code == 404
    assert client.post("/questions/nothing/answer", json={"a": 1}).status_code == 404
    assert client.post("/inbox/nothing", data={"a": "1"}).status_code == 404


def test_a_question_is_answered_by_a_click(client: TestClient, question: str) -> None:
    page = client.get("/inbox").text
    assert SCRIPT not in page
    assert f'action="/inbox/{question}"' in page
    assert '<input type="radio" name="target_column_name" value="paid" required>' in page
    refused = client.post(f"/inbox/{question}", data={"target_column_name": "income", "task_type": "binary"})
    assert refused.status_code == 422
    assert "has 300 different values" in refused.text
    data = {"target_column_name": "paid", "task_type": "binary"}
    accepted = client.post(f"/inbox/{question}", data=data, follow_redirects=False)
    assert (accepted.status_code, accepted.headers["location"]) == (303, f"/inbox?answered={question}")
    again = client.post(f"/inbox/{question}", data=data)
    assert again.status_code == 409
    assert "answered already" in again.text


def test_a_link_opens_a_question_with_the_answer_chosen(client: TestClient, question: str) -> None:
    page = client.get(f"/inbox?question={question}&target_column_name=sex&task_type=binary&colour=purple").text
    assert '<article class="opened">' in page
    assert 'name="target_column_name" value="sex" checked required' in page
    assert 'name="target_column_name" value="paid" checked' not in page
    assert "purple" not in page
    assert "This question is not open any more" in client.get("/inbox?question=other").text
    assert client.get(f"/questions/{question}").json()["status"] == "open"


def test_what_was_entered_stays_where_it_was_not_accepted(client: TestClient, question: str) -> None:
    said = {"target_column_name": "income", "task_type": "binary"}
    refused = client.post(f"/inbox/{question}", data=said, headers=HTML)
    assert refused.status_code == 422
    assert 'name="target_column_name" value="income" checked' in refused.text
    article = refused.text.partition('<article class="opened">')[2]
    assert "has 300 different values" in article


def test_another_sites_page_cannot_answer(client: TestClient, question: str) -> None:
    answer = client.post(
        f"/inbox/{question}", data={"target_column_name": "paid"}, headers={"sec-fetch-site": "cross-site"}
    )
    assert answer.status_code == 403


def test_notifications_are_told_to_their_owner(client: TestClient, question: str) -> None:
    client.post(f"/questions/{question}/answer", json={"target_column_name": "paid", "task_type": "binary"})
    (told,) = client.get("/notifications?user_id=ann").json()
    assert told["subject"] == "loans: what will happen"
    assert client.get("/notifications?user_id=bob").json() == []
    assert "<li>Target column: paid (as you asked).</li>" in client.get("/inbox?user_id=ann").text


# pipelines


def test_a_list_is_filtered_and_paged(client: TestClient, question: str, monkeypatch: pytest.MonkeyPatch) -> None:
    upload(client, "other", user_id="bob", name="50%_off")
    upload(client, "third", user_id="bob")
    for address, found in {
        "/": ["third", "other", "loans"],
        "/?text=&user_id=&status=": ["third", "other", "loans"],
        "/?text=OTH": ["other"],
        "/?text=%25_": ["other"],
        "/?user_id=bob": ["third", "other"],
        "/?status=waiting": ["loans"],
        "/?user_id=bob&text=loans": ["third"],
        "/?user_id=bob&status=done": [],
    }.items():
        listed = re.findall(r'<a href="/pipelines/(\w+)', client.get(address).text)
        assert listed == found, address
    monkeypatch.setattr(pages, "ROWS", 2)
    first = client.get("/?text=o").text
    assert '<a rel="next" href="/?text=o&amp;page=2">' in first
    assert 'rel="prev"' not in first
    second = client.get("/?text=o&page=2").text
    assert re.findall(r'<a href="/pipelines/(\w+)', second) == ["loans"]
    assert '<a rel="prev" href="/?text=o">' in second
    assert 'rel="next"' not in second
    assert client.get("/?page=0").status_code == 422


def test_pipelines_are_listed_and_filtered(client: TestClient, question: str) -> None:
    upload(client, "other", user_id="bob")
    assert [row["dataset_id"] for row in client.get("/pipelines").json()] == ["other", "loans"]
    assert [row["dataset_id"] for row in client.get("/pipelines?status=waiting").json()] == ["loans"]
    assert [row["dataset_id"] for row in client.get("/pipelines?user_id=bob").json()] == ["other"]
    assert client.get("/pipelines?status=lost").status_code == 422


def test_a_pipeline_tells_all_of_it(client: TestClient, question: str) -> None:
    found = client.get("/pipelines/loans").json()
    assert {"stages", "events", "questions", "decisions", "notifications", "links"} <= set(found)
    assert [(row["stage"], row["state"]) for row in found["stages"]] == [("dataset", "done")]
    assert found["stages"][0]["run_link"].startswith("http://localhost:3000/runs/")


def test_a_pipeline_runs_again_with_other_choices(client: TestClient, question: str) -> None:
    for wrong in ({"colour": "red"}, {"stage": "dataset"}, {"target_column_name": "nope"}, {"task_type": "guess"}):
        assert client.post("/pipelines/loans/again", json=wrong).status_code == 422
    started = client.post("/pipelines/loans/again", json={"target_column_name": "paid", "sensitive_features": []})
    assert started.status_code == 200
    said = started.json()
    assert (said["stage"], said["status"], said["choices"]["task"], said["choices"]["sensitive"]) == (
        "bias",
        "running",
        "binary",
        [],
    )
    assert client.post("/pipelines/loans/again", json={"time_budget": "5"}).status_code == 409
    assert client.post(f"/questions/{question}/answer", json={"target_column_name": "paid"}).status_code == 409
    assert client.post("/pipelines/nothing/again", json={}).status_code == 404


def test_a_pipeline_runs_again_with_mitigation(client: TestClient, question: str) -> None:
    """As `mlpipe mitigate` asks for it."""
    said = {"target_column_name": "paid", "mitigation": "auto"}
    unfit = client.post(
        "/pipelines/loans/again", json=said | {"target_column_name": "income", "mitigation": "reweighing"}
    )
    assert unfit.status_code == 422
    assert "needs classes to predict, not numbers. Use one of: correlation-remover, proxy-dropping." in unfit.text
    assert client.post("/pipelines/loans/again", json={"mitigation": "magic"}).status_code == 422
    started = client.post("/pipelines/loans/again", json=said).json()
    assert (started["stage"], started["choices"]["mitigation"]) == ("bias", "reweighing")
    assert any(line.startswith("Mitigation: reweighing (rows are weighted") for line in started["choices"]["reasons"])


def test_a_pipeline_runs_again_with_a_fairness_constraint(client: TestClient, question: str) -> None:
    """Kept with a change that leaves target and groups as they are; taken back by `none`; shown in the page's form."""
    said = {"target_column_name": "paid", "fairness": "Equal Opportunity: 0.1"}
    started = client.post("/pipelines/loans/again", json=said).json()
    assert started["choices"]["fairness"] == "true_positive_rate_parity:0.1"
    assert "Fairness constraint: true_positive_rate_parity:0.1 (as you asked)." in started["choices"]["reasons"]
    client.post("/pipelines/loans/cancel?user_id=ann")
    form = client.get("/pipelines/loans", headers=HTML).text
    assert '<option value="true_positive_rate_parity:0.1" selected>' in form
    assert '<option value="demographic_parity:0.05">demographic parity within 0.05</option>' in form
    for change, kept in (({"time_budget": "30"}, "true_positive_rate_parity:0.1"), ({"fairness": "none"}, None)):
        client.post("/pipelines/loans/cancel?user_id=ann")
        started = client.post("/pipelines/loans/again", json=change | {"stage": "bias"}).json()
        assert started["choices"]["fairness"] == kept


def test_a_pipeline_is_cancelled_by_a_click(client: TestClient) -> None:
    upload(client)
    address = "/pipelines/loans/cancel?user_id=ann"
    assert f'action="{address}"' in client.get("/pipelines/loans", headers=HTML).text
    elsewhere = client.post(address, headers=HTML | {"sec-fetch-site": "cross-site"})
    assert elsewhere.status_code == 403
    ended = client.post(address, headers=HTML, follow_redirects=False)
    assert (ended.status_code, ended.headers["location"]) == (303, "/pipelines/loans?user_id=ann")
    page = client.get("/pipelines/loans", headers=HTML).text
    assert "■ cancelled" in page
    assert f'action="{address}"' not in page
    assert client.post(address, headers=HTML).status_code == 409


def test_a_pipeline_runs_again_by_its_pages_form(client: TestClient, question: str) -> None:
    address = "/pipelines/loans/change?user_id=ann"
    page = client.get("/pipelines/loans", headers=HTML).text
    assert f'action="{address}"' in page
    assert 'name="sensitive_features" value="sex"' in page
    assert '<option value="autosklearn" disabled>auto-sklearn (not installed here: mlpipe engines install' in page
    said = {"target_column_name": "paid", "task_type": "", "time_budget": "soon", "sensitive_features": ["sex"]}
    said |= {"positive_class": "no", "conditioning_column": "", "engine": "portfolio"}
    refused = client.post(address, data=said, headers=HTML)
    assert refused.status_code == 422
    assert "is not a positive duration" in refused.text
    for kept in ('<option selected value="paid">', 'value="soon"', 'value="sex" checked'):
        assert kept in refused.text
    assert client.post(address, data=said | {"stage": "dataset"}).status_code == 422
    started = client.post(address, data=said | {"time_budget": "30"}, headers=HTML, follow_redirects=False)
    assert (started.status_code, started.headers["location"]) == (303, "/pipelines/loans?user_id=ann")
    found = client.get("/pipelines/loans").json()
    assert (found["status"], found["choices"]["target"], found["choices"]["time_budget"]) == ("running", "paid", "30")
    assert (found["choices"]["positive"], found["choices"]["conditioning"]) == ("no", None)
    assert f'action="{address}"' not in client.get("/pipelines/loans", headers=HTML).text
    assert client.post(address, data=said).status_code == 409
    client.post("/pipelines/loans/cancel")
    page = client.get("/pipelines/loans", headers=HTML).text
    assert 'name="positive_class" value="no"' in page
    assert '<datalist id="classes"><option value="yes"><option value="no"></datalist>' in page
    client.post(address, data=said | {"time_budget": "30", "positive_class": ""})
    assert client.get("/pipelines/loans").json()["choices"]["positive"] is None


def test_what_is_left_as_it_was_is_no_change(client: TestClient, question: str) -> None:
    asked = {"target_column_name": "paid", "task_type": "binary"}
    client.post(f"/questions/{question}/answer", json=asked)
    client.post("/pipelines/loans/cancel")
    as_it_was = asked | {"sensitive_features": ["sex"], "time_budget": "60", "xai_level": "expert", "stage": ""}
    refused = client.post("/pipelines/loans/change", data=as_it_was)
    assert refused.status_code == 409  # the level alone is changed, and there is no model to explain
    assert "no model to explain" in refused.text
    for other, changed in (({"sensitive_features": ""}, ["sensitive_features"]), ({}, [])):
        same = as_it_was | {"xai_level": "beginner", **other}
        assert client.post("/pipelines/loans/change", data=same, follow_redirects=False).status_code == 303
        assert client.get("/pipelines/loans").json()["history"][-1]["changed"] == changed
        client.post("/pipelines/loans/cancel")
        as_it_was["sensitive_features"] = ""


def test_a_page_shows_the_end_of_its_audit_trail(client: TestClient, question: str) -> None:
    page = client.get("/pipelines/loans", headers=HTML).text
    trail = page.partition("<h2>Audit trail</h2>")[2]
    shown = re.findall(r'<td class="when">([a-z_]+\.[a-z_]+)</td>', trail)
    assert (shown[-1], "question.asked" in shown) == ("dataset.uploaded", True)
    (address,) = re.findall(r'<a href="(/audit\?[^"]*)">', trail)
    whole = client.get(address.replace("&amp;", "&")).json()
    assert [entry["what"] for entry in reversed(whole)] == shown


def test_a_page_shows_what_was_made_before(client: TestClient, question: str) -> None:
    asked = {"target_column_name": "paid", "task_type": "binary"}
    client.post(f"/questions/{question}/answer", json=asked)
    assert "Made before" not in client.get("/pipelines/loans", headers=HTML).text
    client.post("/pipelines/loans/cancel")
    assert client.post("/pipelines/loans/again", json={"sensitive_features": []}).status_code == 200
    (entry,) = client.get("/pipelines/loans").json()["history"]
    page = client.get("/pipelines/loans", headers=HTML).text
    path = entry["link"].removeprefix("http://localhost:8000")
    assert f'<a href="{path}">Choices</a>, made ' in page.replace("&#39;", "'")


def test_an_unknown_or_ambiguous_pipeline_is_said_to_be_so(client: TestClient) -> None:
    assert client.get("/pipelines/nothing").status_code == 404
    upload(client)
    upload(client, user_id="bob")
    assert client.get("/pipelines/loans").status_code == 409
    assert client.get("/pipelines/loans?user_id=bob").json()["partition_key"] == "loans~bob"
    assert client.get("/pipelines/loans~bob").json()["user_id"] == "bob"
    links = [row["link"].removeprefix("http://localhost:8000") for row in client.get("/pipelines").json()]
    assert [client.get(link).json()["user_id"] for link in links] == ["bob", "ann"]
    assert client.get("/pipelines/loans~bob?version=v9").status_code == 404
    page = client.get("/pipelines/loans", headers=HTML)
    assert (page.status_code, page.headers["content-type"]) == (409, "text/html; charset=utf-8")
    assert "Say whose with user_id" in page.text


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (HTML["accept"], "text/html"),
        ("text/html", "text/html"),
        ("*/*", "application/json"),
        ("", "application/json"),
        ("application/json", "application/json"),
        ("application/json, text/html;q=0.5", "application/json"),
        ("text/html;q=0, application/json;q=0.1", "application/json"),
        ("text/html;q=x", "application/json"),
    ],
)
def test_a_pipeline_is_json_unless_html_is_preferred(client: TestClient, accept: str, kind: str) -> None:
    upload(client)
    answer = client.get("/pipelines/loans", headers={"accept": accept})
    assert answer.headers["content-type"].split(";")[0] == kind
    assert answer.headers["vary"] == "Accept"


def test_hostile_names_are_shown_and_do_nothing(client: TestClient, question: str) -> None:
    for path in ("/", "/inbox", "/pipelines/loans"):
        page = client.get(path, headers=HTML)
        assert page.status_code == 200
        assert SCRIPT not in page.text
        assert "&lt;script&gt;" in page.text
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert 'http-equiv="refresh"' not in page.text


def test_a_running_pipelines_page_loads_again_until_told_not_to(client: TestClient) -> None:
    upload(client)
    again = '<noscript><meta http-equiv="refresh" content="5"></noscript>'
    for page in ("/pipelines/loans?user_id=ann", "/?user_id=ann"):
        assert again in client.get(page, headers=HTML).text
        assert again not in client.get(f"{page}&reload=no", headers=HTML).text


def test_the_pages_form_uploads_and_shows_the_pipeline(client: TestClient) -> None:
    data = {"user_id": "bob", "dataset_id": "loans", "name": "Loans", "time_budget": "", "mode": "ask"}
    answer = client.post("/upload", files={"file": ("a.csv", CSV)}, data=data, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/pipelines/loans?user_id=bob")
    assert client.get("/datasets/bob/loans").json()["custom_metadata"] == {"pipeline": {"mode": "ask"}}
    wrong = client.post("/upload", files={"file": ("a.csv", CSV)}, data=data | {"time_budget": "soon"}, headers=HTML)
    assert wrong.status_code == 422
    assert "is not a positive duration" in wrong.text
    assert 'value="soon"' in wrong.text
    for said in (
        {"data": data, "files": {}},
        {"json": {}},
        {"data": data | {"user_id": "a b"}, "files": {"file": CSV}},
    ):
        assert client.post("/upload", **said, headers=HTML).status_code == 422  # type: ignore[arg-type]
        assert isinstance(client.post("/upload", **said).json()["detail"], list)  # type: ignore[arg-type]


def test_the_script_is_a_script(client: TestClient) -> None:
    script = client.get("/static/pages.js")
    assert script.headers["content-type"] == "text/javascript; charset=utf-8"
    assert client.get("/upload").headers["content-security-policy"].startswith("default-src 'none'; script-src 'self';")


def test_changes_are_told_once_and_from_now_on(client: TestClient, warehouse: Warehouse, question: str) -> None:
    changes = Changes(warehouse, "ann")
    assert changes.look() == []
    assert changes.look() == []
    client.post(f"/questions/{question}/answer", json={"target_column_name": "paid", "task_type": "binary"})
    upload(client, user_id="bob")
    told = changes.look()
    assert [(event, content["dataset_id"]) for event, content in told] == [
        ("notification", "loans"),
        ("pipeline", "loans"),
    ]
    assert changes.look() == []


# roles, plots, health


def test_a_role_is_ours_until_somebody_says_otherwise(client: TestClient) -> None:
    assert client.get("/roles/bias").json() == {"by": "ours"}
    assert client.put("/roles/bias", json={"by": "foreign"}).json() == {"by": "foreign"}
    assert client.get("/roles/bias").json() == {"by": "foreign"}
    assert client.get("/roles/agentic-core").json() == {"by": "ours"}
    assert client.put("/roles/bias", json={"by": "nobody"}).status_code == 422
    assert client.get("/roles/king").status_code == 422


def test_a_plot_is_served_to_the_dagster_ui_and_can_do_nothing(
    client: TestClient, warehouse: Warehouse, tmp_path: Path
) -> None:
    assert client.get("/plots/model/ann/loans/v1.svg").status_code == 404
    assert client.get("/plots/passwd/ann/loans/v1.svg").status_code == 422
    svg = tmp_path / "plot.svg"
    svg.write_text("<svg/>")
    warehouse.objects.put(plot_name("model", "ann", "loans", "v1"), svg)
    plot = client.get("/plots/model/ann/loans/v1.svg")
    assert (plot.text, plot.headers["content-type"]) == ("<svg/>", "image/svg+xml")
    assert plot.headers["access-control-allow-origin"] == "*"
    assert "default-src 'none'" in plot.headers["content-security-policy"]


def test_ready_asks_everything(client: TestClient, home: Path) -> None:
    assert client.get("/health").json() == {"status": "ok"}
    assert client.get("/ready").json() == {"status": "ok", "catalogue": "ok", "objects": "ok", "kafka": "ok"}
    objects = home / "objects"
    if objects.is_dir():
        for path in sorted(objects.rglob("*"), reverse=True):
            path.rmdir()
        objects.rmdir()
    objects.write_text("in the way")
    answer = client.get("/ready")
    assert answer.status_code == 503
    assert answer.json()["objects"].startswith("does not answer")


def test_ready_names_the_broker_that_does_not_answer(lonely_client: TestClient) -> None:
    answer = lonely_client.get("/ready")
    assert answer.status_code == 503
    assert "127.0.0.1:1" in answer.json()["kafka"]
    assert answer.json()["catalogue"] == "ok"


def test_an_error_of_ours_shows_nothing_of_us(client: TestClient) -> None:
    quiet = TestClient(client.app, raise_server_exceptions=False)
    warehouse = open_warehouse()
    with warehouse.transaction() as session:
        session.connection().exec_driver_sql("DROP TABLE roles")
    answer = quiet.get("/roles/bias")
    assert answer.status_code in (500, 503)
    assert list(answer.json()) == ["detail"]
    assert "roles" not in answer.text


@pytest.mark.long
def test_the_api_loads_no_heavy_library(home: Path) -> None:
    program = """
import sys
from mlpipe_dagster.api.app import create_app
from fastapi.testclient import TestClient
with TestClient(create_app()) as client:
    files = {"file": ("a.csv", b"a,b\\n1,x\\n2,y\\n")}
    answer = client.post("/datasets/upload", files=files, data={"user_id": "u", "dataset_id": "d", "name": "n"})
    assert answer.status_code == 200, answer.text
    assert client.get("/pipelines/d", headers={"accept": "text/html"}).status_code == 200
heavy = {"pandas", "sklearn", "shap", "lightgbm", "matplotlib", "dagster", "scipy", "boto3"}
print(sorted(heavy & set(sys.modules)))
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (ran.stdout, ran.returncode) == ("[]\n", 0), ran.stderr
