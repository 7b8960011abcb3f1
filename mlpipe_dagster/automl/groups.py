"""The groups of a sensitive column: its values, or the bands of its numbers, called as the bias report calls them.

What the groups mean for a model is measured in `fairness/`.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlpipe_dagster.automl.fairness.measure import Grouping
from mlpipe_dagster.automl.preparation import MISSING, Column, as_number, as_text
from mlpipe_dagster.bias.bands import choose_banding
from mlpipe_dagster.bias.sensitive import recognise
from mlpipe_dagster.tables.profile import ColumnProfile

MOST_GROUPS = 20
MOST_PLAIN_NUMBERS = 10
OTHERS = "all others"


def group_labels(column: Column) -> NDArray[np.object_]:
    """The group of each row: its value; a band where a number has more than 10 values, `(missing)` where there is none.

    Values beyond the 20 most frequent share the group `all others`.
    """
    if pd.api.types.is_numeric_dtype(column) and column.nunique() > MOST_PLAIN_NUMBERS:
        return _bands(str(column.name), as_number(column))
    texts = as_text(column)
    labels, counts = np.unique(texts.astype(str), return_counts=True)
    known = [at for at in np.argsort(-counts, kind="stable") if labels[at] != MISSING]
    if len(known) <= MOST_GROUPS:
        return texts
    kept = [MISSING, *labels[known[:MOST_GROUPS]]]
    return np.where(np.isin(texts.astype(str), kept), texts, OTHERS).astype(object)


def _bands(name: str, numbers: NDArray[np.float64]) -> NDArray[np.object_]:
    there = numbers[np.isfinite(numbers)]
    low, high = float(there.min()), float(there.max())
    described = ColumnProfile(
        name=name,
        data_type="float64",
        kind="number",
        missing=0,
        distinct=len(np.unique(there)),
        minimum=low,
        maximum=high,
    )
    recognised = recognise(described)
    quarters = [float(value) for value in np.quantile(there, [0.25, 0.5, 0.75], method="inverted_cdf")]
    kind, whole = recognised.kind if recognised else "", bool((there == np.trunc(there)).all())
    banding = choose_banding(kind, low, high, quarters, whole=whole)
    positions = np.searchsorted(banding.edges, numbers, side="right")
    names = np.array([*banding.names, MISSING], dtype=object)
    return np.asarray(names[np.where(np.isfinite(numbers), positions, len(banding.names))])


def groupings(table: pd.DataFrame, sensitive: Sequence[str], rows: NDArray[np.int64]) -> tuple[Grouping, ...]:
    """The groups of each sensitive column in these rows (positions); the table's largest is the reference."""
    return tuple(_grouping(name, group_labels(table[name]), rows) for name in sensitive)


def _grouping(name: str, labels: NDArray[np.object_], rows: NDArray[np.int64]) -> Grouping:
    counts = pd.Series(labels).value_counts(sort=True)
    known = [str(group) for group in counts.index if group != MISSING]
    return Grouping(name, labels[rows], min(known, key=lambda group: (-counts[group], group), default=MISSING))
