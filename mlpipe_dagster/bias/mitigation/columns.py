"""What is done to columns: the linear trace of sensitive columns is taken out of numbers.

Functions of arrays. Which rows they learn from is decided by who calls them: never from rows that are tested on.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Texts = NDArray[np.object_]
MOST_VALUES = 20


@dataclass(frozen=True)
class Trace:
    """How sensitive columns show in numbers: `number = … + (sign - mean) @ slopes`."""

    means: Floats
    """(signs)"""
    slopes: Floats
    """(signs, numbers)"""


def learn_trace(signs: Floats, numbers: Floats) -> Trace:
    """Least squares of each number on the signs of the sensitive columns, on the rows where it is known.

    As fairlearn's CorrelationRemover: what is left of a number is uncorrelated with every sign on these rows.
    """
    means = signs.mean(axis=0)
    slopes = np.zeros((signs.shape[1], numbers.shape[1]))
    for at in range(numbers.shape[1]):
        known = np.isfinite(numbers[:, at])
        if known.sum() > 1:
            here = signs[known] - signs[known].mean(axis=0)
            slopes[:, at] = np.linalg.lstsq(here, numbers[known, at] - numbers[known, at].mean(), rcond=None)[0]
    return Trace(means, slopes)


def without_trace(signs: Floats, numbers: Floats, trace: Trace) -> Floats:
    """The numbers without what the signs explain of them; gaps stay."""
    return np.asarray(numbers - (signs - trace.means) @ trace.slopes)


def signs_of(texts: Texts, values: Sequence[str]) -> Floats:
    """(rows, values): 1 where a sensitive column has the value; rows with another or none have 0 throughout."""
    return np.asarray(texts[:, None] == np.array(values, dtype=object)[None, :], dtype=np.float64)


def multiple_correlation(signs: Floats, numbers: Floats) -> Floats:
    """How much of each number the signs explain, as the multiple correlation R from 0 to 1; 0 for a constant."""
    found = np.zeros(numbers.shape[1])
    for at in range(numbers.shape[1]):
        known = np.isfinite(numbers[:, at])
        values = numbers[known, at] - (numbers[known, at].mean() if known.any() else 0.0)
        total = float((values**2).sum())
        if known.sum() > signs.shape[1] + 1 and total > 1e-12 * max(1.0, float((numbers[known, at] ** 2).sum())):
            here = signs[known] - signs[known].mean(axis=0)
            rest = values - here @ np.linalg.lstsq(here, values, rcond=None)[0]
            found[at] = np.sqrt(max(0.0, 1 - float((rest**2).sum()) / total))
    return found
