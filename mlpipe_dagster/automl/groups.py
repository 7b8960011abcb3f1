"""How a model does for each group of a sensitive column, on the test rows. Counted with fairlearn's MetricFrame.

Bias of the data itself, before any model, is not measured here.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
from fairlearn.metrics import (
    MetricFrame,
    false_positive_rate,
    selection_rate,
    true_positive_rate,
)
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, mean_absolute_error

from mlpipe_dagster.automl.metrics import Outcome
from mlpipe_dagster.automl.model import GroupMetrics
from mlpipe_dagster.automl.preparation import MISSING, Column, as_number, as_text

SMALL_GROUP = 30
MOST_GROUPS = 12
Values = NDArray[np.float64]
Rate = Callable[[Values, Values], float]


def _mean_error(truth: Values, predicted: Values) -> float:
    """Predicted minus true, on average: above 0 the group is rated too high."""
    return float((predicted - truth).mean())


BINARY: dict[str, Rate] = {
    "selection rate": selection_rate,
    "accuracy": accuracy_score,
    "true positive rate": true_positive_rate,
    "false positive rate": false_positive_rate,
}
MULTICLASS: dict[str, Rate] = {"accuracy": accuracy_score}
REGRESSION: dict[str, Rate] = {"MAE": mean_absolute_error, "mean error": _mean_error}


def group_labels(column: Column) -> NDArray[np.object_]:
    """The group of each row: its value; a quarter of the rows for numbers with more than 12 values.

    Rare values beyond the 11 most frequent share the group `(other)`.
    """
    if pd.api.types.is_numeric_dtype(column) and column.nunique() > MOST_GROUPS:
        values = pd.Series(as_number(column))
        quarters = pd.qcut(values, 4, duplicates="drop", precision=0)
        names = [f"over {cut.left:g} to {cut.right:g}" for cut in quarters.cat.categories]
        names[0] = f"up to {quarters.cat.categories[0].right:g}"
        return np.array([*names, MISSING], dtype=object)[quarters.cat.codes]
    texts = as_text(column)
    labels, counts = np.unique(texts.astype(str), return_counts=True)
    if len(labels) <= MOST_GROUPS:
        return texts
    kept = labels[np.argsort(-counts, kind="stable")[: MOST_GROUPS - 1]]
    return np.where(np.isin(texts.astype(str), kept), texts, "(other)").astype(object)


def measure_groups(table: pd.DataFrame, sensitive: tuple[str, ...], outcome: Outcome) -> tuple[GroupMetrics, ...]:
    """Metrics of each group of each `sensitive` column. `table` holds the test rows, in the order of `outcome`."""
    rates = _rates(outcome)
    truth = outcome.truth
    predicted = outcome.choice.astype(np.float64) if outcome.predicted.ndim == 2 else outcome.predicted
    found: list[GroupMetrics] = []
    for name in sensitive:
        groups = group_labels(table[name])
        frame = MetricFrame(metrics=rates, y_true=truth, y_pred=predicted, sensitive_features=groups)
        for group in frame.by_group.index:
            inside = groups == group
            found.append(_group(name, str(group), frame.by_group.loc[group], truth[inside]))
    return tuple(found)


def _rates(outcome: Outcome) -> dict[str, Rate]:
    if outcome.predicted.ndim == 1:
        return REGRESSION
    return BINARY if outcome.predicted.shape[1] == 2 else MULTICLASS


def _group(column: str, group: str, row: "pd.Series[float]", truth: Values) -> GroupMetrics:
    # fairlearn answers 0 where a rate has no row to be counted over; that is unknown, not zero
    counted_over = {"true positive rate": truth == 1, "false positive rate": truth == 0}
    values = {
        str(name): float(value) if counted_over.get(str(name), np.ones(1)).any() else None
        for name, value in row.items()
    }
    rows = len(truth)
    return GroupMetrics(column=column, group=group, rows=rows, small=rows < SMALL_GROUP, values=values)
