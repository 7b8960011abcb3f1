"""Weights and copies of rows that make an outcome independent of the groups: reweighing and resampling.

Functions of arrays, for the rows they are given and no others: whoever calls them hands in rows to fit on, never rows
to measure on. Which columns make the groups is chosen elsewhere.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
MOST_ROUNDS = 200
CLOSE = 1e-9


def reweigh(groups: Codes, outcomes: Codes) -> Floats:
    """A weight for each row with which the outcome is as frequent in every group as in all rows.

    For one column of groups the weight is P(g) P(y) / P(g, y) (Kamiran and Calders 2012, “Data preprocessing techniques
    for classification without discrimination”). For several, each column in turn is given these weights until none
    changes (raking; Deming and Stephan 1940): every column is then independent of the outcome, its groups and the
    outcomes are as frequent as before, and combinations with few rows get no extreme weights.

    Parameters
    ----------
    groups: (rows, columns), the position of each row's group in each sensitive column, from 0.
    outcomes: (rows), the position of each row's class, from 0.

    Returns
    -------
    Weights (rows), positive, with mean 1; a group that lacks an outcome altogether cannot be given it and weighs less.
    """
    weights = np.ones(len(outcomes))
    classes = int(outcomes.max(initial=0)) + 1
    cells = [groups[:, column] * classes + outcomes for column in range(groups.shape[1])]
    wanted = [_independent(groups[:, column], outcomes, classes) for column in range(groups.shape[1])]
    for _ in range(MOST_ROUNDS if len(cells) > 1 else 1):
        before = weights
        for cell, aim in zip(cells, wanted, strict=True):
            held = np.bincount(cell, weights=weights, minlength=len(aim))
            weights = weights * (aim[cell] / held[cell])
        if np.abs(weights - before).max(initial=0.0) < CLOSE:
            break
    return weights


def _independent(groups: Codes, outcomes: Codes, classes: int) -> Floats:
    """Rows each cell (group, outcome) would have, were both independent."""
    of_group = np.bincount(groups)
    of_outcome = np.bincount(outcomes, minlength=classes)
    return np.asarray(np.outer(of_group, of_outcome).ravel() / len(outcomes))


def resample(groups: Codes, outcomes: Codes, seed: int) -> Codes:
    """Positions of rows, some left out and some repeated, in which the outcome hardly depends on the groups.

    Every row is taken as often as its weight by `reweigh` says, whole times and at random (systematic sampling, so that
    each cell has its expected size within one row). Kamiran and Calders (2012) call it
    uniform sampling. Positions are in order: copies stand together.
    """
    draw = np.random.default_rng(seed)
    weights = reweigh(groups, outcomes)
    order = np.lexsort((draw.random(len(weights)), *groups.T, outcomes))
    ends = np.floor(np.cumsum(weights[order]) + draw.random() + CLOSE)
    copies = np.diff(ends, prepend=0.0).astype(np.int64)
    return np.sort(np.repeat(order, copies))
