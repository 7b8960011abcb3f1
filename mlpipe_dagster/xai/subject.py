"""What is explained: a trained model beside the test rows it has never seen and what it answers on them.

Every part of an explanation starts from a `Subject`; nothing is explained here.
"""

import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from mlpipe_dagster.automl.model import FeatureKind, TrainedModel
from mlpipe_dagster.automl.preparation import as_number, as_text
from mlpipe_dagster.errors import ModelError
from mlpipe_dagster.tables.personal import MASK
from mlpipe_dagster.xai.budget import Budget
from mlpipe_dagster.xai.pool import Features, Places, Pool
from mlpipe_dagster.xai.values import Column, Floats, shown

BACKGROUND_ROWS = 200
TRAINING_ROWS = 2_000
TEST_ROWS = 5_000
SECONDS = 30.0


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
    """Columns whose values identify people: shown nowhere."""
    kept: frozenset[str]
    """Columns that nobody should be told to change."""
    pool: Pool
    """Test rows (at most 5,000), then rows the model was made from (at most 2,000)."""
    tested: Places
    """Position among the test rows of each of the pool's first rows."""
    budget: Budget
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
    def learned(self) -> Places:
        """Places in the pool of the rows the model was made from."""
        return np.arange(len(self.tested), len(self.pool.frame), dtype=np.intp)

    @property
    def background(self) -> pd.DataFrame:
        """At most 200 rows the model was made from: what SHAP and LIME compare a row with."""
        return self.pool.frame.iloc[self.learned[:BACKGROUND_ROWS]]

    def answers_of(self, features: Features) -> Floats:
        """Probabilities (rows x classes) of a classifier, values (rows) of a regressor, from encoded rows."""
        return _asked(self.model, features)

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


def _asked(model: TrainedModel, features: Features) -> Floats:
    final = model.estimator[-1]
    ask = final.predict_proba if model.classes else final.predict
    return np.asarray(ask(features), dtype=np.float64)


def not_to_change(model: TrainedModel, hide: Iterable[str], keep: Iterable[str]) -> frozenset[str]:
    """Columns that no story of changes touches: those to hide or keep, the sensitive ones, and texts, whose words are
    somebody's own."""
    texts = (column.name for column in model.schema.columns if column.kind == "text")
    return frozenset({*hide, *keep, *model.spec.sensitive, *texts})


def subject(
    model: TrainedModel,
    table: pd.DataFrame,
    *,
    hide: Collection[str] = (),
    keep: Collection[str] = (),
    seed: int = 0,
    seconds: float = SECONDS,
) -> Subject:
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
    truth = true_values(model, whole[model.spec.target].iloc[positions])
    known = np.isfinite(truth)
    if not known.any():
        raise ModelError(f"No test row has a known value of “{model.spec.target}”: the model cannot be explained.")
    test = whole.iloc[positions[known]]
    rest = whole.drop(index=whole.index[positions])
    training = rest if len(rest) else whole
    pool, tested = _pooled(model, test, training, seed)
    return Subject(
        model=model,
        test=test,
        training=training,
        truth=truth[known],
        predicted=answers(model, test),
        hidden=frozenset(hide),
        kept=not_to_change(model, hide, keep),
        pool=pool,
        tested=tested,
        budget=Budget(seconds, _seconds_an_answer(model, pool)),
        seed=seed,
    )


def _pooled(model: TrainedModel, test: pd.DataFrame, training: pd.DataFrame, seed: int) -> tuple[Pool, Places]:
    generator = np.random.default_rng(seed)
    tested = _some(len(test), TEST_ROWS, generator)
    learned = generator.permutation(_some(len(training), TRAINING_ROWS, generator))
    frame = pd.concat([test.iloc[tested], training.iloc[learned]])
    return Pool.of(model.estimator, frame, model.feature_origins), tested


def _some(count: int, most: int, generator: np.random.Generator) -> Places:
    if count <= most:
        return np.arange(count, dtype=np.intp)
    return np.sort(generator.choice(count, most, replace=False)).astype(np.intp)


def _seconds_an_answer(model: TrainedModel, pool: Pool) -> float:
    started = time.perf_counter()
    rows = np.resize(np.arange(len(pool.frame), dtype=np.intp), 1_000)
    _asked(model, pool.mixed(pool.rows(rows)))
    return (time.perf_counter() - started) / len(rows)


def true_values(model: TrainedModel, column: Column) -> Floats:
    """Class codes or values; NaN where the target is missing or of a class the model does not know."""
    if not model.classes:
        return as_number(column)
    codes = {label: float(code) for code, label in enumerate(model.classes)}
    return np.array([codes.get(str(text), np.nan) for text in as_text(column)])
