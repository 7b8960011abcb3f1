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

from mlpipe_dagster.errors import TooLarge
from mlpipe_dagster.reports import explanations
from mlpipe_dagster.reports.explanations import render_data_explanation, render_model_explanation
from mlpipe_dagster.reports.texts import texts
from mlpipe_dagster.reports.wording import number_text, percent_text
from mlpipe_dagster.tables.profile import ColumnProfile, Profile, ValueCount
from mlpipe_dagster.vocabulary import Level, TaskKind
from mlpipe_dagster.xai.data_explanation import DataExplanation
from mlpipe_dagster.xai.explain import explain_model
from mlpipe_dagster.xai.explain_table import explain_data
from mlpipe_dagster.xai.explanation import ModelExplanation
from mlpipe_dagster_tests.browsing import CHROMIUM, NO_BROWSER, launched, opened
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
        self.axis = False
        """Inside a label of an axis: a place on a scale, nothing that is said of the model."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs
        self.axis = ("class", "axis") in attrs
        if tag not in {"meta", "link", "br"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        self.axis = False

    def handle_data(self, data: str) -> None:
        if not self.axis and not {"style", "title", "desc", "footer"} & set(self.open):
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


def measured_data() -> DataExplanation:
    table = planted()[[*FEATURES, "binary"]]
    kinds = {"colour": ("category", "object"), "binary": ("category", "object")}
    columns = tuple(
        ColumnProfile(
            name=name,
            data_type=kinds.get(name, ("number", "float64"))[1],
            kind=kinds.get(name, ("number", "float64"))[0],  # type: ignore[arg-type]
            missing=0,
            distinct=int(table[name].nunique()),
            top_values=tuple(
                ValueCount(value=str(value), count=int(count))
                for value, count in table[name].value_counts().head().items()
            ),
        )
        for name in table.columns
    )
    profile = Profile(row_count=400, columns=columns, duplicate_rows=0)
    return explain_data(
        profile, target="binary", task=TaskKind.BINARY, bias=None, table=table, test_rows=range(0, 400, 4)
    )


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


def strings_in(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for part in value.values() for text in strings_in(part)] + list(value)
    if isinstance(value, list):
        return [text for part in value for text in strings_in(part)]
    return [value] if isinstance(value, str) else []


def said_of(explanation: ModelExplanation | DataExplanation) -> set[str]:
    """Every way in which the numbers of an explanation may be written, with those that stand in the sentences.

    Of counts also their differences and ratios: the reader can work these out, and a page may do it for them.
    """
    numbers = numbers_in(explanation.model_dump(mode="json"))
    if isinstance(explanation, ModelExplanation):
        numbers.append(round(10 * (explanation.right_share or 0)))
        for result in explanation.confusion.results if explanation.confusion else ():
            numbers += [result.rows - result.right, result.right / max(result.rows, 1)]
            numbers.append(result.right / max(result.predicted, 1))
    sentences = [*texts().sentences.values(), *strings_in(explanation.model_dump(mode="json"))]
    written = {token for sentence in sentences for token in tokens(sentence)}
    for number in numbers:
        ways = [number_text(number, digits) for digits in (2, 3, 4, 6, 15)] + [f"{number:g}", f"{number:.3f}"]
        if 0 <= number <= 1:
            ways += [percent_text(number), percent_text(number, 0), texts().frequency(number)]
        elif 1 < number < 2:
            ways.append(percent_text(number, 0))  # the gap of two curves
        written |= {token for text in ways for token in tokens(text)}
    return written


def tokens(text: str) -> list[str]:
    return [token.replace(",", "") for token in re.findall(r"\d[\d,]*(?:\.\d+)?", text)]


@pytest.mark.parametrize("level", list(Level))
@pytest.mark.parametrize(("target", "task", "estimator"), CASES)
def test_every_number_on_the_pages_is_in_the_explanation(
    target: str, task: TaskKind, estimator: Any, level: Level
) -> None:
    explanation = model_explanation(target, task, estimator)
    shown = tokens(" ".join(read(render_model_explanation(explanation, level, {})).text))
    assert len(shown) > 20
    assert set(shown) - said_of(explanation) == set()


@pytest.mark.parametrize("level", list(Level))
def test_every_number_on_the_pages_about_a_table_is_in_the_explanation(level: Level) -> None:
    explanation = measured_data()
    shown = tokens(" ".join(read(render_data_explanation(explanation, level, {})).text))
    assert len(shown) > 10
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
        assert f"Right for {explanation.right} of {explanation.test_rows} test rows" in " ".join(text.split())


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


JARGON = [
    word
    for line in (
        "shap lime log-odds bootstrap additivity precision recall hyperparameter baseline accuracy quantile percentile",
        "interval variance correlation coefficient regression classifier classification algorithm feature probability",
        "threshold calibration surrogate counterfactual residual median standard deviation loss metric validation",
        "parameter entropy distribution outlier confidence significance spearman",
    )
    for word in line.split()
]


@pytest.mark.parametrize(("target", "task", "estimator"), CASES)
def test_the_beginner_reads_no_jargon_and_plain_sentences(target: str, task: TaskKind, estimator: Any) -> None:
    explanation = model_explanation(target, task, estimator)
    pages = [
        render_model_explanation(explanation, Level.BEGINNER, {}),
        render_data_explanation(measured_data(), Level.BEGINNER, {}),
    ]
    for page in pages:
        text = " ".join(" ".join(read(page).text).split())
        assert [word for word in JARGON if re.search(rf"\b{word}s?\b", text.lower())] == []
        assert reading_grade(prose(page)) <= 9


def prose(page: str) -> str:
    """The sentences of a page: paragraphs, list items and definitions, without the drawings."""
    content = re.sub(r"<(svg|style|nav)\b.*?</\1>", " ", page, flags=re.DOTALL)
    parts = re.findall(r"<(?:p|li|dd)\b[^>]*>(.*?)</(?:p|li|dd)>", content, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", "", part).strip().rstrip(".") + "." for part in parts)


def reading_grade(text: str) -> float:
    """Flesch-Kincaid grade level (Kincaid et al. 1975); syllables are counted as groups of vowels."""
    sentences = max(len(re.findall(r"[.!?:](?=\s|$)", text)), 1)
    words = re.findall(r"[A-Za-z][A-Za-z'_-]*", text)
    syllables = sum(syllables_of(word) for word in words)
    return 0.39 * len(words) / sentences + 11.8 * syllables / len(words) - 15.59


def syllables_of(word: str) -> int:
    groups = len(re.findall(r"[aeiouy]+", word.lower()))
    silent = word.lower().endswith("e") and not word.lower().endswith(("le", "ee")) and groups > 1
    return max(groups - silent, 1)


def test_the_reading_grade_is_that_of_the_formula() -> None:
    """“The cat sat on the mat.”: 6 words, 1 sentence, 6 syllables: 0.39 * 6 + 11.8 - 15.59 = -1.45."""
    assert reading_grade("The cat sat on the mat.") == pytest.approx(-1.45)
    assert syllables_of("prediction") == 3


def test_the_expert_reads_methods_additivity_and_lime() -> None:
    explanation = model_explanation("binary", TaskKind.BINARY, LogisticRegression())
    text = " ".join(read(render_model_explanation(explanation, Level.EXPERT, {})).text)
    for word in ("Additivity", "LIME", "95%", "Seed", "shap 0.", "Leaderboard", "Built for a test."):
        assert word in text


@pytest.mark.parametrize("level", list(Level))
def test_wide_tables_and_many_classes_stay_small(level: Level) -> None:
    wide = data_explanation(tuple(f"column {number}" for number in range(3000)))
    assert len(render_data_explanation(wide, level, {}).encode()) < MEGABYTE


def test_fifty_classes_are_explained_on_small_pages() -> None:
    table = planted(300)[["noise", "weak", "strong"]].assign(number=lambda frame: range(len(frame)))
    table["number"] %= 50
    model = trained(table, "number", TaskKind.MULTICLASS, LogisticRegression(), linear=True)
    found = explain_model(model, table)
    assert len(found.classes) == 50
    assert found.additivity_holds
    for level in Level:
        assert len(render_model_explanation(found, level, {}).encode()) < MEGABYTE


def test_a_page_that_would_be_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert explanations.MOST_BYTES == 3 * MEGABYTE
    monkeypatch.setattr(explanations, "MOST_BYTES", 10_000)
    with pytest.raises(TooLarge, match="10,000 are the most"):
        render_data_explanation(measured_data(), Level.EXPERT, {})


@pytest.mark.long
@pytest.mark.skipif(CHROMIUM is None, reason=NO_BROWSER)
def test_tables_fit_on_paper() -> None:
    """A4 within its margins has 688 pixels; what is wider would be cut off."""
    page = render_model_explanation(model_explanation(*CASES[0]), Level.EXPERT, {})
    with launched() as browser, opened(browser, "http://localhost", viewport={"width": 688, "height": 1000}) as shown:
        shown.emulate_media(media="print")
        shown.set_content(page)
        assert shown.evaluate("document.documentElement.scrollWidth") == 688


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
