"""Predicting rows that a person or a program sends: read, held against the columns of a model, answered.

The model is a loaded one; where rows come from and how answers travel is decided elsewhere.
"""

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlpipe_dagster.automl.model import FeatureColumn, FeatureKind, FeatureSchema, TrainedModel
from mlpipe_dagster.automl.preparation import Column, Floats, as_dates, as_number, as_truth
from mlpipe_dagster.errors import ModelError, TableError, UserError
from mlpipe_dagster.tables.dialect import MISSING_WORDS

DELIMITERS = ",;\t|"
SNIFFED = 65_536
MOST_SHOWN = 80
WANTED: dict[FeatureKind, str] = {
    "number": "a number",
    "boolean": "true or false",
    "datetime": "a date such as 2024-12-31",
    "category": "a text",
    "text": "a text",
}


def read_csv(source: Path | str) -> pd.DataFrame:
    """All values as texts, missing where empty or a word for it; a path, or the text of a file.

    Raises
    ------
    TableError
        There is no header with a row under it, a name stands twice, or it is not UTF-8.
    """
    try:
        text = source.read_text(encoding="utf-8-sig") if isinstance(source, Path) else source.removeprefix("\ufeff")
        read = pd.read_csv(io.StringIO(text), sep=_delimiter(text), header=None, dtype=object, keep_default_na=False,
                           na_values=list(MISSING_WORDS), skipinitialspace=True)  # fmt: skip
    except (UnicodeDecodeError, ValueError) as error:  # pandas' errors of parsing are ValueErrors
        raise TableError(f"The rows are not a CSV file in UTF-8 with a header: {error}") from error
    names = [str(name) for name in read.iloc[0]]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise TableError(f"The column “{twice[0]}” stands twice in the header. Give every column a name of its own.")
    rows = read.iloc[1:].reset_index(drop=True).set_axis(names, axis=1)
    if not len(rows):
        raise TableError("There is no row under the header.")
    return rows


def _delimiter(text: str) -> str:
    """The one of , ; tab | that the header has most of."""
    header = text[:SNIFFED].partition("\n")[0]
    return max(DELIMITERS, key=lambda sign: len(next(csv.reader([header], delimiter=sign), [])))


def as_trained(schema: FeatureSchema, rows: pd.DataFrame) -> pd.DataFrame:
    """The columns a model reads, as its own table held them; others are left out. None and "" are missing.

    Raises
    ------
    ModelError
        A column is absent.
    UserError
        A value is not what its column takes; its line (counted from 1) is named.
    """
    signs = [sign.column for sign in schema.removal.signs] if schema.removal else []
    absent = [name for name in (*schema.names, *signs) if name not in rows.columns]
    if absent:
        raise ModelError(f"The model needs the column(s) {', '.join(absent)}, which the rows do not have.")
    read = {column.name: as_column(column, rows[column.name]) for column in schema.columns}
    return pd.DataFrame(read | {name: _number_or_text(rows[name]) for name in signs}, index=rows.index)


def as_column(column: FeatureColumn, values: Column) -> Column:
    """One column as the model's table held it; raises UserError for the first value that does not fit."""
    given = _without_blanks(values)
    known = given.notna().to_numpy()
    if column.kind in ("category", "text"):
        return _number_or_text(given) if pd.api.types.is_numeric_dtype(column.data_type) else given
    if column.kind == "datetime":
        dates = as_dates(given)
        _refuse(column, given, known & dates.isna().to_numpy())
        return dates
    if column.kind == "boolean":
        _refuse(column, given, known & ~np.isfinite(as_truth(given)))
        return given
    numbers = as_number(given)
    if pd.api.types.is_numeric_dtype(column.data_type):  # else what is no number was missing in training too
        _refuse(column, given, known & ~np.isfinite(numbers))
    return pd.Series(numbers, index=values.index)


def _without_blanks(values: Column) -> Column:
    if values.dtype != object:
        return values
    return values.map(lambda value: None if isinstance(value, str) and not value.strip() else value)


def _number_or_text(values: Column) -> Column:
    """Numbers where all are, as a table of numbers would hold them."""
    given = _without_blanks(values)
    numbers = pd.to_numeric(given, errors="coerce")
    return numbers if numbers.notna().equals(given.notna()) else given


def _refuse(column: FeatureColumn, values: Column, unfit: Any) -> None:
    if unfit.any():
        at = int(np.argmax(unfit))
        text = str(values.iloc[at])[:MOST_SHOWN]
        raise UserError(f"“{column.name}” takes {WANTED[column.kind]}, not “{text}” (row {at + 1}).")


def ask(model: TrainedModel, rows: pd.DataFrame) -> Floats:
    """Probabilities (rows x classes) of a classifier, values (rows) of a regressor."""
    call = model.estimator.predict_proba if model.classes else model.estimator.predict
    return np.asarray(call(rows), dtype=np.float64)


def table_of(model: TrainedModel, answers: Floats) -> pd.DataFrame:
    """Answers as a table: `prediction`, and `probability of CLASS` for each class."""
    if not model.classes:
        return pd.DataFrame({"prediction": answers})
    chosen = np.array(model.classes, dtype=object)[answers.argmax(axis=1)]
    chances = {f"probability of {name}": answers[:, at] for at, name in enumerate(model.classes)}
    return pd.DataFrame({"prediction": chosen, **chances})
