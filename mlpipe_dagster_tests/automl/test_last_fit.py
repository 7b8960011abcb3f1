"""The last fit where the search saw a sample of the training rows: checked on its validation rows once more."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mlpipe_dagster.automl.algorithms import EXTRA_TREES, LIGHTGBM
from mlpipe_dagster.automl.bench import Source, open_bench
from mlpipe_dagster.automl.clock import Clock
from mlpipe_dagster.automl.columns import usable_columns
from mlpipe_dagster.automl.last_fit import quick_rival, refit
from mlpipe_dagster.automl.metrics import loss
from mlpipe_dagster.automl.model import TrainingSpec
from mlpipe_dagster.automl.search import Candidate, Search, run_baselines
from mlpipe_dagster.automl.splits import bond_of
from mlpipe_dagster.automl.target import read_target
from mlpipe_dagster.vocabulary import TaskKind

ROWS = 6_000
SPEC = TrainingSpec(target="y", task=TaskKind.BINARY, threads=1)


@pytest.fixture(scope="module")
def source() -> Source:
    """A rule of many steps, which a sixth of the rows cannot tell."""
    draw = np.random.default_rng(0)
    x = draw.random((ROWS, 3))
    above = np.sin(12 * x[:, 0]) + np.sin(12 * x[:, 1]) + 0.3 * draw.normal(size=ROWS) > 0
    table = pd.DataFrame(x, columns=["a", "b", "c"]).assign(y=np.where(above, "p", "n"))
    target = read_target(table["y"], SPEC)
    return Source(table, target, usable_columns(table, ["y"])[0], np.arange(ROWS))


@pytest.fixture(scope="module")
def search(source: Source) -> Search:
    """After the baselines and one boosting, on a sample of 1,000 rows."""
    made = Search(open_bench(source, budget=0.001, seed=0), Clock(600), LIGHTGBM, 0, 1)
    run_baselines(made)
    made.try_out(LIGHTGBM, LIGHTGBM.start, 60)
    return made


@pytest.fixture(scope="module")
def boosting(search: Search) -> Candidate:
    best = search.best(LIGHTGBM.name)
    assert best is not None
    return best


def test_the_validation_rows_stay_out_and_say_how_many_rounds(
    search: Search, boosting: Candidate, source: Source
) -> None:
    last = refit(boosting, search, source, SPEC, seconds=60)
    held_out = len(search.bench.folds[0][1])
    assert (len(search.bench.rows.labels), held_out) == (1_000, 201)
    assert last.rows == ROWS - held_out
    assert last.notes == ("Fitted on 5799 of 6000 training rows, as many as the budget allows.",)
    assert last.outcome is not None and len(last.outcome.truth) == held_out
    assert loss(last.outcome) < 0.9 * boosting.loss
    assert last.pipeline[-1].n_estimators != boosting.rounds


def test_a_last_fit_that_did_no_better_is_not_taken(search: Search, boosting: Candidate, source: Source) -> None:
    lucky = replace(boosting, trial=boosting.trial.model_copy(update={"loss": 0.0}))
    last = refit(lucky, search, source, SPEC, seconds=60)
    assert last.rows == 799 and last.outcome is None
    assert "The fit on 799 of 6000 training rows is kept: one on 5799 did no better" in last.notes[0]


def bound(source: Source, **columns: object) -> Source:
    """With what that column says of the rows."""
    table = source.table.assign(**columns)
    bond = bond_of(table, {"y"})
    assert bond is not None
    return replace(source, bond=bond)


def test_all_rows_of_validated_groups_stay_out(search: Search, boosting: Candidate, source: Source) -> None:
    shops = np.repeat(np.arange(ROWS // 10), 10)
    last = refit(boosting, search, bound(source, shop_id=shops), SPEC, seconds=60)
    places = search.bench.rows.places
    assert places is not None
    validated = np.unique(shops[places[search.bench.folds[0][1]]])
    assert last.rows == ROWS - 10 * len(validated)
    assert last.outcome is not None


def test_the_latest_rows_are_fitted_on_with_the_rounds_found(
    search: Search, boosting: Candidate, source: Source
) -> None:
    days = pd.Timestamp("2020-01-01") + pd.to_timedelta(np.arange(ROWS), unit="h")
    last = refit(boosting, search, bound(source, date=days), SPEC, seconds=60)
    assert (last.rows, last.outcome) == (ROWS, None)
    assert last.pipeline[-1].n_estimators == boosting.rounds


def test_more_rows_bear_larger_trees(search: Search, boosting: Candidate, source: Source) -> None:
    last = refit(boosting, search, source, SPEC, seconds=60)
    assert last.pipeline[-1].num_leaves == round(15 * (5799 / 799) ** 0.5)
    assert last.pipeline[-1].learning_rate == 0.08


def test_a_hurried_fit_learns_more_a_round_and_is_held_back(
    search: Search, boosting: Candidate, source: Source
) -> None:
    slow = replace(boosting, fit_seconds=1.0)  # all rounds would take 9 s
    bold = slow.trial.model_copy(update={"parameters": {**slow.trial.parameters, "reg_lambda": 0.001}})
    last = refit(replace(slow, trial=bold), search, source, SPEC, seconds=3)
    model = last.pipeline[-1]
    assert 0.2 < model.learning_rate <= 0.24
    assert model.reg_lambda == 1


def test_a_quick_rival_that_came_close_is_fitted_where_there_is_no_time_for_all_rows(
    search: Search, boosting: Candidate, source: Source
) -> None:
    slow = replace(boosting, fit_seconds=100.0)
    beside = replace(search, candidates=[slow])
    close = slow.trial.model_copy(update={"loss": 1.07 * slow.loss})
    forest = replace(slow, algorithm=EXTRA_TREES, fit_seconds=10.0, trial=close)
    beside.candidates.append(forest)
    assert quick_rival(slow, beside, source, seconds=60) is forest
    assert quick_rival(slow, beside, source, seconds=1_000) is None, "there is time for the better one"
    far = replace(forest, trial=slow.trial.model_copy(update={"loss": 1.1 * slow.loss}))
    baseline = replace(forest, trial=close.model_copy(update={"baseline": True}))
    for other in (far, replace(forest, fit_seconds=60.0), replace(forest, outcome=None), baseline):
        assert quick_rival(slow, replace(beside, candidates=[slow, other]), source, seconds=60) is None
