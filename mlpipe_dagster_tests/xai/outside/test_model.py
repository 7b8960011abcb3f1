"""ONNX and skops files from outside are asked about raw columns: planted truth is found, scores agree with sklearn."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from lightgbm import LGBMClassifier
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier
from sklearn.metrics import accuracy_score, r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mlpipe_dagster.automl.model import TrainedModel
from mlpipe_dagster.errors import ModelError
from mlpipe_dagster.vocabulary import TaskKind
from mlpipe_dagster.xai.explain import explain_model
from mlpipe_dagster.xai.outside.given import Described
from mlpipe_dagster.xai.outside.model import read_outside
from mlpipe_dagster_tests.xai.outside.files import (
    FEATURES,
    NUMBERS,
    as_matrix_onnx,
    as_onnx,
    as_skops,
    fitted,
    table_of,
)

Writer = Callable[[Any, Path], Path]


def read(path: Path, table: pd.DataFrame, target: str, task: TaskKind) -> TrainedModel:
    return read_outside(path, table, Described(target, task, "theirs"))


def onnx(model: Any, folder: Path) -> Path:
    return as_onnx(model, FEATURES, folder / "model.onnx")


def onnx_without_names(model: Any, folder: Path) -> Path:
    return as_onnx(model, FEATURES, folder / "model.onnx", zipmap=False)


def skops(model: Any, folder: Path) -> Path:
    return as_skops(model, folder / "model.skops")


CASES = [
    ("binary", TaskKind.BINARY, LogisticRegression(), onnx),
    ("binary", TaskKind.BINARY, LogisticRegression(), onnx_without_names),
    ("binary", TaskKind.BINARY, RidgeClassifier(), onnx_without_names),
    ("binary", TaskKind.BINARY, LGBMClassifier(n_estimators=30, verbose=-1, n_jobs=1), skops),
    ("binary", TaskKind.BINARY, RidgeClassifier(), skops),
    ("multiclass", TaskKind.MULTICLASS, RandomForestClassifier(20, random_state=0), onnx),
    ("multiclass", TaskKind.MULTICLASS, RandomForestClassifier(20, random_state=0), onnx_without_names),
    ("multiclass", TaskKind.MULTICLASS, LogisticRegression(), skops),
    ("value", TaskKind.REGRESSION, Ridge(), onnx),
    ("value", TaskKind.REGRESSION, RandomForestRegressor(20, random_state=0), skops),
]


@pytest.mark.parametrize(("target", "task", "estimator", "write"), CASES)
def test_a_model_is_explained_on_the_original_columns(
    tmp_path: Path, target: str, task: TaskKind, estimator: Any, write: Writer
) -> None:
    table = table_of(target)
    theirs = fitted(table, target, estimator)
    model = read(write(theirs, tmp_path), table, target, task)
    said, truth = theirs.predict(table[FEATURES]), table[target]
    score = r2_score(truth, said) if task is TaskKind.REGRESSION else accuracy_score(truth, said)
    assert model.test_score.value == pytest.approx(score, abs=1e-5)
    explanation = explain_model(model, table, max_rows=60)
    assert explanation.additivity_holds
    assert {column.name for column in explanation.columns} == set(FEATURES)
    assert explanation.columns[0].name == "strong"
    assert explanation.columns[-1].name == "noise"
    assert not explanation.held_out
    said = [str(note.values.get("text")) for note in explanation.notes]
    assert any("came from outside" in text for text in said)
    votes = isinstance(estimator, RidgeClassifier)
    assert any("no probabilities" in text for text in said) == votes


def test_the_chances_are_those_of_the_model(tmp_path: Path) -> None:
    table = table_of("multiclass")
    theirs = fitted(table, "multiclass", LogisticRegression())
    expected = theirs.predict_proba(table[FEATURES])
    for write in (onnx, onnx_without_names, skops):
        model = read(write(theirs, tmp_path), table, "multiclass", TaskKind.MULTICLASS)
        assert model.classes == ("high", "low", "middle")
        assert np.allclose(model.estimator.predict_proba(table), expected, atol=1e-5)


def test_a_single_matrix_is_fed_with_the_columns_of_numbers(tmp_path: Path) -> None:
    table = table_of("binary")
    theirs = make_pipeline(StandardScaler(), LogisticRegression()).fit(table[NUMBERS].to_numpy(), table["binary"])
    for path in (as_matrix_onnx(theirs, 3, tmp_path / "m.onnx"), as_skops(theirs, tmp_path / "m.skops")):
        explanation = explain_model(read(path, table, "binary", TaskKind.BINARY), table, max_rows=60)
        assert explanation.columns[0].name == "strong"
        assert explanation.unused_columns == ("colour",)


def test_a_matrix_of_another_width_is_refused(tmp_path: Path) -> None:
    table = table_of("binary")
    theirs = LogisticRegression().fit(table[["weak", "strong"]].to_numpy(), table["binary"])
    with pytest.raises(ModelError, match="takes 2 numbers a row, and the table has 3 columns of numbers"):
        read(as_matrix_onnx(theirs, 2, tmp_path / "m.onnx"), table, "binary", TaskKind.BINARY)
    with pytest.raises(ModelError, match="takes 2 columns without names"):
        read(as_skops(theirs, tmp_path / "m.skops"), table, "binary", TaskKind.BINARY)


def test_an_input_that_is_no_column_is_named(tmp_path: Path) -> None:
    table = table_of("binary")
    path = onnx(fitted(table, "binary", LogisticRegression()), tmp_path)
    with pytest.raises(ModelError, match="input “colour”, and the table has no such column"):
        read(path, table.drop(columns="colour"), "binary", TaskKind.BINARY)
    with pytest.raises(ModelError, match="“strong” as numbers, but the column holds none"):
        read(path, table.assign(strong="much"), "binary", TaskKind.BINARY)


def test_labels_that_number_the_sorted_classes_are_understood(tmp_path: Path) -> None:
    table = table_of("binary")
    theirs = fitted(table.assign(binary=(table["binary"] == "yes").astype(int)), "binary", LogisticRegression())
    for write in (onnx, onnx_without_names, skops):
        model = read(write(theirs, tmp_path), table, "binary", TaskKind.BINARY)
        assert model.classes == ("no", "yes")
        assert model.test_score.value > 0.95


def test_classes_of_another_target_are_refused(tmp_path: Path) -> None:
    table = table_of("binary")
    other = fitted(table_of("multiclass"), "multiclass", LogisticRegression())
    with pytest.raises(ModelError, match="no class of the target"):
        read(onnx(other, tmp_path), table, "binary", TaskKind.BINARY)
    with pytest.raises(ModelError, match="one number for each row"):
        read(onnx(other, tmp_path), table_of("value"), "value", TaskKind.REGRESSION)


def test_texts_true_and_false_dates_and_gaps_reach_the_model_as_documented(tmp_path: Path) -> None:
    """Answers of a model that returns its inputs: texts as they are, missing ones empty, days since 1970."""
    from onnx import TensorProto, helper

    def one(kind: int, name: str, column: pd.Series) -> list[Any]:
        graph = helper.make_graph(
            [helper.make_node("Identity", [name], ["out"])],
            "same",
            [helper.make_tensor_value_info(name, kind, [None, 1])],
            [helper.make_tensor_value_info("out", kind, [None, 1])],
        )
        path = tmp_path / "same.onnx"
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        path.write_bytes(model.SerializeToString())
        from mlpipe_dagster.xai.outside.onnx_model import OnnxModel

        table = pd.DataFrame({name: column, "target": [0, 1, 1]})
        given = OnnxModel(path, table, "target").ask(table)
        assert given.values is not None
        return list(given.values)

    assert one(TensorProto.STRING, "a", pd.Series(["x", None, "z"], dtype=object)) == ["x", "", "z"]
    assert one(TensorProto.INT64, "a", pd.Series([True, False, True])) == [1, 0, 1]
    dates = pd.to_datetime(pd.Series(["1970-01-02", "1970-01-11", "1969-12-31"]))
    assert one(TensorProto.FLOAT, "a", dates) == [1.0, 10.0, -1.0]
    floats = one(TensorProto.DOUBLE, "a b", pd.Series([0.5, None, 2.0]))
    assert floats[0] == 0.5 and np.isnan(floats[1])
    with pytest.raises(ModelError, match="no missing values"):
        one(TensorProto.INT64, "a", pd.Series([0.5, None, 2.0]))
