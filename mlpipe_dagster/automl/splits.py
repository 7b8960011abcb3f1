"""Rows that belong together: those of one person or thing by an id column, or earlier and later ones by a date column.

What the columns say, and how rows are then held out. Stratified random draws are in `target.py`.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlpipe_dagster.automl.columns import kind_of
from mlpipe_dagster.automl.preparation import Column, as_dates, as_text
from mlpipe_dagster.automl.target import TEST_SHARE, Rows, Target, split_test, validation_folds

LOOKED_AT = 1_000
LEAST_GROUPS = 20
MOST_ROWS_A_GROUP = 20
"""On average: more are the rows of a shop or a town, which will be there again."""
LARGEST_SHARE = 0.05
_ID = re.compile(r"(^|_|\s)(id|ids|uuid|guid|nbr|key)$|[a-z](Id|ID)$")
_MOMENT = re.compile(
    r"^((event|record|order|transaction|sale|visit)_?)?(date|datetime|timestamp|time|ts|day)$|^created(_at)?$"
)
_ATTRIBUTE = re.compile(r"birth|born|dob|hire|expir|due", re.IGNORECASE)


@dataclass(frozen=True)
class Bond:
    """What holds rows together, by the column that says so."""

    kind: Literal["groups", "time"]
    column: str
    codes: NDArray[np.int64]
    """One for each row of the table: its group, or its place in time."""

    @property
    def note(self) -> str:
        """What it means, for those who read the result."""
        if self.kind == "groups":
            return (
                f"Rows with the same “{self.column}” were kept together: none is in training and test alike, and the "
                "column itself is not read. The scores are those for ids that were never seen."
            )
        return (
            f"The test rows are the latest by “{self.column}”, and validation rows are later than those fitted on: the "
            "scores are those for a time to come."
        )


def bond_of(table: pd.DataFrame, ignored: Iterable[str]) -> Bond | None:
    """What an id column that repeats, else a date column, says about the rows; None where there is neither."""
    names = [str(name) for name in table.columns if name not in set(ignored)]
    found = (_groups(name, table[name]) for name in names if _ID.search(name) or _ID.search(name.lower()))
    groups = next((bond for bond in found if bond), None)
    return groups or next((bond for name in names if (bond := _time(name, table[name]))), None)


def _groups(name: str, column: Column) -> Bond | None:
    """Ids of which many stand on a few rows each; a row without one is a group of its own."""
    codes, values = pd.factorize(as_text(column) if column.dtype == object else column)
    counts = np.bincount(codes[codes >= 0], minlength=1)
    rows, groups = int(counts.sum()), len(values)
    if groups < LEAST_GROUPS or not 1.05 < rows / groups <= MOST_ROWS_A_GROUP or counts.max() > LARGEST_SHARE * rows:
        return None
    return Bond("groups", name, np.where(codes >= 0, codes, groups + np.arange(len(codes))).astype(np.int64))


def _time(name: str, column: Column) -> Bond | None:
    """Moments of the rows: by the name, or since the rows stand in their order."""
    there = column.dropna()
    if len(there) < len(column) or _ATTRIBUTE.search(name) or there.empty:
        return None
    if kind_of(there.iloc[:LOOKED_AT]) != "datetime":
        return None
    dates = as_dates(column)
    if dates.isna().any() or dates.nunique() < LEAST_GROUPS:
        return None
    if not _MOMENT.search(name.lower()) and not dates.is_monotonic_increasing:
        return None
    return Bond("time", name, pd.factorize(dates, sort=True)[0].astype(np.int64))


def held_out(target: Target, bond: Bond | None, seed: int, most: int) -> tuple[Rows, Rows, bool]:
    """Positions (in `target.rows`) of training and test rows, 20 % test or `most` rows, and whether the bond was kept.

    It is not where one side would lack a class, or the test rows would not vary.
    """
    if bond is not None:
        share = min(TEST_SHARE, most / len(target.values))
        codes = bond.codes[target.rows]
        test = _latest(codes, share) if bond.kind == "time" else _some_groups(codes, target, share, seed)
        if _is_fair(target, test):
            return np.flatnonzero(~test), np.flatnonzero(test), True
    return *split_test(target, seed, most), False


def _is_fair(target: Target, test: NDArray[np.bool_]) -> bool:
    known, asked = (np.unique(target.values[side]) for side in (~test, test))
    return len(asked) > 1 and (not target.classes or bool(np.isin(asked, known).all() and len(known) > 1))


def _latest(codes: NDArray[np.int64], share: float) -> NDArray[np.bool_]:
    """The last so many, those of one moment on one side."""
    first = np.sort(codes)[len(codes) - max(1, int(len(codes) * share + 0.5))]
    at_once = codes >= first
    return np.asarray(at_once if at_once.mean() <= 2 * share else codes > first)


def _parts(codes: NDArray[np.int64], target: Target, seed: int) -> NDArray[np.float64]:
    """Each row's place from 0 to 1 in a random order of groups, drawn apart by the class that a group begins with."""
    groups, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
    kinds = target.codes()[first] if target.classes else np.zeros(len(groups), dtype=np.int64)
    draw, places = np.random.default_rng(seed), np.zeros(len(groups))
    for kind in np.unique(kinds):
        alike = draw.permutation(np.flatnonzero(kinds == kind))
        places[alike] = (np.arange(len(alike)) + draw.random()) / len(alike) % 1
    return places[inverse]


def _some_groups(codes: NDArray[np.int64], target: Target, share: float, seed: int) -> NDArray[np.bool_]:
    return np.asarray(_parts(codes, target, seed) < share)


def folds_of(
    sample: Target, codes: NDArray[np.int64] | None, kind: str, count: int, seed: int
) -> list[tuple[Rows, Rows]]:
    """(fit, validate) positions of a sample's rows: as `validation_folds`, its bonds kept.

    By time there is one fold. Rows of a class that the rows to fit on would lack are fitted on.
    """
    if codes is None:
        return validation_folds(sample, sample.rows, count, seed)
    if kind == "time":
        checked = [_latest(codes, TEST_SHARE)]
    else:
        parts = np.floor(_parts(codes, sample, seed + 1) * (5 if count == 1 else count))
        checked = [parts == fold for fold in range(count)]
    return [_with_every_class(sample, check) for check in checked]


def _with_every_class(sample: Target, check: NDArray[np.bool_]) -> tuple[Rows, Rows]:
    if sample.classes:
        check = check & np.isin(sample.values, np.unique(sample.values[~check]))
    return np.flatnonzero(~check), np.flatnonzero(check)
