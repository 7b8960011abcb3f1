"""The 95 % intervals hold what they say: of repeated tables about 95 % have intervals that hold the true value.

Exact where all tables can be listed with their probability (rates, differences, ratios), else simulated with a fixed
seed; with 300 tables the share of a right interval lies within 2.5 points of 95 % in 19 of 20 simulations.
"""

import math

import numpy as np
import pytest
from scipy import stats

from mlpipe_dagster.bias import estimates, intervals
from mlpipe_dagster.bias.intervals import IntArray, Interval, Moments
from mlpipe_dagster.bias.measures import measures_for
from mlpipe_dagster.bias.pairs import Estimate, Pair, Side
from mlpipe_dagster.vocabulary import TaskKind

TABLES = 300
RATES = (0.05, 0.2, 0.5, 0.7)
N_A, N_D = 45, 30


def holds(found: Estimate | Interval | None, truth: float) -> bool:
    low, high = (found.low, found.high) if isinstance(found, Estimate) else (found or (None, None))
    assert low is not None
    return low - 1e-12 <= truth <= (math.inf if high is None else high) + 1e-12


def probabilities(trials: int, rate: float) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    return np.asarray(stats.binom.pmf(np.arange(trials + 1), trials, rate))


def test_rates_are_covered() -> None:
    found = [intervals.wilson(count, N_D) for count in range(N_D + 1)]
    covered = [probabilities(N_D, p) @ [holds(one, p) for one in found] for p in np.linspace(0.02, 0.98, 49)]
    assert 0.94 < np.mean(covered) < 0.965
    assert min(covered) > 0.83  # known of Wilson's interval near 0 and 1 (Brown, Cai and DasGupta 2001)


def test_differences_and_ratios_of_rates_are_covered() -> None:
    counts = [(a, d) for a in range(N_A + 1) for d in range(N_D + 1)]
    differences = [intervals.newcombe(a, N_A, d, N_D) for a, d in counts]
    ratios = [intervals.katz(a, N_A, d, N_D) for a, d in counts]
    covered = []
    for p in RATES:
        for q in RATES:
            chance = np.outer(probabilities(N_A, p), probabilities(N_D, q)).ravel()
            covered.append(chance @ [holds(one, p - q) for one in differences])
            # without events there is no interval; of the tables with one:
            some = chance * [one is not None for one in ratios]
            told = some @ [one is not None and holds(one, q / p) for one in ratios]
            assert 0.935 < told / some.sum() < 0.999, (p, q)
    assert min(covered) > 0.93
    assert 0.95 < np.mean(covered) < 0.97


def sides(counts: IntArray, draws: int) -> list[Side]:
    drawn = intervals.resampled(counts, draws)
    return [Side(int(row.sum()), row, drawn[:, index]) for index, row in enumerate(counts)]


@pytest.mark.parametrize(
    ("p", "q"), [((0.5, 0.3, 0.2), (0.35, 0.35, 0.3)), ((0.6, 0.3, 0.1), (0.6, 0.3, 0.1))], ids=["unlike", "alike"]
)
def test_distances_of_distributions_are_covered(p: tuple[float, ...], q: tuple[float, ...]) -> None:
    generator = np.random.default_rng(11)
    tables = np.stack([generator.multinomial(n, law, TABLES) for n, law in ((220, p), (130, q))], axis=1)
    truths = {
        "KL": estimates.kullback_leibler, "JS": estimates.jensen_shannon, "L2": estimates.euclidean,
        "TVD": estimates.total_variation, "KS": estimates.largest_class_difference,
    }  # fmt: skip
    kinds = {kind.name: kind for kind in measures_for(TaskKind.MULTICLASS) if kind.name in truths}
    covered = dict.fromkeys(truths, 0)
    for table in tables:
        a, d = sides(table, 200)
        for name, kind in kinds.items():
            truth = float(truths[name](np.array(p), np.array(q)))
            covered[name] += holds(kind.estimate(Pair(a, d), 0), truth)
    for name, count in covered.items():
        assert count / TABLES >= 0.93, (name, count)


def test_distances_of_numbers_are_covered() -> None:
    generator = np.random.default_rng(12)
    points = np.array([0.0, 1.0, 2.0, 3.0, 5.0, 8.0])
    p, q = np.array([0.1, 0.2, 0.3, 0.2, 0.15, 0.05]), np.array([0.2, 0.25, 0.25, 0.15, 0.1, 0.05])
    shift = np.abs(np.cumsum(p - q))
    truths = {
        "KS": shift.max(),
        "Wasserstein": float(shift[:-1] @ np.diff(points)),
        "mean difference": (p - q) @ points,
    }
    kinds = {kind.name: kind for kind in measures_for(TaskKind.REGRESSION) if kind.name in truths}
    covered = dict.fromkeys(truths, 0)
    tables = np.stack([generator.multinomial(n, law, TABLES) for n, law in ((200, p), (120, q))], axis=1)
    for table in tables:
        a, d = (
            Side(side.size, side.counts, side.drawn, moments(np.repeat(points, side.counts)))
            for side in sides(table, 200)
        )
        for name, kind in kinds.items():
            covered[name] += holds(kind.estimate(Pair(a, d, points), 0), truths[name])
    for name, count in covered.items():
        assert count / TABLES >= 0.93, (name, count)


def moments(values: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> Moments:
    return Moments(len(values), float(values.mean()), float(values.std(ddof=1)))


@pytest.mark.parametrize("rows", [150, 600])
def test_conditional_disparities_are_covered(rows: int) -> None:
    # rows by stratum, group (a, d) and outcome (yes, no)
    law = np.array([[[0.10, 0.10], [0.05, 0.10]], [[0.20, 0.05], [0.10, 0.05]], [[0.05, 0.05], [0.05, 0.10]]])
    strata = law.sum(axis=(1, 2))
    disparity = law[:, 1, 1] / law[:, :, 1].sum(axis=1) - law[:, 1, 0] / law[:, :, 0].sum(axis=1)
    truth = float(strata @ disparity)
    tables = np.random.default_rng(13).multinomial(rows, law.ravel(), TABLES).reshape(TABLES, *law.shape)
    covered = 0
    for table in tables:
        a, d = (
            Side(int(table[:, index].sum()), table[:, index].sum(axis=0), np.zeros((0, 2)), strata=table[:, index])
            for index in (0, 1)
        )
        covered += holds(estimates.conditional_disparity(Pair(a, d), 0), truth)
    assert 0.93 <= covered / TABLES <= 0.99, covered


def test_missing_cells_are_covered() -> None:
    # of four cells a row, missing together: the rows are independent, the cells are not
    generator = np.random.default_rng(14)
    covered = 0
    for _ in range(TABLES):
        a, d = (
            generator.choice([0.0, 0.25, 1.0], n, p=law) for n, law in ((120, (0.7, 0.2, 0.1)), (60, (0.5, 0.3, 0.2)))
        )
        pair = Pair(*(Side(len(one), np.array([1]), np.zeros((0, 1)), gaps=moments(one)) for one in (a, d)))
        covered += holds(estimates.missingness(pair), (0.05 + 0.1) - (0.075 + 0.2))
    assert 0.93 <= covered / TABLES <= 0.97, covered
