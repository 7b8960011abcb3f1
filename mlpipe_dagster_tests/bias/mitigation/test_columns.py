"""The correlation remover, against fairlearn's, and by hand."""

import numpy as np
import pytest

from mlpipe_dagster.bias.mitigation.columns import (
    learn_trace,
    multiple_correlation,
    signs_of,
    without_trace,
)

SEX = np.array([0.0, 0, 0, 1, 1])[:, None]
NUMBERS = np.array([[1.0, 10], [2, 20], [3, 60], [7, 70], [9, 20]])


def test_the_numbers_that_fairlearn_leaves() -> None:
    """fairlearn 0.15.0, CorrelationRemover(sensitive_feature_ids=[0]): the columns without their group's mean."""
    left = without_trace(SEX, NUMBERS, learn_trace(SEX, NUMBERS))
    assert left[:, 0] == pytest.approx([3.4, 4.4, 5.4, 3.4, 5.4])
    assert left[:, 1] == pytest.approx([16, 26, 66, 61, 11])


def test_nothing_of_the_sensitive_columns_is_left_and_gaps_stay() -> None:
    draw = np.random.default_rng(3)
    signs = signs_of(draw.choice(["a", "b", "c"], size=500).astype(object), ("a", "b", "c"))
    numbers = signs @ draw.normal(size=(3, 4)) + draw.normal(size=(500, 4))
    numbers[::7, 0] = np.nan
    left = without_trace(signs, numbers, learn_trace(signs, numbers))
    assert multiple_correlation(signs, numbers).min() > 0.2
    assert multiple_correlation(signs, left)[1:] == pytest.approx(0, abs=1e-6)
    assert multiple_correlation(signs, left)[0] == pytest.approx(0, abs=1e-6)
    assert (np.isnan(left) == np.isnan(numbers)).all()


def test_the_correlation_with_two_groups_is_pearsons() -> None:
    assert multiple_correlation(SEX, NUMBERS)[0] == pytest.approx(abs(np.corrcoef(SEX[:, 0], NUMBERS[:, 0])[0, 1]))
    assert multiple_correlation(SEX, np.ones((5, 1)))[0] == 0
