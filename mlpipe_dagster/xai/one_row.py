"""One row explained on request: what the model says of it, why, and what would turn it; values may be other ones.

For models trained here. The rows to compare with are a sample of the table; the test rows are not needed.
"""

from collections.abc import Collection, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlpipe_dagster.automl import artefacts
from mlpipe_dagster.automl.model import FeatureColumn, TrainedModel
from mlpipe_dagster.automl.preparation import as_dates, as_number, as_truth, value_text
from mlpipe_dagster.errors import UserError
from mlpipe_dagster.tables.load import load, load_row
from mlpipe_dagster.tables.personal import MASK
from mlpipe_dagster.xai.counterfactuals import counterfactual
from mlpipe_dagster.xai.local import explain_rows
from mlpipe_dagster.xai.row_answer import Field, RowAnswer, RowQuestion, Value
from mlpipe_dagster.xai.subject import BACKGROUND_ROWS, answers, not_to_change
from mlpipe_dagster.xai.values import MISSING_TEXT, Column, shown

SAMPLE_ROWS = 1_000
MOST_CHOICES = 30


@lru_cache(maxsize=2)
def _model(folder: Path) -> TrainedModel:
    model = artefacts.load(folder)
    _in_one_thread(model.estimator)
    return model


def _in_one_thread(estimator: Any) -> None:
    """A few hundred rows are answered before threads are started."""
    parameters = estimator.get_params()
    estimator.set_params(**{name: 1 for name in parameters if name.split("__")[-1] == "n_jobs"})
    for name, value in parameters.items():
        for member in value if name.split("__")[-1] == "members" else ():
            _in_one_thread(member)


@lru_cache(maxsize=2)
def _sample(parquet: Path) -> pd.DataFrame:
    return load(parquet, limit=SAMPLE_ROWS)


def prepare(folder: Path, parquet: Path) -> None:
    """Read the model and the rows to compare with, so that the next `answer` need not."""
    _model(folder)
    _sample(parquet)


def answer(folder: Path, parquet: Path, question: RowQuestion) -> RowAnswer:
    """The answer about a row of the table `parquet` by the model saved in `folder`.

    Raises
    ------
    TableError, UserError
        The table has no such row; a value does not fit its column, or no such column is read.
    """
    model = _model(folder)
    base = None if question.position is None else load_row(parquet, question.position - 1)
    row = typed_row(model, base, question.values)
    return explain_one(model, _sample(parquet), row, hide=question.hide, keep=question.keep, seed=question.seed)


def explain_one(
    model: TrainedModel,
    others: pd.DataFrame,
    row: pd.DataFrame,
    *,
    hide: Collection[str] = (),
    keep: Collection[str] = (),
    seed: int = 0,
) -> RowAnswer:
    """What `model` says of `row` (one line) and why, compared with `others`."""
    others = others[[name for name in others.columns if name in row.columns]]
    background = others.head(BACKGROUND_ROWS)
    (local,) = explain_rows(model, row, background, [["asked for"]], hidden=hide, seed=seed)
    kept = not_to_change(model, hide, keep)
    names = [part.column for part in local.contributions]
    names += [name for name in model.schema.names if name not in names]
    predicted = answers(model, row)[0]
    return RowAnswer(
        target=model.spec.target,
        task=model.spec.task,
        predicted=local.predicted,
        probabilities=dict(zip(model.classes, predicted.tolist(), strict=True)) if model.classes else {},
        explanation=local,
        counterfactual=counterfactual(model, row, others, names, keep=kept, position=local.position),
        kept=tuple(name for name in model.schema.names if name in kept),
        fields=_fields(model, row, names, frozenset(hide)),
    )


def _fields(
    model: TrainedModel, row: pd.DataFrame, names: Collection[str], hidden: frozenset[str]
) -> tuple[Field, ...]:
    known = {column.name: column for column in model.schema.columns}
    made = []
    for name in names:
        column, value = known[name], shown(row[name].iloc[0])
        choices = column.categories or ()
        made.append(
            Field(
                column=name,
                kind=column.kind,
                value=MASK if name in hidden else "" if value == MISSING_TEXT else value,
                choices=() if name in hidden or len(choices) > MOST_CHOICES else choices,
                minimum=None if name in hidden else column.minimum,
                maximum=None if name in hidden else column.maximum,
                hidden=name in hidden,
            )
        )
    return tuple(made)


def typed_row(model: TrainedModel, base: pd.DataFrame | None, values: Mapping[str, Value]) -> pd.DataFrame:
    """One line with the columns the model reads: `base` (a table row), with `values` in place of its own.

    Without a base every column has to be given; None and empty texts are missing values.

    Raises
    ------
    UserError
        A column is unknown or not given, or a value does not fit its column.
    """
    known = {column.name: column for column in model.schema.columns}
    strange = [name for name in values if name not in known]
    if strange:
        raise UserError(f"The model reads no column “{strange[0]}”. It reads {', '.join(list(known)[:50])}.")
    absent = [name for name in known if base is None and name not in values]
    if absent:
        raise UserError(
            f"Give a value (null where it is missing) for {', '.join(absent[:20])} too, or the number of a table row."
        )
    row = pd.DataFrame(index=[-1]) if base is None else base.copy()
    for name, value in values.items():
        row[name] = _typed(known[name], value).set_axis(row.index)
    ours = {*known, model.spec.target} if not values else set(known)  # of a changed row nobody knows what is true
    return row[[name for name in row.columns if name in ours]]


def _typed(column: FeatureColumn, value: Value) -> Column:
    """One value as the model's table would hold it."""
    text = "" if value is None or not str(value).strip() else value_text(value)
    missing = text in ("", MISSING_TEXT)
    given: Column = pd.Series([None if missing else text], dtype=object)
    if column.kind in ("category", "text") or (missing and column.kind == "boolean"):
        return given
    if column.kind == "boolean":
        typed, fits = given, bool(np.isfinite(as_truth(given)).all())
    elif column.kind == "datetime":
        typed = as_dates(given)
        fits = missing or bool(typed.notna().all())
    else:
        numbers = as_number(given)
        typed, fits = pd.Series(numbers), missing or bool(np.isfinite(numbers).all())
    if not fits:
        wanted = {"number": "a number", "boolean": "true or false", "datetime": "a date such as 2024-12-31"}
        raise UserError(f"“{column.name}” takes {wanted[column.kind]}, not “{text[:80]}”.")
    return typed
