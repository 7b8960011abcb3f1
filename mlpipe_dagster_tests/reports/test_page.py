"""The frame of every page: no missing values, names escaped, no dangerous links, nothing loaded."""

import re

import pytest
from jinja2 import UndefinedError

from mlpipe_dagster.reports.page import environment, linkable, outcome, quoted, render


def test_a_missing_value_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        environment().from_string("{{ nothing }}").render()


@pytest.mark.parametrize("address", ["javascript:alert(1)", "JAVASCRIPT:x", "data:text/html,x", "vbscript:x"])
def test_dangerous_addresses_are_no_links(address: str) -> None:
    assert not linkable(address)
    assert address not in render("base.html", level="beginner", links={"Other": address, "expert": address})


@pytest.mark.parametrize("address", ["/reports/1", "https://example.org/x", "page.html", "?level=a:b", "#a:b", "x/a:b"])
def test_ordinary_addresses_are_links(address: str) -> None:
    assert linkable(address)
    assert f'href="{address}"' in render("base.html", links={"Other": address})


def test_names_are_escaped_and_isolated() -> None:
    assert quoted("<b>\u202e") == "“<bdi>&lt;b&gt;\ufffd</bdi>”"
    assert outcome("1", "Survived") == "“<bdi>Survived = 1</bdi>”"


def test_the_page_marks_its_own_level_and_links_the_others() -> None:
    page = render("base.html", level="beginner", links={"beginner": "/b", "expert": "/e"})
    assert '<span class="here" aria-current="page">Beginner</span>' in page
    assert '<a href="/e">Expert</a>' in page
    assert 'href="/b"' not in page


def test_nothing_is_loaded_and_nothing_runs() -> None:
    page = render("base.html")
    assert "default-src 'none'" in page
    assert "<script" not in page
    assert "http://" not in page
    assert "https://" not in page


def luminance(colour: str) -> float:
    """Relative luminance of WCAG 2.2."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(
    ("ink", "ground"),
    [
        ("ink", "page"),
        ("quiet", "page"),
        ("quiet", "panel"),
        ("accent", "page"),
        ("on-accent", "accent"),
        ("warn", "warn-panel"),
        ("ink", "warn-panel"),
    ],
)
def test_text_has_the_contrast_of_wcag_aa(theme: int, ink: str, ground: str) -> None:
    block = re.findall(r":root \{(.*?)\}", render("base.html"), re.DOTALL)[theme]
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))
    darker, lighter = sorted((luminance(colours[ink]), luminance(colours[ground])))
    assert (lighter + 0.05) / (darker + 0.05) >= 4.5
