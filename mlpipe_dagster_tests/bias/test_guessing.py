"""Association and guessing: hand-computed and published numbers, and how often intervals hold the truth."""

import numpy as np
import pytest
from scipy import stats

from mlpipe_dagster.bias import guessing
from mlpipe_dagster.bias.intervals import IntArray


def counted(table: list[list[int]]) -> IntArray:
    """Rows by fold, cell and group, spread over the folds in turn."""
    cells = [(cell, group) for cell, row in enumerate(table) for group, n in enumerate(row) for _ in range(n)]
    fold = np.arange(len(cells)) % guessing.FOLDS
    codes, groups = np.array(cells).T
    return guessing.count_folds(fold, codes, len(table), groups, len(table[0]))


@pytest.mark.parametrize(
    ("table", "value"),
    [
        ([[10, 0], [0, 10]], 1.0),
        # chi squared 4 of 100: (0.04 - 1/99) / (1 - 1/99) = 0.030204
        ([[30, 20], [20, 30]], 0.173793),
        ([[25, 25], [25, 25]], 0.0),
        ([[50, 50]], 0.0),
        ([[10, 0, 0], [0, 0, 10]], 1.0),
    ],
)
def test_cramers_v_is_corrected_for_chance(table: list[list[int]], value: float) -> None:
    assert guessing.cramers_v(np.array(table)) == pytest.approx(value, abs=1e-6)


def test_cramers_v_of_many_rows_is_that_of_scipy() -> None:
    # the correction vanishes with the number of rows
    tables = np.random.default_rng(2).integers(10_000, 90_000, size=(20, 3, 4))
    uncorrected = [stats.contingency.association(table, method="cramer") for table in tables]
    assert guessing.cramers_v(tables) == pytest.approx(uncorrected, abs=1e-4)


def test_the_correlation_ratio_of_three_subjects() -> None:
    # the example of Wikipedia's article "Correlation ratio": eta squared is 6780 / 9640
    scores = np.array([45, 70, 29, 15, 21, 40, 20, 30, 42, 65, 95, 80, 70, 85, 73], dtype=float)
    subject = np.repeat([0, 1, 2], [5, 4, 6])
    each = np.eye(3, dtype=np.int64)[subject]
    assert guessing.correlation_ratio(each, scores, np.zeros(15)) == pytest.approx((6780 / 9640) ** 0.5)


def test_a_sure_cell_is_guessed_always_and_a_blind_one_as_often_as_chance() -> None:
    sure, blind = guessing.guess_from(counted([[60, 0], [0, 40]])), guessing.guess_from(counted([[60, 40]]))
    assert (sure.accuracy, sure.balanced, sure.skill) == (1.0, 1.0, 1.0)
    assert (blind.accuracy, blind.base_rate, blind.balanced, blind.skill) == (0.6, 0.6, 0.5, 0.0)
    assert (sure.low, sure.high) == pytest.approx((0.96301, 1.0), abs=1e-5)  # Wilson's interval of 100 of 100


def test_rare_groups_count_as_much_as_frequent_ones() -> None:
    # the rare group is four times as likely in the second cell, yet never the likeliest there
    guess = guessing.guess_from(counted([[800, 20], [200, 80]]))
    assert guess.accuracy == guess.base_rate == pytest.approx(1000 / 1100)
    assert guess.balanced == pytest.approx((0.8 + 0.8) / 2)
    assert guess.skill == pytest.approx(0.6)


def test_the_interval_of_a_mean_rate() -> None:
    # Wilson: 40 of 50 lies in 0.66964 to 0.88756, 30 of 50 in 0.46182 to 0.72389
    table = np.array([[40, 20], [10, 30]])
    guess = guessing.guess_of(table, table)
    assert guess.balanced == pytest.approx(0.7)
    assert guess.balanced_low == pytest.approx(0.7 - np.hypot(0.8 - 0.66964, 0.6 - 0.46182) / 2, abs=1e-4)
    assert guess.balanced_high == pytest.approx(0.7 + np.hypot(0.88756 - 0.8, 0.72389 - 0.6) / 2, abs=1e-4)


def test_cells_that_are_the_number_explain_it_and_others_nothing() -> None:
    generator = np.random.default_rng(3)
    cells = generator.integers(0, 4, 2000)
    fold = guessing.folds_of(2000)
    assert guessing.explained_by(fold, cells, 4, cells.astype(float)).value == pytest.approx(1.0)
    nothing = guessing.explained_by(fold, cells, 4, generator.normal(size=2000))
    assert nothing.low < 0 < nothing.high
    # y is the cell (variance 1.25) plus noise of variance 1.25: half of it is explained
    half = guessing.explained_by(fold, cells, 4, cells + generator.normal(scale=1.25**0.5, size=2000))
    assert half.low < 0.5 < half.high


def test_intervals_of_cramers_v_hold_the_truth() -> None:
    shares = np.array([[0.30, 0.10, 0.10], [0.10, 0.15, 0.25]])
    expected = np.outer(shares.sum(axis=1), shares.sum(axis=0))
    truth = float(np.sqrt(((shares - expected) ** 2 / expected).sum()))
    generator, held = np.random.default_rng(11), 0
    for table in generator.multinomial(400, shares.ravel(), size=300).reshape(300, 2, 3):
        drawn = guessing.cramers_v(guessing.drawn_tables(table))
        found = guessing.with_interval(float(guessing.cramers_v(table)), drawn, table)
        held += found.low <= truth <= found.high
    assert 0.93 <= held / 300 <= 1.0
