"""The positive class of two: rates, thresholds and fairness are about the one that was named; held to scikit-learn."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import brier_score_loss, f1_score, precision_score, recall_score, roc_auc_score

from mlpipe_dagster.automl.model import TrainedModel, TrainingSpec
from mlpipe_dagster.automl.target import positive_class, read_target
from mlpipe_dagster.automl.train import train
from mlpipe_dagster.errors import TargetError
from mlpipe_dagster.vocabulary import TaskKind


@pytest.fixture(scope="module")
def named(planted: pd.DataFrame) -> TrainedModel:
    """A model of the planted table whose positive class is `no`, which comes first in the alphabet."""
    spec = TrainingSpec(
        target="bought", task=TaskKind.BINARY, sensitive=("member",), positive="NO ", engine="deterministic:6"
    )
    return train(planted, spec, 60)


def test_rates_and_thresholds_are_about_the_class_that_was_named(named: TrainedModel, planted: pd.DataFrame) -> None:
    assert (named.classes, named.spec.positive, named.positive_class) == (("no", "yes"), "no", "no")
    rows = planted.iloc[list(named.test_rows)]
    truth = rows["bought"] == "no"
    chance = named.estimator.predict_proba(rows)[:, 0]
    said = named.estimator.predict(rows) == "no"
    metrics = {name: estimate.value for name, estimate in named.metrics.items()}
    assert metrics["F1"] == pytest.approx(f1_score(truth, said))
    assert metrics["ROC AUC"] == pytest.approx(roc_auc_score(truth, chance))
    assert metrics["Brier score"] == pytest.approx(brier_score_loss(truth, chance))
    assert named.thresholds
    for one in named.thresholds:
        alarms = chance >= one.threshold
        assert one.recall is not None and one.recall.value == pytest.approx(recall_score(truth, alarms))
        assert one.precision is None or one.precision.value == pytest.approx(precision_score(truth, alarms))


def test_fairness_is_about_the_class_that_was_named(named: TrainedModel, planted: pd.DataFrame) -> None:
    rows = planted.iloc[list(named.test_rows)]
    said = pd.Series(named.estimator.predict(rows) == "no", index=rows.index)
    rates = said.groupby(rows["member"].map({True: "True", False: "False"})).mean()
    found = next(one for one in named.fairness.disparities if one.measure == "DPPL")
    assert found.outcome == "no"
    assert found.value == pytest.approx(rates[found.reference] - rates[found.group])  # Clarify: the reference first
    shown = {group.group: group.values["selection rate"] for group in named.fairness.groups}
    assert shown == pytest.approx(rates.to_dict())


def test_the_last_class_counts_where_none_is_named(planted_model: TrainedModel) -> None:
    assert (planted_model.spec.positive, planted_model.positive_class, planted_model.positive_code) == (None, "yes", 1)
    other = dataclasses.replace(planted_model, classes=("a", "b", "c"))
    assert other.positive_class is None


@pytest.mark.parametrize(
    ("values", "task", "message"),
    [
        (["a", "b"], TaskKind.BINARY, "“yes” is not a class of the target column “y”. Its classes are “a” and “b”"),
        (["a", "b", "c"], TaskKind.MULTICLASS, "needs a target with two classes"),
    ],
)
def test_a_positive_class_that_does_not_fit_is_refused(values: list[str], task: TaskKind, message: str) -> None:
    spec = TrainingSpec(target="y", task=task, positive="yes")
    target = read_target(pd.Series(np.resize(values, 60), name="y"), spec)
    with pytest.raises(TargetError, match=message):
        positive_class(target, spec)
