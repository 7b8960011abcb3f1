"""Reweighing and resampling, against the example of Kamiran and Calders (2012) and aif360's implementation."""

import numpy as np
import pytest

from mlpipe_dagster.bias.mitigation.rows import resample, reweigh

SEX = np.array([[0]] * 5 + [[1]] * 5)
HIRED = np.array([1, 1, 1, 1, 0, 1, 1, 0, 0, 0])
"""Four of five men and two of five women, as in the paper's table of ten applicants."""


def drawn(rows: int = 2000, columns: int = 2, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Groups of three sizes in each column, and an outcome that depends on all of them."""
    draw = np.random.default_rng(seed)
    groups = draw.choice(3, p=[0.5, 0.3, 0.2], size=(rows, columns))
    return groups, (draw.random(rows) < 0.2 + 0.25 * groups.mean(axis=1)).astype(np.int64)


def rates(groups: np.ndarray, outcomes: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return np.bincount(groups, weights=weights * outcomes) / np.bincount(groups, weights=weights)


def test_the_weights_of_the_paper() -> None:
    assert reweigh(SEX, HIRED) == pytest.approx([0.75] * 4 + [2.0] + [1.5] * 2 + [2 / 3] * 3)


def test_the_weights_of_aif360() -> None:
    """aif360 0.6.1, `aif360.sklearn.preprocessing.Reweighing`, on 7 rows of groups a, a, a, b, b, c, c."""
    groups = np.array([[0], [0], [0], [1], [1], [2], [2]])
    weights = reweigh(groups, np.array([1, 1, 0, 0, 0, 1, 0]))
    assert weights[:3] == pytest.approx([9 / 14, 9 / 14, 12 / 7])
    assert weights[5:] == pytest.approx([6 / 7, 8 / 7])


def test_one_column_or_several_become_independent_of_the_outcome() -> None:
    groups, outcomes = drawn()
    weights = reweigh(groups, outcomes)
    assert weights.mean() == pytest.approx(1)
    for column in groups.T:
        assert rates(column, outcomes, weights) == pytest.approx([outcomes.mean()] * 3)
        assert np.bincount(column, weights=weights) == pytest.approx(np.bincount(column))


def test_resampled_cells_have_their_expected_size_within_a_row() -> None:
    taken = resample(SEX, HIRED, seed=0)
    cells = np.bincount(2 * SEX[taken, 0] + HIRED[taken], minlength=4)
    assert cells == pytest.approx([2, 3, 2, 3], abs=1)
    groups, outcomes = drawn()
    taken = resample(groups, outcomes, seed=0)
    assert len(taken) == len(outcomes)
    for column in groups.T:
        assert rates(column[taken], outcomes[taken], np.ones(len(taken))) == pytest.approx(outcomes.mean(), abs=0.01)


def test_the_order_of_rows_and_the_seed() -> None:
    groups, outcomes = drawn(300)
    order = np.random.default_rng(1).permutation(300)
    assert reweigh(groups[order], outcomes[order]) == pytest.approx(reweigh(groups, outcomes)[order])
    assert (resample(groups, outcomes, 5) == resample(groups, outcomes, 5)).all()


def test_a_group_that_lacks_an_outcome_keeps_its_size() -> None:
    weights = reweigh(np.array([[0], [0], [1], [1]]), np.array([0, 1, 0, 0]))
    assert np.isfinite(weights).all()
    assert (weights > 0).all()
