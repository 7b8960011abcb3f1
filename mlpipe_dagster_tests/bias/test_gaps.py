"""Missing cells and labels by group, and representation against given or equal shares."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mlpipe_dagster.errors import UserError
from mlpipe_dagster_tests.bias.tables import measure, measured, people


@pytest.fixture
def gappy() -> pd.DataFrame:
    """200 men and 100 women; pay is missing for 20 men and 40 women, town for 10 of each, a label for 10 and 25."""
    frame = people(male=(120, 80), female=(60, 40)).assign(pay=1.0, town="x", whole=1)
    men, women = frame.index[frame["sex"] == "male"], frame.index[frame["sex"] == "female"]
    frame.loc[[*men[:20], *women[:40]], "pay"] = None
    frame.loc[[*men[:10], *women[:10]], "town"] = None
    frame.loc[[*men[-10:], *women[-25:]], "y"] = None
    return frame


def test_missing_cells_by_group(gappy: pd.DataFrame, tmp_path: Path) -> None:
    feature = measured(gappy, tmp_path, "sex").feature("sex")
    # of three other columns: 30 of 600 cells of men, 50 of 300 of women
    assert [group.missing_cells for group in feature.groups] == [pytest.approx(0.05), pytest.approx(1 / 6)]
    found = measure(feature, "missingness", "female")
    shares = {sex: rows[["pay", "town", "whole"]].isna().mean(axis=1) for sex, rows in gappy.groupby("sex")}
    ends = stats.ttest_ind(shares["male"], shares["female"], equal_var=False).confidence_interval(0.95)
    assert found.value == pytest.approx(0.05 - 1 / 6)
    assert (found.low, found.high) == pytest.approx((ends.low, ends.high))


def test_the_column_with_the_most_unequal_gaps_is_found_and_said(gappy: pd.DataFrame, tmp_path: Path) -> None:
    report = measured(gappy, tmp_path, "sex")
    gaps = report.feature("sex").gaps
    assert gaps is not None
    assert (gaps.column, gaps.chosen_from, gaps.spread) == ("pay", 2, pytest.approx(0.3))
    assert [(one.group, one.missing) for one in gaps.groups] == [("male", 20), ("female", 40)]
    p_value = stats.chi2_contingency([[20, 40], [180, 60]], correction=False).pvalue
    assert gaps.p_adjusted == pytest.approx(2 * p_value)
    said = {finding.headline: finding.detail for finding in report.findings}
    assert said["sex: “pay” is missing more often for women than for men"] == "Missing: women 40 of 100, men 10 of 100."


def test_missing_labels_by_group(gappy: pd.DataFrame, tmp_path: Path) -> None:
    report = measured(gappy, tmp_path, "sex")
    found = measure(report.feature("sex"), "label missingness", "female")
    assert found.value == pytest.approx(0.05 - 0.25)
    assert found.method == "Newcombe's hybrid score interval"
    assert any(f.headline == "sex: “y” is missing more often for women than for men" for f in report.findings)


def test_a_table_without_gaps_or_other_columns(tmp_path: Path) -> None:
    feature = measured(people(male=(60, 40), female=(20, 30)), tmp_path, "sex").feature("sex")
    assert feature.gaps is None
    assert measure(feature, "missingness", "female").note == "Not defined: the table has no other columns."
    whole = measured(people(male=(60, 40), female=(20, 30)).assign(pay=1), tmp_path, "sex").feature("sex")
    found = measure(whole, "missingness", "female")
    assert (found.value, found.low, found.high) == (0.0, 0.0, 0.0)


def test_equal_shares_are_expected_where_none_are_given(tmp_path: Path) -> None:
    feature = measured(people(a=(60, 40), b=(20, 30), c=(25, 25)), tmp_path, "sex").feature("sex")
    found = feature.representation
    assert found is not None and found.against == "equal shares"
    assert found.distance == pytest.approx(1 / 6)  # shares of .5 .25 .25 and thirds
    assert found.p_value == pytest.approx(stats.chisquare([100, 50, 50]).pvalue)
    assert measure(feature, "representation", "a", "expected").value == pytest.approx(0.5 - 1 / 3)


def test_given_shares_are_scaled_and_a_group_that_is_scarce_is_said(tmp_path: Path) -> None:
    frame = people(male=(120, 80), female=(30, 20))
    report = measured(frame, tmp_path, "sex", reference_shares={"sex": {"male": 49, "female": 51}})
    found = report.feature("sex").representation
    assert found is not None and found.against == "given shares"
    assert found.expected == {"male": pytest.approx(0.49), "female": pytest.approx(0.51)}
    women = measure(report.feature("sex"), "representation", "female", "expected")
    assert women.value == pytest.approx(0.2 - 0.51)
    ends = stats.binomtest(50, 250).proportion_ci(method="wilson")
    assert (women.low, women.high) == pytest.approx((ends.low - 0.51, ends.high - 0.51))
    said = {finding.headline: finding.detail for finding in report.findings}
    assert said["sex: fewer rows of women than expected"].startswith("20 of 100 rows are of that group; 51 of 100")


@pytest.mark.parametrize(
    ("shares", "said"),
    [
        ({"sex": {"male": 1.0}}, "there is none for “female”"),
        ({"sex": {"male": 1, "female": 1, "other": 1}}, "the column has no “other”"),
        ({"sex": {"male": 1, "female": 0}}, "must be positive numbers"),
        ({"sex": {"male": 0.5, "female": 0.4}}, "add up to 0.9"),
        ({"sex": {"male": 1, "female": float("nan")}}, "must be positive numbers"),
        ({"gender": {"male": 1}}, "not among the sensitive columns"),
    ],
)
def test_shares_that_do_not_fit_are_refused(tmp_path: Path, shares: dict[str, dict[str, float]], said: str) -> None:
    with pytest.raises(UserError, match=said):
        measured(people(male=(6, 4), female=(2, 3)), tmp_path, "sex", reference_shares=shares)


def test_tiny_groups_show_no_share_or_gap(tmp_path: Path) -> None:
    frame = people(a=(60, 40), b=(30, 20), c=(2, 1)).assign(pay=np.nan)
    feature = measured(frame, tmp_path, "sex").feature("sex")
    assert feature.group("c").missing_cells is None
    assert {one.group for one in feature.measures if one.name == "representation"} == {"a", "b"}
