"""The rows a search works on: a bounded sample of the training rows, split into folds and encoded once per family.

Every encoder is fitted on the fitting rows of its fold alone.
"""

import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline

from mlpipe_dagster.automl.algorithms import Estimator, FitData, Labels
from mlpipe_dagster.automl.model import FeatureSchema
from mlpipe_dagster.automl.preparation import Family, encoder, typed_columns
from mlpipe_dagster.automl.splits import Bond, folds_of
from mlpipe_dagster.automl.target import Rows, Target
from mlpipe_dagster.bias.mitigation.rows import Codes, resample, reweigh
from mlpipe_dagster.vocabulary import Mitigation

CELLS_A_SECOND = 400_000
"""Rows x columns (x classes beyond two) of the search sample for each second of budget."""
SMALL_PART = 3
"""Where the search sees less than a third of the rows it sees half of that: what counts is the last fit, on more."""
FOLDS_BY_CELLS = ((5_000, 5), (15_000, 3))
"""Up to so many cells for each second of budget, so many folds; one hold-out beyond."""


@contextmanager
def quiet_rare_classes() -> Iterator[None]:
    """Cross-fitting warns of classes with few rows; the notes of the model say it in its place."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class")
        yield


def random_rows(labels: Labels, most: int, seed: int) -> Rows:
    """Positions of at most `most` random rows, in order; of every class at least one."""
    order = np.random.default_rng(seed).permutation(len(labels))
    if labels.dtype.kind != "f":
        _, first = np.unique(labels[order], return_index=True)
        order = np.concatenate([order[first], np.delete(order, first)])
        most = max(most, len(first))
    return np.sort(order[:most])


@dataclass(frozen=True)
class Rowset:
    """Typed rows with their labels (text or numbers) and truth (class codes or numbers)."""

    typed: pd.DataFrame
    labels: Labels
    truth: NDArray[np.float64]
    groups: Codes | None = None
    """(rows, columns) group of each row in each sensitive column, where something is to be done about their bias."""
    bonds: NDArray[np.int64] | None = None
    """Which rows belong together, as `splits.Bond` says."""
    places: Rows | None = None
    """Where the rows are among the training rows; None once rows were taken."""

    def take(self, rows: Rows) -> "Rowset":
        """The rows at these positions."""
        groups = None if self.groups is None else self.groups[rows]
        return Rowset(self.typed.iloc[rows], self.labels[rows], self.truth[rows], groups)


@dataclass(frozen=True)
class Source:
    """The training rows as they came; those that are needed are typed when they are."""

    table: pd.DataFrame
    target: Target
    schema: FeatureSchema
    rows: Rows
    """Positions in `target.rows` of the training rows."""
    groups: Codes | None = None
    """As in `Rowset`, for each row of the table."""
    bond: Bond | None = None
    """What holds rows together in validation as in the test."""

    def draw(self, most: int, seed: int, without: Rows | None = None) -> Rowset:
        """At most `most` random training rows, of every class at least one, those at places `without` left out."""
        places = np.arange(len(self.rows)) if without is None else np.delete(np.arange(len(self.rows)), without)
        if most < len(places):
            places = places[random_rows(self.target.values[self.rows[places]], most, seed)]
        rows = self.rows[places]
        in_table = self.target.rows[rows]
        typed = typed_columns(self.schema).transform(self.table.iloc[in_table])
        groups = None if self.groups is None else self.groups[in_table]
        bonds = None if self.bond is None else self.bond.codes[in_table]
        labels, truth = self.target.values[rows], self.target.truth()[rows]
        return Rowset(typed.reset_index(drop=True), labels, truth, groups, bonds, places)


def cells(rows: int, columns: int, classes: int) -> int:
    """How much there is to learn from, in units that cost about the same time."""
    return rows * max(columns, 1) * max(classes - 1, 1)


def _weight(schema: FeatureSchema) -> int:
    """Columns, categories counted three times and texts thirty: encoding them takes longer and gives more features."""
    return sum({"category": 3, "text": 30}.get(column.kind, 1) for column in schema.columns)


@dataclass
class Bench:
    """Folds of the search sample and their encoded matrices, made when first asked for."""

    rows: Rowset
    folds: list[tuple[Rows, Rows]]
    schema: FeatureSchema
    classes: int
    seed: int
    training_rows: int
    """Of which the search sample is drawn."""
    mitigation: Mitigation | None = None
    encode_seconds: float = 0.0
    """Slowest encoding of one fold so far."""
    _encoded: dict[tuple[Family, int], tuple[ColumnTransformer, FitData]] = field(default_factory=dict)

    @property
    def times_a_fold(self) -> float:
        """So many times the rows that a fold is fitted on are all training rows."""
        return self.training_rows / max(len(self.folds[0][0]), 1)

    def data(self, family: Family, fold: int) -> FitData:
        """Encoded rows of a fold, to fit on and to check on."""
        return self._both(family, fold)[1]

    def pipeline(self, family: Family, fold: int, estimator: Estimator) -> Pipeline:
        """What was fitted on a fold, as one pipeline from raw columns to predictions."""
        return assemble(self.schema, self._both(family, fold)[0], estimator)

    def _both(self, family: Family, fold: int) -> tuple[ColumnTransformer, FitData]:
        if (family, fold) not in self._encoded:
            begun = time.monotonic()
            self._encoded[family, fold] = self.encoded(family, *self.folds[fold])
            self.encode_seconds = max(self.encode_seconds, time.monotonic() - begun)
        return self._encoded[family, fold]

    def encoded(self, family: Family, fit_on: Rows, check_on: Rows) -> tuple[ColumnTransformer, FitData]:
        """Rows of the sample to fit on and to check on, and the encoders that were fitted on the first."""
        fit, check = self.rows.take(fit_on), self.rows.take(check_on)
        return encoded(family, fit, self.classes, self.mitigation, self.seed, check)


def encoded(
    family: Family, fit: Rowset, classes: int, mitigation: Mitigation | None, seed: int, check: Rowset | None = None
) -> tuple[ColumnTransformer, FitData]:
    """Rows to fit on, with what is done about bias, and to check on; and the encoders that were fitted on the first."""
    fit, weights = mitigated(fit, mitigation, seed)
    encoders = encoder(family, fit.typed, classes, seed)
    with quiet_rare_classes():
        features = np.asarray(encoders.fit_transform(fit.typed, fit.labels), dtype=np.float64)
    data = FitData(features, fit.labels, weights=weights, blocks=encoders.output_indices_, groups=fit.groups)
    if check is not None:
        checks = np.asarray(encoders.transform(check.typed), dtype=np.float64)
        data = replace(data, check_features=checks, check_labels=check.labels, check_truth=check.truth)
    return encoders, data


def mitigated(rows: Rowset, mitigation: Mitigation | None, seed: int) -> tuple[Rowset, NDArray[np.float64] | None]:
    """Rows to fit on, and their weights, with what is done about bias; copies of a row stay among these rows."""
    if rows.groups is None or mitigation not in (Mitigation.REWEIGHING, Mitigation.RESAMPLING):
        return rows, None
    outcomes = rows.truth.astype(np.int64)
    if mitigation is Mitigation.REWEIGHING:
        return rows, reweigh(rows.groups, outcomes)
    return rows.take(resample(rows.groups, outcomes, seed)), None


def assemble(schema: FeatureSchema, encoders: ColumnTransformer, estimator: Estimator) -> Pipeline:
    """Fitted parts as one pipeline that takes raw columns."""
    return Pipeline([("columns", typed_columns(schema)), ("features", encoders), ("model", estimator)])


def open_bench(
    source: Source, budget: float, seed: int, mitigation: Mitigation | None = None, folds: int | None = None
) -> Bench:
    """A search sample, and so many folds (1: a hold-out), else as many as the budget (seconds) allows."""
    target, schema = source.target, source.schema
    classes, columns = len(target.classes), _weight(schema)
    most = max(1000, int(CELLS_A_SECOND * budget / cells(1, columns, classes)))
    if most * SMALL_PART < len(source.rows):
        most = max(1000, most // 2)
    sample = source.draw(most, seed)
    total = cells(len(sample.labels), columns, classes)
    count = folds or next((count for most, count in FOLDS_BY_CELLS if total <= most * budget), 1)
    inside = Target(np.arange(len(sample.labels)), sample.labels, target.classes, target.task, ())
    kind = source.bond.kind if source.bond else ""
    parts = folds_of(inside, sample.bonds, kind, count, seed)
    return Bench(sample, parts, schema, classes, seed, len(source.rows), mitigation)
