"""Words: frequencies, labels, and how differences are judged in findings and verdict."""

from pathlib import Path

import pandas as pd
import pytest

from mlpipe_dagster.bias.findings import contrast, most_unequal
from mlpipe_dagster.bias.labels import frequencies, group_labels, outcome_label
from mlpipe_dagster.bias.measure import measure_bias
from mlpipe_dagster.bias.report import BiasReport
from mlpipe_dagster.vocabulary import TaskKind
from mlpipe_dagster_tests.bias.tables import profile_of, save


def report_of(folder: Path, **counts: tuple[int, int]) -> BiasReport:
    rows = [(name, answer) for name, (yes, no) in counts.items() for answer in ["yes"] * yes + ["no"] * no]
    frame = pd.DataFrame(rows, columns=["race", "hired"])
    return measure_bias(
        save(frame, folder), profile_of(frame), target="hired", task=TaskKind.BINARY, sensitive=["race"]
    )


@pytest.mark.parametrize(
    ("rates", "words"),
    [
        ([0.1093, 0.3038], ["11 of 100", "30 of 100"]),
        ([0.0, 1.0], ["0 of 100", "100 of 100"]),
        ([0.002, 0.3], ["2 of 1,000", "300 of 1,000"]),
        ([0.9999, 0.3], ["9,999 of 10,000", "3,000 of 10,000"]),
        ([0.00001, 0.5], ["0 of 10,000", "5,000 of 10,000"]),
        ([], []),
    ],
)
def test_frequencies_share_a_base(rates: list[float], words: list[str]) -> None:
    assert frequencies(rates) == words


def test_frequencies_keep_rates_apart_where_asked() -> None:
    assert frequencies([0.385, 0.377]) == ["38 of 100", "38 of 100"]
    assert frequencies([0.385, 0.377], apart=True) == ["385 of 1,000", "377 of 1,000"]


@pytest.mark.parametrize(
    ("column", "kind", "name", "label"),
    [
        ("sex", "sex", "Female", "women"),
        ("Geschlecht", "sex", "männlich", "men"),
        ("gender", "sex", "Unknown/Invalid", "Unknown/Invalid"),
        ("male", "sex", "1", "male = 1"),
        ("foreign_worker", "nationality", "yes", "foreign_worker = yes"),
        ("race", "race or ethnicity", "M", "race = M"),
        ("sex", "sex", "M", "sex = M"),
        ("SeniorCitizen", "age", "0.5", "SeniorCitizen = 0.5"),
        ("age", "age", "25 - 45", "25 - 45"),
    ],
)
def test_labels_of_groups(column: str, kind: str, name: str, label: str) -> None:
    assert group_labels(column, kind, [name]) == [label]


@pytest.mark.parametrize(
    ("column", "names", "labels"),
    [
        ("sex", ["F", "M"], ["women", "men"]),
        ("Geschlecht", ["d", "m", "w"], ["Geschlecht = d", "men", "women"]),
        ("płeć", ["K", "M"], ["women", "men"]),
        ("sex", ["Male", "MALE", "female"], ["Male", "MALE", "women"]),
        ("sexo", ["H", "M"], ["men", "women"]),
        ("sex", ["female", "M"], ["women", "sex = M"]),
        ("sex", ["M", "S", "F"], ["sex = M", "sex = S", "sex = F"]),  # married? single?
        ("contract", ["F", "M"], ["contract = F", "contract = M"]),  # taken for sex by its values alone
        ("sex_and_marital_status", ["F", "M"], ["sex_and_marital_status = F", "sex_and_marital_status = M"]),
    ],
)
def test_letters_are_sexes_only_where_column_and_company_say_so(
    column: str, names: list[str], labels: list[str]
) -> None:
    assert group_labels(column, "sex", names) == labels


def test_labels_of_outcomes() -> None:
    assert outcome_label("credit", "good") == "good"
    assert outcome_label("churn", "Yes") == "churn = Yes"
    assert outcome_label("y", "-1") == "y = -1"


