"""The bias page and plot: hostile text, reports with little in them, the same numbers at each level, well-formed."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from mlpipe_dagster.bias.intervals import SEED
from mlpipe_dagster.bias.labels import frequencies
from mlpipe_dagster.bias.measures import measures_for
from mlpipe_dagster.bias.mitigation.report import Effect, Transformation, TransformationReport, Value
from mlpipe_dagster.bias.proxies import of_hundred
from mlpipe_dagster.bias.report import BiasReport
from mlpipe_dagster.reports import bias_report
from mlpipe_dagster.reports.bias_plot import bias_plot
from mlpipe_dagster.reports.bias_report import render_bias_report
from mlpipe_dagster.reports.wording import MINUS, number_text, percent_text
from mlpipe_dagster.vocabulary import Level, Mitigation, TaskKind
from mlpipe_dagster_tests.bias.tables import measured, people

HOSTILE = "<script>alert(1)</script>\"'&{{ 7*7 }}\x01"
VOID = frozenset({"meta", "link", "br", "img", "hr", "input", "wbr"})


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
    frame = frame.assign(**{f"{HOSTILE}job": frame["sex"] + HOSTILE, f"{HOSTILE}leak": frame["y"] + HOSTILE})
    report = measured(frame.rename(columns=names), tmp_path, names["sex"], "<b>absent</b>", target=names["y"])
    assert {finding.kind for finding in report.findings} >= {"difference", "leak", "proxy", "quality"}
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
    assert "leak: it gives" in page.words
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
    words = Page(render_bias_report(report, level, {})).words
    assert "There was no column to compare groups of." in words
    assert "this is a report on the quality of the table" in words
    assert "Quality of the data: y" in words
    assert "Groups of" not in words
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


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> BiasReport:
    """A report with something of everything."""
    generator = np.random.default_rng(4)
    frame = people(male=(330, 270), female=(120, 280), other=(2, 1))
    women = frame["sex"] == "female"
    frame["race"] = generator.choice(["a", "b", "c"], len(frame))
    frame["job"] = np.where(women ^ (generator.random(len(frame)) < 0.1), "nurse", "smith")
    frame["size"] = np.where(women, 165.0, 178.0) + generator.normal(scale=7, size=len(frame))
    frame["closed"] = np.where(generator.random(len(frame)) < 0.03, "no", frame["y"])
    frame["gappy"] = np.where(women & (generator.random(len(frame)) < 0.4), None, "x")
    frame["rare"] = np.where(np.arange(len(frame)) < 9, "x", None)
    return measured(frame, tmp_path_factory.mktemp("rich"), "sex", "race")


NUMBER = re.compile(r"\d[\d,.]*\d|\d")
STATIC = {"95", "100", "0.05", "30", "5", "0.1", "0.8", "1.25", "2008", "2013", str(SEED), "8", "50", "0", "1", "2"}
"""Numbers of the layout: confidence, thresholds, years of methods, ends of scales."""


@pytest.mark.parametrize("level", list(Level))
def test_every_number_on_the_page_is_one_of_the_report(rich: BiasReport, level: Level) -> None:
    html = re.sub(r"<style>.*?</style>", "", render_bias_report(rich, level, {}), flags=re.DOTALL)
    told = set(NUMBER.findall(Page(html).words))
    known = set(STATIC)
    for value in leaves(rich.model_dump(mode="json")):
        known |= set(NUMBER.findall(" ".join(written(value))))
    kinds = measures_for(rich.task)
    known |= set(
        re.findall(
            r"\d[\d,.]*\d|\d", " ".join(f"{kind.formula} {kind.meaning} {kind.title} {kind.name}" for kind in kinds)
        )
    )
    if rich.signals and (conflicts := rich.signals.conflicts):
        known.add(str(round(conflicts.best * conflicts.looked_at)))
    counts = [len(section) for section in (rich.features, rich.intersections, rich.findings)]
    known |= {str(count) for count in range(max(counts) + 1)}
    assert told - known == set()


def leaves(value: object) -> Iterator[object]:
    """Texts and numbers of a JSON value; the keys too."""
    if isinstance(value, dict):
        yield from value
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from leaves(part)
    else:
        yield value


def written(value: object) -> list[str]:
    """Every way in which a page may write a value of the report."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return [str(value)]
    shares = [percent_text(value), f"{value:,}" if isinstance(value, int) else "", f"{value:.4f}"]
    if 0 <= value <= 1:
        shares += [*frequencies([value]), f"{round(1000 * value)}", of_hundred(value), str(round(100 * value))]
        shares += [number_text(100 * value)]
    if -1 <= value <= 1:
        shares += [number_text(abs(100 * value), 2)]  # points
    return [*shares, number_text(value), number_text(value, 4)]


