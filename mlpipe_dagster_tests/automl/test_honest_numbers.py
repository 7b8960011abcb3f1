"""Calibration is mended where it helps, thresholds keep to their goals, and what is too good to be true is said."""

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from mlpipe_dagster.automl.artefacts import TRUSTED_TYPES
from mlpipe_dagster.automl.bench import Source, open_bench
from mlpipe_dagster.automl.calibration import Calibrated, fit_scaling, helpful_scaling
from mlpipe_dagster.automl.clock import Clock
from mlpipe_dagster.automl.columns import usable_columns
from mlpipe_dagster.automl.metrics import Outcome, loss
from mlpipe_dagster.automl.model import Estimate, TrainingSpec
from mlpipe_dagster.automl.suspicion import learnt_by_heart, one_column, too_good
from mlpipe_dagster.automl.target import read_target
from mlpipe_dagster.automl.thresholds import thresholds
from mlpipe_dagster.vocabulary import TaskKind


def two(chance: np.ndarray) -> np.ndarray:
    return np.column_stack([1 - chance, chance])


def drawn(rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Log odds, and truth drawn with them."""
    draw = np.random.default_rng(seed)
    odds = draw.normal(0, 2, rows)
    return odds, (draw.random(rows) < 1 / (1 + np.exp(-odds))).astype(float)


def test_probabilities_that_are_too_sure_are_mended() -> None:
    odds, truth = drawn(4000)
    sure = Outcome(truth, two(1 / (1 + np.exp(-(3 * odds + 1)))))
    found = helpful_scaling(sure)
    assert found is not None
    scaling, saved = found
    # the truth is at a third of the log odds, one third less
    assert scaling.slope == pytest.approx(1 / 3, abs=0.03)
    assert scaling.offsets == (0.0, pytest.approx(-1 / 3, abs=0.1))
    mended = Outcome(truth, scaling.apply(sure.predicted))
    assert saved > 0.2
    assert loss(mended) == pytest.approx(loss(Outcome(truth, two(1 / (1 + np.exp(-odds))))), abs=0.005)


def test_the_scaling_is_platts() -> None:
    odds, truth = drawn(2000, seed=3)
    base = LogisticRegression(C=1e6).fit(odds[:, None] * 2.5, np.where(truth == 1, "y", "n"))
    base.coef_ *= 2.5
    oracle = CalibratedClassifierCV(FrozenEstimator(base), method="sigmoid", ensemble=False)
    oracle.fit(odds[:, None], np.where(truth == 1, "y", "n"))
    ours = fit_scaling(Outcome(truth, base.predict_proba(odds[:, None])))
    # Platt's targets are (n + 1) / (n + 2) in place of 1: alike in the limit
    np.testing.assert_allclose(
        ours.apply(base.predict_proba(odds[:, None])), oracle.predict_proba(odds[:, None]), atol=0.01
    )


def test_one_temperature_for_more_classes() -> None:
    draw = np.random.default_rng(5)
    chances = draw.dirichlet(np.ones(3), 3000)
    truth = np.array([draw.choice(3, p=row) for row in chances], dtype=float)
    sharp = chances**3 / (chances**3).sum(axis=1, keepdims=True)
    assert fit_scaling(Outcome(truth, sharp)).slope == pytest.approx(1 / 3, abs=0.03)


@pytest.mark.parametrize("rows", [100, 2000])
def test_calibrated_probabilities_and_few_rows_are_left_alone(rows: int) -> None:
    odds, truth = drawn(rows, seed=2)
    assert helpful_scaling(Outcome(truth, two(1 / (1 + np.exp(-odds))))) is None


def test_a_calibrated_model_is_saved_without_pickle() -> None:
    odds, truth = drawn(300)
    inner = LogisticRegression().fit(odds[:, None], np.where(truth == 1, "y", "n"))
    model = Calibrated(inner, 0.5, [0.0, 0.1])
    saved = skops.io.dumps(model)
    asked_for = skops.io.get_untrusted_types(data=saved)
    assert set(asked_for) <= TRUSTED_TYPES
    again = skops.io.loads(saved, trusted=asked_for)
    np.testing.assert_array_equal(again.predict_proba(odds[:, None]), model.predict_proba(odds[:, None]))
    assert set(again.predict(odds[:5, None])) <= {"n", "y"}


def test_thresholds_by_hand() -> None:
    # ten rows: the positives have 0.9 0.8 0.7 0.6 and 0.3; a negative has 0.65
    chance = np.array([0.9, 0.8, 0.7, 0.6, 0.3, 0.65, 0.2, 0.15, 0.1, 0.05])
    outcome = Outcome(np.array([1.0] * 5 + [0.0] * 5), two(chance))
    found = {one.goal: one for one in thresholds(outcome, outcome)}
    every = found["find at least 90 % of the positives"]
    assert (every.threshold, every.recall.value, every.precision.value) == (0.3, 1.0, pytest.approx(5 / 6))  # type: ignore[union-attr]
    right = found["be right in at least 90 % of the alarms"]
    assert (right.threshold, right.recall.value, right.precision.value) == (0.7, 0.6, 1.0)  # type: ignore[union-attr]
    assert found["best F1"].threshold == 0.3  # 2 x 5 / (6 + 5), against 8 / 10 from 0.6 on
    assert found["best balanced accuracy"].threshold == 0.3  # (1 + 0.8) / 2
    assert every.alarms == 0.6


def test_no_thresholds_without_two_classes() -> None:
    outcome = Outcome(np.array([0.0, 1.0, 2.0]), np.eye(3))
    assert thresholds(outcome, outcome) == ()


def estimate(value: float, half: float = 0.02) -> Estimate:
    return Estimate(value=value, low=value - half, high=value + half)


def test_what_is_too_good_or_learnt_by_heart_is_said() -> None:
    assert "almost perfect" in too_good(estimate(0.9995), "accuracy")[0]
    assert too_good(estimate(0.98), "accuracy") == ()
    assert "0.990, on the test rows 0.800" in learnt_by_heart(estimate(0.99), estimate(0.8), "accuracy")[0]
    assert learnt_by_heart(estimate(0.99, 0.1), estimate(0.8, 0.1), "accuracy") == ()
    assert learnt_by_heart(estimate(0.9), estimate(0.85), "accuracy") == ()


@pytest.mark.parametrize(("leak", "said"), [(True, True), (False, False)])
def test_a_column_that_does_it_all_is_named(leak: bool, said: bool) -> None:
    draw = np.random.default_rng(0)
    parts = draw.normal(size=(600, 4))
    yes = parts.sum(axis=1) > 0
    table = pd.DataFrame(parts, columns=list("abcd")).assign(y=np.where(yes, "yes", "no"))
    if leak:
        table["outcome"] = np.where(yes, "paid back", "defaulted")
    target = read_target(table["y"], TrainingSpec(target="y", task=TaskKind.BINARY))
    bench = open_bench(Source(table, target, usable_columns(table, ["y"])[0], np.arange(600)), 10, 0, folds=1)
    truth = bench.data("trees", 0).truth_to_check()
    model = Outcome(truth, two(np.where(truth == 1, 0.97, 0.03)))
    notes = one_column(bench, Clock(60), model, Outcome(truth, two(np.full(len(truth), 0.5))), 0)
    assert bool(notes) is said
    if said:
        assert notes[0].startswith("“outcome” alone predicts nearly as well")
