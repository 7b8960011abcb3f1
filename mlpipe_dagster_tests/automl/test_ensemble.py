"""Which candidates are blended, that a blend answers, is saved and fitted again, and that it holds its latency cap."""

import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss

from mlpipe_dagster.automl import artefacts, ensemble
from mlpipe_dagster.automl.algorithms import EXTRA_TREES, LIGHTGBM, LINEAR, Algorithm, FitData, Limits, predict
from mlpipe_dagster.automl.bench import Source, open_bench
from mlpipe_dagster.automl.clock import Clock
from mlpipe_dagster.automl.columns import usable_columns
from mlpipe_dagster.automl.last_fit import refit
from mlpipe_dagster.automl.metrics import Outcome
from mlpipe_dagster.automl.model import TrainingSpec
from mlpipe_dagster.automl.search import Candidate, Search, run_baselines
from mlpipe_dagster.automl.target import read_target
from mlpipe_dagster.vocabulary import TaskKind

SPEC = TrainingSpec(target="y", task=TaskKind.BINARY, threads=1)


def two_kinds(rows: int = 300) -> pd.DataFrame:
    """Part of the signal is linear in five columns, part a product that trees find; with gaps and a column of texts."""
    draw = np.random.default_rng(0)
    table = pd.DataFrame(draw.normal(size=(rows, 8)), columns=list("abcdefgh"))
    score = table[list("aefgh")].sum(axis=1) + 1.5 * np.sign(table["b"] * table["c"]) + 0.5 * draw.normal(size=rows)
    table.loc[::7, "d"] = np.nan
    return table.assign(town=draw.choice(["Bonn", "Ulm"], rows), y=np.where(score > 0, "yes", "no"))


@pytest.fixture(scope="module")
def search() -> Search:
    table = two_kinds()
    target = read_target(table["y"], SPEC)
    source = Source(table, target, usable_columns(table, ["y"])[0], np.arange(len(table)))
    search = Search(open_bench(source, budget=10, seed=0), Clock(60), LIGHTGBM, 0, 1)
    run_baselines(search)
    search.try_out(LIGHTGBM, LIGHTGBM.start, 10)
    ensemble.add_ensemble(search, seconds=60)
    search.source = source  # type: ignore[attr-defined]
    return search


def blend_of(search: Search) -> Candidate:
    return next(candidate for candidate in search.candidates if candidate.algorithm.name == ensemble.NAME)


def test_weights_of_complementary_outcomes() -> None:
    truth = np.zeros(200)
    sure, unsure = np.tile([0.9, 0.1], (200, 1)), np.tile([0.4, 0.6], (200, 1))
    left, right = np.where(np.arange(200)[:, None] < 100, [sure, unsure], [unsure, sure])
    # each is right on the other's wrong half: -ln 0.65 for equal weights, less than (-ln 0.9 - ln 0.4) / 2
    weights = ensemble.selected_weights([Outcome(truth, left), Outcome(truth, right), Outcome(truth, unsure)])
    assert weights == pytest.approx([0.5, 0.5, 0.0], abs=0.12)


def test_the_blend_is_a_candidate_better_than_each(search: Search) -> None:
    blend = blend_of(search)
    assert blend.loss < min(candidate.loss for candidate in search.candidates if candidate is not blend)
    assert sum(blend.trial.parameters.values()) == pytest.approx(1, abs=0.01)  # type: ignore[arg-type]
    weights = blend.first.estimator.weights
    assert sum(weights) == pytest.approx(1) and len(weights) >= 2


def test_a_linear_member_answers_as_the_linear_candidate(search: Search) -> None:
    """It reads the features of trees, and makes those of linear models of them."""
    linear = next(candidate for candidate in search.candidates if candidate.algorithm is LINEAR)
    inside = ensemble._of_first_fold(search, linear)
    trees, own = search.bench.data("trees", 0), search.bench.data("linear", 0)
    np.testing.assert_allclose(
        predict(inside, trees.check_features), predict(linear.first.estimator, own.check_features), atol=1e-12
    )


@pytest.mark.parametrize("algorithm", [LIGHTGBM, EXTRA_TREES], ids=lambda algorithm: algorithm.name)
@pytest.mark.parametrize("target", ["two", "three", "number"])
def test_trees_answer_as_their_wrapper(algorithm: Algorithm, target: str) -> None:
    draw = np.random.default_rng(0)
    features = draw.normal(size=(200, 4))
    features[::9, 1] = np.nan
    labels = features[:, 0] if target == "number" else draw.choice(list("abc")[: 2 if target == "two" else 3], 200)
    data = FitData(features, labels, features[:50], labels[:50], np.unique(labels[:50], return_inverse=True)[1] * 1.0)
    estimator = algorithm.fit(algorithm.start, data, Limits(time.monotonic() + 60, seed=0, threads=1)).estimator
    np.testing.assert_array_equal(ensemble._answer(estimator, features), predict(estimator, features))


def test_it_is_fitted_again_saved_and_read(search: Search, tmp_path: Path) -> None:
    table, blend = two_kinds(), blend_of(search)
    again = refit(blend, search, search.source, SPEC, seconds=600)  # type: ignore[attr-defined]
    assert again.rows == 300 and again.notes == ()
    answered = predict(again.pipeline, table)
    assert log_loss(table["y"], answered[:, 1], labels=["no", "yes"]) < blend.loss
    import skops.io

    skops.io.dump(again.pipeline, tmp_path / "model.skops")
    read = artefacts.read_estimator(tmp_path / "model.skops")
    np.testing.assert_allclose(predict(read, table), answered)
    assert list(read.predict(table.head(3))) == list(again.pipeline.predict(table.head(3)))


def test_what_is_too_slow_is_no_member(search: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    before = len(search.candidates)
    monkeypatch.setattr(ensemble, "MOST_ONE_ROW_MS", 0.0)
    ensemble.add_ensemble(search, seconds=60)
    assert len(search.candidates) == before
