"""Two sides of a comparison as arrays of counts, and the estimate that a measure makes of them.

What is counted comes from `counts.py`, what is computed from it stands in `estimates.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mlpipe_dagster.bias import intervals
from mlpipe_dagster.bias.intervals import FloatArray, IntArray, Moments


@dataclass(frozen=True)
class Side:
    """One side of a comparison."""

    size: int
    """All its rows."""
    counts: IntArray
    """Rows by class, or by cell of a number: those with a known target."""
    drawn: IntArray
    """Resamples of `counts`, (draws, cells)."""
    moments: Moments | None = None
    """Of a numeric target."""
    strata: IntArray | None = None
    """Rows by value of the conditioning column and class, (values, classes)."""
    gaps: Moments | None = None
    """Of the share of missing cells in each row, from 0 to 1."""

    @property
    def known(self) -> int:
        """Rows with a known target."""
        return int(self.counts.sum())


def joined(sides: Sequence[Side]) -> Side:
    """Several groups as one side; one or more."""
    moments = [side.moments for side in sides if side.moments]
    gaps = [side.gaps for side in sides if side.gaps]
    strata = [side.strata for side in sides if side.strata is not None]
    return Side(
        size=sum(side.size for side in sides),
        counts=np.sum([side.counts for side in sides], axis=0),
        drawn=np.sum([side.drawn for side in sides], axis=0),
        moments=intervals.combined(moments) if moments else None,
        strata=np.sum(strata, axis=0) if strata else None,
        gaps=intervals.combined(gaps) if gaps else None,
    )


@dataclass(frozen=True)
class Pair:
    """Both sides of a comparison; each has a row with a known target."""

    a: Side
    d: Side
    points: FloatArray | None = None
    """Of a numeric target: where the rows of each cell stand."""

    @cached_property
    def outcome_test(self) -> tuple[float, str]:
        """P-value and name of a test that the outcome is alike on both sides."""
        if self.a.moments and self.d.moments:
            return intervals.welch_p(self.a.moments, self.d.moments), "Welch's t-test"
        return intervals.independence_p(np.stack([self.a.counts, self.d.counts]))

    @cached_property
    def distribution_p(self) -> float:
        """P-value of a test that the whole distributions are alike."""
        if not (self.a.moments and self.d.moments):
            return self.outcome_test[0]
        shares = self.a.counts / self.a.known - self.d.counts / self.d.known
        distance = float(np.abs(np.cumsum(shares)).max())
        return intervals.kolmogorov_p(distance, self.a.known, self.d.known)


@dataclass(frozen=True)
class Estimate:
    """A value with its interval; None with a note where there is none."""

    value: float | None
    low: float | None = None
    high: float | None = None
    method: str = ""
    note: str = ""
