"""The pages in a real browser: uploads, questions, lists and pipelines by mouse, by keyboard, and without scripts.

The API is a process of its own; no Kafka and no Dagster runs: stages are played.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from mlpipe_dagster.agentic_core import NO_EXPLANATION, Ask
from mlpipe_dagster.settings import Settings, settings
from mlpipe_dagster.tables.excerpt import markdown_table
from mlpipe_dagster.tables.profile import ColumnProfile, Profile, ValueCount
from mlpipe_dagster.vocabulary import AccessRole
from mlpipe_dagster.warehouse import datasets, inbox, keys
from mlpipe_dagster.warehouse.outbox import Owner
from mlpipe_dagster.warehouse.warehouse import Warehouse, open_warehouse
from mlpipe_dagster_tests.api.conftest import DEAD_BROKER
from mlpipe_dagster_tests.api.requests import CSV
from mlpipe_dagster_tests.api.servers import running_server
from mlpipe_dagster_tests.browsing import CHROMIUM, NO_BROWSER, PATIENCE, holds_for_everybody, launched, opened
from mlpipe_dagster_tests.warehouse import scenes

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=NO_BROWSER)
TABLE = 'name,sex,paid\n"Lee, Ann",f,yes\n"<b>Bob</b> ""B""",m,no\n' + "".join(f"p{n},f,yes\n" for n in range(30))


@dataclass(frozen=True)
class Site:
    """The running API, and what it stores into."""

    base: str
    warehouse: Warehouse
    folder: Path

    def read_table(self, dataset_id: str, user_id: str = "ann") -> None:
        """Play the dataset stage of the newest version."""
        with self.warehouse.reading() as session:
            version = datasets.get_version(session, user_id, dataset_id)
        scenes.read_table(self.warehouse, self.folder, version)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("pages")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLPIPE_HOME", str(folder / "home"))
        settings.cache_clear()
        with running_server(folder / "home", DEAD_BROKER) as server:
            yield Site(server.base, open_warehouse(), folder)
    settings.cache_clear()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with launched() as chromium:
        yield chromium


@pytest.fixture
def page(browser: Any, site: Site) -> Iterator[Any]:
    with opened(browser, site.base) as made:
        yield made


def expect(locator: Any) -> Any:
    """What the locator finds will soon be as said."""
    from playwright.sync_api import expect

    expect.set_options(timeout=PATIENCE)
    return expect(locator)


def post(site: Site, path: str, files: dict[str, tuple[str, bytes]] | None = None, **fields: str) -> None:
    """What somebody else does meanwhile."""
    answer = requests.post(f"{site.base}{path}", data=fields, files=files, timeout=20)
    assert answer.ok, answer.text


def upload(site: Site, dataset_id: str, user_id: str, **fields: str) -> None:
    post(
        site,
        "/datasets/upload",
        {"file": ("loans.csv", CSV)},
        dataset_id=dataset_id,
        user_id=user_id,
        **({"name": "Loans"} | fields),
    )


# uploading


def test_a_table_is_uploaded_by_clicking(page: Any, site: Site) -> None:
    page.goto("/")
    page.get_by_role("link", name="Upload", exact=True).click()
    page.set_input_files("#file", {"name": "My loans.csv", "mimeType": "text/csv", "buffer": TABLE.encode()})
    cells = page.locator("#preview td")
    assert cells.nth(0).inner_text() == "Lee, Ann"
    assert cells.nth(3).inner_text() == '<b>Bob</b> "B"'
    assert page.locator("#preview tbody tr").count() == 19
    assert page.input_value("#name") == "My loans"
    assert page.input_value("#dataset_id") == "My-loans"
    assert page.locator("#columns option").evaluate_all("all => all.map(each => each.value)") == ["name", "sex", "paid"]
    holds_for_everybody(page)
    page.get_by_label("Your user id").fill("cleo")
    page.get_by_label("Column to predict", exact=True).fill("paid")
    page.get_by_label("Explain for").select_option("expert")
    page.get_by_label("Positive outcome").fill("yes")
    page.get_by_label("Compare groups within").fill("name")
    page.get_by_label("Trained by").select_option("portfolio")
    page.get_by_label("whether to go on after the bias report").check()
    page.get_by_label("whether to explain the model").check()
    page.get_by_role("button", name="Upload").click()
    page.wait_for_url("**/pipelines/My-loans?user_id=cleo")
    assert page.get_by_role("heading", level=1).inner_text() == "My-loans v1"
    with site.warehouse.reading() as session:
        stored = datasets.get_version(session, "cleo", "My-loans").custom_metadata
    assert stored == {
        "pipeline": {
            "target_column_name": "paid",
            "xai_level": "expert",
            "positive_class": "yes",
            "conditioning_column": "name",
            "engine": "portfolio",
            "ask": ["bias", "explain"],
        }
    }


