"""Sensitive columns as numbers that a linear model can read: one sign for each value, or the number itself.

Learned once, read from any table that has the columns: what is saved with a model reads new rows the same way.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlpipe_dagster.automl.model import SensitiveSign
from mlpipe_dagster.automl.preparation import as_number, as_text
from mlpipe_dagster.bias.mitigation.columns import MOST_VALUES, signs_of

MOST_PLAIN_NUMBERS = 10


def learn_signs(table: pd.DataFrame, sensitive: Sequence[str]) -> tuple[SensitiveSign, ...]:
    """How each sensitive column is read: a number with more than 10 values as it is, else by its 20 most frequent."""
    return tuple(_learn(table, name) for name in sensitive)


def _learn(table: pd.DataFrame, name: str) -> SensitiveSign:
    column = table[name]
    if pd.api.types.is_numeric_dtype(column) and column.nunique() > MOST_PLAIN_NUMBERS:
        return SensitiveSign(column=name, values=None, middle=float(np.nanmean(as_number(column))))
    counts = pd.Series(as_text(column)).value_counts()
    return SensitiveSign(column=name, values=tuple(str(value) for value in counts.index[:MOST_VALUES]))


def read_signs(table: pd.DataFrame, signs: Sequence[SensitiveSign]) -> NDArray[np.float64]:
    """(rows, signs) of a table; a number that is missing is taken for the middle one."""
    return np.hstack([_read(table, sign) for sign in signs])


def _read(table: pd.DataFrame, sign: SensitiveSign) -> NDArray[np.float64]:
    if sign.values is not None:
        return signs_of(as_text(table[sign.column]), sign.values)
    numbers = as_number(table[sign.column])
    return np.where(np.isfinite(numbers), numbers, sign.middle)[:, None]
