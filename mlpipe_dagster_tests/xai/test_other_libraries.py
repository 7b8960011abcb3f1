"""SHAP values, interactions and partial dependence against what shapiq 1.4.1 and dalex 1.8.0 say of the same tree.

Their numbers are literals, printed by `other_libraries.py`, which says why neither is installed with the tests.
"""

import numpy as np
import pytest

from mlpipe_dagster.vocabulary import TaskKind
from mlpipe_dagster.xai.dependence import dependences
from mlpipe_dagster.xai.explainers import attribute
from mlpipe_dagster.xai.interactions import interactions
from mlpipe_dagster.xai.permutation_explainer import explain_permutations
from mlpipe_dagster.xai.subject import Subject, subject
from mlpipe_dagster_tests.xai.models import trained
from mlpipe_dagster_tests.xai.other_libraries import COLUMNS, TEST_ROWS, VALUES, table, tree


@pytest.fixture(scope="module")
def planted_tree() -> Subject:
    return subject(trained(table(), "y", TaskKind.REGRESSION, tree(), test_rows=TEST_ROWS), table())


def test_values_of_a_tree_are_those_of_shapiq(planted_tree: Subject) -> None:
    made = attribute(planted_tree.estimator, table().loc[TEST_ROWS[:3]], planted_tree.background, COLUMNS)
    assert made.base[0] == pytest.approx(-0.106296296)
    assert made.values[:, :, 0] == pytest.approx(
        np.array([[-0.934897, -0.385021, -1.113786], [0.458668, 0.094995, -1.3407], [0.05351, 0.184158, 0.303628]]),
        abs=1e-6,
    )


def test_sampled_values_are_those_of_shapiq_within_their_error(planted_tree: Subject) -> None:
    made = explain_permutations(planted_tree.estimator, table().loc[TEST_ROWS[:1]], planted_tree.background, COLUMNS)
    assert made.sampling_error is not None
    assert made.values[0, :, 0] == pytest.approx([-0.97321, -0.308395, -1.152099], abs=3 * made.sampling_error)


def test_interactions_are_the_deviation_of_the_moebius_parts_of_shapiq(planted_tree: Subject) -> None:
    """v(ij) - v(i) - v(j) + v() of a row is what Friedman's H takes the root mean square of, once it is centred."""
    made = attribute(planted_tree.estimator, table().loc[TEST_ROWS], planted_tree.background, COLUMNS)
    found = {frozenset([pair.first, pair.second]): pair.strength for pair in interactions(planted_tree, made, COLUMNS)}
    expected = {("a", "b"): 0.166834, ("a", "c"): 0.307489, ("b", "c"): 0.246331}
    assert found == pytest.approx({frozenset(pair): strength for pair, strength in expected.items()}, abs=1e-6)


def test_partial_dependence_is_that_of_dalex(planted_tree: Subject) -> None:
    (found,) = dependences(planted_tree, ["a"])
    averages = {point.position: point.average for point in found.points}
    assert [averages[value] for value in VALUES] == pytest.approx([-0.139074, 0.165864, -0.283148], abs=1e-6)
