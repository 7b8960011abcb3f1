"""Model files as a foreign worker would write them: scikit-learn pipelines on raw columns, as ONNX or skops."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import skops.io
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from mlpipe_dagster_tests.xai.models import planted

NUMBERS = ["noise", "weak", "strong"]
FEATURES = [*NUMBERS, "colour"]


def table_of(target: str, rows: int = 400) -> pd.DataFrame:
    """The planted table with one target."""
    return planted(rows)[[*FEATURES, target]]


def fitted(table: pd.DataFrame, target: str, estimator: Any, columns: list[str] | None = None) -> Any:
    """A scikit-learn pipeline on raw columns (numbers scaled, texts one-hot)."""
    columns = columns or FEATURES
    texts = [name for name in columns if name not in NUMBERS]
    numbers = [name for name in columns if name in NUMBERS]
    blocks = [("numbers", StandardScaler(), numbers)]
    if texts:
        blocks.append(("texts", OneHotEncoder(handle_unknown="ignore", sparse_output=False), texts))
    return make_pipeline(ColumnTransformer(blocks), estimator).fit(table[columns], table[target])


def as_onnx(model: Any, columns: list[str], path: Path, zipmap: bool | None = None) -> Path:
    """One input a column, as skl2onnx writes a pipeline."""
    types = [(name, FloatTensorType([None, 1]) if name in NUMBERS else StringTensorType([None, 1])) for name in columns]
    options = None if zipmap is None else {id(model): {"zipmap": zipmap}}
    path.write_bytes(to_onnx(model, initial_types=types, options=options).SerializeToString())
    return path


def as_matrix_onnx(model: Any, width: int, path: Path) -> Path:
    """One matrix of floats."""
    path.write_bytes(to_onnx(model, np.zeros((1, width), np.float32)).SerializeToString())
    return path


def as_skops(model: Any, path: Path) -> Path:
    """As skops dumps it."""
    skops.io.dump(model, path)
    return path
