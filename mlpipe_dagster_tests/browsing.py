"""Pages in a real browser, the system's Chromium, for the tests: what is opened, and what every page has to hold.

Where Chromium or Playwright is missing, `CHROMIUM` is None: skip with `NO_BROWSER`.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

NO_BROWSER = "there is no Chromium on this machine (Debian: chromium), or no Playwright"
CHROMIUM = (shutil.which("chromium") or shutil.which("chromium-browser")) if find_spec("playwright") else None
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)
WCAG = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"], "resultTypes": ["violations"]}
PATIENCE = 60_000
"""Milliseconds; a machine may be busy."""
WIDE, PHONE = {"width": 1100, "height": 900}, {"width": 360, "height": 740}


@contextmanager
def launched() -> Iterator[Any]:
    """The browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as run:
        chromium = run.chromium.launch(executable_path=CHROMIUM, args=FLAGS.split())
        yield chromium
        chromium.close()


@contextmanager
def opened(browser: Any, base: str, **how: Any) -> Iterator[Any]:
    """A page of a fresh browser context; nothing it does may go wrong in its console."""
    context = browser.new_context(base_url=base, viewport=how.pop("viewport", WIDE), **how)
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda said: wrong.append(said.text) if "Content Security" in said.text else None)
    try:
        yield page
        assert wrong == []
    finally:
        context.close()


def holds_for_everybody(page: Any) -> None:
    """No barrier that axe knows, and no scrolling sideways on a phone."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page, options=WCAG)
    assert found.violations_count == 0, found.generate_report()
    page.set_viewport_size(PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    page.set_viewport_size(WIDE)