def test_a_table_is_uploaded_by_dropping_it(page: Any) -> None:
    page.goto("/upload")
    script = """text => {
        const held = new DataTransfer();
        held.items.add(new File([text], "dropped.csv", { type: "text/csv" }));
        return held;
    }"""
    held = page.evaluate_handle(script, TABLE)
    page.dispatch_event(".drop", "dragover", {"dataTransfer": held})
    assert page.locator(".drop.over").count() == 1
    page.dispatch_event(".drop", "drop", {"dataTransfer": held})
    page.wait_for_selector("#preview table")
    page.get_by_label("Your user id").fill("cleo")
    page.get_by_role("button", name="Upload").click()
    page.wait_for_url("**/pipelines/dropped?user_id=cleo")


def test_what_is_wrong_is_said_beside_the_form_and_nothing_is_lost(page: Any) -> None:
    page.goto("/upload")
    page.set_input_files("#file", {"name": "a.csv", "mimeType": "text/csv", "buffer": TABLE.encode()})
    page.get_by_label("Your user id").fill("ann")
    page.get_by_label("Time budget").fill("soon")
    page.get_by_role("button", name="Upload").click()
    page.wait_for_selector("#faults .notice")
    assert "is not a positive duration" in page.locator("#faults").inner_text()
    page.evaluate("document.querySelector('#upload').noValidate = true")
    page.get_by_label("Dataset id").fill("no spaces please")
    page.get_by_role("button", name="Upload").click()
    page.wait_for_selector("#dataset_id[aria-invalid]")
    assert "a letter or digit comes first" in page.locator("#dataset_id-fault").inner_text()
    assert page.evaluate("document.activeElement.id") == "dataset_id"
    assert page.evaluate("document.querySelector('#file').files[0].name") == "a.csv"
    holds_for_everybody(page)


def test_an_upload_shows_how_far_it_is_and_can_be_stopped(page: Any, site: Site) -> None:
    page.goto("/upload")
    held: list[Any] = []
    page.route("**/upload", lambda route: held.append(route) if route.request.method == "POST" else route.continue_())
    page.set_input_files("#file", {"name": "slow.csv", "mimeType": "text/csv", "buffer": TABLE.encode()})
    page.get_by_label("Your user id").fill("ann")
    page.get_by_role("button", name="Upload").click()
    page.wait_for_selector("#progress:not([hidden])")
    assert page.get_by_role("button", name="Upload").is_disabled()
    page.get_by_role("button", name="Stop").click()
    assert page.locator("#told").inner_text() == "Stopped. Nothing was stored."
    assert page.get_by_role("button", name="Upload").is_enabled()
    with site.warehouse.reading() as session:
        assert datasets.list_datasets(session, "ann", 0, 10) == []


def test_a_table_is_uploaded_without_scripts(browser: Any, site: Site) -> None:
    with opened(browser, site.base, java_script_enabled=False) as page:
        page.goto("/upload")
        page.set_input_files("#file", {"name": "plain.csv", "mimeType": "text/csv", "buffer": TABLE.encode()})
        page.get_by_label("Name").fill("Plain")
        page.get_by_label("Dataset id").fill("plain")
        page.get_by_label("Your user id").fill("dora")
        page.get_by_label("Time budget").fill("soon")
        page.get_by_label("which column to predict").check()
        page.get_by_text("How long a question waits").click()
        page.get_by_label("It waits at most").fill("2h")
        page.get_by_label("Nobody answered in time").select_option(label="end the pipeline")
        page.get_by_label("Who else may answer").fill("ann, bob")
        page.get_by_role("button", name="Upload").click()
        assert "is not a positive duration" in page.locator("#faults").inner_text()
        assert page.get_by_label("It waits at most").is_visible(), "what is filled in is not folded away"
        assert page.input_value("#name") == "Plain"
        assert page.get_by_label("which column to predict").is_checked()
        page.get_by_label("Time budget").fill("60")
        page.set_input_files("#file", {"name": "plain.csv", "mimeType": "text/csv", "buffer": TABLE.encode()})
        page.get_by_role("button", name="Upload").click()
        assert page.url == f"{site.base}/pipelines/plain?user_id=dora"
    metadata = requests.get(f"{site.base}/datasets/dora/plain", timeout=30).json()["custom_metadata"]
    said = {"question_timeout": "2h", "question_outcome": "cancel", "respondents": ["ann", "bob"]}
    assert metadata["pipeline"] == said | {"time_budget": "60", "ask": ["target"]}


