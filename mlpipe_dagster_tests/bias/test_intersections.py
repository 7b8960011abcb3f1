"""Intersections: which are measured, what their groups are called, small ones, and what findings say of them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlpipe_dagster.bias.cross import LARGEST_CROSSED, crossings
from mlpipe_dagster.vocabulary import TaskKind
from mlpipe_dagster_tests.bias.tables import measure, measured

TIMES = "\u00d7"


def rows(*groups: tuple[str, str, int, int]) -> pd.DataFrame:
    made = [(sex, race, answer) for sex, race, yes, no in groups for answer in ["yes"] * yes + ["no"] * no]
    return pd.DataFrame(made, columns=["sex", "race", "y"])


def test_pairs_and_threes_of_the_first_four() -> None:
    assert crossings(1) == ()
    assert crossings(3) == ((0, 1), (0, 2), (1, 2), (0, 1, 2))
    assert len(crossings(4)) == len(crossings(9)) == 10


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


def test_more_than_four_columns_are_said(tmp_path: Path) -> None:
    frame = pd.DataFrame({f"s{n}": list("ab") * 40 for n in range(5)} | {"y": ["yes", "no", "no", "no"] * 20})
    report = measured(frame, tmp_path, *(f"s{n}" for n in range(5)))
    assert len(report.intersections) == 10
    said = [note for note in report.notes if note.startswith("Intersections are measured of the first 4")]
    assert "“s3”" in said[0]
    assert "“s4”" not in said[0]


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
