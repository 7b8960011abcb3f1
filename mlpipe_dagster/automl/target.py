"""The target column: is it there, does the task fit it, what are its classes, which rows have it.

Also which rows are held out: the test split and the validation folds are stratified draws over these rows.
"""

import difflib
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlpipe_dagster.automl.model import TrainingSpec
from mlpipe_dagster.automl.preparation import MISSING, Column, as_number, as_text
from mlpipe_dagster.bias.target import choose_positive
from mlpipe_dagster.errors import ModelError, TargetError, TaskError
from mlpipe_dagster.vocabulary import TaskKind

MINIMUM_ROWS = 30
MOST_CLASSES = 200
TEST_SHARE = 0.2
RARE = 5
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Target:
    """The target of the rows that have one."""

    rows: Rows
    """Positions in the table that was given."""
    values: NDArray[np.float64] | NDArray[np.str_]
    """Numbers (regression) or class labels as text, one for each of `rows`."""
    classes: tuple[str, ...]
    """Sorted labels; empty for regression."""
    task: TaskKind
    notes: tuple[str, ...]

    def codes(self) -> NDArray[np.int64]:
        """Position of each row's class in `classes`."""
        return np.searchsorted(np.array(self.classes), self.values).astype(np.int64)

    def truth(self) -> NDArray[np.float64]:
        """What is predicted of each row, as a number: its value, or the position of its class."""
        return self.codes().astype(np.float64) if self.classes else self.values.astype(np.float64)


def require_columns(table: pd.DataFrame, spec: TrainingSpec) -> None:
    """Refuse a target or sensitive column that the table does not have, with the nearest name that it has.

    Raises
    ------
    TargetError, ModelError
        The target is absent; column names repeat, or a sensitive column is absent.
    """
    names = [str(name) for name in table.columns]
    if len(set(names)) < len(names):
        repeated = sorted({name for name in names if names.count(name) > 1})
        raise ModelError(f"More than one column is called {', '.join(repeated)}. Give each column its own name.")
    if spec.target not in names:
        raise TargetError(f"The table has no column “{spec.target}”. {_nearest(spec.target, names)}")
    for name in spec.sensitive:
        if name not in names:
            raise ModelError(f"The table has no sensitive column “{name}”. {_nearest(name, names)}")


def _nearest(name: str, names: list[str]) -> str:
    lowered = {known.lower(): known for known in reversed(names)}
    close = [lowered[match] for match in difflib.get_close_matches(name.lower(), list(lowered), n=1, cutoff=0.6)]
    return f"Did you mean “{close[0]}”?" if close else f"Its columns are: {', '.join(names[:20])}."


def read_target(column: Column, spec: TrainingSpec) -> Target:
    """Rows that have a target, their values and classes.

    Raises
    ------
    TargetError
        All values are missing, all are the same, or fewer than two classes have two rows.
    TaskError
        The task does not fit the values.
    ModelError
        Fewer than 30 rows have a target.
    """
    if column.isna().all():
        raise TargetError(f"Every value of the target “{spec.target}” is missing. Choose another column.")
    found = _regression(column, spec) if spec.task is TaskKind.REGRESSION else _classification(column, spec)
    if len(found.rows) < MINIMUM_ROWS:
        raise ModelError(
            f"{len(found.rows)} rows have a target; training needs at least {MINIMUM_ROWS} to hold some out for a test."
        )
    return found


def _regression(column: Column, spec: TrainingSpec) -> Target:
    values = as_number(column)
    kept = np.flatnonzero(np.isfinite(values))
    unread = int(column.notna().sum()) - len(kept)
    if unread > 0.05 * column.notna().sum():
        example = column[column.notna().to_numpy() & ~np.isfinite(values)].iloc[0]
        raise TaskError(
            f"Regression needs a target of numbers, but “{spec.target}” holds values such as “{example}”. "
            "Use classification or another target."
        )
    if np.ptp(values[kept]) == 0:
        raise TargetError(f"Every value of the target “{spec.target}” is the same. Choose a column that varies.")
    return Target(kept, values[kept], (), spec.task, _dropped(len(column) - len(kept), spec.target))


