"""Missing cells by group: the column that is missing most unequally between the groups of a feature."""

from collections.abc import Sequence

import numpy as np

from mlpipe_dagster.bias import intervals
from mlpipe_dagster.bias.intervals import IntArray
from mlpipe_dagster.bias.report import TOO_FEW_BELOW, Gaps, GapShare


def most_unequal_gaps(groups: Sequence[str], rows: IntArray, missing: IntArray, columns: Sequence[str]) -> Gaps | None:
    """The column with the widest spread of missing shares; None where all have the same share, or where fewer than
    two groups have 30 rows.

    `rows`: (groups,); `missing`: (groups, columns), the columns with missing cells, at least one.
    """
    large = np.flatnonzero(rows >= TOO_FEW_BELOW)
    if len(large) < 2:
        return None
    shares = missing[large] / rows[large, None]
    spreads = shares.max(axis=0) - shares.min(axis=0)
    chosen = int(np.argmax(spreads))
    if spreads[chosen] == 0:
        return None
    gone = missing[large, chosen]
    p_value, method = intervals.independence_p(np.stack([gone, rows[large] - gone]))
    return Gaps(
        column=columns[chosen],
        groups=tuple(_share(groups[row], int(missing[row, chosen]), int(rows[row])) for row in large),
        method=method,
        p_value=p_value,
        p_adjusted=min(1.0, p_value * len(columns)),
        chosen_from=len(columns),
    )


def _share(group: str, missing: int, rows: int) -> GapShare:
    low, high = intervals.wilson(missing, rows)
    return GapShare(group=group, missing=missing, share=missing / rows, low=low, high=high)
