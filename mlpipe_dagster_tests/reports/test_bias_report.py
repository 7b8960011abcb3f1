"""The bias page and plot: hostile text, reports with little in them, the same numbers at each level, well-formed."""

from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest

from mlpipe_dagster.reports.bias_plot import bias_plot
from mlpipe_dagster.reports.bias_report import render_bias_report
from mlpipe_dagster.vocabulary import Level, TaskKind
from mlpipe_dagster_tests.bias.tables import measured, people

HOSTILE = "<script>alert(1)</script>\"'&{{ 7*7 }}\x01"
VOID = frozenset({"meta", "link", "br", "img", "hr", "input"})


class Page(HTMLParser):
    """Tags in order, with their attributes and text; complains about tags that do not close."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


@pytest.mark.parametrize("level", list(Level))
def test_hostile_names_and_values_stay_text(tmp_path: Path, level: Level) -> None:
    names = {"sex": f"{HOSTILE}sex", "y": f"{HOSTILE}y"}
    frame = people(male=(60, 40), female=(20, 30)).replace({"female": HOSTILE, "yes": f"{HOSTILE}yes"})
    report = measured(frame.rename(columns=names), tmp_path, names["sex"], "<b>absent</b>", target=names["y"])
    links = {
        "beginner": "/b?x=1&y=2",
        "<i>elsewhere</i>": "javascript:alert(1)",
        "<u>data</u>": "https://example.org/?a=1&b=<",
    }
    page = Page(render_bias_report(report, level, links))
    used = {tag for tag, _ in page.tags}
    assert not used & {"script", "i", "b", "u", "iframe", "object"}
    addresses = [attributes["href"] or "" for tag, attributes in page.tags if tag == "a"]
    assert not [address for address in addresses if address.startswith("javascript:")]
    assert "alert(1)</script>" in page.words
    assert "49" not in page.words.replace("{{ 7*7 }}", "")
    assert "\x01" not in page.words


def test_a_hostile_plot_is_well_formed(tmp_path: Path) -> None:
    frame = people(male=(60, 40), female=(20, 30)).replace({"female": HOSTILE}).rename(columns={"sex": HOSTILE})
    root = ElementTree.fromstring(bias_plot(measured(frame, tmp_path, HOSTILE)))
    assert not [element for element in root.iter() if element.tag.endswith("script")]


@pytest.mark.parametrize("level", list(Level))
@pytest.mark.parametrize(
    "frame",
    [
        people(male=(60, 40)),
        people(male=(60, 40), female=(2, 1)),
        people(male=(4, 0), female=(0, 4)),
        people(male=(60, 40)).assign(sex=None),
    ],
    ids=["one group", "a hidden group", "hidden groups only", "no group"],
)
def test_reports_with_little_in_them(tmp_path: Path, frame: pd.DataFrame, level: Level) -> None:
    report = measured(frame, tmp_path, "sex")
    assert report.verdict in Page(render_bias_report(report, level, {})).words
    ElementTree.fromstring(bias_plot(report))


@pytest.mark.parametrize("level", list(Level))
def test_no_sensitive_column(tmp_path: Path, level: Level) -> None:
    report = measured(people(male=(60, 40), female=(20, 30)), tmp_path)
    assert "There was no column to compare groups of." in Page(render_bias_report(report, level, {})).words
    assert "No groups of people to compare" in bias_plot(report)


def test_hidden_figures_are_nowhere(tmp_path: Path) -> None:
    report = measured(people(male=(60, 40), female=(20, 30), x=(3, 0)), tmp_path, "sex")
    for level in Level:
        words = Page(render_bias_report(report, level, {})).words
        assert "fewer than 5" in words
        assert "not shown" in words


def test_all_levels_say_the_same_numbers(tmp_path: Path) -> None:
    report = measured(people(male=(60, 40), female=(20, 30)), tmp_path, "sex")
    pages = {level: Page(render_bias_report(report, level, {})).words for level in Level}
    for words in pages.values():
        assert report.verdict in words
        assert "women 40 of 100, men 60 of 100" in words
    assert "40 of 100" in pages[Level.BEGINNER]
    # Wilson's interval of 20 of 50: 0.2761 to 0.5382; of the difference .6 - .4 by Newcombe: 0.0315 to 0.3521
    assert "40% (27.6% to 53.8%)" in pages[Level.INTERMEDIATE]
    assert "0.4 (0.2761 to 0.5382)" in pages[Level.EXPERT]
    assert "Newcombe" not in pages[Level.BEGINNER]
    assert "Newcombe" in pages[Level.EXPERT]


def test_each_level_leads_to_the_others(tmp_path: Path) -> None:
    report = measured(people(male=(60, 40), female=(20, 30)), tmp_path, "sex")
    links = {str(level): f"/view?level={level}" for level in Level}
    page = Page(render_bias_report(report, Level.BEGINNER, links))
    addresses = [attributes["href"] for tag, attributes in page.tags if tag == "a"]
    assert "/view?level=intermediate" in addresses
    assert "/view?level=expert" in addresses


def test_multiclass_and_regression_pages(tmp_path: Path) -> None:
    rows = [("m", "low")] * 50 + [("m", "mid")] * 30 + [("m", "top")] * 20 + [("f", "low")] * 40 + [("f", "mid")] * 10
    classes = measured(pd.DataFrame(rows, columns=["sex", "y"]), tmp_path, "sex", task=TaskKind.MULTICLASS)
    numbers = pd.DataFrame({"sex": ["m", "f"] * 60, "y": range(120)})
    means = measured(numbers, tmp_path, "sex", task=TaskKind.REGRESSION)
    expert = Page(render_bias_report(classes, Level.EXPERT, {})).words
    assert "Infinite: an outcome of the group compared with never occurs in this group." in expert
    # the odd numbers to 119 have the mean 60, the even ones to 118 the mean 59
    assert "Mean of “y”: men 59, women 60" in Page(render_bias_report(means, Level.BEGINNER, {})).words.replace(
        "women 60, men 59", "men 59, women 60"
    )
    for report in (classes, means):
        for level in Level:
            Page(render_bias_report(report, level, {}))
        ElementTree.fromstring(bias_plot(report))


def test_the_plot_is_small_and_stands_alone(tmp_path: Path) -> None:
    rows = [(f"g{index}", answer) for index in range(12) for answer in ["yes"] * (5 + index) * 3 + ["no"] * 60]
    plot = bias_plot(measured(pd.DataFrame(rows, columns=["race", "y"]), tmp_path, "race"))
    root = ElementTree.fromstring(plot)
    assert float(root.attrib["width"]) <= 490
    assert float(root.attrib["height"]) <= 280
    assert "http" not in plot.replace("http://www.w3.org/2000/svg", "")
    assert "y = yes by race" in plot


def test_a_page_loads_nothing_and_stays_small(tmp_path: Path) -> None:
    rows = [(f"g{index}", answer) for index in range(40) for answer in ["yes"] * (5 + index) + ["no"] * 60]
    html = render_bias_report(measured(pd.DataFrame(rows, columns=["race", "y"]), tmp_path, "race"), Level.EXPERT, {})
    assert "src=" not in html
    assert "url(" not in html
    assert len(html) < 500_000
