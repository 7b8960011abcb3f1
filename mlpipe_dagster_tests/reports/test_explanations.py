"""The six pages: complete, self-contained, escaped, and every number on them is a number of the explanation."""

import re
from functools import cache
from html.parser import HTMLParser
from typing import Any

import pandas as pd
import pytest
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from mlpipe_dagster.reports.explanations import render_data_explanation, render_model_explanation
from mlpipe_dagster.reports.wording import frequency_text, number_text, percent_text
from mlpipe_dagster.tables.profile import ColumnProfile, Profile, ValueCount
from mlpipe_dagster.vocabulary import Level, TaskKind
from mlpipe_dagster.xai.explain import explain_data, explain_model
from mlpipe_dagster.xai.explanation import DataExplanation, ModelExplanation
from mlpipe_dagster_tests.xai.models import planted, trained

FEATURES = ["noise", "weak", "strong", "colour"]
HOSTILE = ("<script>alert(1)</script>", '"\' onmouseover="x', "😀 emoji", "שלום \u202e", "{{ 7*7 }}")
MEGABYTE = 1_000_000
CASES: list[tuple[str, TaskKind, Any]] = [
    ("binary", TaskKind.BINARY, LGBMClassifier(n_estimators=20, verbose=-1, n_jobs=1)),
    ("multiclass", TaskKind.MULTICLASS, LogisticRegression()),
    ("value", TaskKind.REGRESSION, LGBMRegressor(n_estimators=20, verbose=-1, n_jobs=1)),
]


