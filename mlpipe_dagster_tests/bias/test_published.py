"""Counts that others have published of well-known tables."""

from pathlib import Path

import pandas as pd
import pytest

from mlpipe_dagster.bias.leakage import droppable
from mlpipe_dagster_tests.bias.tables import measure, measured


def test_adult_income_by_sex(shared_data: Path, tmp_path: Path) -> None:
    frame = pd.read_csv(shared_data / "adult.csv", na_values="?")
    report = measured(frame, tmp_path, "sex", "race", target="income")
    assert (report.row_count, report.positive) == (48842, ">50K")
    assert {outcome.label: outcome.count for outcome in report.overall} == {"<=50K": 37155, ">50K": 11687}
    sex = report.feature("sex")
    # published by UCI and often quoted: 10.9 % of 16,192 women and 30.4 % of 32,650 men
    assert (sex.group("Female").count, sex.group("Male").count) == (16192, 32650)
    assert sex.group("Female").outcomes[0].value == pytest.approx(0.1093, abs=5e-5)
    assert sex.group("Male").outcomes[0].value == pytest.approx(0.3038, abs=5e-5)
    assert any("women 11 of 100, men 30 of 100" in finding.detail for finding in report.findings)
    assert report.signals is not None
    proxies = next(one for one in report.signals.features if one.column == "sex")
    assert (proxies.proxies[0].column, proxies.proxies[0].strength) == ("relationship", "strong")
    assert report.signals.leaks == ()


def test_compas_counts(shared_data: Path, tmp_path: Path) -> None:
    frame = pd.read_csv(shared_data / "compas_two_years.csv")
    report = measured(frame, tmp_path, "race", target="two_year_recid")
    # ProPublica: 7,214 people, 3,251 recidivists; 3,696 African-American and 2,454 Caucasian defendants,
    # of whom 1,901 and 966 recidivated (their tables of the confusion matrix: 532 + 1369, 461 + 505)
    assert report.row_count == 7214
    assert report.signals is not None
    assert "is_recid" in droppable(report.signals.leaks)  # whether somebody was charged again at any time
    assert {outcome.label: outcome.count for outcome in report.overall}["1"] == 3251
    race = report.feature("race")
    black, white = race.group("African-American"), race.group("Caucasian")
    assert (black.count, black.outcomes[0].count) == (3696, 1901)
    assert (white.count, white.outcomes[0].count) == (2454, 966)
    assert measure(race, "DPL", "Caucasian").value == pytest.approx(1901 / 3696 - 966 / 2454)
