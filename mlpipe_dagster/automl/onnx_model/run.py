"""Runs the ONNX file that was saved with a model: raw columns in, probabilities or values out.

Needs onnxruntime, not onnx. What each input takes is told in `columns.py`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlpipe_dagster.automl.model import FeatureSchema
from mlpipe_dagster.automl.preparation import MISSING, Column, Floats, as_dates, as_number, as_text, as_truth

PROBABILITIES, VALUE, LABEL = "probabilities", "value", "label"


def predict(file: Path, schema: FeatureSchema, rows: pd.DataFrame) -> Floats:
    """Probabilities (rows x classes) of a classifier, values (rows) of a regressor; one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    wanted = PROBABILITIES if PROBABILITIES in names else VALUE
    fed = feeds(schema, rows)
    (answer,) = session.run([wanted], {taken.name: fed[taken.name] for taken in session.get_inputs()})
    return np.asarray(answer if wanted == PROBABILITIES else answer[:, 0], dtype=np.float64)


def feeds(schema: FeatureSchema, rows: pd.DataFrame) -> dict[str, NDArray[Any]]:
    """Each raw column as its input takes it, rows x 1."""
    found = {column.name: _READERS[column.kind](rows[column.name]) for column in schema.columns}
    for sign in schema.removal.signs if schema.removal else ():
        found[sign.column] = (as_number if sign.values is None else _text)(rows[sign.column])
    return {name: values.reshape(-1, 1) for name, values in found.items()}


def _text(column: Column) -> NDArray[np.object_]:
    texts = as_text(column)
    return np.where(texts == MISSING, "", texts).astype(object)


def _days(column: Column) -> Floats:
    return np.asarray((as_dates(column) - pd.Timestamp(0)) / pd.Timedelta(days=1), dtype=np.float64)


_READERS: dict[str, Callable[[Column], NDArray[Any]]] = {
    "number": as_number,
    "boolean": as_truth,
    "category": _text,
    "datetime": _days,
    "text": _text,
}
