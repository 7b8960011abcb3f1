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
        }
    )


def test_regression_metrics_by_hand() -> None:
    outcome = Outcome(np.array([1.0, 2.0, 3.0, 6.0]), np.array([1.0, 3.0, 3.0, 4.0]))
    found = {name: estimate.value for name, estimate in measure(outcome).items()}
    # squared errors 0 1 0 4; the mean is 3, squared distances from it 4 1 0 9
    assert found == pytest.approx({"R²": 1 - 5 / 14, "RMSE": 1.25**0.5, "MAE": 0.75})


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


def test_improvement_by_hand() -> None:
    truth = np.zeros(4)
    saved, error = improvement(Outcome(truth, np.zeros(4)), Outcome(truth, np.array([1.0, 1.0, 1.0, 3.0])))
    # losses saved 1 1 1 9: mean 3, standard deviation 4
    assert (saved, error) == (3.0, 2.0)
    assert loss(Outcome(truth, np.array([1.0, 1.0, 1.0, 3.0]))) == pytest.approx(3**0.5)
