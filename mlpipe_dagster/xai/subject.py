"""What is explained: a trained model beside the test rows it has never seen and what it answers on them.

Every part of an explanation starts from a `Subject`; nothing is explained here.
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from mlpipe_dagster.automl.model import FeatureKind, TrainedModel
from mlpipe_dagster.automl.preparation import as_number, as_text
from mlpipe_dagster.errors import ModelError
from mlpipe_dagster.tables.personal import MASK
from mlpipe_dagster.xai.values import Column, Floats, shown

BACKGROUND_ROWS = 200


@dataclass(frozen=True)
class Subject:
    """A model, its test rows with a known target, and its answers on them."""

    model: TrainedModel
    test: pd.DataFrame
    """Raw test rows; the index is their position in the table."""
    training: pd.DataFrame
    """All other rows of the table (all rows where every row is a test row)."""
    truth: Floats
    """Class codes, or values, one for each test row."""
    predicted: Floats
    """Probabilities (rows x classes), or values (rows)."""
    hidden: frozenset[str]
    seed: int

    @property
    def estimator(self) -> Pipeline:
        """The fitted pipeline."""
        return self.model.estimator

    @property
    def classes(self) -> tuple[str, ...]:
        """Class labels; empty for regression."""
        return self.model.classes or ()

    @property
    def kinds(self) -> dict[str, FeatureKind]:
        """What the model reads each raw column as."""
        return {column.name: column.kind for column in self.model.schema.columns}

    @property
    def background(self) -> pd.DataFrame:
        """At most 200 rows the model was made from: what SHAP and LIME compare a row with."""
        few = len(self.training) <= BACKGROUND_ROWS
        return self.training if few else self.training.sample(BACKGROUND_ROWS, random_state=self.seed)

    @property
    def choice(self) -> "np.ndarray[tuple[int], np.dtype[np.intp]]":
        """Code of the class predicted for each test row."""
        return np.asarray(self.predicted.argmax(axis=1), dtype=np.intp)

    def labels(self, column: Column) -> "np.ndarray[tuple[int], np.dtype[np.object_]]":
        """Values of the target as the class labels the model knows."""
        return np.asarray(as_text(column), dtype=np.object_)

    def row_losses(self) -> Floats:
        """Log loss or squared error of each test row."""
        return losses(self.truth, self.predicted)

    def value_shown(self, column: str, value: object) -> str:
        """A raw value as text, masked where its column identifies people."""
        return MASK if column in self.hidden else shown(value)


def losses(truth: Floats, predicted: Floats) -> Floats:
    """Log loss (natural) of class codes and probabilities, or squared error of values; one for each row."""
    if predicted.ndim == 1:
        return (truth - predicted) ** 2
    chances = predicted[np.arange(len(truth)), truth.astype(np.intp)]
    return np.asarray(-np.log(np.clip(chances, np.finfo(np.float64).eps, 1.0)), dtype=np.float64)


def answers(model: TrainedModel, rows: pd.DataFrame) -> Floats:
    """Probabilities (rows x classes) of a classifier, values (rows) of a regressor."""
    ask = model.estimator.predict_proba if model.classes else model.estimator.predict
    return np.asarray(ask(rows), dtype=np.float64)


def subject(model: TrainedModel, table: pd.DataFrame, *, hide: Collection[str] = (), seed: int = 0) -> Subject:
    """`model` with the test rows of `table`, the table it was trained from.

    Raises
    ------
    ModelError
        The table is not the one the model was trained from: columns or rows are absent.
    """
    absent = [name for name in (*model.schema.names, model.spec.target) if name not in table.columns]
    if absent:
        raise ModelError(f"The table lacks the column(s) {', '.join(absent)} that the model was trained with.")
    positions = np.array(model.test_rows, dtype=np.intp)
    if not len(positions) or positions.max() >= len(table):
        raise ModelError(
            "The test rows of the model are not in this table. Explain it with the table it was made from."
        )
    whole = table.reset_index(drop=True)
    truth = _truth(model, whole[model.spec.target].iloc[positions])
    known = np.isfinite(truth)
    if not known.any():
        raise ModelError(f"No test row has a known value of “{model.spec.target}”: the model cannot be explained.")
    test = whole.iloc[positions[known]]
    rest = whole.drop(index=whole.index[positions])
    return Subject(
        model=model,
        test=test,
        training=rest if len(rest) else whole,
        truth=truth[known],
        predicted=answers(model, test),
        hidden=frozenset(hide),
        seed=seed,
    )


def _truth(model: TrainedModel, column: Column) -> Floats:
    """Class codes or values; NaN where the target is missing or of a class the model does not know."""
    if not model.classes:
        return as_number(column)
    codes = {label: float(code) for code, label in enumerate(model.classes)}
    return np.array([codes.get(str(text), np.nan) for text in as_text(column)])
