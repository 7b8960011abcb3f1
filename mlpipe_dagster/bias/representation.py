"""Representation: each group's share of the rows against a given distribution, or against equal shares."""

from collections.abc import Mapping

import numpy as np
from scipy import stats

from mlpipe_dagster.bias.estimates import representation, total_variation
from mlpipe_dagster.bias.measures import REPRESENTATION
from mlpipe_dagster.bias.pairs import Side
from mlpipe_dagster.bias.report import SUPPRESSED_BELOW, TOO_FEW_BELOW, Measure, Representation


def represent(
    sides: Mapping[str, Side], everyone: int, shares: Mapping[str, float] | None
) -> tuple[Representation, tuple[Measure, ...]]:
    """How the shares of the groups compare with the expected ones, together and group by group.

    `everyone`: rows whose group is known. Groups too small to be shown have no measure of their own.
    """
    expected = dict(shares) if shares else {name: 1 / len(sides) for name in sides}
    sizes = np.array([side.size for side in sides.values()], dtype=np.float64)
    wanted = np.array([expected[name] for name in sides])
    p_value = float(stats.chisquare(sizes, wanted * sizes.sum()).pvalue)
    together = Representation(
        against="given shares" if shares else "equal shares",
        expected=expected,
        distance=float(total_variation(sizes / sizes.sum(), wanted)),
        method="Pearson's chi-squared test of fit",
        p_value=p_value,
        p_adjusted=p_value,
    )
    measures = (
        _measure(name, side, everyone, expected[name]) for name, side in sides.items() if side.size >= SUPPRESSED_BELOW
    )
    return together, tuple(measures)


def _measure(name: str, side: Side, everyone: int, expected: float) -> Measure:
    found = representation(side, everyone, expected)
    return Measure(
        name=REPRESENTATION.name,
        group=name,
        versus="expected",
        value=found.value,
        low=found.low,
        high=found.high,
        method=found.method,
        too_few=side.size < TOO_FEW_BELOW,
    )
