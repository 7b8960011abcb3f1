"""The arithmetic of fairness constraints: rates of groups, what a positive answer to each group is priced at, weights.

A constraint is a bound on differences of rates, its price a Lagrange multiplier, and the best model under given prices
an ordinary fit on rows that are weighted and labelled anew (Agarwal, Beygelzimer, Dudík, Langford and Wallach 2018,
“A reductions approach to fair classification”; fairlearn's GridSearch fits the same for the same multipliers).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import linprog

from mlpipe_dagster.automl.fairness.constraint import GIVEN, RATES, ConstraintKind
from mlpipe_dagster.automl.fairness.frontier import Difference
from mlpipe_dagster.automl.fairness.rates import DRAWS
from mlpipe_dagster.bias import intervals
from mlpipe_dagster.bias.report import SIGNIFICANT, SUPPRESSED_BELOW

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Cell:
    """A group of a sensitive column whose rate is bound, among the rows of that truth (None: among all)."""

    column: int
    given: int | None
    group: int

    @property
    def family(self) -> tuple[int, int | None]:
        """Cells of one family are compared with each other."""
        return self.column, self.given


def cells_of(kind: ConstraintKind, truth: Mask, groups: Codes, least: int) -> tuple[Cell, ...]:
    """The cells with at least so many rows, where two or more of a family have.

    `groups` is (rows, columns), the code of each row's group in each sensitive column.
    """
    every = [
        Cell(column, given, int(group))
        for column in range(groups.shape[1])
        for given in GIVEN[kind]
        for group in np.unique(groups[:, column])
    ]
    rows = within(every, truth.astype(np.float64), groups).sum(axis=0)
    large = [cell for cell, count in zip(every, rows, strict=True) if count >= least]
    return _comparable(large)


def _comparable(cells: Sequence[Cell]) -> tuple[Cell, ...]:
    """Those with another one in their family."""
    return tuple(cell for cell in cells if sum(other.family == cell.family for other in cells) > 1)


def within(cells: Sequence[Cell], chance: Floats, groups: Codes) -> Floats:
    """(rows, cells): how much of a row belongs to each cell; `chance` is that of the positive class, or the truth."""
    parts = {None: np.ones(len(chance)), 1: chance, 0: 1 - chance}
    columns = [(groups[:, cell.column] == cell.group) * parts[cell.given] for cell in cells]
    return np.column_stack(columns) if columns else np.zeros((len(chance), 0))


def signed_weights(truth: Mask, belongs: Floats, prices: Floats) -> Floats:
    """What answering “positive” to each row is worth, (rows): the sign is the label to learn, the size its weight.

    `belongs` is what `within` gives for these rows, `prices` (cells) sum to 0 within each family. Without prices a row
    is worth 1 or -1; a price is spread over the rows of its cell.
    """
    shares = belongs.mean(axis=0)
    spread = np.divide(prices, shares, out=np.zeros_like(prices), where=shares > 0)
    return np.asarray(np.where(truth, 1.0, -1.0) - belongs @ spread)


def prices_for(cells: Sequence[Cell], chance: Floats, groups: Codes, width: float) -> Floats:
    """The price of each cell (cells) under which the best answers have rates that differ by at most `width`.

    Where `chance` is the chance of the positive class of each row, the answers of fewest errors within the bounds are a
    linear programme, and prices are its shadow prices.
    """
    belongs, families = within(cells, chance, groups), _families(cells)
    rows, count = belongs.shape
    rates = sparse.csr_matrix((belongs / belongs.sum(axis=0)).T)
    lowest = sparse.csr_matrix(np.eye(int(families.max()) + 1)[families])  # the smallest rate of each family is free
    bounds = sparse.vstack([sparse.hstack([rates, -lowest]), sparse.hstack([-rates, lowest])]).tocsr()
    found = linprog(
        np.concatenate([(1 - 2 * chance) / rows, np.zeros(lowest.shape[1])]),
        A_ub=bounds,
        b_ub=np.repeat([width, 0.0], count),
        bounds=(0, 1),
        method="highs",
    )
    if found.status != 0:  # the same answer for every row is always within the bounds
        raise RuntimeError(f"the linear programme of {rows} rows and {count} cells was not solved: {found.message}")
    above, below = -found.ineqlin.marginals[:count], -found.ineqlin.marginals[count:]
    return np.asarray(above - below)


def _families(cells: Sequence[Cell]) -> NDArray[np.intp]:
    known = {family: at for at, family in enumerate(dict.fromkeys(cell.family for cell in cells))}
    return np.array([known[cell.family] for cell in cells], dtype=np.intp)


def rate_gaps(cells: Sequence[Cell], chance: Floats, said: Mask, groups: Codes) -> Floats:
    """How far the rate of positive answers of each cell (cells) is from the middle of its family; 0 on average there.

    `chance` is that of the positive class, or the truth.
    """
    belongs, families = within(cells, chance, groups), _families(cells)
    rates = said @ belongs / belongs.sum(axis=0)
    for family in range(int(families.max()) + 1):
        here = families == family
        rates[here] -= rates[here].mean()
    return np.asarray(rates)


def difference(
    cells: Sequence[Cell], names: Sequence[tuple[str, Sequence[str]]], truth: Mask, said: Mask, groups: Codes
) -> Difference | None:
    """The largest difference between two cells of a family on these rows; None where fewer than two have five rows.

    `names` has each sensitive column with its groups in the order of their codes. The interval is a bootstrap of rows;
    small differences are estimated too high, which `intervals.bootstrap` mends.
    """
    belongs = within(cells, truth.astype(np.float64), groups).sum(axis=0)
    cells = _comparable([cell for cell, rows in zip(cells, belongs, strict=True) if rows >= SUPPRESSED_BELOW])
    if not cells:
        return None
    tables = [_counts(groups[:, at], len(of), truth, said) for at, (_, of) in enumerate(names)]
    drawn = [intervals.resampled(table.reshape(1, -1), DRAWS)[:, 0].reshape(DRAWS, -1, 2, 2) for table in tables]
    yes, rows = _rates([table[None] for table in tables], cells)
    families, rates = _families(cells), (yes / rows)[0]
    with np.errstate(invalid="ignore"):  # a draw may leave a cell out
        ranges = _ranges(np.divide(*_rates(drawn, cells)), families).max(axis=1)
    widest = int(_ranges(rates[None], families)[0].argmax())
    here = np.flatnonzero(families == widest)
    low_first = here[np.argsort(rates[here], kind="stable")]
    value, alike = float(np.ptp(rates[here])), _alike(yes[0], rows[0], families)
    low, high = intervals.bootstrap(value, ranges, 1.0, root=False, alike=alike)
    column, labels = names[cells[here[0]].column]
    return Difference(
        value=value,
        low=low,
        high=high,
        column=column,
        rate=RATES[cells[here[0]].given],
        highest=labels[cells[low_first[-1]].group],
        lowest=labels[cells[low_first[0]].group],
    )


def _counts(groups: Codes, count: int, truth: Mask, said: Mask) -> Codes:
    """(groups, truth, answer): how many rows."""
    codes = 4 * groups + 2 * truth.astype(np.int64) + said
    return np.bincount(codes, minlength=4 * count).astype(np.int64).reshape(count, 2, 2)


def _rates(tables: Sequence[Codes], cells: Sequence[Cell]) -> tuple[Floats, Floats]:
    """(draws, cells) each: positive answers, and rows, of tables (draws, groups, truth, answer), one a column."""
    parts = []
    for cell in cells:
        table = tables[cell.column][:, cell.group]
        parts.append(table.sum(axis=1) if cell.given is None else table[:, cell.given])
    answers = np.stack(parts, axis=1).astype(np.float64)
    return answers[..., 1], answers.sum(axis=-1)


def _ranges(rates: Floats, families: NDArray[np.intp]) -> Floats:
    """(draws, families): largest rate of a family's cells minus smallest."""
    parts = [rates[:, families == family] for family in range(int(families.max()) + 1)]
    return np.column_stack([np.nanmax(part, axis=1) - np.nanmin(part, axis=1) for part in parts])


def _alike(yes: Floats, rows: Floats, families: NDArray[np.intp]) -> bool:
    """Whether chance alone may make the differences: tests of independence, corrected for their number."""
    counts = np.array([yes, rows - yes]).astype(np.int64)
    parts = [counts[:, families == family] for family in range(int(families.max()) + 1)]
    found = [intervals.independence_p(part)[0] if part.sum(axis=1).all() else 1.0 for part in parts]
    return min(found) * len(found) >= SIGNIFICANT
