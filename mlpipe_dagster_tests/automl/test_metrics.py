"""Metrics against scikit-learn and numbers worked out by hand."""

import numpy as np
import pytest
import sklearn.metrics as oracle

from mlpipe_dagster.automl.metrics import Outcome, improvement, loss, measure, wilson


@pytest.fixture
def binary() -> Outcome:
    draw = np.random.default_rng(0)
    score = np.round(draw.random(300), 1)  # rounded: ties
    truth = (draw.random(300) < score).astype(float)
    return Outcome(truth, np.column_stack([1 - score, score]))


@pytest.fixture
def multiclass() -> Outcome:
    draw = np.random.default_rng(1)
    predicted = draw.dirichlet(np.ones(4), size=300)
    truth = np.array([draw.choice(4, p=row) for row in predicted], dtype=float)
    return Outcome(truth, predicted)


def test_a_class_absent_from_the_rows_leaves_roc_auc_out() -> None:
    outcome = Outcome(np.zeros(20), np.column_stack([np.full(20, 0.7), np.full(20, 0.3)]))
    assert "ROC AUC" not in measure(outcome)
    assert measure(outcome)["accuracy"].value == 1


def test_binary_metrics_agree_with_scikit_learn(binary: Outcome) -> None:
    found = {name: estimate.value for name, estimate in measure(binary).items()}
    assert found == pytest.approx(
        {
            "accuracy": oracle.accuracy_score(binary.truth, binary.choice),
            "log loss": oracle.log_loss(binary.truth, binary.predicted),
            "ROC AUC": oracle.roc_auc_score(binary.truth, binary.predicted[:, 1]),
            "balanced accuracy": oracle.balanced_accuracy_score(binary.truth, binary.choice),
            "F1": oracle.f1_score(binary.truth, binary.choice),
            "Brier score": oracle.brier_score_loss(binary.truth, binary.predicted[:, 1]),
            "calibration error": found["calibration error"],
        }
    )


def test_multiclass_metrics_agree_with_scikit_learn(multiclass: Outcome) -> None:
    found = {name: estimate.value for name, estimate in measure(multiclass).items()}
    assert found == pytest.approx(
        {
            "accuracy": oracle.accuracy_score(multiclass.truth, multiclass.choice),
            "log loss": oracle.log_loss(multiclass.truth, multiclass.predicted),
            "ROC AUC": oracle.roc_auc_score(multiclass.truth, multiclass.predicted, multi_class="ovr"),
            "balanced accuracy": oracle.balanced_accuracy_score(multiclass.truth, multiclass.choice),
            "F1": oracle.f1_score(multiclass.truth, multiclass.choice, average="macro"),
            "Brier score": ((multiclass.predicted - np.eye(4)[multiclass.truth.astype(int)]) ** 2).sum(axis=1).mean(),
            "calibration error": found["calibration error"],
        }
    )


def test_regression_metrics_by_hand() -> None:
    outcome = Outcome(np.array([1.0, 2.0, 3.0, 6.0]), np.array([1.0, 3.0, 3.0, 4.0]))
    found = {name: estimate.value for name, estimate in measure(outcome).items()}
    # squared errors 0 1 0 4; the mean is 3, squared distances from it 4 1 0 9
    assert found == pytest.approx({"R²": 1 - 5 / 14, "RMSE": 1.25**0.5, "MAE": 0.75})


@pytest.mark.long
def test_intervals_hold_the_value_and_narrow_with_rows(binary: Outcome) -> None:
    many = Outcome(np.tile(binary.truth, 16), np.tile(binary.predicted, (16, 1)))
    for name, few in measure(binary).items():
        wide, narrow = few.high - few.low, measure(many)[name].high - measure(many)[name].low
        assert few.low <= few.value <= few.high
        assert narrow < wide / 3  # 16 times the rows: a quarter of the width


def test_wilson_interval_of_ten_out_of_ten() -> None:
    # Wilson 1927: 10 of 10 at 95 % is 0.7225 to 1
    estimate = wilson(1.0, 10)
    assert (estimate.low, estimate.high) == (pytest.approx(0.7225, abs=1e-4), pytest.approx(1.0))


def test_the_interval_of_the_area_is_that_of_a_jackknife(binary: Outcome, multiclass: Outcome) -> None:
    # 300 rows, each left out once with scikit-learn's area: another way to the same standard error
    for outcome, score in ((binary, binary.predicted[:, 1]), (multiclass, multiclass.predicted)):
        kept = [np.delete(np.arange(300), row) for row in range(300)]
        areas = [oracle.roc_auc_score(outcome.truth[rows], score[rows], multi_class="ovr") for rows in kept]
        error = (299 * np.var(areas)) ** 0.5
        found = measure(outcome, only="ROC AUC")["ROC AUC"]
        ends = [np.log(end / (1 - end)) for end in (found.low, found.high)]
        width = (ends[1] - ends[0]) * found.value * (1 - found.value) / (2 * 1.959964)
        assert width == pytest.approx(error, rel=0.02)


def test_the_interval_of_a_perfect_area_is_that_of_its_rarest_class() -> None:
    chance = np.linspace(0, 1, 30)
    outcome = Outcome((chance > 0.66).astype(float), np.column_stack([1 - chance, chance]))
    found = measure(outcome)["ROC AUC"]
    assert (found.value, found.high) == (1.0, pytest.approx(1.0))
    assert found.low == pytest.approx(0.7225, abs=1e-4)  # Wilson, 10 of 10


def test_improvement_by_hand() -> None:
    truth = np.zeros(4)
    saved, error = improvement(Outcome(truth, np.zeros(4)), Outcome(truth, np.array([1.0, 1.0, 1.0, 3.0])))
    # losses saved 1 1 1 9: mean 3, standard deviation 4
    assert (saved, error) == (3.0, 2.0)
    assert loss(Outcome(truth, np.array([1.0, 1.0, 1.0, 3.0]))) == pytest.approx(3**0.5)


def test_the_calibration_error_by_hand() -> None:
    # ten groups of two rows, all sure of class 1 by 0.8; right in both rows of five groups, in one row of five
    chance = np.full(20, 0.8)
    truth = np.array([1.0, 1.0] * 5 + [1.0, 0.0] * 5)
    found = measure(Outcome(truth, np.column_stack([1 - chance, chance])))["calibration error"]
    assert found.value == pytest.approx(0.5 * (1 - 0.8) + 0.5 * (0.8 - 0.5))


def test_the_interval_of_the_calibration_error_reaches_zero_where_the_model_is_calibrated() -> None:
    draw = np.random.default_rng(0)
    reached = 0
    for _ in range(40):
        chance = draw.random(400)
        truth = (draw.random(400) < chance).astype(float)
        found = measure(Outcome(truth, np.column_stack([1 - chance, chance])), only="calibration error")
        reached += found["calibration error"].low < 0.02
    assert reached >= 36
    sure = np.clip(3 * (chance - 0.5) + 0.5, 0.01, 0.99)  # three times too sure: off by about 0.2
    assert measure(Outcome(truth, np.column_stack([1 - sure, sure])))["calibration error"].low > 0.1
