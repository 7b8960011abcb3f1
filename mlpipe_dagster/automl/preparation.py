"""From raw columns to numbers: the one custom transformer of a saved pipeline, and the encoders that follow it.

Everything a model needs to read a raw table is in here and is saved with it. Which columns are used, and as what,
is decided in `columns.py`; the classes named in `artefacts.py` are the only ones a saved model may contain.
"""

import re
from collections.abc import Callable
from typing import Any, Literal, Self, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.model_selection import KFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from mlpipe_dagster.automl.encoders import TargetAverages, ValueIndicators
from mlpipe_dagster.automl.model import FeatureSchema
from mlpipe_dagster.bias.mitigation.columns import Trace, signs_of, without_trace
from mlpipe_dagster.errors import ModelError

Family = Literal["trees", "linear"]
Floats = NDArray[np.float64]
Column: TypeAlias = "pd.Series[Any]"  # pandas cannot say: of whatever type
MISSING = "(missing)"
FEW_ROWS = 20
"""Up to so many, reading one value after the other is quicker than finding the distinct ones."""
MOST_ONE_HOT = 16
"""Categories with more values than this are encoded by the average target of each value (cross-fitted)."""
MOST_CLASSES_FOR_AVERAGES = 10
"""Averages take one feature for each class; with more classes the most frequent values are one-hot encoded instead."""
WORDS = "words"
MOST_WORDS = 100
"""Of a column of texts, the words that most of them hold."""
FEWEST_WITH_WORD = 5
WORD = r"(?u)\b[^\W\d_]\w+\b"
DATE_PARTS = {"year": "year", "month": "month", "day": "day", "weekday": "day_of_week", "hour": "hour"}
"""Part of a date and the name pandas has for it; the days since 1970 are added."""


def as_number(column: Column) -> Floats:
    """Numbers of any column as float64; what is no finite number becomes NaN."""
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "iufb":
        values = column.to_numpy(dtype=np.float64)
    elif pd.api.types.is_timedelta64_dtype(column):
        values = column.dt.total_seconds().to_numpy(dtype=np.float64)
    else:
        values = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    return np.where(np.isfinite(values), values, np.nan)


def value_text(value: object) -> str:
    """One value as the text the model knows it by: `1.0` and `1` are the same category."""
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value).strip() or MISSING


def _is_gap(value: Any) -> bool:
    return bool(pd.api.types.is_scalar(value) and pd.isna(value))


def as_text(column: Column) -> NDArray[np.object_]:
    """Texts of any column; missing and blank values become `(missing)`."""
    if len(column) <= FEW_ROWS:
        return np.array([MISSING if _is_gap(value) else value_text(value) for value in column.array], dtype=object)
    codes, values = pd.factorize(column)
    texts = np.array([*(value_text(value) for value in values), MISSING], dtype=object)
    return texts[codes]


def distinct_texts(column: Column) -> list[str]:
    """The texts of a column, each once and in order, without gaps."""
    return sorted({value_text(value) for value in pd.unique(column) if not pd.isna(value)} - {MISSING})


def as_dates(column: Column) -> Column:
    """Naive UTC timestamps of a column of dates or ISO texts; what is no date becomes NaT."""
    if isinstance(column.dtype, np.dtype) and column.dtype.kind == "M":
        return column
    dates = pd.to_datetime(column, errors="coerce", format="ISO8601", utc=True)
    return dates.dt.tz_localize(None)


_TRUE = frozenset({"true", "1", "yes"})
_FALSE = frozenset({"false", "0", "no"})


def as_truth(column: Column) -> Floats:
    """1 and 0 of a column of truth values; what is neither becomes NaN."""
    texts = as_text(column)
    values, inverse = np.unique(texts.astype(str), return_inverse=True)
    truth = [1.0 if v.lower() in _TRUE else 0.0 if v.lower() in _FALSE else np.nan for v in values]
    return np.array(truth)[inverse]


def _number(name: str, column: Column) -> dict[str, object]:
    return {name: as_number(column)}


def _truth(name: str, column: Column) -> dict[str, object]:
    return {name: as_truth(column)}