def test_a_table_is_uploaded_by_keyboard(page: Any) -> None:
    page.goto("/upload")
    page.set_input_files("#file", {"name": "keys.csv", "mimeType": "text/csv", "buffer": TABLE.encode()})
    page.focus("#file")
    typed = {"user_id": "eve"}
    for _ in range(40):
        page.keyboard.press("Tab")
        focused = page.evaluate("document.activeElement.id || document.activeElement.textContent")
        if focused in typed:
            page.keyboard.type(typed.pop(focused))
        if focused == "Upload" and not typed:
            break
    page.keyboard.press("Enter")
    page.wait_for_url("**/pipelines/keys?user_id=eve")


def test_no_other_script_runs(browser: Any, site: Site) -> None:
    page = browser.new_page(base_url=site.base)
    with page.expect_console_message(lambda said: "Content Security Policy" in said.text):
        page.goto("/upload")
        page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=window.ran=true>')")
    assert page.evaluate("window.ran === undefined")
    page.close()


# the inbox

EVERY_FIELD = {
    "type": "object",
    "properties": {
        "level": {"type": "string", "title": "For which reader?", "enum": ["beginner", NO_EXPLANATION]},
        "column": {"type": "string", "title": "One column", "enum": [f"c{n}" for n in range(30)], "default": "c7"},
        "note": {"type": "string", "title": "A note", "description": "It is kept."},
        "story": {"type": "string", "title": "More of it", "maxLength": 900},
        "rows": {"type": "integer", "title": "Rows", "minimum": 1, "default": 5},
        "share": {"type": "number", "title": "Share"},
        "again": {"type": "boolean", "title": "Once more?"},
        "sensitive": {"type": "array", "title": "Sensitive", "items": {"enum": ["sex", "a, b", "town"]}},
        "tags": {"type": "array", "title": "Tags", "items": {"type": "string"}},
    },
    "required": ["level", "again"],
}


def ask(site: Site, dataset_id: str, user_id: str) -> str:
    """Put a question with every kind of field; its id."""
    upload(site, dataset_id, user_id)
    rows = [{f"a column {number}": "some value" for number in range(9)}] * 2
    body = f"Some **words**.\n\n{markdown_table(rows)}"
    question = Ask(kind="explain", subject="Which ones?", body=body, fields=EVERY_FIELD)
    with site.warehouse.transaction() as session:
        return inbox.ask(session, Owner(user_id, dataset_id, 1), question, f"{user_id}'s question").id


def answer_to(site: Site, question_id: str) -> dict[str, Any] | None:
    with site.warehouse.reading() as session:
        return inbox.get_question(session, question_id).answer


def test_a_question_is_answered_by_clicking(page: Any, site: Site) -> None:
    question = ask(site, "asked", "hana")
    page.goto("/inbox?user_id=hana")
    expect(page.get_by_role("region", name="Table").get_by_role("columnheader")).to_have_count(8)
    holds_for_everybody(page)
    page.get_by_label(NO_EXPLANATION).check()
    assert page.get_by_label("One column").input_value() == "c7"
    page.get_by_label("A note").fill("mine")
    page.get_by_label("Rows").fill("12")
    page.get_by_label("Share").fill("0.25")
    page.get_by_role("group", name="Once more?").get_by_label("no").check()
    page.get_by_label("a, b").check()
    page.get_by_label("Tags").fill("x, y")
    page.get_by_role("button", name="Answer").click()
    expect(page.get_by_role("status").first).to_contain_text("the answer is stored")
    assert answer_to(site, question) == {
        "level": NO_EXPLANATION,
        "column": "c7",
        "note": "mine",
        "story": None,
        "rows": 12,
        "share": 0.25,
        "again": False,
        "sensitive": ["a, b"],
        "tags": ["x", "y"],
    }


