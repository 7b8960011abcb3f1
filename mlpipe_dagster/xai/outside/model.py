"""A model from outside as a `TrainedModel`: its answers in the order of the target's classes, its scores measured here.

Nobody says which rows it has learned from, so it is measured on all rows of the table (a sample of a large one), and
what is made of it says so.
"""

from pathlib import Path
from typing import Self, TypeVar

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.pipeline import Pipeline

from mlpipe_dagster.automl.columns import kind_of
from mlpipe_dagster.automl.fairness.measure import measure_fairness
from mlpipe_dagster.automl.fairness.measures import OF_PROBABILITIES
from mlpipe_dagster.automl.fairness.report import CALIBRATIONS, Fairness, Figures
from mlpipe_dagster.automl.groups import groupings
from mlpipe_dagster.automl.metrics import Outcome, measure, wilson
from mlpipe_dagster.automl.model import Estimate, FeatureColumn, FeatureSchema, TrainedModel, TrainingSpec
from mlpipe_dagster.automl.preparation import Column, Floats, as_number, as_text, distinct_texts
from mlpipe_dagster.errors import ModelError
from mlpipe_dagster.vocabulary import TaskKind
from mlpipe_dagster.xai.outside.given import ONNX, Described, Given, Outside, texts
from mlpipe_dagster.xai.outside.onnx_model import OnnxModel
from mlpipe_dagster.xai.outside.skops_model import SkopsModel

MOST_ROWS = 5_000
AGREEMENT = 0.95
UNKNOWN = Estimate(value=float("nan"), low=float("nan"), high=float("nan"))
AnyFigures = TypeVar("AnyFigures", bound=Figures)
_WITHOUT_CHANCES = ("log loss", "ROC AUC")


def read_outside(path: Path, table: pd.DataFrame, described: Described) -> TrainedModel:
    """The model in an ONNX or skops file, with scores measured on the rows of `table`.

    Raises
    ------
    ModelError
        The file is neither or cannot be loaded safely, or the model does not answer about this table.
    """
    if described.target not in table.columns:
        raise ModelError(f"The table has no column “{described.target}”.")
    if path.suffix.lower() == ONNX:
        outside: Outside = OnnxModel(path, table, described.target, described.threads)
        framework = "onnx"
    else:
        outside, framework = SkopsModel(path, table, described.target, described.most_bytes), "sklearn"
    positions = _positions(len(table))
    rows = table.reset_index(drop=True).iloc[positions]
    estimator = _estimator(outside, rows, table[described.target], described)
    return _measured(estimator, outside.columns, rows, table, described, framework, positions)


def _positions(rows: int) -> "np.ndarray[tuple[int], np.dtype[np.intp]]":
    if rows <= MOST_ROWS:
        return np.arange(rows)
    return np.sort(np.random.default_rng(0).choice(rows, MOST_ROWS, replace=False))


