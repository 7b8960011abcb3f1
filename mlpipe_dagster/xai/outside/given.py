"""What a model from outside answers, in one shape for every format, and which raw columns it is asked with."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlpipe_dagster.automl.preparation import Floats, value_text
from mlpipe_dagster.errors import ModelError
from mlpipe_dagster.vocabulary import TaskKind

ONNX, SKOPS = ".onnx", ".skops"
ROUNDING = 1e-3


@dataclass(frozen=True)
class Described:
    """What is known of a model from outside beside its file."""

    target: str
    task: TaskKind
    algorithm: str
    sensitive: tuple[str, ...] = ()
    threads: int = 2
    most_bytes: int = 1 << 30


@dataclass(frozen=True)
class Given:
    """Answers on some rows, as the model gives them."""

    values: NDArray[np.object_] | None = None
    """A class label or a number for each row."""
    chances: Floats | None = None
    """Probabilities (rows x classes)."""
    names: tuple[str, ...] | None = None
    """The classes of `chances`, where the model names them."""


class Outside(Protocol):
    """A model from outside."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The raw columns it is asked with."""

    def ask(self, rows: pd.DataFrame) -> Given:
        """Its answers on raw rows; raises ModelError."""


def numeric_columns(table: pd.DataFrame, target: str) -> tuple[str, ...]:
    """The columns of numbers and truth values other than the target, in table order."""
    features = table.drop(columns=target)
    return tuple(name for name in features.columns if pd.api.types.is_numeric_dtype(features[name].dtype))


def probabilities(scores: Floats) -> Floats | None:
    """Scores that are probabilities (a single one: of the second of two classes); None where they are not.

    Sums of single-precision numbers may miss 0 and 1 by a little.
    """
    if scores.ndim != 2 or not np.isfinite(scores).all():
        return None
    if scores.min(initial=0) < -ROUNDING or scores.max(initial=0) > 1 + ROUNDING:
        return None
    chances = np.clip(scores, 0, 1)
    if chances.shape[1] == 1:
        return np.hstack([1 - chances, chances])
    return chances if np.allclose(chances.sum(axis=1), 1, atol=ROUNDING) else None


def texts(labels: Sequence[object]) -> tuple[str, ...]:
    """Class labels as the texts the target column has."""
    return tuple(value_text(label.item() if isinstance(label, np.generic) else label) for label in labels)


def refused(error: Exception) -> ModelError:
    """Whatever a library raised over a file or model from outside, in words."""
    lines = str(error).strip().splitlines()
    said = f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__
    return ModelError(f"The model cannot be used with this table ({said}).")
