"""When a search ends, and that candidates cut by the clock are said to be."""

import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mlpipe_dagster.automl import ensemble
from mlpipe_dagster.automl.algorithms import (
    CONSTANT,
    EXTRA_TREES,
    HISTOGRAM,
    LIGHTGBM,
    LINEAR,
    Algorithm,
    Fitted,
    Limits,
)
from mlpipe_dagster.automl.bench import Bench, Source, open_bench, random_rows
from mlpipe_dagster.automl.choice import choose, is_learnable
from mlpipe_dagster.automl.clock import Clock
from mlpipe_dagster.automl.columns import usable_columns
from mlpipe_dagster.automl.last_fit import refit
from mlpipe_dagster.automl.metrics import Outcome
from mlpipe_dagster.automl.model import TrainingSpec, Trial
from mlpipe_dagster.automl.search import Candidate, Search, _why_abandon, run_baselines, run_search
from mlpipe_dagster.automl.target import read_target
from mlpipe_dagster.vocabulary import TaskKind

SPEC = TrainingSpec(target="y", task=TaskKind.BINARY)


@pytest.fixture
def source() -> Source:
    draw = np.random.default_rng(0)
    x = draw.normal(size=(120, 3))
    table = pd.DataFrame(x, columns=["a", "b", "c"]).assign(y=np.where(x[:, 0] + draw.normal(size=120) > 0, "p", "n"))
    target = read_target(table["y"], SPEC)
    return Source(table, target, usable_columns(table, ["y"])[0], np.arange(120))


@pytest.fixture
def bench(source: Source) -> Bench:
    return open_bench(source, budget=10, seed=0)


def ticking(step: float) -> Iterator[float]:
    now = 0.0
    while True:
        yield now
        now += step


def search_with(bench: Bench, step: float, progress: list[Trial]) -> Search:
    ticks = ticking(step)
    return Search(bench, Clock(10, now=lambda: next(ticks)), LIGHTGBM, 0, 1, progress.append)


def test_a_search_without_time_tries_nothing(bench: Bench) -> None:
    seen: list[Trial] = []
    search = search_with(bench, step=20, progress=seen)
    run_baselines(search)
    assert run_search(search, lambda best: 0) == "stopped by the clock"
    assert [trial.algorithm for trial in seen] == ["constant", "linear"]
    assert all(trial.baseline for trial in seen)


def test_a_search_ends_when_nothing_improves(source: Source) -> None:
    seen: list[Trial] = []
    search = search_with(open_bench(source, budget=0.01, seed=0), step=0, progress=seen)  # one fold: quicker
    run_baselines(search)
    assert run_search(search, lambda best: 0).startswith("stopped early: 40 trials in a row")
    assert [trial.number for trial in seen] == list(range(1, len(seen) + 1))
    assert {trial.algorithm for trial in seen} == {"constant", "linear", "LightGBM", "extra trees"}
    assert sum(trial.algorithm == "linear" for trial in seen) <= 8


BLEND = replace(LIGHTGBM, name=ensemble.NAME)


class Weighed:
    """A search of a few candidates that saved so much log loss over a constant guess on 100 validation rows each."""

    learnable = False

    def __init__(self, linear: float, boosting: float, algorithm: Algorithm = LIGHTGBM) -> None:
        # row losses alternate by 0.1 to both sides: a standard error of 0.01005 for what is saved
        losses = [(CONSTANT, 0.69), (LINEAR, 0.69 - linear), (algorithm, 0.69 - boosting)]
        self.candidates = [self._candidate(*pair) for pair in losses]
        self.best = lambda name: next(c for c in self.candidates if c.algorithm.name == name)

    def _candidate(self, algorithm: Algorithm, mean: float) -> Candidate:
        around = 0.0 if algorithm in (CONSTANT, BLEND) else 0.1
        chances = np.exp(-(mean + around * np.where(np.arange(100) % 2 == 0, 1, -1)))
        outcome = Outcome(np.zeros(100), np.column_stack([chances, 1 - chances]))
        trial = Trial(
            number=1, algorithm=algorithm.name, parameters={}, score=None, loss=mean, seconds=0, finished_at=0,
            baseline=algorithm in (CONSTANT, LINEAR),
        )  # fmt: skip
        return Candidate(trial, algorithm, None, Fitted(None), mean, 0.0, outcome)


@pytest.mark.parametrize(
    ("linear", "boosting", "taken", "said"),
    [
        (0.019, 0.019, CONSTANT, "That constant guess is what is kept"),  # 1.89 standard errors: may be chance
        (0.021, 0.019, LINEAR, "The best baseline itself is taken (linear)"),  # 2.09 are not
        (0.019, 0.021, LIGHTGBM, ""),
        (0.050, 0.051, LIGHTGBM, ""),  # the same rows: what it saves over linear is the same for each
        (0.051, 0.050, LINEAR, "The best baseline itself is taken (linear)"),
    ],
)
def test_the_choice_is_the_best_or_the_best_baseline(
    linear: float, boosting: float, taken: Algorithm, said: str
) -> None:
    choice = choose(Weighed(linear, boosting))  # type: ignore[arg-type]
    assert choice.taken.algorithm is taken
    assert said in " ".join(choice.notes) and bool(said) == bool(choice.notes)
    assert choice.baseline.trial.baseline and choice.baseline is not choice.taken


@pytest.mark.parametrize(("blend", "taken"), [(0.116, LINEAR), (0.117, BLEND)])  # 1.59 and 1.69 standard errors
def test_a_linear_model_gives_way_to_what_is_better_beyond_chance(blend: float, taken: Algorithm) -> None:
    choice = choose(Weighed(0.100, blend, BLEND))  # type: ignore[arg-type]
    assert choice.taken.algorithm is taken
    assert ("not clearly better than a linear model" in " ".join(choice.notes)) is (taken is LINEAR)


