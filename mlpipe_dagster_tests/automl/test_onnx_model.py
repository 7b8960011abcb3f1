"""Pipelines as ONNX: they answer as the pipeline does, gaps, unseen texts and odd dates included; else no file is kept.

onnxruntime is the independent implementation that the answers are compared with.
"""

import datetime as dt
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline

from mlpipe_dagster.automl.algorithms import CONSTANT, EXTRA_TREES, HISTOGRAM, LIGHTGBM, LINEAR, Algorithm, Limits
from mlpipe_dagster.automl.bench import Source, open_bench
from mlpipe_dagster.automl.calibration import Calibrated
from mlpipe_dagster.automl.clock import Clock
from mlpipe_dagster.automl.columns import usable_columns
from mlpipe_dagster.automl.ensemble import _candidate, _Member, _of_first_fold
from mlpipe_dagster.automl.model import FeatureColumn, FeatureSchema, TrainedModel, TrainingSpec
from mlpipe_dagster.automl.onnx_model import run
from mlpipe_dagster.automl.onnx_model.columns import read_columns
from mlpipe_dagster.automl.onnx_model.export import TOLERANCE, export, largest_difference
from mlpipe_dagster.automl.onnx_model.graph import DOUBLE, Graph
from mlpipe_dagster.automl.preparation import typed_columns
from mlpipe_dagster.automl.search import Search
from mlpipe_dagster.automl.target import read_target
from mlpipe_dagster.bias.mitigation.signs import without_sensitive_trace
from mlpipe_dagster.vocabulary import TaskKind

TASKS = {"bought": TaskKind.BINARY, "third": TaskKind.MULTICLASS, "right": TaskKind.REGRESSION}


@pytest.fixture(scope="module")
def table(planted: pd.DataFrame) -> pd.DataFrame:
    """200 rows with a column of many texts, numbers that need 64 bits, and three classes."""
    draw = np.random.default_rng(0)
    return (
        planted.head(200)
        .reset_index(drop=True)
        .assign(
            part=[f"p{number % 40}" for number in range(200)],
            stamp=draw.normal(1e9, 1, 200),
            third=np.array(["a", "b", "c"])[np.digitize(planted["right"].head(200), [-0.5, 0.5])],
        )
    )


def fitted(planted_model: TrainedModel, table: pd.DataFrame, target: str, algorithm: Algorithm) -> TrainedModel:
    """A pipeline of the algorithm that predicts the target, as a model; its numbers are another's."""
    spec = TrainingSpec(target=target, task=TASKS[target])
    schema, _ = usable_columns(table, list(TASKS))
    found = read_target(table[target], spec)
    bench = open_bench(Source(table, found, schema, np.arange(len(found.rows))), budget=2, seed=0)
    made = algorithm.fit(algorithm.start, bench.data(algorithm.family, 0), Limits(float("inf"), 0, 1, rounds=20))
    return replace(
        planted_model,
        estimator=bench.pipeline(algorithm.family, 0, made.estimator),
        schema=schema,
        spec=spec,
        classes=found.classes or None,
        test_rows=tuple(range(len(table))),
    )


@pytest.mark.parametrize("target", list(TASKS))
@pytest.mark.parametrize(
    "algorithm", [CONSTANT, LINEAR, EXTRA_TREES, LIGHTGBM, HISTOGRAM], ids=lambda algorithm: algorithm.name
)
def test_every_algorithm_answers_alike_from_raw_columns(
    algorithm: Algorithm, target: str, planted_model: TrainedModel, table: pd.DataFrame, tmp_path: Path
) -> None:
    model = fitted(planted_model, table, target, algorithm)
    made = export(model, table, tmp_path / "m.onnx")
    assert made.note == ""
    assert made.difference is not None
    assert made.difference < 1e-6 < TOLERANCE
    assert made.rows == 200
    odd = table.head(8).assign(
        town=[None, "", " Bonn ", "Rom", "Köln", "Köln", "(missing)", "<b>Ulm</b>"],
        left=[np.nan, np.inf, 1e30, -1e30, 0, -0.0, 1, 2],
        stamp=1e9 + np.arange(8) / 3,
        seen=pd.to_datetime(["1969-12-31 23:59:59.999", "2000-02-29", "1900-03-01", *[None] * 5], format="ISO8601"),
        member=[None, True, False, "yes", "no", "?", 1, 0],
    )  # fmt: skip
    if algorithm is LINEAR:
        odd = odd.assign(left=np.arange(8.0))  # beyond all numbers a linear model's answers are none
    ask = model.estimator.predict_proba if model.classes else model.estimator.predict
    assert largest_difference(ask(odd), run.predict(tmp_path / "m.onnx", model.schema, odd)) < 1e-6


def test_calibrated_probabilities_answer_alike(
    planted_model: TrainedModel, table: pd.DataFrame, tmp_path: Path
) -> None:
    model = fitted(planted_model, table, "third", LIGHTGBM)
    *before, (name, last) = model.estimator.steps
    scaled = Pipeline([*before, (name, Calibrated(last, 1.3, [0.0, 0.2, -0.4]))])
    assert export(replace(model, estimator=scaled), table, tmp_path / "m.onnx").note == ""


