"""A skops model from outside: a scikit-learn estimator made of known types only, asked with raw columns."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlpipe_dagster.automl.artefacts import read_estimator
from mlpipe_dagster.automl.preparation import as_number
from mlpipe_dagster.errors import ModelError
from mlpipe_dagster.xai.outside.given import Given, numeric_columns, probabilities, refused, texts

MOST_PARTS = 20_000
MOST_SCHEMA_BYTES = 64 * 1024 * 1024
SCHEMA = "schema.json"


class SkopsModel:
    """A fitted estimator that takes the raw columns, or a matrix of all columns of numbers."""

    def __init__(self, path: Path, table: pd.DataFrame, target: str, most_bytes: int) -> None:
        """Load and match what it was fitted on with the columns of `table`.

        Raises
        ------
        ModelError
            The file does not read, unpacks to more than `most_bytes`, holds a type that is not trusted, or was fitted
            on other columns.
        """
        _check_size(path, most_bytes)
        try:
            self._estimator: Any = read_estimator(path)
        except ModelError:
            raise
        except Exception as error:  # a damaged file fails anywhere in skops, numpy or scikit-learn
            raise ModelError(
                f"{path.name} is not a model that skops reads here ({type(error).__name__}). Save it again with "
                "skops.io.dump and the scikit-learn of this platform."
            ) from error
        if not hasattr(self._estimator, "predict"):
            raise ModelError(f"{path.name} holds a {type(self._estimator).__name__}, which predicts nothing.")
        self._named, self._columns = _columns(self._estimator, table, target)

    @property
    def columns(self) -> tuple[str, ...]:
        """The raw columns it was fitted on."""
        return self._columns

    def ask(self, rows: pd.DataFrame) -> Given:
        """Predict; raises ModelError for whatever the estimator raises."""
        asked: Any = rows[list(self._columns)]
        if not self._named:
            asked = np.column_stack([as_number(rows[column]) for column in self._columns])
        try:
            if hasattr(self._estimator, "predict_proba"):
                scores = np.asarray(self._estimator.predict_proba(asked), dtype=np.float64)
                return Given(None, probabilities(scores), texts(list(self._estimator.classes_)))
            return Given(np.asarray(self._estimator.predict(asked)).reshape(-1).astype(object))
        except Exception as error:  # an estimator from outside may raise anything
            raise refused(error) from error


def _check_size(path: Path, most_bytes: int) -> None:
    """A few bytes may unpack to a great many."""
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
    except (zipfile.BadZipFile, OSError, NotImplementedError) as error:
        raise ModelError(f"{path.name} is damaged or no skops file. Save it again with skops.io.dump.") from error
    sizes = {part.filename: part.file_size for part in parts}
    if len(parts) > MOST_PARTS or sizes.get(SCHEMA, 0) > MOST_SCHEMA_BYTES or sum(sizes.values()) > most_bytes:
        raise ModelError(f"{path.name} unpacks to more than may be loaded ({most_bytes} bytes). Send a smaller model.")


def _columns(estimator: Any, table: pd.DataFrame, target: str) -> tuple[bool, tuple[str, ...]]:
    """Whether the estimator takes named columns, and which; numbers without names are the columns of numbers."""
    names = getattr(estimator, "feature_names_in_", None)
    if names is not None:
        wanted = tuple(str(name) for name in names)
        if absent := [name for name in wanted if name not in table.columns]:
            raise ModelError(f"The model was fitted on the column “{absent[0]}”, which the table does not have.")
        if target in wanted:
            raise ModelError(f"The model was fitted with the target “{target}” among its columns.")
        return True, wanted
    count = getattr(estimator, "n_features_in_", None)
    everything = tuple(str(name) for name in table.columns if name != target)
    numbers = numeric_columns(table, target)
    if count == len(numbers):
        return False, numbers
    if count in (None, len(everything)):
        return True, everything
    raise ModelError(
        f"The model takes {count} columns without names; the table has {len(everything)} beside “{target}”, "
        f"{len(numbers)} of them of numbers. Fit it on a data frame with the raw columns."
    )
