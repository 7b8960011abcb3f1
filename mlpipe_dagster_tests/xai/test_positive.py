"""Explanations are about the positive class that was named: the other one's, turned round."""

import dataclasses

import numpy as np
import pytest
from lightgbm import LGBMClassifier
from scipy.special import logit
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.metrics import precision_score, recall_score

from mlpipe_dagster.vocabulary import TaskKind
from mlpipe_dagster.xai.attribution import about_positive
from mlpipe_dagster.xai.explain import explain_model
from mlpipe_dagster.xai.explainers import attribute
from mlpipe_dagster_tests.xai.models import planted, trained

BOOSTED = LGBMClassifier(n_estimators=30, verbose=-1, n_jobs=1)


@pytest.mark.parametrize(
    ("estimator", "scale"), [(BOOSTED, "log-odds"), (ExtraTreesClassifier(10, random_state=0), "probability")]
)
def test_values_add_up_to_the_named_class(estimator: LGBMClassifier, scale: str) -> None:
    table = planted(120)
    model = trained(table, "binary", TaskKind.BINARY, estimator)
    named = dataclasses.replace(model, spec=model.spec.model_copy(update={"positive": "no"}))
    rows = table.head(10)
    usual = attribute(model.estimator, rows, table.tail(50), model.feature_origins)
    made = about_positive(usual, named)
    assert about_positive(usual, model) is usual
    chance = model.estimator.predict_proba(rows)[:, 0]
    assert made.scale == scale
    assert made.additivity_holds
    np.testing.assert_allclose(made.output[:, 0], logit(chance) if scale == "log-odds" else chance, atol=1e-6)
    np.testing.assert_allclose(made.values, -usual.values)


def test_everything_of_an_explanation_is_about_the_named_class() -> None:
    table = planted(160).drop(columns=["value", "multiclass"])
    model = trained(table, "binary", TaskKind.BINARY, BOOSTED)
    usual = explain_model(model, table, seconds=5)
    named = dataclasses.replace(model, spec=model.spec.model_copy(update={"positive": "no"}))
    found = explain_model(named, table, seconds=5)
    assert (usual.positive, found.positive, found.described) == ("yes", "no", "no")
    assert found.thresholds is not None
    rows = table.iloc[list(named.test_rows)]
    truth, chance = rows["binary"] == "no", named.estimator.predict_proba(rows)[:, 0]
    assert found.thresholds.positive == "no"
    for step in found.thresholds.steps:
        flagged = chance >= step.threshold
        if flagged.any():
            assert step.found == pytest.approx(recall_score(truth, flagged))
            assert step.right == pytest.approx(precision_score(truth, flagged))
    directions = {
        of: {column.name: column.direction for column in each.columns} for of, each in (("yes", usual), ("no", found))
    }
    assert (directions["yes"]["strong"], directions["no"]["strong"]) == ("raises", "lowers")
    assert {row.explained.of for row in found.local} == {"no"}
    assert {curve.output for curve in found.dependence} == {"no"}
