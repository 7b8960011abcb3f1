"""A fairness constraint in a training: held on rows never seen, its trade shown, its model saved like any other."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlpipe_dagster.automl import artefacts
from mlpipe_dagster.automl.algorithms import boosting
from mlpipe_dagster.automl.bench import open_bench
from mlpipe_dagster.automl.choice import choose
from mlpipe_dagster.automl.clock import Clock
from mlpipe_dagster.automl.constrained import ITS_PROBABILITIES, MOST_POINTS, constrained
from mlpipe_dagster.automl.fairness.constraint import Constraint
from mlpipe_dagster.automl.fairness.frontier import Frontier
from mlpipe_dagster.automl.finish import finish
from mlpipe_dagster.automl.job import Job, prepare
from mlpipe_dagster.automl.keeper import _kept_fits
from mlpipe_dagster.automl.model import TrainedModel, TrainingSpec
from mlpipe_dagster.automl.onnx_model.export import export
from mlpipe_dagster.automl.search import Search, run_baselines
from mlpipe_dagster.automl.train import train
from mlpipe_dagster.errors import ModelError
from mlpipe_dagster.vocabulary import TaskKind
from mlpipe_dagster_tests.automl.test_mitigation import unequal

SPEC = TrainingSpec(target="hired", task=TaskKind.BINARY, sensitive=("sex",), engine="deterministic:1",
                    constraint=Constraint(kind="demographic_parity"))  # fmt: skip


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """Of men 60 % more are hired than of women."""
    return unequal(500).drop(columns="row")


@pytest.fixture(scope="module")
def model(table: pd.DataFrame) -> TrainedModel:
    return train(table, SPEC, 1)


def frontier_of(model: TrainedModel) -> Frontier:
    assert model.frontier is not None
    return model.frontier


def test_the_constraint_holds_on_rows_never_seen(model: TrainedModel, table: pd.DataFrame) -> None:
    """Counted here from the answers of the saved pipeline: 100 test rows, so that a rate is known within about 0.1."""
    found = frontier_of(model)
    assert found.test_without is not None and found.test_with is not None
    assert found.test_without.difference.value > 0.4
    rows = table.iloc[list(model.test_rows)]
    hired = pd.Series(model.estimator.predict(rows) == "yes").groupby(rows["sex"].to_numpy()).mean()
    apart = abs(hired["man"] - hired["woman"])
    assert apart == pytest.approx(found.test_with.difference.value)
    assert apart < 0.2
    assert found.test_with.difference.low == 0.0
    right = float(np.mean(model.estimator.predict(rows) == rows["hired"]))
    assert right == pytest.approx(found.test_with.accuracy.value) == pytest.approx(model.test_score.value)


def test_the_frontier_shows_what_alikeness_costs(model: TrainedModel) -> None:
    found = frontier_of(model)
    first, chosen = found.unconstrained, found.chosen
    assert first is not None and chosen is not None
    assert found.met and chosen.difference.value <= 0.05 < first.difference.value
    assert 2 < len(found.points) <= MOST_POINTS + 1
    assert [point.strength for point in found.points] == sorted(point.strength for point in found.points)
    line = sorted((p for p in found.points if not p.dominated), key=lambda point: point.difference.value)
    right = [point.accuracy.value for point in line]
    assert right == sorted(right) and line[-1] is first
    alike = [point.accuracy.value for point in found.points if point.difference.value <= 0.05]
    assert chosen.accuracy.value == max(alike)
    assert sum(point.chosen for point in found.points) == 1


def test_the_result_says_it(model: TrainedModel) -> None:
    said = next(note for note in model.notes if note.startswith("Fairness constraint (demographic parity within 0.05)"))
    assert "the selection rate of two groups differs by at most 0.0" in said
    assert ITS_PROBABILITIES in model.notes
    entry = next(entry for entry in model.budget if entry.what == "fairness constraint")
    assert entry.note.endswith("fits under prices")


def test_the_model_is_saved_like_any_other(model: TrainedModel, table: pd.DataFrame, tmp_path: Path) -> None:
    artefacts.save(model, tmp_path)
    loaded = artefacts.load(tmp_path)
    assert loaded.frontier == model.frontier
    assert loaded.spec == model.spec
    np.testing.assert_array_equal(loaded.estimator.predict_proba(table), model.estimator.predict_proba(table))
    assert export(model, table, tmp_path / "model.onnx").sha256 is not None


def searched(table: pd.DataFrame, spec: TrainingSpec) -> tuple[Search, Job]:
    """The baselines alone, in a search that counts no time."""
    job = prepare(table, spec, 60)
    bench = open_bench(job.source, 60, spec.seed, folds=2)
    search = Search(bench, Clock(60).uncounted(60), boosting()[0], 0, 1)
    run_baselines(search)
    return search, job


def test_without_time_the_model_is_kept_and_said_to_be_apart(table: pd.DataFrame) -> None:
    search, job = searched(table, SPEC)
    choice = choose(search)
    held = constrained(search, choice, job, 0.0)
    assert (held.taken, held.unconstrained) == (choice.taken, None)
    assert held.frontier is not None
    assert len(held.frontier.points) == 1 and not held.frontier.met
    assert "The allowed difference was not reached" in held.notes[-1]
    assert "(stopped by the clock after 0 fits under prices)" in held.notes[-1]
    kept = finish(replace(search, clock=search.clock.copy()), choice, _kept_fits(search, choice), job)
    assert any(
        note.startswith("The fairness constraint (demographic parity within 0.05) is not held") for note in kept.notes
    )


def test_what_is_alike_already_stays(table: pd.DataFrame) -> None:
    alike = table.assign(sex=np.random.default_rng(1).choice(["man", "woman"], len(table)))
    search, job = searched(
        alike, SPEC.model_copy(update={"constraint": Constraint(kind="equalized_odds", allowed=0.3)})
    )
    choice = choose(search)
    held = constrained(search, choice, job, np.inf)
    assert held.taken is choice.taken
    assert held.frontier is not None and held.frontier.met
    assert held.notes[-1].endswith("and is kept.")


def test_too_few_rows_of_a_group_are_said(table: pd.DataFrame) -> None:
    lonely = table.assign(sex=np.where(np.arange(len(table)) < 8, "woman", "man"))
    search, job = searched(lonely, SPEC)
    held = constrained(search, choose(search), job, np.inf)
    assert held.frontier is not None and held.frontier.points == ()
    assert "was not used: fewer than two groups of a sensitive column have 30 of the rows" in held.notes[-1]


def test_it_needs_two_classes_and_groups(table: pd.DataFrame) -> None:
    with pytest.raises(ModelError, match="demographic_parity needs sensitive columns"):
        train(table, SPEC.model_copy(update={"sensitive": ()}), 3)
    with pytest.raises(ModelError, match="demographic_parity needs a target of two classes"):
        train(table, SPEC.model_copy(update={"target": "skill", "task": TaskKind.REGRESSION}), 3)


def test_a_quicker_candidate_is_fitted_where_time_is_short(table: pd.DataFrame) -> None:
    search, job = searched(table, SPEC)
    choice = choose(search)
    slow = replace(choice, taken=replace(choice.taken, fit_seconds=1000.0))
    held = constrained(search, slow, job, 100.0)
    assert held.unconstrained is slow.taken
    assert held.frontier is not None and held.frontier.met
    assert held.notes[-1].startswith("Under prices linear was fitted in place of linear")
