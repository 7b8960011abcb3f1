"""Statistics against published worked examples, and against scipy as an independent implementation."""

import math

import numpy as np
import pytest
from scipy import stats

from mlpipe_dagster.bias import intervals
from mlpipe_dagster.bias.intervals import Moments


def moments(values: list[float]) -> Moments:
    return Moments(len(values), float(np.mean(values)), float(np.std(values, ddof=1)))


def test_wilson_has_the_values_newcombe_published() -> None:
    # Newcombe 1998, Statistics in Medicine 17:857, table I, method 3: 81/263, 15/148, 0/20, 1/29
    published = {
        (81, 263): (0.2553, 0.3662),
        (15, 148): (0.0624, 0.1605),
        (0, 20): (0.0, 0.1611),
        (1, 29): (0.0061, 0.1718),
    }
    for (successes, trials), ends in published.items():
        assert intervals.wilson(successes, trials) == pytest.approx(ends, abs=5e-5)


def test_newcombe_has_the_values_he_published() -> None:
    # Newcombe 1998, Statistics in Medicine 17:873, table II, method 10: 56/70 - 48/80, 9/10 - 3/10, 10/10 - 0/20
    published = {
        (56, 70, 48, 80): (0.0524, 0.3339),
        (9, 10, 3, 10): (0.1705, 0.8090),
        (10, 10, 0, 20): (0.6791, 1.0),
    }
    for counts, ends in published.items():
        assert intervals.newcombe(*counts) == pytest.approx(ends, abs=5e-5)


def test_wilson_agrees_with_scipy() -> None:
    ends = stats.binomtest(37, 1000).proportion_ci(method="wilson")
    assert intervals.wilson(37, 1000) == pytest.approx((ends.low, ends.high), rel=1e-9)


def test_katz_agrees_with_scipy() -> None:
    ends = stats.contingency.relative_risk(30, 100, 60, 120).confidence_interval(0.95)
    assert intervals.katz(60, 120, 30, 100) == pytest.approx((ends.low, ends.high), rel=1e-9)


def test_katz_has_no_interval_without_events() -> None:
    assert intervals.katz(0, 10, 3, 10) is None
    assert intervals.katz(3, 10, 0, 10) is None


def test_welch_agrees_with_scipy() -> None:
    a, d = [3.0, 4.0, 5.5, 7.0, 2.0], [1.0, 2.0, 2.5, 9.0]
    independent = stats.ttest_ind(a, d, equal_var=False)
    assert intervals.welch_p(moments(a), moments(d)) == pytest.approx(independent.pvalue, rel=1e-9)
    ends = independent.confidence_interval(0.95)
    assert intervals.welch(moments(a), moments(d)) == pytest.approx((ends.low, ends.high), rel=1e-9)


def test_means_without_spread_are_equal_or_certainly_not() -> None:
    assert intervals.welch_p(Moments(5, 1.0, 0.0), Moments(5, 1.0, 0.0)) == 1.0
    assert intervals.welch_p(Moments(5, 2.0, 0.0), Moments(5, 1.0, 0.0)) == 0.0
    assert intervals.welch(Moments(5, 2.0, 0.0), Moments(5, 1.0, 0.0)) == (1.0, 1.0)
    assert intervals.welch(Moments(1, 2.0, 0.0), Moments(5, 1.0, 1.0)) is None
    assert intervals.student(Moments(1, 2.0, 0.0)) is None


def test_several_groups_together_have_the_moments_of_all_their_values() -> None:
    first, second, third = [1.0, 2.0, 4.0], [10.0], [3.0, 3.0, 8.0, 9.0]
    together = intervals.combined([moments(first), Moments(1, 10.0, 0.0), moments(third)])
    expected = moments(first + second + third)
    assert (together.count, together.mean) == (8, pytest.approx(expected.mean))
    assert together.deviation == pytest.approx(expected.deviation)


