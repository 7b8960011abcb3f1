"""Tables as people upload them: odd sensitive columns, targets with many classes, positives of every type, nesting.

Read from files as an upload is, so that types and gaps are those of `tables/`.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlpipe_dagster.bias.measure import measure_bias
from mlpipe_dagster.bias.report import BiasReport
from mlpipe_dagster.errors import TargetError
from mlpipe_dagster.tables.convert import to_parquet
from mlpipe_dagster.vocabulary import TaskKind
from mlpipe_dagster_tests.bias.tables import measure


def report_of(
    table: pd.DataFrame | list[dict[str, object]],
    folder: Path,
    *sensitive: str,
    task: TaskKind = TaskKind.BINARY,
    positive: str | None = None,
) -> BiasReport:
    """The report of the table as CSV, or of the records as JSON."""
    source = folder / ("table.csv" if isinstance(table, pd.DataFrame) else "table.json")
    if isinstance(table, pd.DataFrame):
        table.to_csv(source, index=False)
    else:
        source.write_text(json.dumps(table), encoding="utf-8")
    parquet = folder / "table.parquet"
    profile = to_parquet(source, source.name, parquet)
    return measure_bias(parquet, profile, target="y", task=task, sensitive=sensitive, positive=positive)


def halves(rows: int = 200) -> pd.DataFrame:
    """Men have the outcome 3 of 4 times, women 1 of 4."""
    sexes, quarter = ["m"] * (rows // 2) + ["f"] * (rows // 2), rows // 8
    return pd.DataFrame(
        {"sex": sexes, "y": ["yes", "yes", "yes", "no"] * quarter + ["yes", "no", "no", "no"] * quarter}
    )


def test_one_group_and_a_column_without_values_beside_a_good_one(tmp_path: Path) -> None:
    frame = halves().assign(country="NO", faith=None)
    report = report_of(frame, tmp_path, "country", "faith", "sex")
    found = [one for one in report.findings if one.headline.endswith("nothing to compare")]
    assert {one.column: one.detail for one in found} == {
        "country": "All rows with a value belong to one group, “country = NO”.",
        "faith": "It has no value in any row.",
    }
    assert report.feature("faith").representation is None
    # their intersections are no more than the good column, or nothing
    crossed = {one.columns: one for one in report.intersections}
    assert len(crossed["country", "sex"].groups) == 2
    assert crossed["faith", "sex"].groups == ()
    assert report.findings[0].column == "sex"


def test_a_group_whose_outcomes_are_unknown_is_not_called_small(tmp_path: Path) -> None:
    frame = halves()
    report = report_of(frame.assign(y=frame["y"].where(frame["sex"] == "m")), tmp_path, "sex")
    first = report.findings[0]
    assert (first.severity, first.headline) == ("warning", "sex: outcomes of women are hardly known")
    assert first.detail.startswith("“y” is known for: women 0 of 100 rows.")
    assert not [one for one in report.findings if "small" in one.headline]


def test_one_group_written_in_several_ways_is_said(tmp_path: Path) -> None:
    frame = halves().assign(sex=[["Male", "MALE", "female", "female"][n % 4] for n in range(200)])
    report = report_of(frame, tmp_path, "sex")
    assert [group.label for group in report.feature("sex").groups if group.label != "women"] == ["MALE", "Male"]
    said = next(one for one in report.findings if one.headline == "sex: groups are written in several ways")
    assert said.detail == "“MALE” and “Male” are counted as groups of their own."


def test_columns_that_were_named_and_cannot_be_compared(tmp_path: Path) -> None:
    report = report_of(halves(), tmp_path, "gendr")
    assert report.verdict.startswith("No sensitive column that was named could be compared,")
    assert "None of the columns that were named has groups that can be compared." in {
        one.detail for one in report.findings
    }


def test_five_thousand_categories(tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    origins = [f"place {one}" for one in generator.integers(0, 5000, 20_000)]
    frame = pd.DataFrame({"origin": origins, "sex": generator.choice(["m", "f"], 20_000), "y": ["yes", "no"] * 10_000})
    report = report_of(frame, tmp_path, "origin", "sex")
    feature = report.feature("origin")
    assert len(feature.groups) == 21
    assert sum(group.count or 0 for group in feature.groups) == 20_000
    assert (feature.reference, feature.groups[-1].name) == ("all others", "all others")
    assert len(report.intersections[0].groups) <= 24
    assert len(report.model_dump_json()) < 500_000


def test_a_numeric_column_becomes_bands(tmp_path: Path) -> None:
    frame = halves().assign(income=np.arange(200) * 10.5)
    feature = report_of(frame, tmp_path, "income").feature("income")
    # quartiles 514.5, 1039.5 and 1564.5, half of the rows span 1,050: edges are multiples of 10
    assert {group.name: group.count for group in feature.groups} == {
        "under 510": 49,  # 48 * 10.5 = 504
        "510 to under 1040": 51,  # 99 * 10.5 = 1039.5
        "1040 to under 1560": 49,  # 148 * 10.5 = 1554
        "1560 and over": 51,
    }
    assert feature.grouping == "Values were grouped into about four equal parts."
    assert feature.missing == 0


def test_dates_become_years_or_bands_of_them(tmp_path: Path) -> None:
    frame = halves().assign(
        hired=[f"{2019 + n % 4}-0{1 + n % 9}-15" for n in range(200)],
        born=[f"{1960 + n % 40}-0{1 + n % 9}-15" for n in range(200)],
    )
    report = report_of(frame, tmp_path, "hired", "born")
    hired = report.feature("hired")
    assert {group.name for group in hired.groups} == {"2019", "2020", "2021", "2022"}
    assert hired.grouping == "Dates are grouped by their year."
    assert len(report.feature("born").groups) == 4


def test_fifty_classes(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"sex": ["m", "f"] * 1000, "race": list("aabbc") * 400, "y": [f"class {n // 2 % 50:02}" for n in range(2000)]}
    )
    report = report_of(frame, tmp_path, "sex", "race", task=TaskKind.MULTICLASS)
    assert len(report.overall) == 21
    assert (report.overall[-1].label, report.overall[-1].count) == ("all others", 1200)  # 30 classes of 40 rows
    assert any("20 most frequent values are kept apart" in note for note in report.notes)
    rates = report.feature("sex").group("f").outcomes
    assert sum(one.value for one in rates) == pytest.approx(1.0)
    assert {len(group.outcomes) for group in report.intersections[0].groups} == {5}


@pytest.mark.parametrize(
    ("yes", "no", "positive", "reason"),
    [
        ("true", "false", "true", "its name says yes"),
        ("1", "0", "1", "1 stands for yes"),
        ("1.0", "0.0", "1", "1 stands for yes"),
        ("1", "-1", "1", "1 stands for yes"),
        ("approved", "denied", "approved", "its name says yes"),
        ("2", "1", "2", "neither name says yes or no, and it is the rarer class"),
        ("blue", "red", "blue", "neither name says yes or no, and it is the rarer class"),
    ],
)
def test_which_value_is_positive_is_inferred_and_said(
    tmp_path: Path, yes: str, no: str, positive: str, reason: str
) -> None:
    frame = halves().replace({"yes": yes, "no": no})
    frame = frame.drop(index=frame.index[frame["y"] == yes][:10])  # the rarer class, in men
    report = report_of(frame, tmp_path, "sex")
    assert (report.positive, report.positive_reason) == (positive, reason)


def test_which_value_is_positive_can_be_set(tmp_path: Path) -> None:
    frame = halves().replace({"yes": 1, "no": 0})
    for wanted in ("0", "0.0"):
        report = report_of(frame, tmp_path, "sex", positive=wanted)
        assert (report.positive, report.positive_reason) == ("0", "it was named as the positive outcome")
        assert measure(report.feature("sex"), "DPL", "m").value == pytest.approx(0.5)  # .75 of women, .25 of men
    with pytest.raises(TargetError, match="“maybe” is not a class of the target column “y”"):
        report_of(frame, tmp_path, "sex", positive="maybe")


def test_nested_objects_are_columns_and_lists_groups_by_their_text(tmp_path: Path) -> None:
    records: list[dict[str, object]] = [
        {
            "person": {"sex": "m" if n % 2 else "f"},
            "tags": ["a"] if n % 3 else ["a", "b"],
            "y": "yes" if n % 4 else "no",
        }
        for n in range(200)
    ]
    report = report_of(records, tmp_path, "person_sex", "tags")
    named = [sorted(group.name for group in feature.groups) for feature in report.features]
    assert named == [["f", "m"], ['["a","b"]', '["a"]']]
    assert "Nested objects were spread over columns of their own: person." in report.notes


def test_numbers_too_large_to_square_do_not_break_a_regression(tmp_path: Path) -> None:
    frame = pd.DataFrame({"sex": ["m", "f"] * 100, "y": [*(float(n) for n in range(199)), 1e300]})
    report = report_of(frame, tmp_path, "sex", task=TaskKind.REGRESSION)
    assert report.quality.missing_target == 1
    assert report.overall[0].value == pytest.approx(99.0)
