"""Fairness constraints: how they are written, their weights and differences against fairlearn, their prices."""

import numpy as np
import pandas as pd
import pytest
from fairlearn import reductions
from fairlearn.metrics import demographic_parity_difference, equalized_odds_difference
from sklearn.linear_model import LogisticRegression

from mlpipe_dagster.automl.engines.known import known_engine
from mlpipe_dagster.automl.fairness.constraint import (
    GIVEN,
    KINDS,
    Constraint,
    ConstraintKind,
    parse_constraint,
    settle_constraint,
)
from mlpipe_dagster.automl.fairness.prices import cells_of, difference, prices_for, rate_gaps, signed_weights, within
from mlpipe_dagster.errors import UserError
from mlpipe_dagster.vocabulary import TaskKind

DRAW = np.random.default_rng(7)
GROUPS = DRAW.integers(0, 3, 240)[:, None]
FEATURE = DRAW.normal(size=240) + 0.6 * GROUPS[:, 0]
TRUTH = FEATURE + DRAW.normal(size=240) > 0.5
SAID = FEATURE > 0.4
NAMES = [("team", ("a", "b", "c"))]
FAIRLEARN = {
    "demographic_parity": reductions.DemographicParity,
    "equalized_odds": reductions.EqualizedOdds,
    "true_positive_rate_parity": reductions.TruePositiveRateParity,
    "false_positive_rate_parity": reductions.FalsePositiveRateParity,
}


@pytest.mark.filterwarnings("ignore::pandas.errors.Pandas4Warning")
@pytest.mark.parametrize("kind", KINDS)
def test_fits_under_prices_are_those_of_fairlearn(kind: ConstraintKind) -> None:
    """fairlearn 0.15.0, GridSearch with the same multipliers: equal weights, equal predictions."""
    cells = cells_of(kind, TRUTH, GROUPS, 5)
    assert len(cells) == 3 * len(GIVEN[kind])
    prices = np.array([0.11, -0.04, -0.07, -0.05, 0.08, -0.03][: len(cells)])
    worth = signed_weights(TRUTH, within(cells, TRUTH.astype(float), GROUPS), prices)

    features, truth = np.column_stack([FEATURE, GROUPS == 1, GROUPS == 2]), pd.Series(TRUTH.astype(int))
    moment = FAIRLEARN[kind](difference_bound=0.01)
    moment.load_data(features, truth, sensitive_features=GROUPS[:, 0])
    multipliers = pd.Series(0.0, index=moment.index)
    for cell, price in zip(cells, prices, strict=True):
        event = "all" if cell.given is None else f"label={cell.given}"
        multipliers["+" if price > 0 else "-", event, cell.group] = abs(price)
    unloaded = FAIRLEARN[kind](difference_bound=0.01)
    grid = reductions.GridSearch(LogisticRegression(), unloaded, grid=multipliers.to_frame())
    grid.fit(features, truth, sensitive_features=GROUPS[:, 0])
    objective = reductions.ErrorRate()
    objective.load_data(features, truth, sensitive_features=GROUPS[:, 0])
    np.testing.assert_allclose(worth, moment.signed_weights(multipliers) + objective.signed_weights(), atol=1e-12)
    ours = LogisticRegression().fit(features, worth > 0, sample_weight=np.abs(worth))
    np.testing.assert_array_equal(ours.predict(features), grid.predictors_[0].predict(features))


@pytest.mark.parametrize(
    ("kind", "theirs"),
    [("demographic_parity", demographic_parity_difference), ("equalized_odds", equalized_odds_difference)],
)
def test_differences_are_those_of_fairlearn(kind, theirs) -> None:  # type: ignore[no-untyped-def]
    found = difference(cells_of(kind, TRUTH, GROUPS, 5), NAMES, TRUTH, SAID, GROUPS)
    assert found is not None
    assert found.value == pytest.approx(theirs(TRUTH, SAID, sensitive_features=GROUPS[:, 0]))
    assert 0 < found.low < found.value < found.high < 1
    assert (found.column, found.highest, found.lowest) == ("team", "c", "a")


def test_what_is_alike_may_not_differ_at_all() -> None:
    said = DRAW.random(240) < 0.5
    found = difference(cells_of("demographic_parity", TRUTH, GROUPS, 5), NAMES, TRUTH, said, GROUPS)
    assert found is not None
    assert (found.low, found.value > 0) == (0.0, True)
    same = difference(cells_of("demographic_parity", TRUTH, GROUPS, 5), NAMES, TRUTH, np.ones(240, dtype=bool), GROUPS)
    assert same is not None
    assert (same.value, same.low, same.high) == (0.0, 0.0, 0.0)


