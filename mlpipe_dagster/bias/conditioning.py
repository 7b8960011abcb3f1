"""The column within whose values groups are compared once more: named by a person, or proposed with a reason.

A column is proposed that goes with the outcome and with a sensitive column, and is not about a protected trait itself,
for then it may account for a difference between groups. It is looked for in a sample of the rows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mlpipe_dagster.bias import groups
from mlpipe_dagster.bias.groups import Labels, Table
from mlpipe_dagster.bias.guessing import cramers_v
from mlpipe_dagster.bias.intervals import IntArray
from mlpipe_dagster.bias.report import Conditioning
from mlpipe_dagster.bias.sample import Cells, Sample
from mlpipe_dagster.bias.sensitive import recognise
from mlpipe_dagster.bias.target import did_you_mean
from mlpipe_dagster.errors import UserError
from mlpipe_dagster.tables.profile import ColumnProfile, Profile

MOST_MISSING = 0.2
WEAKEST, STRONGEST = 0.1, 0.6
"""Cramér's V: below, a column explains nothing; above, it nearly gives them away, and little is left to compare."""


@dataclass(frozen=True)
class Strata:
    """The conditioning column and how its values are told apart."""

    labels: Labels
    about: Conditioning


def settle_conditioning(
    table: Table, profile: Profile, sample: Sample, wanted: str | None, target: str
) -> Strata | None:
    """The conditioning column: `wanted`, else the one that suggests itself, else None.

    `sample` has the groups of the sensitive columns, and of the target its classes.

    Raises
    ------
    UserError
        `wanted` is not a column of the table, or is the target or one of the sensitive columns.
    """
    taken = {target, *sample.groups}
    if wanted is None:
        columns = {column.name: column for column in profile.columns if _suits(column, profile.row_count, taken)}
        candidates = [cells for cells in sample.columns if cells.column in columns]
        strongest = sorted(_strengths(sample, candidates), key=lambda one: -one.score)
        found = next((one for one in strongest if recognise(columns[one.column]) is None), None)
        return _strata(table, found.column, found.why, proposed=True) if found else None
    if wanted not in table.types:
        hint = did_you_mean(wanted, list(table.types)) or " Name one of the table's columns."
        raise UserError(f"The conditioning column “{wanted}” is not in the table.{hint}")
    if wanted in taken:
        raise UserError(f"“{wanted}” is the target or a sensitive column. Name another conditioning column.")
    return _strata(table, wanted, "it was named", proposed=False)


def _strata(table: Table, column: str, why: str, *, proposed: bool) -> Strata:
    labels = groups.label_groups(table, column, "")
    return Strata(labels, Conditioning(column=column, proposed=proposed, why=why, values=labels.names))


def _suits(column: ColumnProfile, row_count: int, taken: set[str]) -> bool:
    """A column of few categories, or of numbers, with few gaps, that is not taken."""
    few = column.kind in ("category", "boolean") and column.distinct <= groups.LARGEST
    return column.name not in taken and (few or column.kind == "number") and column.missing <= MOST_MISSING * row_count


@dataclass(frozen=True)
class _Candidate:
    """A column, and how strongly it goes with the outcome and with the sensitive column that it goes with most."""

    column: str
    outcome: float
    feature: str
    sensitive: float

    @property
    def score(self) -> float:
        return self.outcome * self.sensitive

    @property
    def why(self) -> str:
        return (
            f"it goes with the outcome (Cramér's V {self.outcome:.2f}) and with “{self.feature}” "
            f"({self.sensitive:.2f}), so it may account for a part of a difference"
        )


def _strengths(sample: Sample, candidates: Sequence[Cells]) -> Iterator[_Candidate]:
    """The candidates that go with the outcome and with a sensitive column, without being nearly the same."""
    outcome = np.where(np.isnan(sample.target), -1, sample.target).astype(np.int64)
    for cells in candidates if sample.groups else ():
        by_feature = {name: _strength(cells, positions) for name, positions in sample.groups.items()}
        feature = max(by_feature, key=lambda name: by_feature[name])
        found = _Candidate(cells.column, _strength(cells, outcome), feature, by_feature[feature])
        if min(found.outcome, found.sensitive) >= WEAKEST and max(found.outcome, found.sensitive) <= STRONGEST:
            yield found


def _strength(cells: Cells, others: IntArray) -> float:
    """Cramér's V in the rows where both are known or `cells` are missing; `others` is -1 where it is not known."""
    table = np.zeros((cells.count, int(others.max()) + 2), dtype=np.int64)
    np.add.at(table, (cells.codes, others), 1)  # -1 is the last column
    return float(cramers_v(table[:, :-1]))