@pytest.mark.parametrize("target", ["third", "right"])
def test_an_ensemble_answers_alike(
    target: str, planted_model: TrainedModel, table: pd.DataFrame, tmp_path: Path
) -> None:
    """A forest, boosting, and a linear model that scales the features of trees."""
    spec = TrainingSpec(target=target, task=TASKS[target])
    schema, _ = usable_columns(table, list(TASKS))
    found = read_target(table[target], spec)
    bench = open_bench(Source(table, found, schema, np.arange(len(found.rows))), budget=2, seed=0)
    search = Search(bench, Clock(60), LIGHTGBM, 0, 1)
    for algorithm in (EXTRA_TREES, LIGHTGBM, LINEAR):
        search.try_out(algorithm, algorithm.start, 60, baseline=True)  # none is abandoned
    members = [_Member(one, _of_first_fold(search, one), np.zeros(3)) for one in search.candidates]
    made = _candidate(search, members, [0.5, 0.3, 0.2])
    model = replace(
        planted_model, estimator=bench.pipeline("trees", 0, made.first.estimator), schema=schema, spec=spec,
        classes=found.classes or None, test_rows=tuple(range(len(table))),
    )  # fmt: skip
    exported = export(model, table, tmp_path / "m.onnx")
    assert exported.note == ""
    assert exported.difference is not None and exported.difference < 1e-6


def test_labels_come_with_the_probabilities(planted_model: TrainedModel, table: pd.DataFrame, tmp_path: Path) -> None:
    import onnxruntime

    model = fitted(planted_model, table, "third", LINEAR)
    export(model, table, tmp_path / "m.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx")
    (labels,) = session.run(["label"], run.feeds(model.schema, table))
    np.testing.assert_array_equal(labels, model.estimator.predict(table))
    assert session.get_modelmeta().custom_metadata_map["classes"] == "a\nb\nc"


def test_the_trace_of_sensitive_columns_is_taken_out_alike(
    planted_model: TrainedModel, table: pd.DataFrame, tmp_path: Path
) -> None:
    model = fitted(planted_model, table, "bought", LINEAR)
    schema = without_sensitive_trace(model.schema, table, ["town", "stamp"])
    pipeline = Pipeline([("columns", typed_columns(schema)), *model.estimator.steps[1:]])
    assert not np.allclose(pipeline.predict_proba(table), model.estimator.predict_proba(table))
    assert export(replace(model, estimator=pipeline, schema=schema), table, tmp_path / "m.onnx").note == ""


def test_a_model_that_cannot_be_expressed_says_so(
    planted_model: TrainedModel, table: pd.DataFrame, tmp_path: Path
) -> None:
    model = fitted(planted_model, table, "bought", LINEAR)
    neighbours = KNeighborsClassifier().fit(model.estimator[:-1].transform(table), table["bought"])
    other = replace(model, estimator=Pipeline([*model.estimator.steps[:-1], ("model", neighbours)]))
    made = export(other, table, tmp_path / "m.onnx")
    assert (made.sha256, made.note) == (
        None, "No ONNX file was made: models of the type KNeighborsClassifier are not known to the export."
    )  # fmt: skip
    assert not (tmp_path / "m.onnx").exists()


def test_a_file_that_answers_otherwise_is_not_kept(
    planted_model: TrainedModel, table: pd.DataFrame, tmp_path: Path
) -> None:
    model = fitted(planted_model, table, "bought", LINEAR)

    class Otherwise(LogisticRegression):  # type: ignore[misc]
        """Known by name, and not what the export knows by that name."""

        def predict_proba(self, features: object) -> object:
            return super().predict_proba(features)[:, ::-1]

    Otherwise.__name__ = "LogisticRegression"
    last = Otherwise().fit(model.estimator[:-1].transform(table), table["bought"])
    other = replace(model, estimator=Pipeline([*model.estimator.steps[:-1], ("model", last)]))
    made = export(other, table, tmp_path / "m.onnx")
    assert "its answers differ from the model's by up to" in made.note
    assert not (tmp_path / "m.onnx").exists()


def test_dates_are_those_of_the_calendar() -> None:
    """Held against Python's own calendar: leap years, centuries, the ends of years."""
    import onnxruntime

    graph = Graph()
    schema = FeatureSchema(columns=(FeatureColumn(name="d", kind="datetime", data_type="datetime64[ns]"),))
    parts = read_columns(graph, schema)
    content = graph.model([(name, value, DOUBLE, ["rows", 1]) for name, value in parts.items()], {})
    days = [dt.date(year, month, day) for year in (1700, 1900, 1970, 2000, 2023, 2100) for month in (1, 2, 3, 12)
            for day in (1, 28)] + [dt.date(2000, 2, 29), dt.date(2024, 12, 31)]  # fmt: skip
    numbers = np.array([[(day - dt.date(1970, 1, 1)).days + 13 / 24] for day in days])
    found = dict(zip(parts, onnxruntime.InferenceSession(content).run(None, {"d": numbers}), strict=True))
    for part, wanted in {"year": "year", "month": "month", "day": "day"}.items():
        assert found[f"c0:{part}"][:, 0].tolist() == [getattr(day, wanted) for day in days]
    assert found["c0:weekday"][:, 0].tolist() == [day.weekday() for day in days]
    assert set(found["c0:hour"][:, 0]) == {13.0}