def _category(name: str, column: Column) -> dict[str, object]:
    return {name: _objects(as_text(column))}


def _words(name: str, column: Column) -> dict[str, object]:
    return {f"{name}:{WORDS}": _objects(as_text(column))}


def _objects(texts: NDArray[np.object_]) -> "pd.Index[Any]":
    """So that a table keeps them as they are: its own texts would be turned into objects again by every encoder."""
    return pd.Index(texts, dtype=object)


def _date(name: str, column: Column) -> dict[str, object]:
    dates = as_dates(column)
    parts = {part: getattr(dates.dt, attribute) for part, attribute in DATE_PARTS.items()}
    parts["days"] = (dates - pd.Timestamp(0)) / pd.Timedelta(days=1)
    return {f"{name}:{part}": values.to_numpy(dtype=np.float64) for part, values in parts.items()}


_READERS: dict[str, Callable[[str, Column], dict[str, object]]] = {
    "number": _number,
    "boolean": _truth,
    "category": _category,
    "datetime": _date,
    "text": _words,
}


class TypedColumns(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Reads raw columns as what they are. The column at position i becomes `ci`, its date parts `ci:year` and so on.

    Further columns of the table are ignored, so a whole table can be handed in. Learns nothing from the rows. With a
    `removal` (a TraceRemoval as plain values) the linear trace of sensitive columns is taken out of the numbers.
    """

    removal: dict[str, Any] | None = None  # models stored before it existed have none of their own

    def __init__(self, names: list[str], kinds: list[str], removal: dict[str, Any] | None = None) -> None:
        self.names = names
        self.kinds = kinds
        self.removal = removal

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def fit(self, table: pd.DataFrame, y: object = None) -> Self:  # noqa: ARG002 - scikit-learn's signature
        """Nothing to learn."""
        return self

    def transform(self, table: pd.DataFrame) -> pd.DataFrame:
        """Columns of numbers and texts, one row for each row of `table`.

        Raises
        ------
        ModelError
            A column the model needs is not in the table.
        """
        signs = [str(sign["column"]) for sign in self.removal["signs"]] if self.removal else []
        absent = [name for name in (*self.names, *signs) if name not in table.columns]
        if absent:
            raise ModelError(f"The model needs the column(s) {', '.join(absent)}, which the table does not have.")
        typed: dict[str, object] = {}
        for position, (name, kind) in enumerate(zip(self.names, self.kinds, strict=True)):
            typed |= _READERS[kind](f"c{position}", table[name])
        return self._without_trace(pd.DataFrame(typed, index=table.index), table)

    def _without_trace(self, typed: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
        numbers = [f"c{position}" for position, kind in enumerate(self.kinds) if kind == "number"]
        if not self.removal or not numbers:
            return typed
        signs = read_signs(table, self.removal["signs"])
        trace = Trace(np.array(self.removal["means"]), np.array(self.removal["slopes"]))
        changed = without_trace(signs, typed[numbers].to_numpy(), trace)
        return typed.assign(**{name: changed[:, at] for at, name in enumerate(numbers)})


def read_signs(table: pd.DataFrame, signs: list[dict[str, Any]]) -> Floats:
    """(rows, signs) of the sensitive columns of a table, each sign a SensitiveSign as plain values."""
    return np.hstack([_signs(table[sign["column"]], sign["values"], sign["middle"]) for sign in signs])


def _signs(column: Column, values: list[str] | None, middle: float) -> Floats:
    if values is not None:
        return signs_of(as_text(column), values)
    numbers = as_number(column)
    return np.where(np.isfinite(numbers), numbers, middle)[:, None]


def typed_columns(schema: FeatureSchema) -> TypedColumns:
    """The reader of the raw columns of `schema`."""
    removal = schema.removal.model_dump(mode="json") if schema.removal else None
    return TypedColumns(schema.names, [column.kind for column in schema.columns], removal)


Block: TypeAlias = tuple[str, object, list[str] | str]
"""A name, an encoder, and the columns it reads together, or the one that it reads as texts."""


def _encoders(family: Family, typed: pd.DataFrame, classes: int, seed: int) -> list[Block]:
    texts = [name for name in typed.columns if typed[name].dtype.kind not in "fib"]
    numbers = [name for name in typed.columns if name not in set(texts)]
    worded = [name for name in texts if name.endswith(f":{WORDS}")]
    texts = [name for name in texts if name not in set(worded)]
    many = [name for name in texts if typed[name].nunique() > MOST_ONE_HOT and classes <= MOST_CLASSES_FOR_AVERAGES]
    few = [name for name in texts if name not in set(many)]
    # counting takes scikit-learn 1.9 most of the time of all encoding: only where columns of many values are in here
    most = {"max_categories": 2 * MOST_ONE_HOT, "min_frequency": 2} if classes > MOST_CLASSES_FOR_AVERAGES else {}
    one_hot = ValueIndicators(handle_unknown="infrequent_if_exist", sparse_output=False, **most)
    crossed = KFold(5, shuffle=True, random_state=seed)
    averages = TargetAverages(cv=crossed, target_type="continuous" if classes == 0 else "auto")
    if family == "trees":
        blocks: list[Block] = [
            ("numbers", "passthrough", numbers),
            ("averages", averages, many),
        ]
    else:
        gaps = [name for name in numbers if typed[name].isna().any()]
        blocks = [
            ("numbers", filled_and_scaled(), numbers),
            ("gaps", MissingIndicator(features="all"), gaps),
            ("averages", make_pipeline(averages, StandardScaler()), many),
        ]
    words = [(f"{WORDS} {name}", word_counter(), name) for name in worded]
    return [block for block in [*blocks, ("values", one_hot, few), *words] if block[2]]


def word_counter() -> TfidfVectorizer:
    """Which of the most common words a text holds, rarer ones weighing more (tf-idf, of length 1)."""
    return TfidfVectorizer(
        max_features=MOST_WORDS, min_df=FEWEST_WITH_WORD, binary=True, strip_accents="unicode", token_pattern=WORD
    )


def filled_and_scaled() -> Pipeline:
    """Gaps take the median; then mean 0 and standard deviation 1."""
    return make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler())


def encoder(family: Family, typed: pd.DataFrame, classes: int, seed: int) -> ColumnTransformer:
    """Unfitted encoders for the typed columns of the training rows.

    Trees read numbers as they are, gaps included; linear models read them filled, scaled and with gaps marked.
    Categories are one-hot encoded up to 16 values, by average target beyond; of texts the words are. `classes` is 0
    for regression.
    """
    return ColumnTransformer(_encoders(family, typed, classes, seed), sparse_threshold=0)


_POSITION = re.compile(r"c(\d+)(?::(\w+?))?(?:_(.*))?", re.DOTALL)


def feature_names(schema: FeatureSchema, fitted: ColumnTransformer) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Readable name and raw column of each feature that `fitted` gives out, in its order."""
    names, origins = [], []
    for block, transformer, columns in fitted.transformers_:
        if block.startswith(WORDS):
            origin = schema.columns[int(columns[1:].partition(":")[0])].name
            found = [f"{origin}: “{word}”" for word in transformer.get_feature_names_out()]
            names.extend(found)
            origins.extend([origin] * len(found))
            continue
        plain = block in {"numbers", "gaps"}
        for internal in columns if plain else transformer.get_feature_names_out(columns):
            match = _POSITION.fullmatch(internal)
            if match is None:
                raise ModelError(f"The feature “{internal}” cannot be traced to a column.")
            origin = schema.columns[int(match[1])].name
            origins.append(origin)
            names.append(_readable(block, origin, match[2], match[3]))
    return tuple(names), tuple(origins)


def _readable(block: str, origin: str, part: str | None, value: str | None) -> str:
    if block == "gaps":
        return f"{origin}{f': {part}' if part else ''} is missing"
    if block == "averages":
        return f"{origin} (average target{f' {value}' if value else ''})"
    if block == "values":
        return f"{origin} = {value}"
    return f"{origin}: {part}" if part else origin
