"""Which columns of a table a model can learn from, as what kind, and why the others are left out.

Decided on training rows only, so that nothing is learnt from the test split. Encoding is in `preparation.py`.
"""

import re
import warnings
from collections import Counter
from collections.abc import Iterable

import numpy as np
import pandas as pd

from mlpipe_dagster.automl.model import FeatureColumn, FeatureKind, FeatureSchema
from mlpipe_dagster.automl.preparation import (
    FEWEST_WITH_WORD,
    WORD,
    Column,
    Floats,
    as_dates,
    as_number,
    as_text,
    distinct_texts,
)
from mlpipe_dagster.errors import ModelError
from mlpipe_dagster.tables.personal import personal_kind

MOST_LISTED = 50
ROWS_LOOKED_AT = 50_000
FEWEST_WORDS = 3
"""A text has so many words on average; a name of something has fewer."""
VARIED_TEXTS = 0.5
"""Share of the rows with a text of their own, below which the texts are categories."""
RECURRING_WORDS, RECURRING_SHARE, RECURRING = 5, 0.02, 2 * FEWEST_WITH_WORD
"""At least so many words stand in at least that share and number of the texts: else there is nothing to learn."""
TEXTS_LOOKED_AT = 2_000
_IDENTIFIER_NAME = re.compile(r"(^|_|\s)(id|ids|uuid|guid|key|nbr|number|no|index|rowid)$|[a-z](Id|ID)$|^Unnamed: 0$")
_LEADING_ZERO = re.compile(r"-?0\d")
_ISO_DATE = re.compile(r"\s*\d{4}-\d{2}-\d{2}([T ].*)?")


def usable_columns(table: pd.DataFrame, ignored: Iterable[str]) -> tuple[FeatureSchema, tuple[str, ...]]:
    """The feature schema of `table` without the `ignored` columns, and a sentence for each column left out.

    Raises
    ------
    ModelError
        No column is left to learn from.
    """
    rows = table if len(table) <= ROWS_LOOKED_AT else table.sample(ROWS_LOOKED_AT, random_state=0)
    columns, reasons = [], []
    for name in table.columns:
        if name in set(ignored):
            continue
        found = _describe(name, rows[name])
        if isinstance(found, FeatureColumn):
            columns.append(found)
        else:
            reasons.append(f"Left out “{name}”: {found}.")
    if not columns:
        raise ModelError(
            "No column is left to learn from. " + " ".join(reasons[:5]) + " Add columns that describe the rows."
        )
    return FeatureSchema(columns=tuple(columns)), tuple(reasons)


