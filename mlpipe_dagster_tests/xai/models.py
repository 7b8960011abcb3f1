"""Small trained models for the tests of explanations: built by hand around a fitted estimator, without the search."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from mlpipe_dagster.automl.columns import usable_columns
from mlpipe_dagster.automl.model import Estimate, TrainedModel, TrainingSpec, Trial
from mlpipe_dagster.automl.preparation import as_number, as_text, encoder, feature_names, typed_columns
from mlpipe_dagster.vocabulary import TaskKind


def trained(
    table: pd.DataFrame,
    target: str,
    task: TaskKind,
    estimator: Any,
    *,
    sensitive: Sequence[str] = (),
    test_rows: Sequence[int] | None = None,
    linear: bool = False,
) -> TrainedModel:
    """`estimator` fitted on the rows of `table` outside `test_rows` (every fourth row), with its true test score."""
    held = list(test_rows) if test_rows is not None else list(range(0, len(table), 4))
    training = table.drop(index=table.index[held]) if len(held) < len(table) else table
    schema, _ = usable_columns(training, [target])
    reader = typed_columns(schema)
    typed = reader.transform(training)
    regression = task is TaskKind.REGRESSION
    labels = as_number(training[target]) if regression else as_text(training[target]).astype(str)
    classes = () if regression else tuple(np.unique(labels).tolist())
    encode = encoder("linear" if linear else "trees", typed, len(classes), 0)
    features = encode.fit_transform(typed, labels)
    names, origins = feature_names(schema, encode)
    pipeline = Pipeline([("columns", reader), ("encode", encode), ("model", estimator.fit(features, labels))])
    test = table.iloc[held]
    predicted = pipeline.predict(test)
    truth = as_number(test[target]) if regression else as_text(test[target]).astype(str)
    score = _r2(truth, predicted) if regression else float((truth == predicted).mean())
    estimate = Estimate(value=score, low=score - 0.05, high=min(score + 0.05, 1.0))
    baseline = Estimate(value=0.0 if regression else 0.5, low=-0.05, high=0.55)
    return TrainedModel(
        estimator=pipeline,
        spec=TrainingSpec(target=target, task=task, sensitive=tuple(sensitive)),
        schema=schema,
        classes=classes or None,
        algorithm=type(estimator).__name__,
        parameters={"seed": 0},
        framework="sklearn",
        feature_names=names,
        feature_origins=origins,
        metric_name="R²" if regression else "accuracy",
        loss_name="RMSE" if regression else "log loss",
        training_score=estimate,
        validation_score=estimate,
        test_score=estimate,
        metrics={"R²" if regression else "accuracy": estimate},
        baseline_algorithm="constant",
        baseline_score=baseline,
        beats_baseline=True,
        leaderboard=(
            Trial(
                number=1,
                algorithm=type(estimator).__name__,
                parameters={},
                score=score,
                loss=0.5,
                seconds=1.0,
                finished_at=1.0,
            ),
        ),
        budget_seconds=10.0,
        budget=(),
        notes=("Built for a test.",),
        trained_rows=len(training),
        test_rows=tuple(held),
    )


def _r2(truth: "np.ndarray[Any, Any]", predicted: "np.ndarray[Any, Any]") -> float:
    total = float(((truth - truth.mean()) ** 2).sum())
    return 1.0 - float(((truth - predicted) ** 2).sum()) / total if total else 0.0


def planted(rows: int = 400, seed: int = 0) -> pd.DataFrame:
    """Columns whose true weight is known: `strong` 3, `weak` 1, `colour` red 1.5, `noise` 0; targets of three kinds."""
    draw = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "noise": draw.normal(size=rows),
            "weak": draw.normal(size=rows),
            "strong": draw.normal(size=rows),
            "colour": draw.choice(["red", "green", "blue"], rows),
        }
    )
    value = 3 * table["strong"] + table["weak"] + 1.5 * (table["colour"] == "red") + draw.normal(size=rows) * 0.1
    table["value"] = value
    table["binary"] = np.where(value > 0.5, "yes", "no")
    table["multiclass"] = np.array(["low", "middle", "high"])[np.digitize(value, [-1.5, 2.5])]
    return table
