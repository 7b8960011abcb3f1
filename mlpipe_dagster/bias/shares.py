"""Reference shares: what part of the rows each group of a sensitive column should be, as a person writes and gives it.

`sex: female=51, male=49; race: White=60, Black=13, Other=27`, or the same as a JSON object. How rows compare with them
is in `representation.py`.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from mlpipe_dagster.errors import UserError
from mlpipe_dagster.reports.wording import list_text, number_text

ROUNDED = 0.01
"""Shares that were rounded may add up to so much more or less than one."""
EXAMPLE = "sex: female=51, male=49; race: White=60, Black=13, Other=27"
JSON_EXAMPLE = '{"sex": {"female": 0.51, "male": 0.49}}'
Shares = dict[str, dict[str, float]]


def parse_shares(text: str) -> Shares:
    """The shares of each column's groups, scaled so that they add up to one.

    Raises
    ------
    UserError
        The text cannot be read, names a column or group twice, or a column's shares do not add up to 1 or 100.
    """
    pairs = _of_json(text) if text.lstrip().startswith("{") else _of_text(text)
    shares: Shares = {}
    for column, group, share in pairs:
        if group in shares.setdefault(column, {}):
            raise UserError(f"Reference shares of “{column}”: “{group}” is named twice. Give each group one share.")
        shares[column][group] = share
    if not shares:
        raise UserError(f"The reference shares name no column. Write them like this: {EXAMPLE}")
    return {column: scaled(column, given) for column, given in shares.items()}


def _of_text(text: str) -> list[tuple[str, str, float]]:
    found = []
    for part in filter(str.strip, text.split(";")):
        column, colon, listed = part.rpartition(":")
        pairs = [pair.rpartition("=") for pair in listed.split(",")]
        if not colon or not column.strip() or not all(group.strip() and equals for group, equals, _ in pairs):
            raise UserError(
                f"The reference shares “{part.strip()}” cannot be read. Write them like this: {EXAMPLE}. Where names "
                f"hold such signs, as JSON: {JSON_EXAMPLE}"
            )
        found += [(column.strip(), group.strip(), _number(column.strip(), share)) for group, _, share in pairs]
    return found


def _of_json(text: str) -> list[tuple[str, str, float]]:
    try:
        said: Any = json.loads(text)
    except ValueError as error:
        raise UserError(f"The reference shares are no JSON: {error}. Or write them like this: {EXAMPLE}") from error
    if not all(isinstance(given, dict) for given in said.values()):
        raise UserError(f"Reference shares as JSON look like this: {JSON_EXAMPLE}")
    return [
        (column, group, _number(column, str(share))) for column, given in said.items() for group, share in given.items()
    ]


def _number(column: str, text: str) -> float:
    try:
        return float(text.strip().removesuffix("%"))
    except ValueError as error:
        raise UserError(
            f"The reference share “{text.strip()}” of “{column}” is no number, such as 0.51 or 51."
        ) from error


def scaled(column: str, shares: Mapping[str, float]) -> dict[str, float]:
    """Shares or percentages as shares that add up to one; raises UserError where they are none."""
    if not all(math.isfinite(share) and share > 0 for share in shares.values()):
        raise UserError(f"The reference shares of “{column}” must be positive numbers, such as 0.51 or 51.")
    total = sum(shares.values())
    if min(abs(total - 1), abs(total - 100) / 100) > ROUNDED + 1e-9:
        raise UserError(
            f"The reference shares of “{column}” add up to {number_text(total, 4)}. They are shares of all rows: give "
            "one for each group, so that they add up to 1 or to 100."
        )
    return {group: share / total for group, share in shares.items()}


def check_shares(column: str, groups: Sequence[str], shares: Mapping[str, float]) -> dict[str, float]:
    """The shares given for the groups of a column, in their order, scaled so that they add up to one.

    Raises
    ------
    UserError
        A share is missing for a group, belongs to none, is not a positive number, or they do not add up.
    """
    missing, unknown = [group for group in groups if group not in shares], sorted(set(shares) - set(groups))
    if missing or unknown:
        lacking = f"there is none for {_listed(missing)}" if missing else f"the column has no {_listed(unknown)}"
        raise UserError(
            f"The reference shares of “{column}” do not fit: {lacking}. Give one for each of: {_listed(groups)}."
        )
    known = scaled(column, shares)
    return {group: known[group] for group in groups}


def _listed(names: Sequence[str]) -> str:
    return list_text([f"“{name}”" for name in names])
