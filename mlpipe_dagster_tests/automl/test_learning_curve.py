"""The learning curve: the same validation rows, more and more rows to learn from."""

import numpy as np
import pandas as pd
import pytest

from mlpipe_dagster.automl.algorithms import LIGHTGBM, LINEAR
from mlpipe_dagster.automl.bench import Source, open_bench
from mlpipe_dagster.automl.card import model_card
from mlpipe_dagster.automl.clock import Clock
from mlpipe_dagster.automl.columns import usable_columns
from mlpipe_dagster.automl.learning_curve import learning_curve
from mlpipe_dagster.automl.metrics import loss
from mlpipe_dagster.automl.model import TrainedModel, TrainingSpec
from mlpipe_dagster.automl.search import Search, run_baselines
from mlpipe_dagster.automl.target import read_target
from mlpipe_dagster.vocabulary import TaskKind

SPEC = TrainingSpec(target="y", task=TaskKind.BINARY)


@pytest.fixture(scope="module")
def search() -> Search:
    """A straight line, which eighth of the rows shows, with steps on it, which take many."""
    draw = np.random.default_rng(0)
    x = draw.random((4_000, 3))
    above = x[:, 0] + np.sin(12 * x[:, 1]) * np.sin(12 * x[:, 2]) + 0.2 * draw.normal(size=len(x)) > 0.5
    table = pd.DataFrame(x, columns=["a", "b", "c"]).assign(y=np.where(above, "p", "n"))
    target = read_target(table["y"], SPEC)
    source = Source(table, target, usable_columns(table, ["y"])[0], np.arange(len(x)))
    made = Search(open_bench(source, 1, 0, folds=1), Clock(600), LIGHTGBM, 0, 1)
    run_baselines(made)
    made.try_out(LIGHTGBM, LIGHTGBM.start, 60)
    return made


def test_boosting_still_grows_and_the_last_point_is_what_was_validated(search: Search) -> None:
    taken = search.best(LIGHTGBM.name)
    assert taken is not None
    curve = learning_curve(search, taken, 60)
    assert curve is not None
    assert [point.rows for point in curve.points] == [399, 799, 1_599, 3_199]
    losses = [point.loss for point in curve.points]
    assert losses == sorted(losses, reverse=True) and curve.still_grows
    assert taken.outcome is not None and losses[-1] == pytest.approx(loss(taken.outcome))
    assert all(point.score.low < point.score.value < point.score.high for point in curve.points)


def test_a_line_has_learnt_all_there_is(search: Search) -> None:
    taken = search.best(LINEAR.name)
    assert taken is not None
    curve = learning_curve(search, taken, 60)
    assert curve is not None and not curve.still_grows
    assert learning_curve(search, taken, -1) is None, "no time: no curve"


def test_the_card_shows_it(planted_model: TrainedModel) -> None:
    curve = planted_model.learning_curve
    card = model_card(planted_model, {})
    assert (curve is not None) == ("## Learning curve" in card)
    assert curve is None or f"| {curve.points[0].rows} | " in card
