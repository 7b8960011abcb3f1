"""The formulas: literals worked out by hand, scipy as another implementation, and properties that must always hold."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import jensenshannon

from mlpipe_dagster.bias import intervals
from mlpipe_dagster.bias.intervals import Moments
from mlpipe_dagster.bias.measures import MEASURES, measures_for
from mlpipe_dagster.bias.pairs import Estimate, Pair, Side, joined
from mlpipe_dagster.vocabulary import TaskKind


def side(*counts: int, size: int | None = None, moments: Moments | None = None) -> Side:
    array = np.array(counts, dtype=np.int64)
    return Side(size or int(array.sum()), array, intervals.resampled(array[None, :], 200)[:, 0], moments)


def estimates(a: Side, d: Side, task: TaskKind = TaskKind.BINARY, outcome: int = 0) -> dict[str, Estimate]:
    return {kind.name: kind.estimate(Pair(a, d), outcome) for kind in measures_for(task)}


def test_a_class_that_the_group_lacks_makes_kl_infinite_and_nothing_else() -> None:
    found = estimates(side(20, 20, 10), side(30, 20, 0), TaskKind.MULTICLASS)
    assert found["KL"].value is None
    assert found["KL"].note.startswith("Infinite")
    # P_a = .4 .4 .2, P_d = .6 .4 0: TVD = (.2 + 0 + .2) / 2, KS = .2
    assert found["TVD"].value == pytest.approx(0.2)
    assert found["KS"].value == pytest.approx(0.2)
    assert found["JS"].value == pytest.approx(
        0.5 * (0.4 * math.log(0.4 / 0.5) + 0.2 * math.log(0.2 / 0.1)) + 0.5 * (0.6 * math.log(0.6 / 0.5)),
    )


def test_a_class_that_the_reference_lacks_does_not_make_kl_negative() -> None:
    # over the classes both sides have, the sum is .5 ln(.5/.25) + .5 ln(.5/.25) = ln 2; over the union it is the same
    found = estimates(side(10, 10, 0), side(5, 5, 10), TaskKind.MULTICLASS)
    assert found["KL"].value == pytest.approx(math.log(2))
    assert found["TVD"].value == pytest.approx(0.5)


def test_ratio_without_events() -> None:
    assert estimates(side(0, 40), side(10, 30))["DI"].value is None
    nobody = estimates(side(10, 30), side(0, 40))["DI"]
    assert (nobody.value, nobody.low, nobody.high) == (0.0, None, None)


def test_means_of_groups_without_spread() -> None:
    a, d = side(40, moments=Moments(40, 3.0, 0.0)), side(40, moments=Moments(40, 1.0, 0.0))
    found = estimates(a, d, TaskKind.REGRESSION)
    assert found["mean difference"].value == 2.0
    assert found["standardized difference"].value is None


def test_binary_measures_by_hand() -> None:
    # a: 60 of 100 positive; d: 20 of 50 positive
    found = estimates(side(60, 40), side(20, 30))
    values = {name: estimate.value for name, estimate in found.items()}
    assert values == {
        "CI": pytest.approx(1 / 3),  # (100 - 50) / 150
        "DPL": pytest.approx(0.2),  # .6 - .4
        "DI": pytest.approx(2 / 3),  # .4 / .6
        # 30 of 70 without, 20 of 80 with the outcome are d's; no conditioning column
        "DD": pytest.approx(3 / 7 - 1 / 4),
        "CDDL": None,
        "L2": pytest.approx(math.sqrt(0.08)),  # two differences of .2
        "label missingness": 0.0,
        "missingness": None,
        "KL": pytest.approx(0.0810930216),  # .6 ln(.6/.4) + .4 ln(.4/.6) = .2 ln 1.5
        "JS": pytest.approx(0.0201355135),  # .6 ln 1.2 + .4 ln .8, the same from both sides
        "TVD": pytest.approx(0.2),
        "KS": pytest.approx(0.2),
    }


def test_the_class_imbalance_counts_rows_without_a_known_target_too() -> None:
    assert estimates(side(60, 40, size=300), side(20, 30, size=100))["CI"].value == pytest.approx(0.5)


def test_regression_measures_by_hand_and_scipy() -> None:
    a, d = [1.0, 2.0, 3.0, 4.0], [2.0, 4.0, 6.0]
    # cells 1 2 3 4 6
    found = estimates(
        side(1, 1, 1, 1, 0, moments=Moments(4, 2.5, math.sqrt(5 / 3))),
        side(0, 1, 0, 1, 1, moments=Moments(3, 4.0, 2.0)),
        TaskKind.REGRESSION,
    )
    assert found["mean difference"].value == pytest.approx(-1.5)
    # pooled variance (5 + 8) / 5 = 2.6
    assert found["standardized difference"].value == pytest.approx(-1.5 / math.sqrt(2.6))
    assert found["KS"].value == pytest.approx(stats.ks_2samp(a, d).statistic)


def test_the_rest_is_all_other_groups_together() -> None:
    together = joined([side(1, 2, moments=Moments(3, 1.0, 0.0)), side(3, 4, moments=Moments(7, 2.0, 0.0))])
    assert (together.size, together.counts.tolist()) == (10, [4, 6])
    assert together.moments is not None
    assert (together.moments.count, together.moments.mean) == (10, pytest.approx(1.7))


def test_every_measure_of_a_task_has_a_name_of_its_own() -> None:
    for task in TaskKind:
        names = [kind.name for kind in measures_for(task)]
        assert len(set(names)) == len(names)
    assert {kind.name for kind in MEASURES} >= {"CI", "DPL", "KL", "JS", "TVD", "KS"}


COUNTS = st.lists(st.integers(0, 200), min_size=3, max_size=3).filter(lambda counts: sum(counts) > 4)


@settings(deadline=None, max_examples=50)
@given(a=COUNTS, d=COUNTS)
def test_ranges_signs_and_scipy(a: list[int], d: list[int]) -> None:
    forth, back = (estimates(side(*one), side(*other), TaskKind.MULTICLASS) for one, other in ((a, d), (d, a)))
    for name, lowest, highest in (("CI", -1, 1), ("DPL", -1, 1), ("JS", 0, math.log(2)), ("TVD", 0, 1), ("KS", 0, 1)):
        value = forth[name].value
        assert value is not None
        assert lowest <= value <= highest + 1e-12
    for name in ("CI", "DPL"):
        assert forth[name].value == pytest.approx(-(back[name].value or 0.0))
    for name in ("JS", "TVD", "KS"):
        assert forth[name].value == pytest.approx(back[name].value)
    assert forth["JS"].value == pytest.approx(jensenshannon(a, d) ** 2, abs=1e-9)
    if forth["KL"].value is not None:
        p, q = np.array(a) / sum(a), np.array(d) / sum(d)
        assert forth["KL"].value == pytest.approx(stats.entropy(p, q), abs=1e-9)


@settings(deadline=None, max_examples=50)
@given(a=COUNTS, d=COUNTS)
def test_intervals_hold_their_estimate(a: list[int], d: list[int]) -> None:
    for name, found in estimates(side(*a), side(*d), TaskKind.MULTICLASS).items():
        if found.value is not None and found.low is not None:
            assert found.low <= found.value + 1e-12, name
            assert found.high is None or found.value <= found.high + 1e-12, name