@pytest.mark.parametrize(("saved", "rows", "goes_on"), [(0.05, 100, False), (0.05, 4, True), (0.02, 100, True)])
def test_a_candidate_is_abandoned_where_a_fold_says_enough(saved: float, rows: int, goes_on: bool) -> None:
    """Over 8 % worse on the first fold, and on so many rows that chance does not explain it."""
    weighed = Weighed(linear=0.30, boosting=0.30 - saved)
    leader, other = (weighed.best(algorithm.name) for algorithm in (LINEAR, LIGHTGBM))
    around = np.where(np.arange(rows) // 2 % 2 == 0, 0.15, -0.15)  # of what a row loses more than with the leader
    chances = other.outcome.predicted[:rows, 0] * np.exp(-around)
    first = Outcome(np.zeros(rows), np.column_stack([chances, 1 - chances]))
    assert (_why_abandon([first], 5, time.monotonic() + 60, leader) == "") is goes_on


def test_what_more_rows_have_shown_needs_not_be_shown_again() -> None:
    search = Weighed(linear=0.010, boosting=0.012)  # one standard error over a constant guess: may be chance
    assert choose(search).taken.algorithm is CONSTANT  # type: ignore[arg-type]
    search.learnable = True
    assert choose(search).taken.algorithm is LIGHTGBM  # type: ignore[arg-type]


def test_a_small_table_is_learnable_or_not(source: Source, bench: Bench) -> None:
    search = search_with(bench, step=0, progress=[])
    assert is_learnable(search, source)
    noise = replace(
        source, target=replace(source.target, values=np.random.default_rng(1).permutation(source.target.values))
    )
    assert not is_learnable(search, noise)


def test_without_time_the_validated_fit_is_kept(bench: Bench, source: Source) -> None:
    search = search_with(bench, step=0, progress=[])
    run_baselines(search)
    taken = choose(search).taken
    last = refit(taken, search, source, SPEC, seconds=0)
    assert last.rows == len(bench.folds[0][0])
    assert last.notes == (
        f"No time was left to fit again on all 120 training rows: the fit on {last.rows} of them is kept.",
    )
    assert last.pipeline.predict(source.table).shape == (120,)


@pytest.mark.parametrize("algorithm", [LIGHTGBM, EXTRA_TREES, HISTOGRAM], ids=lambda algorithm: algorithm.name)
def test_a_fit_past_its_deadline_ends_early_and_says_so(bench: Bench, algorithm: Algorithm) -> None:
    fitted = algorithm.fit(algorithm.start, bench.data("trees", 0), Limits(0.0, 0, 1))
    assert fitted.cut
    assert fitted.rounds == 1


def test_a_linear_fit_past_its_deadline_says_so() -> None:
    draw = np.random.default_rng(0)
    x = draw.normal(size=(300, 30))
    table = pd.DataFrame(x, columns=[f"x{n}" for n in range(30)]).assign(y=np.where(x.sum(axis=1) > 0, "p", "n"))
    target = read_target(table["y"], SPEC)
    bench = open_bench(Source(table, target, usable_columns(table, ["y"])[0], np.arange(300)), 10, 0)
    assert LINEAR.fit({"C": 1e6}, bench.data("linear", 0), Limits(0.0, 0, 1)).cut


def test_random_rows_keep_every_class() -> None:
    labels = np.array(["a"] * 1000 + ["b"])
    assert set(labels[random_rows(labels, 10, seed=0)]) == {"a", "b"}
    assert len(random_rows(labels, 10, seed=0)) == 10


def test_the_ledger_notes_what_happened() -> None:
    ticks = ticking(1.0)
    clock = Clock(10, now=lambda: next(ticks))
    with clock.entry("search"):
        clock.remark("stopped by the clock")
    assert [(entry.what, entry.seconds, entry.note) for entry in clock.entries] == [
        ("search", 1.0, "stopped by the clock")
    ]


@pytest.mark.parametrize(("seconds", "tried"), [(0.25, True), (2.0, False)])
def test_boosting_of_other_libraries_is_tried_where_there_is_time(source: Source, seconds: float, tried: bool) -> None:
    """Half of the 10 seconds that are left are more than four times a quarter of one, and less than four times two."""
    seen: list[Trial] = []
    search = search_with(open_bench(source, budget=0.01, seed=0), step=0, progress=seen)
    search.further = (HISTOGRAM,)
    own = search.validate(LIGHTGBM, LIGHTGBM.start, 5)
    search.add(replace(own, trial=own.trial.model_copy(update={"seconds": seconds})))
    assert run_search(search, lambda best: 0, trials=4) == "4 trials"
    assert (HISTOGRAM.name in {trial.algorithm for trial in seen}) == tried


def test_a_search_that_goes_on_starts_with_what_was_best(source: Source) -> None:
    def kept(algorithm: str, **parameters: float) -> Trial:
        return Trial(
            number=9, algorithm=algorithm, parameters=dict(parameters), score=0.9, loss=0.1, seconds=1, finished_at=1
        )

    seen: list[Trial] = []
    search = search_with(open_bench(source, budget=0.01, seed=0), step=0, progress=seen)
    search.kept = (kept("extra trees", min_samples_leaf=7, max_features=0.3), kept("ensemble"), kept("linear", C=0.2))
    run_baselines(search)
    assert run_search(search, lambda best: 0, trials=3) == "3 trials"
    tried = [(trial.algorithm, trial.parameters) for trial in seen if not trial.baseline]
    assert tried[:2] == [("extra trees", {"min_samples_leaf": 7, "max_features": 0.3}), ("linear", {"C": 0.2})]
    assert len(tried) == 3