def test_the_gravest_kind_comes_first_and_is_told_with_what_it_means(rich: BiasReport) -> None:
    page = Page(render_bias_report(rich, Level.BEGINNER, {}))
    anchors = [attributes["id"] for tag, attributes in page.tags if tag == "h2" and "id" in attributes]
    assert anchors == ["difference", "leak", "proxy", "quality"]
    assert "closed: it gives “y” away" in page.words
    assert "sex: other columns give it away" in page.words
    for text in ("What it may mean", "What it cannot mean", "What to do"):
        assert page.words.count(text) >= 3
    drawn = [attributes["aria-label"] or "" for tag, attributes in page.tags if tag == "svg"]
    assert any(label.startswith("Share with y = yes by sex. men (compared with): 55 of 100") for label in drawn)
    assert any(label.startswith("How well a single column tells y. closed: 9") for label in drawn)
    assert any(label.startswith("How often sex is guessed right from other columns.") for label in drawn)
    assert any(label.startswith("Rows without gappy by sex. women: ") for label in drawn)


@pytest.mark.parametrize("level", list(Level))
def test_a_mitigation_is_told_before_after_and_in_the_model(rich: BiasReport, level: Level) -> None:
    effect = Effect(
        column="sex",
        group="female",
        reference="male",
        about="yes",
        measure="DPL",
        before=Value(value=0.25, low=0.19, high=0.31),
        after=Value(value=-5.1e-13, low=-0.06, high=0.06),
        model=Value(value=0.08, low=-0.02, high=0.17),
    )
    gone = Effect(
        column="race", about="<b>job</b>", measure="Cramér's V", before=Value(value=0.71, low=0.6, high=0.8), after=None
    )
    mitigated = TransformationReport(
        method=Mitigation.REWEIGHING,
        explained="rows count <i>more</i> or less",
        target="y",
        task=rich.task,
        sensitive=("sex", "race"),
        transformations=(
            Transformation(
                column="sex",
                transformation="weight",
                method=Mitigation.REWEIGHING,
                original_value={"group": "female", "rows": 400},
                modified_value=1.5,
            ),
        ),
        before_after=(effect, gone),
    )
    page = Page(render_bias_report(rich, level, {}, mitigated))
    assert not {"i", "b"} & {tag for tag, _ in page.tags}
    assert "Before: 25 points; After: 0 points; In the model's predictions: 8 points." in page.words
    assert "sex: “y = yes”, men minus women" in page.words
    assert "afterwards “<b>job</b>” is not read any more" in page.words
    assert f"0.25 (0.19 to 0.31) 0 ({MINUS}0.06 to 0.06) 0.08 ({MINUS}0.02 to 0.17)" in page.words
    assert ("group female, rows 400" in page.words) == (level is Level.EXPERT)
    drawn = [attributes["aria-label"] or "" for tag, attributes in page.tags if tag == "svg"]
    told = "“y = yes”, men minus women, before and after. Before: 25 points (interval 19 to 31); After: 0 points"
    assert any(label.startswith(told) for label in drawn)


def test_a_page_that_would_be_too_large_is_cut_and_says_so(rich: BiasReport, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = render_bias_report(rich, Level.EXPERT, {})
    monkeypatch.setattr(bias_report, "MOST_BYTES", len(whole.encode()) * 3 // 4)
    page = render_bias_report(rich, Level.EXPERT, {})
    assert len(page.encode()) <= len(whole.encode()) * 3 // 4
    assert "further rows are in the report as JSON" in Page(page).words
    monkeypatch.setattr(bias_report, "MOST_BYTES", 1000)
    with pytest.raises(ValueError, match="even without tables"):
        render_bias_report(rich, Level.EXPERT, {})


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
