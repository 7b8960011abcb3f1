"""Measures of all rows together: how unequally errors fall on people, and whether like rows are treated alike.

Groups are not known here.
"""

import math

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from mlpipe_dagster.automl.fairness.rates import FN, FP, Side, cells_of, moments_of
from mlpipe_dagster.automl.fairness.report import Overall
from mlpipe_dagster.bias import intervals
from mlpipe_dagster.bias.intervals import FloatArray, IntArray

NEIGHBOURS = 5
MOST_COMPARED = 1000
"""Rows whose neighbours are looked for: drawn at random beyond that many."""
ENTROPY, CONSISTENCY = "generalized entropy index", "consistency"


def generalized_entropy(truth: NDArray[np.bool_], said: NDArray[np.bool_]) -> Overall | None:
    """Inequality of the benefit b = predicted - true + 1, as mean of ((b / mean b)² - 1) / 2: 0 for none.

    Speicher et al. 2018, with alpha = 2. None where nobody has a benefit.
    """

    def index(cells: IntArray) -> FloatArray:
        rows = cells.sum(axis=-1)
        mean = 1 + (cells[..., FP] - cells[..., FN]) / rows
        squares = 1 + (3 * cells[..., FP] - cells[..., FN]) / rows
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray((squares / mean**2 - 1) / 2)

    cells = cells_of(truth, said)
    value = float(index(cells))
    if not math.isfinite(value):
        return None
    drawn = np.nan_to_num(index(Side(len(truth), cells).drawn), nan=np.inf)
    low, high = intervals.bootstrap(value, drawn, math.inf, root=False, alike=False)
    ends = (low, high) if math.isfinite(high) else (None, None)
    return Overall(measure=ENTROPY, value=value, low=ends[0], high=ends[1], method="bootstrap of rows, fixed seed")


def consistency(features: FloatArray, said: FloatArray, seed: int = 0) -> Overall | None:
    """The share of each row's 5 nearest other rows that get the same answer, on average: 1 where like ones always do.

    Zemel et al. 2013. `features` (rows x features) should leave sensitive columns out; gaps are filled with the
    median and features scaled to one deviation. The interval is Student's t of the rows' shares.
    None for 5 rows or less.
    """
    if len(said) > MOST_COMPARED:
        kept = np.random.default_rng(seed).choice(len(said), MOST_COMPARED, replace=False)
        features, said = features[kept], said[kept]
    if len(said) <= NEIGHBOURS or not features.shape[1]:
        return None
    scaled = _scaled(features)
    near = NearestNeighbors(n_neighbors=NEIGHBOURS + 1).fit(scaled).kneighbors(scaled, return_distance=False)
    alike = moments_of(_shares(near, said))
    low, high = intervals.student(alike) or (None, None)
    ends = (None, None) if low is None or high is None else (max(0.0, low), min(1.0, high))
    return Overall(measure=CONSISTENCY, value=alike.mean, low=ends[0], high=ends[1], method="Student's t interval")


def _shares(near: NDArray[np.int64], said: FloatArray) -> FloatArray:
    """Of each row's neighbours, itself left out: the share that gets its answer."""
    itself = near == np.arange(len(said))[:, None]
    itself[~itself.any(axis=1), -1] = True  # among equal rows it may not be its own neighbour
    others = near[~itself].reshape(len(said), NEIGHBOURS)
    return np.asarray((said[others] == said[:, None]).mean(axis=1))


def _scaled(features: FloatArray) -> FloatArray:
    empty = np.isnan(features).all(axis=0)
    filled = np.where(empty, 0.0, features)
    filled = np.where(np.isnan(filled), np.nanmedian(filled, axis=0), filled)
    spread = filled.std(axis=0)
    return np.asarray((filled - filled.mean(axis=0)) / np.where(spread > 0, spread, 1.0))
