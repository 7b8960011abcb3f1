"""Languages: every file has the same sentences with the same places, and pages are written in them throughout."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

import pytest
from sklearn.linear_model import LogisticRegression

import mlpipe_dagster.automl
from mlpipe_dagster.reports.explanations import render_data_explanation, render_model_explanation
from mlpipe_dagster.reports.texts import LANGUAGES, texts
from mlpipe_dagster.reports.wording import number_text, percent_text, written_in
from mlpipe_dagster.vocabulary import Level, TaskKind
from mlpipe_dagster.xai.explain import said
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


@pytest.mark.parametrize(
    ("english", "german"),
    [
        ("Left out “2.5”: it numbers the rows.", "„2.5“ wurde weggelassen: sie nummeriert die Zeilen."),
        (
            "Candidates were compared by 5-fold cross-validation.",
            "Kandidaten wurden mit 5-facher Kreuzvalidierung verglichen.",
        ),
        (
            "On the test split the linear baseline did as well or better: log loss 0.512 against 0.51. The choice was "
            "made on validation rows.",
            "Auf den Testzeilen war der Vergleich linear ebenso gut oder besser: log loss 0,512 gegen 0,51. Gewählt "
            "wurde auf Validierungszeilen.",
        ),
        ("An engine from elsewhere says so.", "An engine from elsewhere says so."),
    ],
)
def test_what_a_training_says_is_written_in_the_language(english: str, german: str) -> None:
    with written_in("de"):
        assert texts().said(english) == german
        assert "wurde weggelassen" in texts().note(said("Left out “<b>”: as was asked."))
        assert "<b>" not in texts().note(said("Left out “<b>”: as was asked."))
    assert texts().said(english) == english


def noted(source: Path) -> Iterator[str]:
    """The fixed parts of all whole sentences in a module that are neither documentation nor part of an error."""
    tree = ast.parse(source.read_text())
    passed = {id(part) for node in ast.walk(tree) if isinstance(node, ast.Raise | ast.Expr) for part in ast.walk(node)}
    for node in ast.walk(tree):
        pieces = node.values if isinstance(node, ast.JoinedStr) else [node]
        fixed = [piece.value for piece in pieces if isinstance(piece, ast.Constant) and isinstance(piece.value, str)]
        if id(node) not in passed and fixed and fixed[-1].endswith(".") and " " in "".join(fixed).strip():
            yield from fixed


def test_every_sentence_of_a_training_is_in_the_file() -> None:
    """A note that is added to the training and not to `training` of the languages would be English on every page."""
    folder = Path(mlpipe_dagster.automl.__file__).parent
    modules = [
        "apart",
        "boosters",
        "choice",
        "constrained",
        "columns",
        "finish",
        "infer",
        "job",
        "last_fit",
        "splits",
        "suspicion",
        "train",
        "target",
        "worker",
        "engines/flaml",
        "onnx_model/export",
    ]
    known = " ".join(sentence for key, sentence in texts().sentences.items() if key.startswith("training."))
    said_there = {part for module in modules for part in noted(folder / f"{module}.py")}
    assert len(said_there) > 40
    assert {part for part in said_there if part.strip() not in known} == {"Its columns are: "}  # part of an error