def test_holm_by_hand() -> None:
    # sorted 0.01, 0.02, 0.03, 0.04 times 4, 3, 2, 1 -> 0.04, 0.06, 0.06, 0.06 after the running maximum
    assert intervals.holm([0.03, 0.01, 0.04, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert intervals.holm([0.9, 0.8]) == [1.0, 1.0]
    assert intervals.holm([]) == []


def test_apt_tests_are_chosen() -> None:
    large, small = np.array([[60, 40], [45, 55]]), np.array([[8, 2], [1, 5]])
    assert intervals.independence_p(large) == (
        pytest.approx(stats.chi2_contingency(large, correction=False).pvalue),
        "Pearson's chi-squared test",
    )
    # by hand: tables as likely as 8 2 / 1 5 or less have 9, 8 or 3 in the first cell: (7 + 189 + 84) / 8008
    assert intervals.independence_p(small) == (pytest.approx(280 / 8008, abs=1e-9), "Fisher's exact test")
    assert intervals.independence_p(np.array([[5, 0], [9, 0]])) == (1.0, "only one outcome occurs")


def test_sparse_classes_are_simulated_near_the_exact_p_value() -> None:
    table = np.array([[6, 2, 1], [1, 3, 5]])
    p_value, name = intervals.independence_p(table)
    # exact permutation distribution: all 2 x 3 tables with these margins, by the multivariate hypergeometric law
    rows, columns = table.sum(axis=1), table.sum(axis=0)
    expected = np.outer(rows, columns) / table.sum()
    observed = ((table - expected) ** 2 / expected).sum()
    exact = 0.0
    for x in range(columns[0] + 1):
        for y in range(columns[1] + 1):
            z = rows[0] - x - y
            if 0 <= z <= columns[2]:
                other = np.array([[x, y, z], columns - [x, y, z]])
                if ((other - expected) ** 2 / expected).sum() >= observed - 1e-9:
                    exact += math.comb(columns[0], x) * math.comb(columns[1], y) * math.comb(columns[2], z)
    assert name == "simulated chi-squared test"
    assert p_value == pytest.approx(exact / math.comb(int(table.sum()), int(rows[0])), abs=0.02)


def test_kolmogorov_p_agrees_with_scipy_asymptotics() -> None:
    generator = np.random.default_rng(3)
    a, d = generator.normal(size=400), generator.normal(0.2, size=300)
    independent = stats.ks_2samp(a, d, method="asymp")
    # scipy refines the limiting distribution for small samples; they meet for large ones
    assert intervals.kolmogorov_p(float(independent.statistic), 400, 300) == pytest.approx(independent.pvalue, rel=0.15)


def test_bootstrap_intervals_hold_the_estimate_and_keep_their_range() -> None:
    drawn = np.linspace(0.1, 0.5, 1001)
    assert intervals.bootstrap(0.2, drawn, 1.0, root=False, alike=False) == pytest.approx((0.0, 0.49))
    assert intervals.bootstrap(0.2, drawn, 0.3, root=False, alike=True) == (0.0, 0.3)
    low, high = intervals.bootstrap(0.2, np.append(drawn, [np.inf] * 100), math.inf, root=True, alike=False)
    assert low == 0.0
    assert high == math.inf


def test_squared_divergences_are_reflected_on_the_scale_of_their_root() -> None:
    drawn = np.array([0.01] * 50 + [0.09] * 50)
    # roots: estimate .2, resamples .1 and .3; reflected .1 and .3
    assert intervals.bootstrap(0.04, drawn, 1.0, root=True, alike=False) == pytest.approx((0.01, 0.09))
    # not on the root: .08 - .09 is below 0
    assert intervals.bootstrap(0.04, drawn, 1.0, root=False, alike=False) == pytest.approx((0.0, 0.09))


def test_resamples_keep_totals_and_repeat() -> None:
    counts = np.array([[3, 7], [0, 0], [50, 50]])
    drawn = intervals.resampled(counts, 20)
    assert drawn.shape == (20, 3, 2)
    assert (drawn.sum(axis=2) == [10, 0, 100]).all()
    assert (drawn == intervals.resampled(counts, 20)).all()