class _Learned(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Has learned elsewhere what it knows."""

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def fit(self, rows: pd.DataFrame, y: object = None) -> Self:  # noqa: ARG002 - scikit-learn's signature
        """Nothing to learn: scikit-learn takes for an estimator what has this."""
        return self


class OutsideRegressor(RegressorMixin, _Learned):  # type: ignore[misc]
    """Asks a model from outside for numbers."""

    def __init__(self, outside: Outside) -> None:
        self.outside = outside

    def predict(self, rows: pd.DataFrame) -> Floats:
        """One finite number a row; raises ModelError for anything else."""
        given = self.outside.ask(rows)
        numbers = as_number(pd.Series([] if given.values is None else given.values))
        if len(numbers) != len(rows) or not np.isfinite(numbers).all():
            raise ModelError("The model does not answer with one number for each row, as regression needs.")
        return numbers


class OutsideClassifier(ClassifierMixin, _Learned):  # type: ignore[misc]
    """Asks a model from outside for probabilities in the order of `classes`; a mere label counts as certainty."""

    def __init__(self, outside: Outside, classes: tuple[str, ...], codes: dict[str, int], votes: bool) -> None:
        self.outside = outside
        self.classes = classes
        self.codes = codes
        self.votes = votes

    def predict_proba(self, rows: pd.DataFrame) -> Floats:
        """rows x classes; raises ModelError for a class that is none of the target's."""
        given = self.outside.ask(rows)
        if self.votes:
            return np.eye(len(self.classes))[_codes(given, self.codes)]
        if given.chances is None or given.chances.shape[1] > len(self.classes):
            raise ModelError("The model answers with probabilities for some rows only.")
        chances = np.zeros((len(rows), len(self.classes)))
        order = range(given.chances.shape[1]) if given.names is None else [self.codes[name] for name in given.names]
        chances[:, list(order)] = given.chances
        return chances


def _estimator(
    outside: Outside, rows: pd.DataFrame, target: Column, described: Described
) -> OutsideRegressor | OutsideClassifier:
    if described.task is TaskKind.REGRESSION:
        return OutsideRegressor(outside)
    classes, given = _sorted_classes(target), outside.ask(rows)
    labels = None if given.values is None or (given.chances is not None and _are_numbers(given)) else given.values
    names = given.names or (texts(sorted(set(labels), key=str)) if labels is not None else classes)
    codes = _codes_of(names, classes)
    votes = given.chances is None
    if given.chances is not None and given.chances.shape[1] != len(given.names or classes):
        raise ModelError(
            f"The model answers with {given.chances.shape[1]} probabilities a row, and “{described.target}” has "
            f"{len(classes)} classes. Export it with named classes (ZipMap), or a column for each class."
        )
    if given.chances is not None and given.names is None and labels is not None:
        agreeing = float((given.chances.argmax(axis=1) == _codes(given, codes)).mean())
        if agreeing < AGREEMENT:
            raise ModelError(
                "The probabilities and the labels of the model contradict each other: the columns of probabilities "
                "are not in sorted order of the classes. Export it with named classes (ZipMap)."
            )
    return OutsideClassifier(outside, classes, codes, votes)


def _are_numbers(given: Given) -> bool:
    """A single score a row stands as values beside the probabilities made of it: these are no labels."""
    return given.names is None and given.values is not None and isinstance(given.values[0], float)


def _sorted_classes(target: Column) -> tuple[str, ...]:
    """The classes of the target column as text, as scikit-learn orders them: numbers by value, else by text."""
    found = distinct_texts(target)
    try:
        return tuple(sorted(found, key=float))
    except ValueError:
        return tuple(found)


def _codes_of(names: tuple[str, ...], classes: tuple[str, ...]) -> dict[str, int]:
    """Which class each name of the model means: the class itself, or its place from 0 in sorted order."""
    if set(names) <= set(classes):
        return {name: at for at, name in enumerate(classes)}
    places = {str(at): at for at in range(len(classes))}
    if set(names) <= set(places):
        return places
    strange = next(name for name in names if name not in classes)
    raise ModelError(
        f"The model answers “{strange[:80]}”, which is no class of the target ({', '.join(classes[:10])})."
    )


def _codes(given: Given, codes: dict[str, int]) -> "np.ndarray[tuple[int], np.dtype[np.intp]]":
    said = texts([] if given.values is None else given.values.tolist())
    strange = [name for name in said if name not in codes]
    if given.values is None and given.names is not None and given.chances is not None:
        said, strange = tuple(given.names[at] for at in given.chances.argmax(axis=1)), []
    if strange:
        raise ModelError(f"The model answers “{strange[0][:80]}”, which is no class of the target.")
    return np.array([codes[name] for name in said], dtype=np.intp)


def _measured(
    estimator: OutsideRegressor | OutsideClassifier,
    columns: tuple[str, ...],
    rows: pd.DataFrame,
    table: pd.DataFrame,
    described: Described,
    framework: str,
    positions: "np.ndarray[tuple[int], np.dtype[np.intp]]",
) -> TrainedModel:
    classes, votes = getattr(estimator, "classes", ()), getattr(estimator, "votes", False)
    inside, outcome = _asked(estimator, classes, rows, described.target)
    metrics = {name: found for name, found in measure(outcome).items() if not (votes and name in _WITHOUT_CHANCES)}
    metric = "accuracy" if classes else "R²"
    if metric not in metrics:
        raise ModelError(f"“{described.target}” is the same in every row: nothing can be said of the model.")
    baseline = _constant_answer(outcome)
    return TrainedModel(
        estimator=Pipeline([("model", estimator)]),
        spec=TrainingSpec(target=described.target, task=described.task, sensitive=described.sensitive),
        schema=FeatureSchema(columns=tuple(_feature(name, table[name]) for name in columns)),
        classes=classes or None,
        algorithm=described.algorithm,
        parameters={},
        framework=framework,
        feature_names=columns,
        feature_origins=columns,
        metric_name=metric,
        loss_name="log loss" if classes else "RMSE",
        training_score=UNKNOWN,
        validation_score=UNKNOWN,
        test_score=metrics[metric],
        metrics=metrics,
        baseline_algorithm="most frequent class" if classes else "mean",
        baseline_score=baseline,
        beats_baseline=metrics[metric].low > baseline.value,
        leaderboard=(),
        budget_seconds=0.0,
        budget=(),
        notes=_notes(votes),
        trained_rows=0,
        test_rows=tuple(int(position) for position in positions),
        held_out=False,
        fairness=_fairness(inside, described.sensitive, outcome, classes, votes),
    )


def _fairness(
    inside: pd.DataFrame, sensitive: tuple[str, ...], outcome: Outcome, classes: tuple[str, ...], votes: bool
) -> Fairness:
    """How groups fare; calibration is left out where the model gives no probabilities."""
    found = measure_fairness(groupings(inside, sensitive, np.arange(len(inside))), outcome, classes)
    if not votes:
        return found
    groups = [
        _without_probabilities(group).model_copy(
            update={"classes": tuple(_without_probabilities(one) for one in group.classes)}
        )
        for group in found.groups
    ]
    kept = [one for one in found.disparities if one.measure not in OF_PROBABILITIES]
    return found.model_copy(update={"groups": tuple(groups), "disparities": tuple(kept)})


def _without_probabilities(metrics: AnyFigures) -> AnyFigures:
    values = {name: value for name, value in metrics.values.items() if name not in CALIBRATIONS}
    return metrics.model_copy(update={"values": values, "reliability": ()})


def _asked(
    estimator: OutsideRegressor | OutsideClassifier, classes: tuple[str, ...], rows: pd.DataFrame, target: str
) -> tuple[pd.DataFrame, Outcome]:
    """The rows whose target is known, and what the model answers on them."""
    truth = _truth(rows[target], classes)
    known = np.isfinite(truth)
    if not known.any():
        raise ModelError(f"No row has a known value of “{target}”: the model cannot be explained.")
    inside = rows[known]
    return inside, Outcome(truth[known], estimator.predict_proba(inside) if classes else estimator.predict(inside))


def _truth(target: Column, classes: tuple[str, ...]) -> Floats:
    if not classes:
        return as_number(target)
    codes = {name: float(at) for at, name in enumerate(classes)}
    return np.array([codes.get(str(text), np.nan) for text in as_text(target)])


def _constant_answer(outcome: Outcome) -> Estimate:
    """Accuracy of always giving the most frequent class; R² of always giving the mean, which is 0."""
    if outcome.predicted.ndim == 1:
        return Estimate(value=0.0, low=0.0, high=0.0)
    counts = np.bincount(outcome.truth.astype(np.intp))
    return wilson(float(counts.max() / counts.sum()), len(outcome.truth))


def _feature(name: str, column: Column) -> FeatureColumn:
    return FeatureColumn(name=name, kind=kind_of(column.dropna()), data_type=str(column.dtype))


def _notes(votes: bool) -> tuple[str, ...]:
    said = [
        "The model came from outside, and nobody said which rows it has learned from: its scores are measured on rows "
        "of this table that it may know, and may flatter it.",
    ]
    if votes:
        said.append("The model gives no probabilities: the class it names counts as certain.")
    return tuple(said)
