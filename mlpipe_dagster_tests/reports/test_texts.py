"""Languages: every file has the same sentences with the same places, and pages are written in them throughout."""

import re
from string import Formatter

import pytest
from sklearn.linear_model import LogisticRegression

from mlpipe_dagster.reports.explanations import render_data_explanation, render_model_explanation
from mlpipe_dagster.reports.texts import LANGUAGES, texts
from mlpipe_dagster.reports.wording import number_text, percent_text, written_in
from mlpipe_dagster.vocabulary import Level, TaskKind
from mlpipe_dagster_tests.reports.test_explanations import measured_data, model_explanation, read, said_of, tokens


def places(sentence: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(sentence) if name}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_the_same_sentences_and_places(language: str) -> None:
    english = texts().sentences
    with written_in(language):
        other = texts().sentences
    assert other.keys() == english.keys()
    assert {key for key in english if places(other[key]) != places(english[key])} == set()
    assert {key for key in english if re.findall(r"<\w+>", other[key]) != re.findall(r"<\w+>", english[key])} == set()


def test_numbers_are_written_the_way_of_the_language() -> None:
    with written_in("de"):
        assert number_text(1234.5, 15) == "1.234,5"
        assert percent_text(0.125) == "12,5\u00a0%"
    assert number_text(1234.5, 15) == "1,234.5"


@pytest.mark.parametrize("level", list(Level))
def test_german_pages_say_the_same_numbers_and_no_english_sentence(level: Level) -> None:
    explanation = model_explanation("binary", TaskKind.BINARY, LogisticRegression())
    page = render_model_explanation(explanation, level, {}, language="de")
    assert '<html lang="de">' in page
    text = " ".join(read(page).text)
    for word in ("the", "rows", "columns", "with", "what"):
        assert not re.search(rf"\b{word}\b", text.replace("Built for a test.", "")), word
    with written_in("de"):
        known = said_of(explanation)
    assert {token for token in tokens(text) if token not in known and not re.fullmatch(r"\d+", token)} == set()
    assert "Zeilen" in render_data_explanation(measured_data(), level, {}, language="de")
