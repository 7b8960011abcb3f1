"""Intersections: which are measured, what their groups are called, small ones, and what findings say of them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlpipe_dagster.bias.cross import LARGEST_CROSSED, MOST_INTERSECTIONS, choose_crossings
from mlpipe_dagster.bias.groups import Labels
from mlpipe_dagster.bias.sample import Sample
from mlpipe_dagster.vocabulary import TaskKind
from mlpipe_dagster_tests.bias.tables import measure, measured

TIMES = "\u00d7"


def rows(*groups: tuple[str, str, int, int]) -> pd.DataFrame:
    made = [(sex, race, answer) for sex, race, yes, no in groups for answer in ["yes"] * yes + ["no"] * no]
    return pd.DataFrame(made, columns=["sex", "race", "y"])


def crossings_of(*columns: np.ndarray, of: int | None = None) -> tuple[tuple[tuple[int, ...], ...], str]:
    """What is crossed of columns of group positions, and what is said of it."""
    rows, names = len(columns[0]), [f"s{index}" for index in range(len(columns))]
    sample = Sample(rows, of or rows, (), dict(zip(names, columns, strict=True)), np.zeros(rows), ())
    sizes = [int(column.max()) + 1 for column in columns]
    labels = {name: Labels("", (), tuple(map(str, range(size)))) for name, size in zip(names, sizes, strict=True)}
    found = choose_crossings(sample, labels)
    return found.sets, found.note


def test_all_pairs_and_threes_of_five_columns() -> None:
    two = np.arange(100) % 2
    assert crossings_of(two) == ((), "")
    assert crossings_of(two, two, two) == (((0, 1), (0, 2), (1, 2), (0, 1, 2)), "")
    sets, note = crossings_of(*[two] * 5)
    assert (len(sets), note) == (20, "")


def test_of_more_columns_those_with_large_groups_are_crossed_and_the_others_named() -> None:
    two, forty = np.arange(320) % 2, np.arange(320) % 40  # crossed with forty groups, none has 30 rows
    sets, note = crossings_of(forty, *[two] * 6)
    assert len(sets) == MOST_INTERSECTIONS
    assert {parts for parts in sets if 0 not in parts} == {
        (first, second) for first in range(1, 7) for second in range(first + 1, 7)
    }
    assert note.startswith(
        "Of the intersections of 7 sensitive columns, 20 of 21 pairs and 0 of 35 threes are measured"
    )
    assert f"Not measured: “s0 {TIMES} s6” and 35 more." in note


def test_threes_of_many_groups_are_left_out_and_said() -> None:
    many = list(np.random.default_rng(1).integers(0, 20, (4, 8000)))
    sets, note = crossings_of(*many, of=8_000_000)
    assert len([parts for parts in sets if len(parts) == 2]) == 6
    assert [parts for parts in sets if len(parts) == 3] == [(0, 1, 2), (0, 1, 3)]
    assert "6 of 6 pairs and 2 of 4 threes" in note


def test_a_difference_that_only_the_intersection_shows_is_a_finding(tmp_path: Path) -> None:
    # each sex and each race has 100 of 200, but black women and white men 20 of 100
    men = ("male", "black", 80, 20), ("male", "white", 21, 80)
    frame = rows(*men, ("female", "black", 20, 80), ("female", "white", 80, 20))
    report = measured(frame, tmp_path, "sex", "race")
    assert {finding.severity for finding in report.findings if finding.column in ("sex", "race")} == {"info"}
    warning = report.findings[0]
    assert (warning.severity, warning.column) == ("warning", f"sex {TIMES} race")
    assert warning.headline == (
        f"sex {TIMES} race: “y = yes” is more common for “men {TIMES} black” than for “men {TIMES} white”"
    )
    assert warning.detail.endswith("None of “sex” and “race” shows so wide a difference without the others.")
    crossed = report.intersections[0]
    assert crossed.reference == f"male {TIMES} white"
    assert crossed.group(f"female {TIMES} black").parts == ("female", "black")
    assert crossed.group(f"female {TIMES} black").label == f"women {TIMES} black"
    assert measure(crossed, "DPL", f"male {TIMES} black").value == pytest.approx(21 / 101 - 0.8)


def test_an_intersection_that_adds_nothing_is_no_finding(tmp_path: Path) -> None:
    frame = rows(("m", "a", 60, 40), ("m", "b", 60, 40), ("f", "a", 30, 70), ("f", "b", 30, 70))
    report = measured(frame, tmp_path, "sex", "race")
    assert {finding.column for finding in report.findings if finding.severity == "warning"} == {"sex"}


def test_small_intersections_are_flagged_and_tiny_ones_hidden(tmp_path: Path) -> None:
    frame = rows(("m", "a", 60, 40), ("m", "b", 30, 30), ("f", "a", 10, 10), ("f", "b", 2, 2))
    crossed = measured(frame, tmp_path, "sex", "race").intersections[0]
    flags = {group.parts: (group.count, group.too_few, group.suppressed) for group in crossed.groups}
    assert flags == {
        ("m", "a"): (100, False, False),
        ("m", "b"): (60, False, False),
        ("f", "a"): (20, True, False),
        ("f", "b"): (None, True, True),
    }
    parts = {group.name: group.parts for group in crossed.groups}
    assert {parts[one.group] for one in crossed.measures if one.too_few} == {("f", "a")}
    assert {parts[one.group] for one in crossed.measures} == {("m", "a"), ("m", "b"), ("f", "a")}


def test_of_many_groups_the_largest_are_kept_and_all_count_as_everyone_else(tmp_path: Path) -> None:
    generator = np.random.default_rng(3)
    weights = np.arange(1, 11) / 55
    frame = pd.DataFrame({name: generator.choice(list("abcdefghij"), 4000, p=weights) for name in ("origin", "faith")})
    frame["y"] = generator.choice(["yes", "no"], 4000)
    crossed = measured(frame, tmp_path, "origin", "faith").intersections[0]
    sizes = [group.count or 0 for group in crossed.groups]
    assert len(sizes) == LARGEST_CROSSED
    assert sizes == sorted(sizes, reverse=True)
    assert f"The {LARGEST_CROSSED} largest groups are kept apart" in crossed.grouping
    # against everyone else: all other rows, whatever group they are in
    first = crossed.groups[0].name
    assert measure(crossed, "CI", first, "rest").value == pytest.approx((4000 - 2 * sizes[0]) / 4000)
    inside = (frame["origin"] == crossed.groups[0].parts[0]) & (frame["faith"] == crossed.groups[0].parts[1])
    rates = [(frame[mask]["y"] == "yes").mean() for mask in (~inside, inside)]
    assert measure(crossed, "DPL", first, "rest").value == pytest.approx(rates[0] - rates[1])


def test_intersections_that_are_not_measured_are_said(tmp_path: Path) -> None:
    frame = pd.DataFrame({f"s{n}": list("ab") * 40 for n in range(6)} | {"y": ["yes", "no", "no", "no"] * 20})
    report = measured(frame, tmp_path, *(f"s{n}" for n in range(6)))
    assert len(report.intersections) == MOST_INTERSECTIONS
    assert {"s5"} <= {column for one in report.intersections for column in one.columns}
    assert any("15 of 15 pairs and 5 of 20 threes are measured" in note for note in report.notes)


def test_values_that_hold_the_separator_stay_apart(tmp_path: Path) -> None:
    frame = rows((f"a {TIMES} b", "c", 20, 20), ("a", f"b {TIMES} c", 30, 20), ("a", "c", 5, 5))
    crossed = measured(frame, tmp_path, "sex", "race").intersections[0]
    assert len({group.name for group in crossed.groups}) == 3


def test_numbers_between_intersections(tmp_path: Path) -> None:
    generator = np.random.default_rng(9)
    frame = pd.DataFrame({"sex": generator.choice(["m", "f"], 3000), "race": generator.choice(["a", "b"], 3000)})
    frame["y"] = generator.normal(10, 2, 3000) + 3.0 * ((frame["sex"] == "f") & (frame["race"] == "b"))
    report = measured(frame, tmp_path, "sex", "race", task=TaskKind.REGRESSION)
    crossed = report.intersections[0]
    group = next(one for one in crossed.groups if one.parts == ("f", "b"))
    inside = (frame["sex"] == "f") & (frame["race"] == "b")
    assert group.outcomes[0].value == pytest.approx(frame["y"][inside].mean())
    rest = measure(crossed, "mean difference", group.name, "rest")
    assert rest.value == pytest.approx(frame["y"][~inside].mean() - frame["y"][inside].mean())
    distance = measure(crossed, "Wasserstein", group.name, "rest").value
    assert distance == pytest.approx(abs(rest.value or 0.0), rel=0.02)  # a shift moves every value as far as the mean
