"""Writes a trained pipeline as an ONNX file, and keeps it only where it answers as the pipeline does.

Compared on test rows: probabilities absolutely, values relative to how far the pipeline's own answers spread.
"""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd

from mlpipe_dagster.automl.model import OnnxExport, TrainedModel
from mlpipe_dagster.automl.onnx_model import run
from mlpipe_dagster.automl.onnx_model.columns import encode, read_columns
from mlpipe_dagster.automl.onnx_model.estimators import answer
from mlpipe_dagster.automl.onnx_model.graph import DOUBLE, TEXT, WHOLE, Graph, Value
from mlpipe_dagster.automl.predicting import ask
from mlpipe_dagster.automl.preparation import Floats
from mlpipe_dagster.errors import ModelError

TOLERANCE = 1e-5
MOST_COMPARED = 1_000
LARGEST_BYTES = 200_000_000


def export(model: TrainedModel, table: pd.DataFrame, file: Path) -> OnnxExport:
    """Write `model` to `file`, compared on test rows of `table`, the table it was trained from; no file where it fails.

    Never raises for a model that cannot be expressed: the result's note says why there is no file.
    """
    try:
        content = to_onnx(model)
    except ModelError as error:
        return OnnxExport(note=f"No ONNX file was made: {error}.")
    if len(content) > LARGEST_BYTES:
        return OnnxExport(note=f"No ONNX file is kept: it would take {len(content) / 1e6:.0f} MB.")
    file.write_bytes(content)
    rows = table.iloc[list(model.test_rows[:MOST_COMPARED])]
    difference = largest_difference(ask(model, rows), run.predict(file, model.schema, rows))
    if not difference <= TOLERANCE:
        file.unlink()
        return OnnxExport(
            note=f"No ONNX file is kept: on {len(rows)} test rows its answers differ from the model's by up to "
            f"{difference:.2g}, more than {TOLERANCE:g}."
        )
    return OnnxExport(
        sha256=hashlib.sha256(content).hexdigest(), difference=difference, rows=len(rows), tolerance=TOLERANCE
    )


def largest_difference(ours: Floats, theirs: Floats) -> float:
    """Of probabilities as they are; of values in units of their own spread on these rows (or size, if none)."""
    gap = float(np.abs(ours - theirs).max())
    if ours.ndim == 2:
        return gap
    return gap / (float(ours.std()) or max(1.0, float(np.abs(ours).max())))


def to_onnx(model: TrainedModel) -> bytes:
    """The whole pipeline from raw columns to answers; raises ModelError for a part that is not known."""
    graph = Graph()
    typed = read_columns(graph, model.schema)
    features = encode(graph, model.estimator[-2], typed)
    answers = answer(features, model.estimator[-1])
    about = {"target": model.spec.target, "task": model.spec.task.value, "algorithm": model.algorithm}
    if model.classes is None:
        return graph.model([(run.VALUE, answers, DOUBLE, ["rows", 1])], about)
    classes = list(model.classes)
    return graph.model(
        [
            (run.LABEL, _label(graph, answers, classes), TEXT, ["rows"]),
            (run.PROBABILITIES, answers, DOUBLE, ["rows", len(classes)]),
        ],
        {**about, "classes": "\n".join(classes)},
    )


def _label(graph: Graph, chances: Value, classes: list[str]) -> Value:
    names = graph.constant(np.array(classes, dtype=object))
    return names.op("Gather", chances.op("ArgMax", axis=1, keepdims=0).cast(WHOLE), axis=0)
