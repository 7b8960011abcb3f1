"""What a study keeps, that processes share one, and that the same seed proposes the same."""

import json
import multiprocessing
from pathlib import Path

from optuna.trial import TrialState

from mlpipe_dagster.automl.algorithms import EXTRA_TREES, LIGHTGBM, LINEAR, Algorithm
from mlpipe_dagster.automl.study import Study

KNOWN = {algorithm.name: algorithm for algorithm in (LIGHTGBM, LINEAR, EXTRA_TREES)}


def tried(study: Study, algorithm: Algorithm, count: int) -> list[dict[str, object]]:
    """Settings proposed one after the other; the loss is how far the first setting is from the middle of its range."""
    found = []
    for _ in range(count):
        proposal = study.ask(KNOWN, algorithm)
        name, setting = next(iter(proposal.algorithm.space.items()))
        study.tell(proposal, abs(float(proposal.parameters[name] or 0) - (setting.low + setting.high) / 2), False)
        found.append({"algorithm": proposal.algorithm.name, **proposal.parameters})
    return found


def test_what_is_queued_comes_first_and_once() -> None:
    study = Study()
    for _ in range(2):  # as a second process would
        study.enqueue(LINEAR, {"C": 0.03})
        study.enqueue(LIGHTGBM, {"num_leaves": 48})
    assert study.queued() == "linear"
    first, second, third = tried(study, EXTRA_TREES, 3)
    assert first == {"algorithm": "linear", "C": 0.03}
    assert second == {"algorithm": "LightGBM", **LIGHTGBM.start, "num_leaves": 48}
    assert third["algorithm"] == "extra trees" and set(third) == {"algorithm", *EXTRA_TREES.space}
    assert study.queued() is None


def test_what_is_proposed_lies_in_the_space_and_draws_near_to_what_was_best() -> None:
    proposed = tried(Study(), EXTRA_TREES, 40)
    leaves = [float(one["min_samples_leaf"]) for one in proposed]  # type: ignore[arg-type]
    assert all(0.1 <= float(one["max_features"]) <= 1.0 for one in proposed)  # type: ignore[arg-type]
    assert all(1 <= value <= 30 for value in leaves)
    # the loss is least at 15.5 leaves; drawn evenly on the logarithmic scale a fifth would lie between 11 and 21
    assert sum(11 <= value <= 21 for value in leaves[20:]) > 8


def test_an_abandoned_trial_is_pruned_with_the_loss_of_its_first_fold() -> None:
    study = Study()
    study.tell(study.ask(KNOWN, LINEAR), 0.7, abandoned=True)
    study.tell(study.ask(KNOWN, LINEAR), 0.4, abandoned=False)
    assert [(trial.state, trial.value) for trial in study.trials] == [
        (TrialState.PRUNED, 0.7),
        (TrialState.COMPLETE, 0.4),
    ]


def test_the_same_seed_proposes_the_same_wherever_the_trials_lie(tmp_path: Path) -> None:
    here, there, other = Study(), Study(journal=tmp_path / "study.jsonl"), Study(seed=(1,))
    assert tried(here, LIGHTGBM, 15) == tried(there, LIGHTGBM, 15) != tried(other, LIGHTGBM, 15)
    lines = (tmp_path / "study.jsonl").read_text().splitlines()
    assert all(isinstance(json.loads(line), dict) for line in lines), "nothing but JSON"


def _second_worker(journal: Path, ready: "multiprocessing.synchronize.Barrier") -> None:  # type: ignore[name-defined]
    study = Study("loans v2", (1,), journal)
    ready.wait(60)
    tried(study, EXTRA_TREES, 12)


def test_two_processes_share_one_study(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    ready = context.Barrier(2)
    study = Study("loans v2", (0,), tmp_path / "study.jsonl")
    study.enqueue(LINEAR, {"C": 0.03})
    second = context.Process(target=_second_worker, args=(tmp_path / "study.jsonl", ready))
    second.start()
    ready.wait(60)
    tried(study, LIGHTGBM, 12)
    second.join(60)
    assert second.exitcode == 0
    late = Study("loans v2", (2,), tmp_path / "study.jsonl")
    for seen in (study.trials, late.trials):
        assert sorted(trial.number for trial in seen) == list(range(24))
        assert {trial.state for trial in seen} == {TrialState.COMPLETE}
        algorithms = [trial.user_attrs["algorithm"] for trial in seen]
        assert algorithms.count("linear") == 1, "the queue is emptied once"
        assert algorithms.count("LightGBM") + algorithms.count("extra trees") == 23
