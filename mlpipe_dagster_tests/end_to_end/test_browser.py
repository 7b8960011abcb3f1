"""By clicking on the running platform: a table is uploaded, a question answered, and the reports are read."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlpipe_dagster_tests.browsing import CHROMIUM, NO_BROWSER, holds_for_everybody, launched, opened
from mlpipe_dagster_tests.end_to_end.outside import Outside, new_id

pytestmark = [pytest.mark.end_to_end, pytest.mark.skipif(CHROMIUM is None, reason=NO_BROWSER)]
PIPELINE_MS = 120_000
OWNER = "hana"
REPORTS = {"Bias report": "sex", "Explanation of the model": "hours", "Explanation of the data": "target"}
"""By the name of its link, a word that the page must have of this table."""


@pytest.fixture
def page(platform: Outside) -> Iterator[Any]:
    """Of the platform's API."""
    with launched() as browser, opened(browser, platform.api) as made:
        yield made


def test_from_the_upload_to_the_reports_by_clicking(page: Any, small_csv: Path) -> None:
    dataset_id = new_id("clicked")
    page.goto("/")
    page.get_by_role("link", name="Upload", exact=True).click()
    page.set_input_files("#file", small_csv)
    page.get_by_label("Dataset id").fill(dataset_id)
    page.get_by_label("Your user id").fill(OWNER)
    page.get_by_label("Time budget").fill("60s")
    page.get_by_label("Trained by").select_option("deterministic")
    page.get_by_label("which column to predict").check()
    page.get_by_role("button", name="Upload").click()
    page.wait_for_url(f"**/pipelines/{dataset_id}?user_id={OWNER}")

    page.get_by_role("link", name="Answer in the inbox").click(timeout=PIPELINE_MS)
    question = page.locator("article").filter(has_text=dataset_id).filter(has=page.get_by_role("button", name="Answer"))
    holds_for_everybody(page)
    question.get_by_role("button", name="Answer").click()
    page.get_by_text("the answer is stored").wait_for()

    page.goto(f"/pipelines/{dataset_id}?user_id={OWNER}")
    page.get_by_role("link", name="Explanation of the model").first.wait_for(timeout=PIPELINE_MS)
    page.locator("#state dd").first.filter(has_text="done").wait_for(timeout=PIPELINE_MS)
    holds_for_everybody(page)
    for name, word in REPORTS.items():
        page.locator("#made").get_by_role("link", name=name).first.click()
        page.locator("h1").wait_for()
        assert word in page.locator("body").inner_text(), name
        holds_for_everybody(page)
        page.go_back()
