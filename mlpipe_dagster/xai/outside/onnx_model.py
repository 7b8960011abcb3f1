"""An ONNX model from outside, run by onnxruntime: its inputs filled from raw columns, its outputs recognised.

Which inputs and outputs are understood is told to people in docs/extending.md. Bounded threads, no operators but
onnxruntime's own, nothing read but the file.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pandas as pd
from numpy.typing import NDArray

from mlpipe_dagster.automl.preparation import MISSING, Column, Floats, as_dates, as_number, as_text, as_truth
from mlpipe_dagster.errors import ModelError
from mlpipe_dagster.xai.outside.given import Given, numeric_columns, probabilities, refused, texts

Fed = NDArray[Any]
_FLOATS: Mapping[str, Any] = {"tensor(float)": np.float32, "tensor(double)": np.float64}
_WHOLE: Mapping[str, Any] = {"tensor(int64)": np.int64, "tensor(int32)": np.int32, "tensor(bool)": np.bool_}
_TEXT = "tensor(string)"
_LABELS = (_TEXT, *_WHOLE)
_QUIET = 4  # only fatal errors are logged: what goes wrong is raised


@dataclass(frozen=True)
class _Input:
    name: str
    column: str
    kind: str
    rank: int

    def fed(self, rows: pd.DataFrame) -> Fed:
        """The column as this input takes it."""
        values = _read(rows[self.column], self)
        return values.reshape(-1, 1) if self.rank > 1 else values


class OnnxModel:
    """An ONNX model that takes one input a column, or a single matrix of all columns of numbers."""

    def __init__(self, path: Path, table: pd.DataFrame, target: str, threads: int = 2) -> None:
        """Load and match the inputs with the columns of `table`.

        Raises
        ------
        ModelError
            The file does not load, or its inputs are not those columns.
        """
        self._session = _session(path, threads)
        self._outputs = [(found.name, found.type) for found in self._session.get_outputs()]
        inputs = self._session.get_inputs()
        named = _by_column(inputs, [str(name) for name in table.columns if name != target])
        self._inputs: tuple[_Input, ...] = ()
        if named is not None:
            self._inputs = tuple(_Input(found.name, column, found.type, len(found.shape)) for found, column in named)
            self._columns = tuple(taken.column for taken in self._inputs)
            for taken in self._inputs:
                taken.fed(table)  # what the column cannot give is said now, not in the middle
        else:
            self._columns = _matrix_columns(inputs, numeric_columns(table, target), target)
            self._matrix = (inputs[0].name, _FLOATS[inputs[0].type])

    @property
    def columns(self) -> tuple[str, ...]:
        """The raw columns that are fed."""
        return self._columns

    def ask(self, rows: pd.DataFrame) -> Given:
        """Run the model; raises ModelError for what onnxruntime or the outputs refuse."""
        if self._inputs:
            feeds = {taken.name: taken.fed(rows) for taken in self._inputs}
        else:
            name, number = self._matrix
            feeds = {name: np.column_stack([_number(rows[column]) for column in self._columns]).astype(number)}
        try:
            answers = self._session.run(None, feeds)
        except Exception as error:  # onnxruntime has no common base of its errors
            raise refused(error) from error
        return _recognised(self._outputs, answers, len(rows))


def _session(path: Path, threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = _QUIET
    options.add_session_config_entry("session.load_model_format", "ONNX")  # the other format is read unchecked
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # see above
        raise ModelError(
            f"{path.name} is not an ONNX model that onnxruntime {onnxruntime.__version__} loads "
            f"({type(error).__name__}). Export it again, with standard operators only and all weights in the one file."
        ) from error


def _by_column(inputs: list[Any], columns: list[str]) -> list[tuple[Any, str]] | None:
    """Each input with its column; None where they are not columns. Exporters may write `_` for what is no letter."""
    known = {_plain(column): column for column in reversed(columns)} | {column: column for column in columns}
    found = [known.get(one.name, known.get(_plain(one.name))) for one in inputs]
    unknown = [one.name for one, column in zip(inputs, found, strict=True) if column is None]
    if not unknown:
        return [(one, str(column)) for one, column in zip(inputs, found, strict=True)]
    if len(inputs) == 1:
        return None
    raise ModelError(
        f"The ONNX model has an input “{unknown[0]}”, and the table has no such column. Export it with one input for "
        "each raw column, named like the column."
    )


def _plain(name: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in name).lower()


def _matrix_columns(inputs: list[Any], columns: tuple[str, ...], target: str) -> tuple[str, ...]:
    (only,) = inputs
    width = only.shape[1] if len(only.shape) == 2 else 0
    if only.type not in _FLOATS or len(only.shape) != 2:
        raise ModelError(
            f"The only input of the ONNX model, “{only.name}”, is neither a column of the table nor a matrix of floats "
            "(rows x columns of numbers). Export it with one input for each raw column, named like the column."
        )
    if isinstance(width, int) and width != len(columns):
        raise ModelError(
            f"The ONNX model takes {width} numbers a row, and the table has {len(columns)} columns of numbers beside "
            f"“{target}”. Export it with one input for each raw column, named like the column."
        )
    return columns


def _read(column: Column, taken: _Input) -> Fed:
    if taken.kind == _TEXT:
        found = as_text(column)
        return np.where(found == MISSING, "", found).astype(object)
    if taken.kind not in _FLOATS and taken.kind not in _WHOLE:
        raise ModelError(
            f"The ONNX model takes “{column.name}” as {taken.kind}. Understood are floats, whole numbers, truth values "
            "and texts."
        )
    numbers = _number(column)
    if np.isnan(numbers).all() and column.notna().any():
        raise ModelError(f"The ONNX model takes “{column.name}” as numbers, but the column holds none.")
    if taken.kind in _FLOATS:
        return numbers.astype(_FLOATS[taken.kind])
    if np.isnan(numbers).any():
        raise ModelError(
            f"The ONNX model takes “{column.name}” as {taken.kind}, which has no missing values; the column has some. "
            "Export it with a float input."
        )
    return numbers.astype(_WHOLE[taken.kind])


def _number(column: Column) -> Floats:
    """Numbers; truth values as 1 and 0, dates as days since 1970; NaN where missing."""
    if isinstance(column.dtype, np.dtype) and column.dtype.kind == "M":
        days = (as_dates(column) - pd.Timestamp(0)) / pd.Timedelta(days=1)
        return np.asarray(days, dtype=np.float64)
    reader: Callable[[Column], Floats] = as_number
    if column.dtype == object and column.dropna().map(lambda value: isinstance(value, bool)).all():
        reader = as_truth
    return reader(column)


def _recognised(outputs: list[tuple[str, str]], answers: list[Any], rows: int) -> Given:
    """The first output of labels, and the first of scores: floats, or a map from class to probability for each row."""
    values = chances = names = None
    for (name, kind), answer in zip(outputs, answers, strict=True):
        if kind.startswith("seq(map(") and chances is None:
            names, chances = _mapped(answer, rows)
        elif kind in _LABELS and values is None:
            values = _one_a_row(name, answer, rows)
        elif kind in _FLOATS and chances is None:
            scores = np.asarray(answer, dtype=np.float64)
            scores = scores[:, None] if scores.ndim == 1 else scores
            if scores.shape[:1] != (rows,) or scores.ndim != 2:
                raise ModelError(
                    f"The output “{name}” of the ONNX model has the shape {scores.shape}, not one row each."
                )
            chances, names = scores, None
    return _sorted_out(values, chances, names)


def _sorted_out(values: NDArray[np.object_] | None, scores: Floats | None, names: tuple[str, ...] | None) -> Given:
    """A single score a row is a number, or the probability of the second class; others count if they are chances."""
    if scores is None and values is None:
        raise ModelError("The ONNX model has no output of labels, numbers or probabilities.")
    if values is None and scores is not None and scores.shape[1] == 1:
        return Given(scores[:, 0].astype(object), probabilities(scores))
    return Given(values, None if scores is None else probabilities(scores), names)


def _mapped(answer: Any, rows: int) -> tuple[tuple[str, ...], Floats]:
    if len(answer) != rows or not rows:
        raise ModelError("The ONNX model answers with another number of rows than it was asked about.")
    keys = list(answer[0])
    scores = np.array([[chances.get(key, np.nan) for key in keys] for chances in answer], dtype=np.float64)
    return texts(keys), scores


def _one_a_row(name: str, answer: Any, rows: int) -> NDArray[np.object_]:
    found = np.asarray(answer)
    if found.size != rows:
        raise ModelError(f"The output “{name}” of the ONNX model has the shape {found.shape}, not one answer a row.")
    return found.reshape(-1).astype(object)
