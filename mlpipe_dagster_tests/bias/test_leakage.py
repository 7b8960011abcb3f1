"""Leaks of the target: the target renamed, near copies, names and dates; and what must not be taken for a leak."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlpipe_dagster.bias.leakage import droppable
from mlpipe_dagster.bias.report import BiasReport
from mlpipe_dagster.bias.signals import Leak
from mlpipe_dagster.vocabulary import TaskKind
from mlpipe_dagster_tests.bias.tables import measured

ROWS = 1000


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> BiasReport:
    generator = np.random.default_rng(8)
    left = np.tile([True, False, False, False], ROWS // 4)
    flipped = left.copy()
    flipped[:20] = ~flipped[:20]
    some = np.where(generator.random(ROWS) < 0.3, left, generator.random(ROWS) < 0.5)
    frame = pd.DataFrame(
        {
            "churn": np.where(left, "yes", "no"),
            "status_code": np.where(left, 7, 3),
            "nearly": np.where(flipped, "a", "b"),
            "reason": np.where(left, np.where(flipped, "price", "service"), None),
            "closing_date": pd.Timestamp("2024-01-01") + pd.to_timedelta(np.where(some, 200, 0) + 1, unit="D"),
            "churn_score": some.astype(int),
            "final_price": generator.normal(size=ROWS),
            "joined": pd.Timestamp("2020-01-01") + pd.to_timedelta(generator.integers(0, 900, ROWS), unit="D"),
            "usage": np.where(some, 1.0, 0.0) + generator.normal(size=ROWS),
        }
    )
    return measured(frame, tmp_path_factory.mktemp("leaks"), target="churn")


def leaks_of(report: BiasReport) -> dict[str, Leak]:
    assert report.signals is not None
    return {leak.column: leak for leak in report.signals.leaks}


def test_columns_that_give_the_target_away_are_warned_of(report: BiasReport) -> None:
    leaks = leaks_of(report)
    assert (leaks["status_code"].kind, leaks["reason"].kind, leaks["nearly"].kind) == (
        "same",
        "gives away",
        "gives away",
    )
    # 20 of 1,000 rows flipped: 5 of 250 and 15 of 750, so each class is told in 98 of 100 rows
    assert leaks["nearly"].power == pytest.approx(2 * 0.98 - 1, abs=1e-6)
    assert "98 of 100" in leaks["nearly"].why
    assert droppable(tuple(leaks.values())) == ("status_code", "reason", "nearly")


def test_names_and_dates_are_suspected_where_they_tell_something(report: BiasReport) -> None:
    leaks = leaks_of(report)
    assert (leaks["churn_score"].kind, leaks["churn_score"].severity) == ("named after the outcome", "notice")
    assert leaks["closing_date"].kind == "named after the outcome"


def test_other_columns_are_left_alone(report: BiasReport) -> None:
    assert not {"final_price", "joined", "usage"} & set(leaks_of(report))


def test_leaks_are_findings_and_part_of_the_verdict(report: BiasReport) -> None:
    first = report.findings[0]
    assert (first.kind, first.severity, first.column) == ("leak", "warning", "status_code")
    assert "“status_code”, “reason” and “nearly” give “churn” away" in report.verdict


def test_a_date_that_orders_the_target_is_said(tmp_path: Path) -> None:
    days = pd.Timestamp("2020-01-01") + pd.to_timedelta(range(400), unit="D")
    answers = np.where(np.random.default_rng(9).random(400) < np.linspace(0.1, 0.9, 400), "yes", "no")
    leak = leaks_of(measured(pd.DataFrame({"day": days, "y": answers}), tmp_path))["day"]
    assert (leak.kind, leak.severity) == ("orders in time", "notice")


def test_a_number_in_another_unit_and_a_number_that_tells_nothing(tmp_path: Path) -> None:
    price = np.random.default_rng(10).normal(100, 20, 500)
    noise = np.random.default_rng(12).normal(size=500)
    frame = pd.DataFrame(
        {"price": price, "cents": price * 100, "rounded": price.round(-1), "size": price + noise * 30, "noise": noise}
    )
    leaks = leaks_of(measured(frame, tmp_path, target="price", task=TaskKind.REGRESSION))
    assert {column: leak.kind for column, leak in leaks.items()} == {"cents": "same", "rounded": "gives away"}
    # rounding to tens leaves an error of variance 100 / 12 beside one of 400
    assert leaks["rounded"].low < 1 - (100 / 12) / 400 < leaks["rounded"].high


def test_rows_that_contradict_each_other_are_counted(tmp_path: Path) -> None:
    # five rows of a: three yes, two no; four of b, all yes; one of c
    frame = pd.DataFrame({"x": list("aaaaabbbbc"), "y": ["yes"] * 3 + ["no"] * 2 + ["yes"] * 4 + ["no"]})
    report = measured(frame, tmp_path)
    assert report.signals is not None
    assert report.signals.conflicts is not None
    assert report.signals.conflicts.model_dump() == {"rows": 5, "looked_at": 10, "of": 10, "best": 0.8}
    finding = next(one for one in report.findings if one.headline == "Rows contradict each other")
    assert finding.severity == "notice"
    assert finding.detail.startswith("5 of 10 rows have a twin")


def test_nearly_empty_columns_are_named(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": [1.0] * 2 + [None] * 98, "z": [1.0] * 10 + [None] * 90, "y": ["yes", "no"] * 50})
    report = measured(frame, tmp_path)
    assert report.signals is not None
    assert report.signals.near_empty == ("x",)