def test_a_clear_and_large_difference_is_a_warning(tmp_path: Path) -> None:
    report = report_of(tmp_path, a=(300, 200), b=(150, 250), c=(160, 240))
    first = report.findings[0]
    assert (first.severity, first.column) == ("warning", "race")
    assert first.headline == "race: “hired = yes” is less common for “race = b” than for “race = a”"
    # 150 of 400 is .375, 300 of 500 is .6
    assert first.detail.startswith("“hired = yes”: “race = b” 38 of 100, “race = a” 60 of 100.")
    assert first.detail.endswith("The same holds for 1 further group.")
    assert report.verdict.startswith("Outcomes differ clearly between the groups of “race”.")


def test_a_small_difference_of_rare_outcomes_is_large_by_the_four_fifths_rule(tmp_path: Path) -> None:
    # 4 % and 2 %: a difference of 2 points, a ratio of one half
    report = report_of(tmp_path, a=(200, 4800), b=(100, 4900))
    assert contrast(report.feature("race"), TaskKind.BINARY).judgement == "clear"


def test_a_large_difference_in_few_rows_is_uncertain(tmp_path: Path) -> None:
    report = report_of(tmp_path, a=(20, 20), b=(12, 23))
    assert contrast(report.feature("race"), TaskKind.BINARY).judgement == "uncertain"
    assert report.verdict.endswith("but there are too few rows to be sure.")
    assert {finding.severity for finding in report.findings if finding.column} == {"notice"}


def test_a_small_certain_difference_is_a_notice(tmp_path: Path) -> None:
    report = report_of(tmp_path, a=(6000, 4000), b=(5600, 4400))
    assert contrast(report.feature("race"), TaskKind.BINARY).judgement == "small"
    assert "differ a little" in report.verdict


def test_no_difference_is_information(tmp_path: Path) -> None:
    report = report_of(tmp_path, a=(300, 200), b=(299, 201))
    assert contrast(report.feature("race"), TaskKind.BINARY).judgement == "none"
    assert report.verdict == "No clear difference in outcomes was found between the groups of “race”."
    assert "race: no clear difference in “hired = yes”" in [finding.headline for finding in report.findings]


def test_groups_without_spread_that_differ_are_told_apart(tmp_path: Path) -> None:
    frame = pd.DataFrame({"sex": ["m"] * 40 + ["f"] * 40, "pay": [2.0] * 40 + [1.0] * 40})
    report = measure_bias(
        save(frame, tmp_path), profile_of(frame), target="pay", task=TaskKind.REGRESSION, sensitive=["sex"]
    )
    assert report.findings[0].severity == "warning"
    assert "“pay” is higher on average for men than for women" in report.findings[0].headline


def test_rare_classes_repeated_rows_and_unknown_groups_are_said(tmp_path: Path) -> None:
    frame = pd.DataFrame({"race": (["a"] * 45 + [None] * 5) * 20, "hired": ["yes"] * 30 + ["no"] * 970})
    report = measure_bias(
        save(frame, tmp_path), profile_of(frame), target="hired", task=TaskKind.BINARY, sensitive=["race"]
    )
    said = {finding.headline: finding.detail for finding in report.findings}
    assert said["Some classes of “hired” are rare"] == "“hired = yes” 3% of the rows."
    assert said["race: the group is often unknown"].startswith("100 of 1,000 rows have no value")
    assert said["Some rows are repeated"] == "997 of 1,000 rows are copies of another row."


def test_the_most_unequal_feature_is_the_clearest(tmp_path: Path) -> None:
    # women are hired 20 of 100, men 60 of 100; race is spread evenly over both
    rows = [("f", "yes")] * 40 + [("f", "no")] * 160 + [("m", "yes")] * 120 + [("m", "no")] * 80
    frame = pd.DataFrame(rows, columns=["sex", "hired"]).assign(race=["a", "b"] * 200)
    report = measure_bias(
        save(frame, tmp_path), profile_of(frame), target="hired", task=TaskKind.BINARY, sensitive=["race", "sex"]
    )
    feature = most_unequal(report)
    assert feature is not None
    assert feature.column == "sex"