def test_a_link_prefills_and_what_is_not_accepted_stays(browser: Any, site: Site) -> None:
    ask(site, "other", "iris")
    question = ask(site, "linked", "ivo")
    with opened(browser, site.base, java_script_enabled=False) as page:
        page.goto(
            f"/inbox?question={question}&level=beginner&again=true&sensitive=town&sensitive=sex&rows=0&note=%3Cb%3E"
        )
        form = page.locator("article.opened")
        assert page.locator("article").first.get_attribute("class") == "opened"
        form.evaluate("each => each.querySelector('form').noValidate = true")
        assert form.get_by_label("A note").input_value() == "<b>"
        form.get_by_label("More of it").fill("kept")
        form.get_by_role("button", name="Answer").click()
        form = page.locator("article.opened")
        assert "0 is less than the minimum of 1" in form.get_by_role("alert").inner_text()
        assert form.get_by_label("More of it").input_value() == "kept"
        assert form.get_by_label("beginner").is_checked()
        assert [form.get_by_label(name).is_checked() for name in ("sex", "a, b", "town")] == [True, False, True]
        form.get_by_label(NO_EXPLANATION).check()
        form.get_by_label("Rows").fill("1")
        form.get_by_role("button", name="Answer").click()
        assert "the answer is stored" in page.get_by_role("status").first.inner_text()
        found = answer_to(site, question)
        assert found is not None
        assert (found["again"], found["sensitive"], found["note"], found["story"]) == (
            True,
            ["sex", "town"],
            "<b>",
            "kept",
        )
        page.goto(f"/inbox?question={question}")
        assert "not open any more" in page.get_by_role("status").first.inner_text()


def test_a_question_is_answered_by_keyboard(page: Any, site: Site) -> None:
    question = ask(site, "typed", "jo")
    page.goto("/inbox?user_id=jo")
    page.focus("article h3 + p a")
    for key in ("Tab", "Tab", "ArrowDown", "Tab", "Tab", "Tab", "Tab", "Tab", "Tab", "Space"):  # the table comes first
        page.keyboard.press(key)
    page.get_by_role("button", name="Answer").press("Enter")
    expect(page.get_by_role("status").first).to_contain_text("the answer is stored")
    found = answer_to(site, question)
    assert found is not None
    assert (found["level"], found["again"]) == (NO_EXPLANATION, True)


def test_a_form_that_is_being_filled_in_is_left_alone(page: Any, site: Site) -> None:
    ask(site, "begun", "kim")
    with page.expect_response("**/events/stream*"):
        page.goto("/inbox?user_id=kim")
    page.get_by_label("A note").fill("half a sen")
    page.get_by_label("A note").blur()
    upload(site, "ended", "kim")
    post(site, "/pipelines/ended/cancel?user_id=kim")
    expect(page.get_by_text("ended: cancelled")).to_be_visible(timeout=20_000)
    assert page.get_by_label("A note").input_value() == "half a sen"


# lists and pipelines


def test_the_list_is_filtered_and_follows_what_happens(page: Any, site: Site) -> None:
    upload(site, "first", "finn", name="Houses")
    upload(site, "second", "finn")
    page.goto("/")
    page.get_by_label("Owner").fill("finn")
    page.get_by_role("button", name="Show").click()
    rows = page.locator("tbody th")
    expect(rows).to_have_text(["second v1", "first v1"])
    holds_for_everybody(page)
    with page.expect_response("**/events/stream*"):
        page.reload()
    upload(site, "third", "finn")
    expect(rows).to_have_text(["third v1", "second v1", "first v1"])
    post(site, "/pipelines/second/cancel?user_id=finn")
    expect(page.locator("tbody tr").nth(1)).to_contain_text("cancelled")
    page.get_by_role("link", name="cancelled").click()
    expect(rows).to_have_text(["second v1"])
    page.get_by_role("link", name="all", exact=True).click()
    page.get_by_label("Dataset or name contains").fill("house")
    page.keyboard.press("Enter")
    expect(rows).to_have_text(["first v1"])
    rows.get_by_role("link").press("Enter")
    page.wait_for_url("**/pipelines/first?user_id=finn&version=v1")


