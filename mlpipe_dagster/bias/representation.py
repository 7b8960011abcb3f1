"""Representation: each group's share of the rows against a given distribution, or against equal shares."""

from collections.abc import Mapping

import numpy as np
from scipy import stats

from mlpipe_dagster.bias.estimates import representation, total_variation
from mlpipe_dagster.bias.measures import REPRESENTATION
from mlpipe_dagster.bias.pairs import Side
from mlpipe_dagster.bias.report import SUPPRESSED_BELOW, TOO_FEW_BELOW, Measure, Representation
from mlpipe_dagster.errors import UserError
from mlpipe_dagster.reports.wording import list_text


def check_shares(column: str, groups: tuple[str, ...], shares: Mapping[str, float]) -> dict[str, float]:
    """The shares given for the groups of a column, scaled so that they add up to one.

    Raises
    ------
    UserError
        A share is missing for a group, belongs to none, or is not a positive number.
    """
    missing, unknown = [group for group in groups if group not in shares], sorted(set(shares) - set(groups))
    if missing or unknown:
        lacking = f"there is none for {_listed(missing)}" if missing else f"the column has no {_listed(unknown)}"
        raise UserError(
            f"The reference shares of “{column}” do not fit: {lacking}. Give one for each of: {_listed(groups)}."
        )
    if not all(np.isfinite(share) and share > 0 for share in shares.values()):
        raise UserError(f"The reference shares of “{column}” must be positive numbers, such as 0.51 or 51.")
    total = sum(shares.values())
    return {group: shares[group] / total for group in groups}


def _listed(names: "tuple[str, ...] | list[str]") -> str:
    return list_text([f"“{name}”" for name in names])


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
