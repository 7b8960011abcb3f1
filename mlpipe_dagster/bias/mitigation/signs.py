"""Sensitive columns as numbers that a linear model can read, and their trace in the numbers of a table.

Learned once; `automl/preparation.py` reads new rows the same way, out of what is saved with a model.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlpipe_dagster.automl.model import FeatureSchema, SensitiveSign, TraceRemoval
from mlpipe_dagster.automl.preparation import as_number, as_text, read_signs, typed_columns
from mlpipe_dagster.bias.mitigation.columns import MOST_VALUES, learn_trace

MOST_PLAIN_NUMBERS = 10


def learn_signs(table: pd.DataFrame, sensitive: Sequence[str]) -> tuple[SensitiveSign, ...]:
    """How each sensitive column is read: a number with more than 10 values as it is, else by its 20 most frequent."""
    return tuple(_learn(table, name) for name in sensitive)


def _learn(table: pd.DataFrame, name: str) -> SensitiveSign:
    column = table[name]
    if pd.api.types.is_numeric_dtype(column) and column.nunique() > MOST_PLAIN_NUMBERS:
        return SensitiveSign(column=name, middle=float(np.nanmean(as_number(column))))
    counts = pd.Series(as_text(column)).value_counts()
    return SensitiveSign(column=name, values=tuple(str(value) for value in counts.index[:MOST_VALUES]))


def values_of(table: pd.DataFrame, signs: Sequence[SensitiveSign]) -> NDArray[np.float64]:
    """(rows, signs) of a table."""
    return read_signs(table, [sign.model_dump(mode="json") for sign in signs])


def without_sensitive_trace(schema: FeatureSchema, rows: pd.DataFrame, sensitive: Sequence[str]) -> FeatureSchema:
    """The schema with the trace that sensitive columns leave in its numbers, as learned from these rows alone."""
    typed = typed_columns(schema).transform(rows)
    numbers = [f"c{at}" for at, column in enumerate(schema.columns) if column.kind == "number"]
    signs = learn_signs(rows, sensitive)
    trace = learn_trace(values_of(rows, signs), typed[numbers].to_numpy(dtype=np.float64))
    removal = TraceRemoval(
        signs=signs,
        means=tuple(trace.means.tolist()),
        slopes=tuple(tuple(slopes) for slopes in trace.slopes.tolist()),
    )
    return schema.model_copy(update={"removal": removal})