def test_a_pipelines_page_follows_what_happens(page: Any, site: Site) -> None:
    upload(site, "moving", "finn")
    with page.expect_response("**/events/stream*"):
        page.goto("/pipelines/moving?user_id=finn")
    page.get_by_text("Cancel this pipeline").press("Enter")
    holds_for_everybody(page)
    site.read_table("moving", "finn")
    expect(page.locator(".steps li").first).to_contain_text("done")
    page.get_by_role("button", name="Yes, cancel it").press("Enter")
    expect(page.locator("#state dd").first).to_have_text("■ cancelled")
    holds_for_everybody(page)


def test_a_pipeline_is_changed_and_runs_again(page: Any, site: Site) -> None:
    upload(site, "wrong", "lena", target_column_name="income")
    site.read_table("wrong", "lena")
    post(site, "/pipelines/wrong/cancel?user_id=lena")
    page.goto("/pipelines/wrong?user_id=lena")
    page.get_by_text("Change and run again from here").press("Enter")
    holds_for_everybody(page)
    assert page.get_by_label("Column to predict").input_value() == "income"
    page.get_by_label("Column to predict").select_option("paid")
    page.get_by_label("Time budget").fill("soon")
    page.get_by_role("button", name="Run again").click()
    expect(page.get_by_role("alert")).to_contain_text("is not a positive duration")
    holds_for_everybody(page)
    assert page.get_by_label("Column to predict").input_value() == "paid"
    page.get_by_label("Time budget").fill("30")
    page.get_by_role("button", name="Run again").press("Enter")
    page.wait_for_url("**/pipelines/wrong?user_id=lena")
    expect(page.locator("#state dd").first).to_have_text("● running")
    expect(page.get_by_role("heading", name="Made before")).to_be_visible()
    expect(page.locator("#made tbody").last.locator("tr").first).to_contain_text("pipeline.run_again")


def test_a_wide_table_is_changed_by_keyboard(page: Any, site: Site) -> None:
    upload(site, "wide", "wanda")
    names = ["sex", "paid", *(f"code {number}, old" for number in range(998))]
    kinds = {"data_type": "object", "kind": "category", "missing": 0, "distinct": 2}
    columns = tuple(
        ColumnProfile(
            name=name, top_values=(ValueCount(value="a", count=300), ValueCount(value="b", count=100)), **kinds
        )
        for name in names
    )
    with site.warehouse.reading() as session:
        version = datasets.get_version(session, "wanda", "wide")
    profile = Profile(row_count=400, columns=columns, duplicate_rows=0)
    scenes.read_table(site.warehouse, site.folder, version, profile)
    post(site, "/pipelines/wide/cancel?user_id=wanda")
    page.goto("/pipelines/wide?user_id=wanda")
    page.get_by_text("Change and run again from here").press("Enter")
    holds_for_everybody(page)
    assert page.locator("#actions input[type=checkbox]").count() == 1, "sex, which was found"
    page.get_by_label("Column to predict").fill("paid")
    left_out = page.get_by_role("group", name="Columns to train without")
    adding = left_out.get_by_label("Add one of 1,000")
    adding.fill("code 7, old")
    adding.press("Enter")
    expect(left_out.get_by_role("checkbox")).to_be_checked()
    expect(left_out.get_by_role("status")).to_have_text("code 7, old ✓")
    assert (page.url.endswith("/pipelines/wide?user_id=wanda"), adding.input_value()) == (True, "")
    adding.fill("nope")
    page.get_by_label("Positive outcome").fill("b")
    page.get_by_role("button", name="Run again").press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("“nope” is not in the table")
    left_out.get_by_label("nope").uncheck()
    holds_for_everybody(page)
    page.get_by_role("button", name="Run again").press("Enter")
    expect(page.locator("#state dd").first).to_have_text("● running")
    choices = requests.get(f"{site.base}/pipelines/wide?user_id=wanda", timeout=30).json()["choices"]
    assert (choices["target"], choices["drop"], choices["positive"]) == ("paid", ["code 7, old"], "b")