def test_the_price_of_parity_by_hand() -> None:
    """Chances .9 .7 .4 against .6 .3 .1: two of three and one of three are answered positively. Each group is half of
    the rows, so that with prices p and -p a row of the first is worth 2 * chance - 1 - 2 p, of the second 2 * chance -
    1 + 2 p. Equal shares cost the same either way: .7 given up, or .3 taken, at 2 p = .4."""
    chance, groups = np.array([0.9, 0.7, 0.4, 0.6, 0.3, 0.1]), np.array([[0]] * 3 + [[1]] * 3)
    cells = cells_of("demographic_parity", chance > 0.5, groups, 1)
    np.testing.assert_allclose(prices_for(cells, chance, groups, 0.0), [0.2, -0.2], atol=1e-9)
    np.testing.assert_allclose(prices_for(cells, chance, groups, 0.5), [0.0, 0.0], atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("width", [0.0, 0.1])
def test_answers_under_prices_are_within_the_bounds(kind: ConstraintKind, width: float) -> None:
    """Were the chances true: all rates of a family within the width, but for rows that stand exactly at the price."""
    chance = 1 / (1 + np.exp(-2 * (FEATURE - 0.5)))
    columns = np.column_stack([GROUPS[:, 0], DRAW.integers(0, 2, 240)])
    cells = cells_of(kind, TRUTH, columns, 5)
    prices = prices_for(cells, chance, columns, width)
    families = sorted({cell.family for cell in cells}, key=str)
    sums = [sum(p for p, cell in zip(prices, cells, strict=True) if cell.family == family) for family in families]
    np.testing.assert_allclose(sums, 0, atol=1e-9)
    belongs = within(cells, chance, columns)
    worth = 2 * chance - 1 - belongs @ (prices / belongs.mean(axis=0))
    sure, gaps = np.abs(worth) > 1e-9, rate_gaps(cells, chance, worth > 0, columns)
    largest_row = float((belongs / belongs.sum(axis=0)).max()) * (~sure).sum()
    for family in families:
        here = [gap for gap, cell in zip(gaps, cells, strict=True) if cell.family == family]
        assert np.ptp(here) <= width + largest_row + 1e-9


def test_small_groups_are_not_bound() -> None:
    groups = np.where(np.arange(240)[:, None] < 4, 3, GROUPS)
    assert {cell.group for cell in cells_of("demographic_parity", TRUTH, groups, 30)} == {0, 1, 2}
    assert cells_of("demographic_parity", TRUTH, np.zeros((240, 1), dtype=np.int64), 30) == ()
    few = cells_of("demographic_parity", TRUTH, GROUPS, 30)
    assert difference(few, NAMES, TRUTH[:3], SAID[:3], GROUPS[:3]) is None


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("demographic_parity", "demographic_parity:0.05"),
        (" Equalized-Odds : 0.1 ", "equalized_odds:0.1"),
        ("equal opportunity:.02", "true_positive_rate_parity:0.02"),
        ("none", None),
    ],
)
def test_how_it_is_written(text: str, word: str | None) -> None:
    found = parse_constraint(text)
    assert (found and found.word) == word
    assert found is None or parse_constraint(found.word) == found


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("parity", "“parity” is not known. Write one of: demographic_parity, equalized_odds"),
        ("demographic_parity:", "is not known"),
        ("demographic_parity:-1", "is not known"),
        ("demographic_parity:5%", "is not known"),
        ("demographic_parity:5", "is larger than 0.5, which constrains nothing"),
    ],
)
def test_what_cannot_be_read_says_what_to_write(text: str, told: str) -> None:
    with pytest.raises(UserError, match=r"as in demographic_parity:0\.1; or none") as error:
        parse_constraint(text)
    assert told in str(error.value)


@pytest.mark.parametrize(
    ("task", "sensitive", "engine", "told"),
    [
        (TaskKind.MULTICLASS, ["sex"], "auto", "needs a target of two classes; this one is multiclass"),
        (TaskKind.REGRESSION, ["sex"], "auto", "needs a target of two classes; this one is regression"),
        (TaskKind.BINARY, [], "auto", "needs sensitive columns. Name them"),
        (TaskKind.BINARY, ["sex"], "autosklearn", "auto-sklearn cannot weigh rows"),
    ],
)
def test_where_it_cannot_be_held(task: TaskKind, sensitive: list[str], engine: str, told: str) -> None:
    with pytest.raises(UserError, match=told):
        settle_constraint("equalized_odds", task, sensitive, known_engine(engine))
    assert settle_constraint("none", task, sensitive, known_engine(engine)) is None


def test_where_it_can_be_held() -> None:
    found = settle_constraint("equalized_odds", TaskKind.BINARY, ["sex"], known_engine("flaml"))
    assert found == Constraint(kind="equalized_odds", allowed=0.05)
