"""A column of texts is read word by word: found as one, traced to its column, saved; not where it names people."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlpipe_dagster.automl import artefacts
from mlpipe_dagster.automl.algorithms import predict
from mlpipe_dagster.automl.columns import usable_columns
from mlpipe_dagster.automl.model import TrainedModel, TrainingSpec
from mlpipe_dagster.automl.onnx_model.export import export
from mlpipe_dagster.automl.train import train
from mlpipe_dagster.vocabulary import TaskKind
from mlpipe_dagster.xai.explain import explain_model

GOOD = ("delivery was quick", "works very well", "would buy it again", "friendly service")
BAD = ("arrived broken", "asked for a refund", "does not work at all", "rude answer from service")
REST = ("the blue one for my kitchen", "size seven in spring", "a gift to my sister", "ordered on a rainy monday")


def reviews(rows: int = 400) -> pd.DataFrame:
    """Nine of ten reviews hold words of their kind; every one is a text of its own."""
    draw = np.random.default_rng(0)
    happy = draw.random(rows) < 0.5
    said = [draw.choice(GOOD if kind else BAD) for kind in happy == (draw.random(rows) < 0.9)]
    table = pd.DataFrame(
        {
            "review": [f"{text} and {draw.choice(REST)} {at}" for at, text in enumerate(said)],
            "age": draw.integers(18, 80, rows),
            "happy": np.where(happy, "yes", "no"),
        }
    )
    table.loc[::17, "review"] = None
    return table


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return reviews()


@pytest.fixture(scope="module")
def model(table: pd.DataFrame) -> TrainedModel:
    return train(table, TrainingSpec(target="happy", task=TaskKind.BINARY, engine="deterministic:2"), 600)


def test_the_words_say_what_the_column_alone_could_not(model: TrainedModel, table: pd.DataFrame) -> None:
    assert {column.name: column.kind for column in model.schema.columns} == {"review": "text", "age": "number"}
    assert model.test_score.value > 0.78  # 0.9 of 16 of 17 rows can be told
    words = {
        name for name, origin in zip(model.feature_names, model.feature_origins, strict=True) if origin == "review"
    }
    assert "review: “refund”" in words and not any("kitchen” 3" in word for word in words)
    strange = pd.DataFrame({"review": ["", None, "völlig Neues, 日本語 ¿?"], "age": [30, None, 50]})
    assert np.isfinite(predict(model.estimator, strange)).all()


def test_it_is_saved_and_read_again_and_has_no_onnx_file(
    model: TrainedModel, table: pd.DataFrame, tmp_path: Path
) -> None:
    artefacts.save(model, tmp_path)
    loaded = artefacts.load(tmp_path)
    np.testing.assert_array_equal(predict(loaded.estimator, table), predict(model.estimator, table))
    assert "a column of texts is read word by word" in export(model, table, tmp_path / "model.onnx").note


def test_an_explanation_names_the_column_and_rewrites_no_text(model: TrainedModel, table: pd.DataFrame) -> None:
    found = explain_model(model, table, seconds=20)
    assert found.columns[0].name == "review"
    assert "review" in found.kept
    assert "review" not in {one.column for one in found.dependence}


@pytest.mark.parametrize(
    ("name", "texts", "kind"),
    [
        ("review", list(reviews()["review"].dropna()), "text"),
        ("customer_name", [f"Smith, Mr. John {at} of the House" for at in range(100)], "it names people"),
        ("street", [f"{at} Long Winding Road" for at in range(100)], "an address"),
        ("code", [f"a{at} b{at} c{at}" for at in range(100)], "no word stands twice"),
        ("town", ["New York City", "Salt Lake City", "Ho Chi Minh City"] * 40, "category"),
    ],
)
def test_what_is_a_text(name: str, texts: list[str], kind: str) -> None:
    table = pd.DataFrame({name: texts, "other": np.random.default_rng(0).normal(size=len(texts))})
    schema, reasons = usable_columns(table, [])
    found = {column.name: column.kind for column in schema.columns}.get(name)
    if kind in ("text", "category"):
        assert found == kind
    else:
        assert found is None and "nearly every row has its own text" in reasons[0]