@pytest.mark.long
def test_from_upload_to_the_reports_by_clicking(page: Any, site: Site) -> None:
    page.goto("/upload")
    page.set_input_files("#file", {"name": "whole.csv", "mimeType": "text/csv", "buffer": CSV})
    page.get_by_label("Your user id").fill("mia")
    page.get_by_label("which column to predict").check()
    page.get_by_role("button", name="Upload").click()
    page.wait_for_url("**/pipelines/whole?user_id=mia")
    site.read_table("whole", "mia")
    page.get_by_role("link", name="Answer in the inbox").click()
    page.get_by_label("paid").check()
    page.get_by_role("button", name="Answer").click()
    page.get_by_role("link", name="Open its pipeline").click()
    report = {"user_id": "mia", "dataset_id": "whole", "report": {"parity": 0.25}}
    requests.post(f"{site.base}/bias-reports/", json=report, timeout=20).raise_for_status()
    model = {"model_id": "m", "name": "M", "framework": "onnx", "model_type": "binary", "training_dataset": "whole"}
    post(site, "/ai-models/upload/single/mia", {"file": ("m.onnx", b"m")}, **model)
    why = {"dataset_id": "whole", "model_id": "m", "report_type": "model_explanation", "level": "beginner"}
    post(site, "/xai-reports/upload/mia", {"file": ("why.html", b"<!doctype html><h1>Why</h1>")}, **why)
    page.locator("#results").get_by_role("link", name="Bias report").click()
    expect(page.get_by_role("cell", name="0.25")).to_be_visible()
    holds_for_everybody(page)
    page.go_back()
    page.get_by_role("link", name="Explanation of the model").click()
    expect(page.get_by_role("heading", name="Why")).to_be_visible()


@pytest.mark.parametrize("path", ["/login", "/pipelines/nothing", "/inbox?user_id=nobody", "/?text=nothing"])
def test_small_pages_hold_for_everybody(page: Any, path: str) -> None:
    page.goto(path)
    holds_for_everybody(page)


def test_pages_hold_for_everybody_in_the_dark(browser: Any, site: Site) -> None:
    ask(site, "night", "nora")
    with opened(browser, site.base, color_scheme="dark") as page:
        for path in ("/upload", "/", "/inbox?user_id=nora", "/pipelines/night?user_id=nora"):
            page.goto(path)
            holds_for_everybody(page)


def test_lists_and_pipelines_work_without_scripts(browser: Any, site: Site) -> None:
    upload(site, "still", "gwen")
    with opened(browser, site.base, java_script_enabled=False) as page:
        page.goto("/?reload=no")
        page.get_by_label("Owner").fill("gwen")
        page.get_by_role("button", name="Show").click()
        page.get_by_role("link", name="still v1").click()
        assert page.get_by_role("heading", level=1).inner_text() == "still v1"
        page.get_by_text("Cancel this pipeline").click()
        page.get_by_role("button", name="Yes, cancel it").click()
        expect(page.locator("#state dd").first).to_have_text("■ cancelled")


def test_who_is_logged_in_sees_and_uploads_their_own(browser: Any, tmp_path: Path) -> None:
    values = Settings(MLPIPE_HOME=tmp_path / "home")
    warehouse = open_warehouse(values)
    with warehouse.transaction() as session:
        key = keys.create_key(session, "olga", AccessRole.USER)
    scenes.upload(warehouse, tmp_path, "secret", "paul")
    locked = running_server(tmp_path / "home", DEAD_BROKER, MLPIPE_AUTH="api-keys")
    with locked as server, opened(browser, server.base) as page:
        page.goto("/upload")
        page.get_by_label("Your key").fill(key)
        page.get_by_role("button", name="Log in").click()
        page.wait_for_url("**/upload")
        assert page.get_by_label("Your user id").get_attribute("readonly") is not None
        page.set_input_files("#file", {"name": "mine.csv", "mimeType": "text/csv", "buffer": CSV})
        page.get_by_role("button", name="Upload").click()
        page.wait_for_url("**/pipelines/mine?user_id=olga")
        with page.expect_response("**/events/stream*") as stream:
            page.get_by_role("link", name="Pipelines").click()
        assert stream.value.status == 200
        expect(page.locator("tbody th")).to_have_text(["mine v1"])
        assert page.get_by_label("Owner").count() == 0
        holds_for_everybody(page)