class Reader(HTMLParser):
    """The visible text of a page, its tags and attributes; checks that tags nest."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs
        if tag not in {"meta", "link", "br"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "title", "desc", "footer"} & set(self.open):
            self.text.append(data)


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader


@cache
def model_explanation(target: str, task: TaskKind, estimator: Any) -> ModelExplanation:
    table = planted()[[*FEATURES, target]]
    return explain_model(trained(table, target, task, estimator), table)


def data_explanation(names: tuple[str, ...] = ("a", "b")) -> DataExplanation:
    columns = tuple(
        ColumnProfile(
            name=name,
            data_type="object",
            kind="category",
            missing=3,
            distinct=2,
            top_values=(ValueCount(value=name, count=60), ValueCount(value="other", count=37)),
        )
        for name in names
    )
    profile = Profile(row_count=100, columns=columns, duplicate_rows=2, notes=names)
    return explain_data(profile, target=names[0], task=TaskKind.BINARY, bias=None)


def numbers_in(value: object) -> list[float]:
    if isinstance(value, bool) or value is None:
        return []
    if isinstance(value, int | float):
        return [float(value)]
    if isinstance(value, str):
        return [float(found) for found in re.findall(r"-?\d+(?:\.\d+)?", value)]
    if isinstance(value, dict):
        return [number for part in value.values() for number in numbers_in(part)] + [float(len(value))]
    assert isinstance(value, list)
    return [number for part in value for number in numbers_in(part)] + [float(len(value))]


def said_of(explanation: ModelExplanation | DataExplanation) -> set[str]:
    """Every way in which the numbers of an explanation may be written; differences of its counts included."""
    numbers = numbers_in(explanation.model_dump(mode="json"))
    if isinstance(explanation, ModelExplanation) and explanation.confusion:
        numbers += [result.rows - result.right for result in explanation.confusion.results]
    texts = {"10", "9", "100"}  # “8 of 10”, “9 of 10”, “within 10%”, “make 100%”
    for number in numbers:
        written = [number_text(number), number_text(number, 6), number_text(number, 15), f"{number:g}", f"{number:.3f}"]
        if 0 <= number <= 1:
            written += [percent_text(number), percent_text(number, 0), frequency_text(number)]
        texts |= {token for text in written for token in tokens(text)}
    return texts


def tokens(text: str) -> list[str]:
    return [token.replace(",", "") for token in re.findall(r"\d[\d,]*(?:\.\d+)?", text)]


@pytest.mark.parametrize(("target", "task", "estimator"), CASES)
def test_every_number_on_the_beginner_page_is_in_the_explanation(target: str, task: TaskKind, estimator: Any) -> None:
    explanation = model_explanation(target, task, estimator)
    text = " ".join(read(render_model_explanation(explanation, Level.BEGINNER, {})).text)
    shown = tokens(text)
    assert len(shown) > 10
    assert set(shown) - said_of(explanation) == set()


def test_every_number_on_the_beginner_page_about_a_table_is_in_the_explanation() -> None:
    explanation = data_explanation()
    shown = tokens(" ".join(read(render_data_explanation(explanation, Level.BEGINNER, {})).text))
    assert set(shown) - said_of(explanation) == set()


@pytest.mark.parametrize("level", list(Level))
@pytest.mark.parametrize(("target", "task", "estimator"), CASES)
def test_pages_are_complete_in_themselves(target: str, task: TaskKind, estimator: Any, level: Level) -> None:
    page = render_model_explanation(model_explanation(target, task, estimator), level, {"expert": "/e"})
    reader = read(page)
    assert len(page.encode()) < MEGABYTE
    assert "script" not in reader.tags
    assert "img" not in reader.tags
    assert "None" not in " ".join(reader.text)
    assert not [value for name, value in reader.attributes if name in {"src", "srcset"}]
    headings = re.findall(r"<h2>(.*?)</h2>\s*(<h2>|</main>)", page)
    assert headings == []  # no section is empty


def test_levels_agree_on_the_headline() -> None:
    explanation = model_explanation("binary", TaskKind.BINARY, LogisticRegression())
    for level in Level:
        text = " ".join(read(render_model_explanation(explanation, level, {})).text)
        assert f"Right for {explanation.right} of {explanation.test_rows} test rows" in text


@pytest.mark.parametrize("level", list(Level))
def test_hostile_names_are_only_text(level: Level) -> None:
    table = planted()[[*FEATURES, "binary"]].assign(extra=range(400))
    table["binary"] = table["binary"].map({"yes": HOSTILE[0], "no": HOSTILE[1]})
    table["colour"] = table["colour"].map({"red": HOSTILE[0], "green": HOSTILE[3], "blue": HOSTILE[2]})
    table.columns = [HOSTILE[0], HOSTILE[1], HOSTILE[2], HOSTILE[3], HOSTILE[4], "extra"]
    model = trained(table, HOSTILE[4], TaskKind.BINARY, LogisticRegression(), sensitive=[HOSTILE[3]])
    pages = [
        render_model_explanation(explain_model(model, table), level, {}),
        render_data_explanation(data_explanation(HOSTILE), level, {}),
    ]
    for page in pages:
        reader = read(page)
        assert "script" not in reader.tags
        assert not [name for name, _ in reader.attributes if name.startswith("on")]
        assert "alert(1)" in " ".join(reader.text)
        assert "\u202e" not in page
        assert "49" not in " ".join(re.findall(r"“(\d+)”", page))


@pytest.mark.parametrize("level", list(Level))
def test_a_near_perfect_score_is_questioned_at_every_level(level: Level) -> None:
    table = planted()[["noise", "binary"]].assign(leak=lambda frame: frame["binary"] == "yes")
    model = trained(table, "binary", TaskKind.BINARY, DecisionTreeClassifier())
    text = " ".join(read(render_model_explanation(explain_model(model, table), level, {})).text)
    assert "Too good to be true?" in text
    assert "leak" in text


@pytest.mark.parametrize("level", list(Level))
def test_a_constant_model_is_shown_as_one(level: Level) -> None:
    page = render_model_explanation(model_explanation("binary", TaskKind.BINARY, DummyClassifier()), level, {})
    if level is Level.BEGINNER:
        assert "the model gives the same answer for every row" in page


@pytest.mark.parametrize("level", list(Level))
def test_one_feature_and_two_test_rows(level: Level) -> None:
    table = planted(60)[["strong", "value"]]
    model = trained(table, "value", TaskKind.REGRESSION, LGBMRegressor(n_estimators=5, verbose=-1), test_rows=[1, 2])
    text = " ".join(read(render_model_explanation(explain_model(model, table), level, {})).text)
    assert "strong" in text


def test_the_beginner_reads_no_jargon() -> None:
    explanation = model_explanation("binary", TaskKind.BINARY, LogisticRegression())
    text = " ".join(read(render_model_explanation(explanation, Level.BEGINNER, {})).text).lower()
    jargon = (
        "shap",
        "lime",
        "log-odds",
        "bootstrap",
        "additivity",
        "precision",
        "recall",
        "hyperparameter",
        "baseline",
    )
    assert [word for word in jargon if re.search(rf"\b{word}\b", text)] == []


def test_the_expert_reads_methods_additivity_and_lime() -> None:
    explanation = model_explanation("binary", TaskKind.BINARY, LogisticRegression())
    text = " ".join(read(render_model_explanation(explanation, Level.EXPERT, {})).text)
    for word in ("Additivity", "LIME", "95%", "Seed", "shap 0.", "Leaderboard", "Built for a test."):
        assert word in text


@pytest.mark.parametrize("level", list(Level))
def test_wide_tables_and_many_classes_stay_small(level: Level) -> None:
    wide = data_explanation(tuple(f"column {number}" for number in range(3000)))
    assert len(render_data_explanation(wide, level, {}).encode()) < MEGABYTE


@pytest.mark.parametrize("level", list(Level))
def test_an_empty_table_and_no_target(level: Level) -> None:
    empty = explain_data(Profile(row_count=0, columns=(), duplicate_rows=0), target=None, task=None, bias=None)
    text = " ".join(read(render_data_explanation(empty, level, {})).text)
    assert "0 rows and 0 columns" in text
    assert "No target column has been chosen yet." in text
    assert "Bias has not been measured for this table." in text


def test_many_columns_with_dates_are_drawn_with_dates() -> None:
    table = planted()[["strong", "binary"]].assign(day=pd.Timestamp("2020-01-01"))
    table["day"] += pd.to_timedelta(range(400), unit="D")
    model = trained(table, "binary", TaskKind.BINARY, LGBMClassifier(n_estimators=20, verbose=-1, n_jobs=1))
    assert "2020-" in render_model_explanation(explain_model(model, table), Level.INTERMEDIATE, {})


@pytest.mark.parametrize("level", list(Level))
def test_values_that_identify_people_are_on_no_page(level: Level) -> None:
    table = planted()[[*FEATURES, "binary"]].assign(colour=lambda frame: "secret-" + frame["colour"])
    model = trained(table, "binary", TaskKind.BINARY, LogisticRegression())
    page = render_model_explanation(explain_model(model, table, hide=["colour"]), level, {})
    assert "secret-" not in page
    assert "colour" in page