def _classification(column: Column, spec: TrainingSpec) -> Target:
    texts = as_text(column)
    kept = np.flatnonzero(texts != MISSING)
    labels = texts[kept].astype(np.str_)
    classes, counts = np.unique(labels, return_counts=True)
    if len(classes) < 2:
        raise TargetError(f"Every value of the target “{spec.target}” is the same. Choose a column that varies.")
    if (counts >= 2).sum() < 2:
        raise TargetError(
            f"Fewer than two classes of the target “{spec.target}” have two rows or more: there is nothing to compare. "
            "Choose another target."
        )
    task = _fitting_task(spec, classes)
    notes = _dropped(len(column) - len(kept), spec.target)
    if task is not spec.task:
        notes += (f"“{spec.target}” has two classes, so the task is binary.",)
    return Target(kept, labels, tuple(str(label) for label in classes), task, notes)


def positive_class(target: Target, spec: TrainingSpec) -> str | None:
    """The class that the specification names as positive, as the table writes it; None where it names none.

    Raises
    ------
    TargetError
        The target has not two classes, or that is none of them.
    """
    if spec.positive is None:
        return None
    if target.task is not TaskKind.BINARY:
        raise TargetError(
            f"A positive class needs a target with two classes, which “{spec.target}” is not. Leave it out."
        )
    return choose_positive(spec.target, dict.fromkeys(target.classes, 0), spec.positive)[0]


def _fitting_task(spec: TrainingSpec, classes: NDArray[np.str_]) -> TaskKind:
    if len(classes) == 2:
        return TaskKind.BINARY
    if spec.task is TaskKind.BINARY:
        raise TaskError(
            f"“{spec.target}” has {len(classes)} classes ({', '.join(classes[:5])}…), a binary task needs two. "
            "Use multiclass classification or another target."
        )
    if len(classes) > MOST_CLASSES:
        raise TaskError(
            f"“{spec.target}” has {len(classes)} different values, more than the {MOST_CLASSES} classes that can be "
            "told apart. If they are measurements use regression; if they are names or keys choose another target."
        )
    return TaskKind.MULTICLASS


def _dropped(count: int, target: str) -> tuple[str, ...]:
    return (f"{count} row(s) without a usable value of “{target}” were left out.",) if count else ()


def split_test(target: Target, seed: int, most: int) -> tuple[Rows, Rows]:
    """Positions (in `target.rows`) of training and test rows: 20 % test (`most` rows), in proportion for each class.

    Of a class with fewer than three rows all stay in training.
    """
    draw = np.random.default_rng(seed)
    groups = [np.flatnonzero(target.values == label) for label in target.classes] or [np.arange(len(target.values))]
    share = min(TEST_SHARE, most / len(target.values))
    test = [draw.permutation(group)[: int(len(group) * share + 0.5)] for group in groups]
    held_out = np.sort(np.concatenate(test))
    return np.setdiff1d(np.arange(len(target.values)), held_out), held_out


def require_enough(target: Target, training: Rows) -> None:
    """Refuse classes that are all so rare that no row can be held out to check on.

    Raises
    ------
    ModelError
        No class has five rows to train on.
    """
    if target.classes and np.unique(target.values[training], return_counts=True)[1].max() < RARE:
        raise ModelError(
            f"Every one of the {len(target.classes)} classes has only a few rows: none can be held out to check what "
            "was learnt. Send more rows, or put rare classes together."
        )


def validation_folds(target: Target, training: Rows, folds: int, seed: int) -> list[tuple[Rows, Rows]]:
    """(fit, validate) positions within `training`; `folds` of 1 is a single 20 % hold-out.

    Rows of a class with fewer rows than folds are always fitted on and never validated, so that every fit knows
    every class.
    """
    draw = np.random.default_rng(seed + 1)
    parts = max(folds, 5) if folds == 1 else folds
    labels = target.values[training]
    part = np.full(len(training), -1)
    for label in target.classes or (None,):
        group = np.flatnonzero(labels == label) if label is not None else np.arange(len(training))
        if len(group) >= parts:
            part[draw.permutation(group)] = np.arange(len(group)) % parts
    everything = np.arange(len(training))
    return [(everything[part != fold], everything[part == fold]) for fold in range(folds)]


def rare_class_note(target: Target, training: Rows) -> tuple[str, ...]:
    """Says which classes have too few rows to be validated or tested; empty where there are none."""
    labels, counts = np.unique(target.values[training], return_counts=True)
    rare = [f"{label} ({count})" for label, count in zip(labels, counts, strict=True) if count < RARE]
    if not target.classes or not rare:
        return ()
    return (f"Classes with very few training rows: {', '.join(rare)}. They are learnt, but not or hardly checked.",)
