"""Weights and copies of rows in a training: they reach every algorithm, and no row that is validated or tested."""

import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlpipe_dagster.automl.algorithms import (
    CONSTANT,
    EXTRA_TREES,
    HISTOGRAM,
    LIGHTGBM,
    LINEAR,
    FitData,
    Limits,
    predict,
)
from mlpipe_dagster.automl.artefacts import load, save
from mlpipe_dagster.automl.bench import Source, open_bench
from mlpipe_dagster.automl.columns import usable_columns
from mlpipe_dagster.automl.model import TrainingSpec
from mlpipe_dagster.automl.target import read_target
from mlpipe_dagster.automl.train import train
from mlpipe_dagster.errors import ModelError
from mlpipe_dagster.vocabulary import Mitigation, TaskKind

ALGORITHMS = (CONSTANT, LINEAR, EXTRA_TREES, LIGHTGBM, HISTOGRAM)


def unequal(rows: int = 900, seed: int = 4) -> pd.DataFrame:
    """Men are hired more often at the same skill; `club` gives sex away."""
    draw = np.random.default_rng(seed)
    man = draw.random(rows) < 0.5
    skill = draw.normal(size=rows)
    club = np.where(draw.random(rows) < 0.85, man, ~man)
    hired = skill + 1.6 * man + draw.normal(scale=0.5, size=rows) > 0.8
    return pd.DataFrame(
        {
            "row": np.arange(rows) + 0.5,
            "sex": np.where(man, "man", "woman"),
            "skill": skill,
            "club": np.where(club, "golf", "tennis"),
            "hired": np.where(hired, "yes", "no"),
        }
    )


@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=lambda algorithm: algorithm.name)
@pytest.mark.parametrize("labels", [np.array(["no", "yes"] * 60), np.array([0.0, 1.0] * 60)], ids=["class", "number"])
def test_every_algorithm_learns_from_weights(algorithm, labels) -> None:  # type: ignore[no-untyped-def]
    """Rows that are all alike: what is predicted is the weighted share of the second label, 0.9."""
    weights = np.where(np.arange(120) % 2 == 1, 1.8, 0.2)
    fitted = algorithm.fit(
        algorithm.start, FitData(np.zeros((120, 2)), labels, weights=weights), Limits(time.monotonic() + 5, 0, 1, 20)
    )
    predicted = predict(fitted.estimator, np.zeros((1, 2)))
    said = predicted[0, 1] if predicted.ndim == 2 else predicted[0]
    assert said > 0.7


@pytest.mark.parametrize("mitigation", [Mitigation.REWEIGHING, Mitigation.RESAMPLING])
def test_only_rows_to_fit_on_are_weighted_or_repeated(mitigation: Mitigation) -> None:
    """The column `row` tells every row apart: copies of a row stay on one side of every fold."""
    table = unequal()
    spec = TrainingSpec(target="hired", task=TaskKind.BINARY, sensitive=("sex",))
    target = read_target(table["hired"], spec)
    schema, _ = usable_columns(table[["row", "skill"]], ())
    sex = (table["sex"] == "man").to_numpy().astype(np.int64)[:, None]
    bench = open_bench(Source(table, target, schema, target.rows, sex), 60, 0, mitigation)
    assert len(bench.folds) > 1
    for fold, (fit, check) in enumerate(bench.folds):
        data = bench.data("trees", fold)
        assert data.check_features is not None
        seen, checked = data.features[:, 0], data.check_features[:, 0]
        assert set(seen) <= set(fit + 0.5)
        assert sorted(checked) == sorted(check + 0.5)
        assert len(seen) == pytest.approx(len(fit), abs=1)
        group, hired = sex[(seen - 0.5).astype(int), 0], data.labels == "yes"
        weights = np.ones(len(seen)) if data.weights is None else data.weights
        shares = [np.average(hired[group == side], weights=weights[group == side]) for side in (0, 1)]
        assert shares[0] == pytest.approx(shares[1], abs=0.01)
        assert (len(set(seen)) < len(seen)) == (mitigation is Mitigation.RESAMPLING)


def test_weights_need_groups_and_classes() -> None:
    table = unequal(100)
    with pytest.raises(ModelError, match="reweighing needs sensitive columns"):
        train(table, TrainingSpec(target="hired", task=TaskKind.BINARY, mitigation=Mitigation.REWEIGHING), 3)
    spec = TrainingSpec(target="skill", task=TaskKind.REGRESSION, sensitive=("sex",), mitigation=Mitigation.RESAMPLING)
    with pytest.raises(ModelError, match="resampling needs classes to predict"):
        train(table, spec, 3)


def test_without_the_trace_of_sex(tmp_path: Path) -> None:
    """The numbers the model reads say nothing of sex, new rows are read the same way, and so after loading."""
    table = unequal(300).drop(columns=["row", "club"]).assign(height=lambda rows: 3.0 * (rows["sex"] == "man"))
    table["height"] += np.random.default_rng(2).normal(size=300)
    spec = TrainingSpec(
        target="hired", task=TaskKind.BINARY, sensitive=("sex",), mitigation=Mitigation.CORRELATION_REMOVER
    )
    model = train(table, spec, 2)
    assert model.schema.names == ["skill", "height"]
    training = table.drop(index=list(model.test_rows))
    read = model.estimator[0].transform(training)
    man = (training["sex"] == "man").to_numpy()
    assert read["c1"][man].mean() == pytest.approx(read["c1"][~man].mean())
    save(model, tmp_path)
    loaded = load(tmp_path)
    assert loaded.schema.removal == model.schema.removal
    np.testing.assert_array_equal(loaded.estimator.predict(table), model.estimator.predict(table))
    assert "Trained with correlation-remover for the groups of sex" in (tmp_path / "model_card.md").read_text()
    with pytest.raises(ModelError, match="needs the column"):
        model.estimator.predict(table.drop(columns="sex"))
