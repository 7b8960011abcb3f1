"""Importance by shuffling and its companions: against scikit-learn, and against what is known of the columns."""

import pytest
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression, Ridge

from mlpipe_dagster.vocabulary import TaskKind
from mlpipe_dagster.xai.importance import shuffled_losses
from mlpipe_dagster.xai.subject import subject
from mlpipe_dagster_tests.xai.models import planted, trained

FEATURES = ["noise", "weak", "strong", "colour"]


@pytest.mark.parametrize(
    ("target", "task", "estimator", "scoring"),
    [
        ("binary", TaskKind.BINARY, LogisticRegression(), "neg_log_loss"),
        ("value", TaskKind.REGRESSION, Ridge(), "neg_root_mean_squared_error"),
    ],
)
def test_shuffling_agrees_with_scikit_learn(target: str, task: TaskKind, estimator: object, scoring: str) -> None:
    table = planted(1600)[[*FEATURES, target]]
    model = trained(table, target, task, estimator, linear=True)
    asked = subject(model, table)
    found = shuffled_losses(asked, tuple(FEATURES))
    test = table.iloc[list(model.test_rows)]
    expected = permutation_importance(
        model.estimator, test[FEATURES], test[target], scoring=scoring, n_repeats=5, random_state=1
    )
    for name, mean in zip(FEATURES, expected.importances_mean, strict=True):
        assert found[name].mean == pytest.approx(mean, rel=0.15, abs=0.01)


def test_a_column_that_never_varies_costs_nothing_when_shuffled() -> None:
    table = planted(100)[["strong", "value"]]
    model = trained(table, "value", TaskKind.REGRESSION, Ridge())
    asked = subject(model, table.assign(strong=1.0))
    assert shuffled_losses(asked, ("strong",))["strong"].mean == 0.0