def narrow(table: pd.DataFrame, ignored: Iterable[str], truth: Floats, most: int) -> tuple[list[str], tuple[str, ...]]:
    """At most `most` columns of a very wide table, in table order, and a note; all of them where there are no more.

    Numbers are ranked by their correlation with `truth` (one number a row); other columns come first, as they stand.
    """
    names = [name for name in table.columns if name not in set(ignored)]
    if len(names) <= most:
        return names, ()
    types = dict(zip(table.columns, table.dtypes, strict=True))
    numeric = [name for name in names if isinstance(types[name], np.dtype) and types[name].kind in "iuf"]
    ranked = set(numeric)
    others = [name for name in names if name not in ranked][:most]
    values = table[numeric].to_numpy(dtype=np.float64)
    values = np.where(np.isfinite(values), values, np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # empty columns have no mean; they rank last
        centred = np.nan_to_num(values - np.nanmean(values, axis=0))
    spread = np.sqrt((centred**2).sum(axis=0))
    strength = np.abs((truth - truth.mean()) @ centred) / np.where(spread > 0, spread, np.inf)
    best = np.argsort(-strength, kind="stable")[: most - len(others)]
    kept = {*others, *(numeric[position] for position in best)}
    note = f"{len(names) - len(kept)} of {len(names)} columns were left out: those least correlated with the target."
    return [name for name in names if name in kept], (note + " More time allows more columns.",)


def _describe(name: str, column: Column) -> FeatureColumn | str:
    """The column as a feature, or why it is none."""
    present = column.dropna()
    if present.empty:
        return "it is empty"
    if column.dtype == object and isinstance(present.iloc[0], list | dict | set | np.ndarray):
        return "it holds nested values"
    values = present.drop_duplicates()  # most columns of long tables hold few
    kind, distinct = kind_of(values), len(values)
    if kind == "category" and _is_text(name, present, distinct):
        kind = "text"
    reason = _unfit(name, kind, column, present, distinct)
    if reason:
        return reason
    data_type = str(column.dtype)
    if kind == "number":
        numbers = as_number(values)
        low, high = float(np.nanmin(numbers)), float(np.nanmax(numbers))
        return FeatureColumn(name=name, kind=kind, data_type=data_type, minimum=low, maximum=high)
    if kind == "category":
        texts = distinct_texts(values)
        listed = tuple(texts) if len(texts) <= MOST_LISTED else None
        return FeatureColumn(name=name, kind=kind, data_type=data_type, categories=listed)
    return FeatureColumn(name=name, kind=kind, data_type=data_type)


def kind_of(present: Column) -> FeatureKind:
    """What a column is read as, by the values that are there."""
    if pd.api.types.is_bool_dtype(present) or (
        present.dtype == object and all(isinstance(value, bool) for value in present)
    ):
        return "boolean"
    if pd.api.types.is_datetime64_any_dtype(present):
        return "datetime"
    if pd.api.types.is_numeric_dtype(present) or pd.api.types.is_timedelta64_dtype(present):
        return "number"
    if isinstance(present.dtype, pd.CategoricalDtype):
        return "category"
    texts = pd.Series(distinct_texts(present), dtype=str)
    if texts.str.fullmatch(_ISO_DATE).mean() > 0.95 and as_dates(texts).notna().mean() > 0.95:
        return "datetime"
    numeric = pd.to_numeric(texts, errors="coerce").notna().mean() > 0.95
    if numeric and len(texts) > 20 and not texts.str.match(_LEADING_ZERO).any():
        return "number"
    return "category"


def _is_text(name: str, present: Column, distinct: int) -> bool:
    """Whether the texts are sentences that share words. Names and addresses of people are not read word by word."""
    if distinct <= 20 or distinct < VARIED_TEXTS * len(present):
        return False
    texts = [str(text) for text in as_text(present.iloc[:TEXTS_LOOKED_AT])]
    if np.mean([len(text.split()) for text in texts]) < FEWEST_WORDS:
        return False
    counts = Counter(word for text in texts for word in set(re.findall(WORD, text.casefold())))
    recurring = sum(count >= max(RECURRING, RECURRING_SHARE * len(texts)) for count in counts.values())
    return recurring >= RECURRING_WORDS and personal_kind(name, texts, distinct / len(present)) is None


def _unfit(name: str, kind: FeatureKind, column: Column, present: Column, distinct: int) -> str:
    """Why the column is no feature; empty where it is one."""
    if distinct == 1 and len(present) == len(column):
        return "every row has the same value"
    if kind == "number" and np.isnan(as_number(column)).all():
        return "it has no finite number"
    if kind == "number" and _counts_rows(name, present, distinct):
        return "it numbers the rows"
    if kind == "category" and distinct > 20 and distinct > 0.9 * len(present):
        return "nearly every row has its own text (a name, a key or free text)"
    return ""


def _counts_rows(name: str, present: Column, distinct: int) -> bool:
    """Whole numbers that are all different and called an id or one apart, or mostly different and called an id."""
    values = as_number(present)
    if len(values) < 20 or not np.all(np.mod(values, 1) == 0):
        return False
    called_id = bool(_IDENTIFIER_NAME.search(name) or _IDENTIFIER_NAME.search(name.lower()))
    if called_id:
        return distinct > 0.5 * len(values)
    return distinct == len(values) and bool(np.ptp(values) == len(values) - 1)
