"""`measure_bias` on whole tables: what is refused, odd tables, numbers by hand, by scipy and by fairlearn."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fairlearn.metrics import MetricFrame
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from scipy import stats

from mlpipe_dagster.bias.measure import measure_bias
from mlpipe_dagster.bias.measures import REPRESENTATION, measures_for
from mlpipe_dagster.bias.report import BiasReport
from mlpipe_dagster.errors import TargetError, TaskError
from mlpipe_dagster.vocabulary import TaskKind
from mlpipe_dagster_tests.bias.tables import measure, measured, people, profile_of, save

FIFTY = people(male=(60, 40), female=(20, 30))


# what is refused


def test_an_absent_target_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="Did you mean “y”"):
        measured(FIFTY, tmp_path, "sex", target="Y ")


def test_a_constant_target_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="same value in every row"):
        measured(FIFTY.assign(y="yes"), tmp_path, "sex")


@pytest.mark.parametrize("task", list(TaskKind))
def test_a_target_without_values_is_refused(tmp_path: Path, task: TaskKind) -> None:
    frame = pd.DataFrame({"sex": ["male", "female"], "y": pd.Series([None, np.nan], dtype="float64")})
    with pytest.raises(TargetError, match="no values at all"):
        measured(frame, tmp_path, "sex", task=task)


def test_a_table_without_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="no values at all"):
        measured(FIFTY.head(0), tmp_path, "sex")


def test_a_constant_number_is_refused(tmp_path: Path) -> None:
    frame = pd.DataFrame({"sex": ["male", "female"] * 20, "y": 3.5})
    with pytest.raises(TargetError, match="same value in every row"):
        measured(frame, tmp_path, "sex", task=TaskKind.REGRESSION)


def test_tasks_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match="holds no numbers"):
        measured(FIFTY, tmp_path, "sex", task=TaskKind.REGRESSION)
    with pytest.raises(TaskError, match="has 3 classes"):
        measured(pd.DataFrame({"sex": list("mfmfmf"), "y": list("aabbcc")}), tmp_path, "sex")


# odd tables


def test_no_sensitive_column_still_makes_a_report(tmp_path: Path) -> None:
    frame = pd.concat([FIFTY.assign(same=1, nothing=np.nan), pd.DataFrame({"y": [None], "same": [1]})])
    report = measured(frame, tmp_path)
    assert report.features == ()
    assert "No sensitive column" in report.verdict
    assert report.quality.missing_target == 1
    assert report.quality.constant_columns == ("same",)
    assert report.quality.empty_columns == ("nothing",)
    assert report.findings[0].headline == "No sensitive column was looked at"


def test_columns_that_cannot_be_measured_are_said(tmp_path: Path) -> None:
    report = measured(FIFTY, tmp_path, "sexx", "y", "sex", "sex")
    assert [feature.column for feature in report.features] == ["sex"]
    assert report.notes == (
        "The sensitive column “sexx” is not in the table and was not measured. Did you mean “sex”?",
        "“y” is the target itself and cannot be compared with itself.",
    )


def test_columns_that_identify_people_are_not_measured(tmp_path: Path) -> None:
    path, profile = save(FIFTY, tmp_path), profile_of(FIFTY)
    personal = profile.model_copy(
        update={"columns": (profile.columns[0].model_copy(update={"personal": "name"}), profile.columns[1])}
    )
    report = measure_bias(path, personal, target="y", task=TaskKind.BINARY, sensitive=["sex"])
    assert report.features == ()
    assert report.notes == ("“sex” identifies single people, so there are no groups in it to compare.",)


def test_one_group_only(tmp_path: Path) -> None:
    report = measured(people(female=(60, 40)), tmp_path, "sex")
    feature = report.feature("sex")
    assert (feature.reference, feature.measures, feature.tests) == (None, (), ())
    assert feature.groups[0].outcomes[0].value == 0.6
    assert "All rows with a value belong to one group, women." in [finding.detail for finding in report.findings]


@pytest.mark.parametrize("nothing", [None, np.nan, "", "  "])
def test_a_sensitive_column_without_values(tmp_path: Path, nothing: object) -> None:
    frame = FIFTY.assign(sex=pd.Series([nothing] * 150, dtype="object" if isinstance(nothing, str) else "float64"))
    feature = measured(frame, tmp_path, "sex").feature("sex")
    assert (feature.groups, feature.missing, feature.measures) == ((), 150, ())


def test_small_groups_are_flagged_and_tiny_ones_hidden(tmp_path: Path) -> None:
    report = measured(people(a=(60, 40), b=(20, 9), c=(4, 0)), tmp_path, "sex")
    feature = report.feature("sex")
    assert [group.too_few for group in feature.groups] == [False, True, True]
    tiny = feature.group("c")
    assert (tiny.count, tiny.share, tiny.missing, tiny.outcomes, tiny.suppressed) == (None, None, None, (), True)
    assert {m.group for m in feature.measures if m.versus == "reference"} == {"b"}
    assert all(m.too_few for m in feature.measures if m.group == "b")
    assert not [finding for finding in report.findings if finding.severity == "warning"]


def test_the_bounds_of_small_groups(tmp_path: Path) -> None:
    groups = (
        measured(people(a=(60, 40), b=(20, 10), c=(20, 9), d=(3, 2), e=(3, 1)), tmp_path, "sex").feature("sex").groups
    )
    flags = {group.name: (group.too_few, group.suppressed) for group in groups}
    assert flags == {
        "a": (False, False),
        "b": (False, False),
        "c": (True, False),
        "d": (True, False),
        "e": (True, True),
    }


def test_the_twenty_largest_groups_are_kept_and_the_rest_joined(tmp_path: Path) -> None:
    rows = [(f"g{index:02}", answer) for index in range(30) for answer in ["yes", "no"] * (50 - index)]
    feature = measured(pd.DataFrame(rows, columns=["origin", "y"]), tmp_path, "origin").feature("origin")
    assert len(feature.groups) == 21
    assert feature.groups[0].name == "g00"
    assert (feature.groups[-1].name, feature.groups[-1].count) == ("all others", 2 * sum(range(21, 31)))
    assert "20 most frequent" in feature.grouping


def test_a_real_group_named_like_the_rest_is_not_mixed_up(tmp_path: Path) -> None:
    rows = [(f"g{index:02}", answer) for index in range(30) for answer in ["yes", "no"] * 10]
    rows += [("all others", "yes")] * 40 + [("all others", "no")] * 40
    feature = measured(pd.DataFrame(rows, columns=["origin", "y"]), tmp_path, "origin").feature("origin")
    assert feature.group("all others").count == 80
    assert feature.group("all others (0)").count == 11 * 20


def test_hostile_names_and_values_are_only_text(tmp_path: Path) -> None:
    name, value = 'a"; DROP TABLE x; --', "it's ' OR 1=1 <script>alert(1)</script>"
    frame = FIFTY.rename(columns={"sex": name}).replace("female", value)
    feature = measured(frame, tmp_path, name).feature(name)
    assert feature.group(value).count == 50


def test_columns_named_like_words_of_sql(tmp_path: Path) -> None:
    frame = FIFTY.rename(columns={"sex": "name", "y": "count"}).assign(p=1, g=2, v=3, rows=4)
    assert measured(frame, tmp_path, "name", target="count").feature("name").group("male").count == 100


@pytest.mark.parametrize(
    ("yes", "no", "name"),
    [(True, False, "true"), (1, 0, "1"), (1.0, 0.0, "1"), ("Yes", "No", "Yes")],
)
def test_targets_of_several_types(tmp_path: Path, yes: object, no: object, name: str) -> None:
    frame = FIFTY.assign(y=[yes if answer == "yes" else no for answer in FIFTY["y"]])
    report = measured(frame, tmp_path, "sex")
    assert report.positive == name
    assert measure(report.feature("sex"), "DPL", "female").value == pytest.approx(0.2)


def test_a_named_positive_class_turns_the_sign(tmp_path: Path) -> None:
    report = measured(FIFTY, tmp_path, "sex", positive="no")
    assert report.positive_reason == "it was named as the positive outcome"
    assert measure(report.feature("sex"), "DPL", "female").value == pytest.approx(-0.2)


def test_ages_become_bands(tmp_path: Path) -> None:
    ages = [*range(18, 78)] * 4
    frame = pd.DataFrame({"age": [*ages, np.nan], "y": [*(["yes", "no"] * 120), "yes"]})
    feature = measured(frame, tmp_path, "age").feature("age")
    named = [(group.name, group.count) for group in feature.groups]
    assert named == [
        ("under 25", 28),
        ("25\u201334", 40),
        ("35\u201344", 40),
        ("45\u201354", 40),
        ("55\u201364", 40),
        ("65 and over", 52),
    ]
    assert feature.missing == 1


def test_ages_close_together_become_quarters(tmp_path: Path) -> None:
    frame = pd.DataFrame({"age": [*range(10, 22)] * 20, "y": ["yes", "no"] * 120})
    names = [group.name for group in measured(frame, tmp_path, "age").feature("age").groups]
    # lower quartiles of 240 values: 12, 15 and 18
    assert names == ["10\u201311", "12\u201314", "15\u201317", "18\u201321"]


def test_dates_of_birth_become_years(tmp_path: Path) -> None:
    born = pd.to_datetime([f"{year}-06-01" for year in range(1950, 1990)] * 10)
    frame = pd.DataFrame({"birth_date": born, "y": ["yes", "no"] * 200})
    names = [group.name for group in measured(frame, tmp_path, "birth_date").feature("birth_date").groups]
    assert names == ["1950\u20131958", "1959\u20131968", "1969\u20131978", "1979\u20131989"]


def test_lists_of_values_are_groups_like_any_other_value(tmp_path: Path) -> None:
    frame = FIFTY.assign(sex=[[1.5, 2.0] if sex == "male" else [0.5] for sex in FIFTY["sex"]])
    path = save(frame, tmp_path)
    report = measure_bias(path, profile_of(FIFTY), target="y", task=TaskKind.BINARY, sensitive=["sex"])
    assert [group.name for group in report.feature("sex").groups] == ["[1.5, 2.0]", "[0.5]"]


# numbers


def test_binary_numbers_by_hand(tmp_path: Path) -> None:
    report = measured(FIFTY, tmp_path, "sex")
    feature = report.feature("sex")
    assert (report.row_count, report.positive, feature.reference) == (150, "yes", "male")
    women = feature.group("female")
    assert (women.label, women.count, women.share) == ("women", 50, pytest.approx(1 / 3))
    # Wilson for 20 of 50: (0.2761, 0.5382)
    assert (women.outcomes[0].count, women.outcomes[0].value) == (20, 0.4)
    assert (women.outcomes[0].low, women.outcomes[0].high) == (
        pytest.approx(0.2761, abs=5e-5),
        pytest.approx(0.5382, abs=5e-5),
    )
    assert measure(feature, "CI", "female").value == pytest.approx(1 / 3)
    assert measure(feature, "DPL", "female").value == pytest.approx(0.2)
    assert measure(feature, "TVD", "female").value == pytest.approx(0.2)
    # chi-squared by hand: 150 (60*30 - 40*20)^2 / (100*50*80*70) = 5.357, p = 0.0206; one test, so Holm changes nothing
    assert feature.tests[0].p_value == pytest.approx(0.0206, abs=5e-5)
    assert feature.tests[0].p_adjusted == feature.tests[0].p_value
    assert report.findings[0].severity == "warning"
    assert report.findings[0].headline == "sex: “y = yes” is less common for women than for men"
    assert report.findings[0].detail.startswith("“y = yes”: women 40 of 100, men 60 of 100.")


def test_rows_with_missing_target_or_group_are_counted_apart(tmp_path: Path) -> None:
    extra = pd.DataFrame({"sex": ["female"] * 10 + [None] * 7, "y": [None] * 10 + ["yes"] * 7})
    report = measured(pd.concat([FIFTY, extra]), tmp_path, "sex")
    feature = report.feature("sex")
    assert (report.row_count, report.quality.missing_target, feature.missing) == (167, 10, 7)
    women = feature.group("female")
    assert (women.count, women.missing, women.outcomes[0].value) == (60, 10, 0.4)
    assert measure(feature, "CI", "female").value == pytest.approx(40 / 160)


def test_everyone_else_by_hand(tmp_path: Path) -> None:
    feature = measured(people(a=(60, 40), b=(20, 30), c=(10, 40)), tmp_path, "sex").feature("sex")
    # c: 10 of 50; everyone else: 80 of 150
    assert measure(feature, "DPL", "c", "rest").value == pytest.approx(80 / 150 - 0.2)
    assert measure(feature, "CI", "c", "rest").value == pytest.approx(0.5)
    assert [test.group for test in feature.tests] == ["b", "c", "a", "b", "c"]
    p_values = [test.p_value for test in feature.tests[:2]]
    assert [test.p_adjusted for test in feature.tests[:2]] == pytest.approx([max(p_values), 2 * min(p_values)])


def test_multiclass_by_hand(tmp_path: Path) -> None:
    rows = [("m", "low")] * 50 + [("m", "mid")] * 30 + [("m", "top")] * 20
    rows += [("f", "low")] * 40 + [("f", "mid")] * 10
    report = measured(pd.DataFrame(rows, columns=["sex", "y"]), tmp_path, "sex", task=TaskKind.MULTICLASS)
    feature = report.feature("sex")
    dpl = {m.outcome: m.value for m in feature.measures if m.name == "DPL"}
    assert dpl == {"low": pytest.approx(-0.3), "mid": pytest.approx(0.1), "top": pytest.approx(0.2)}
    assert report.positive is None
    assert measure(feature, "TVD", "f").value == pytest.approx(0.3)
    assert measure(feature, "KS", "f").value == pytest.approx(0.3)
    assert measure(feature, "KL", "f").value is None


def test_regression_agrees_with_scipy(tmp_path: Path) -> None:
    generator = np.random.default_rng(7)
    a, d = generator.normal(10, 2, 300).round(1), generator.normal(11, 3, 80).round(1)
    frame = pd.DataFrame({"sex": ["m"] * 300 + ["f"] * 80, "y": [*a, *d]})
    feature = measured(frame, tmp_path, "sex", task=TaskKind.REGRESSION).feature("sex")
    independent = stats.ttest_ind(a, d, equal_var=False)
    ends = independent.confidence_interval(0.95)
    difference = measure(feature, "mean difference", "f")
    assert difference.value == pytest.approx(a.mean() - d.mean())
    assert (difference.low, difference.high) == (pytest.approx(ends.low), pytest.approx(ends.high))
    assert feature.tests[0].p_value == pytest.approx(independent.pvalue)
    assert measure(feature, "KS", "f").value == pytest.approx(stats.ks_2samp(a, d).statistic)


def test_ks_of_many_values_is_a_close_lower_bound(tmp_path: Path) -> None:
    generator = np.random.default_rng(8)
    a, d = generator.normal(0, 1, 3000), generator.normal(0.3, 1, 2000)
    frame = pd.DataFrame({"sex": ["m"] * 3000 + ["f"] * 2000, "y": [*a, *d]})
    report = measured(frame, tmp_path, "sex", task=TaskKind.REGRESSION)
    exact = stats.ks_2samp(a, d).statistic
    assert exact - 0.0025 <= (measure(report.feature("sex"), "KS", "f").value or 0.0) <= exact
    assert "quantiles" in report.notes[0]


def test_group_rates_agree_with_fairlearn(tmp_path: Path) -> None:
    generator = np.random.default_rng(5)
    frame = pd.DataFrame({"race": generator.choice(list("abcd"), 2000), "y": generator.integers(0, 2, 2000)})
    truth = frame["y"].to_numpy()
    reference = MetricFrame(
        metrics=lambda true, _: float(np.mean(true)), y_true=truth, y_pred=truth, sensitive_features=frame["race"]
    )
    feature = measured(frame, tmp_path, "race").feature("race")
    for name, rate in reference.by_group.items():
        assert feature.group(str(name)).outcomes[0].value == pytest.approx(rate)
    spread = [measure(feature, "DPL", g.name).value or 0.0 for g in feature.groups if g.name != feature.reference] + [
        0.0
    ]
    assert max(spread) - min(spread) == pytest.approx(reference.difference(method="between_groups"))


def test_the_report_travels_as_json_and_back(tmp_path: Path) -> None:
    for task, frame in (
        (TaskKind.BINARY, people(a=(60, 40), b=(0, 30), c=(2, 1))),
        (TaskKind.MULTICLASS, pd.DataFrame({"sex": ["m", "f", "m"] * 40, "y": ["a", "b", "c"] * 40})),
        (TaskKind.REGRESSION, pd.DataFrame({"sex": ["m", "f"] * 40, "y": range(80)})),
    ):
        report = measured(frame, tmp_path, "sex", task=task)
        travelled = json.loads(json.dumps(report.model_dump(mode="json"), allow_nan=False))
        assert BiasReport.model_validate(travelled) == report
        assert travelled["schema_version"] == "1.2"


# properties

TABLES = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["yes", "no"])), min_size=60, max_size=120)


def values_of(report: BiasReport, *, crossed: bool = False) -> dict[tuple[str, str, str], float | None]:
    features = report.intersections if crossed else report.features
    return {(m.name, m.group, m.versus): m.value for feature in features for m in feature.measures}


@settings(deadline=None, max_examples=15)
@given(rows=TABLES, seed=st.integers(0, 99))
def test_order_and_repetition_of_rows_do_not_matter(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], seed: int
) -> None:
    frame = pd.DataFrame([*rows, ("a", "yes"), ("a", "no")], columns=["sex", "y"])
    folder = tmp_path_factory.mktemp("rows")
    report = measured(frame, folder, "sex")
    assert measured(frame.sample(frac=1, random_state=seed), folder, "sex") == report
    twice, once = values_of(measured(pd.concat([frame, frame]), folder, "sex")), values_of(report)
    assert {key: pytest.approx(value) for key, value in once.items()} == {key: twice[key] for key in once}


@settings(deadline=None, max_examples=15)
@given(yes_a=st.integers(0, 40), yes_d=st.integers(0, 39))
def test_swapping_groups_turns_the_sign(tmp_path_factory: pytest.TempPathFactory, yes_a: int, yes_d: int) -> None:
    folder = tmp_path_factory.mktemp("swap")
    # alphabetical order decides which of two groups of one size is the reference: “a” in both tables
    one = people(a=(yes_a, 40 - yes_a), d=(yes_d, 40 - yes_d))
    other = one.replace({"sex": {"a": "d", "d": "a"}})
    if one["y"].nunique() < 2:
        return
    forth, back = (
        measure(measured(frame, folder, "sex", positive="yes").feature("sex"), "DPL", "d") for frame in (one, other)
    )
    assert forth.value == pytest.approx(-(back.value or 0.0))
    assert (forth.low, forth.high) == (pytest.approx(-(back.high or 0.0)), pytest.approx(-(back.low or 0.0)))


def test_postcodes_become_areas(tmp_path: Path) -> None:
    # 24 postcodes in four areas by their first two digits, the first of which begin with a zero that numbers lose
    codes = [1000 + 100 * area + place for area in (0, 1, 97, 98) for place in range(6)] * 10
    frame = pd.DataFrame({"plz": codes, "y": ["yes", "no"] * 120})
    feature = measured(frame, tmp_path, "plz").feature("plz")
    assert {group.name: group.count for group in feature.groups} == {"010": 60, "011": 60, "107": 60, "108": 60}
    assert feature.grouping == "Postcodes are grouped by their first 3 signs."


CROSSED = st.lists(
    st.tuples(st.sampled_from("ab"), st.sampled_from("xyz"), st.sampled_from(["yes", "no", None])),
    min_size=60,
    max_size=90,
)


@settings(deadline=None, max_examples=4, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(rows=CROSSED)
def test_intersections_and_gaps_do_not_depend_on_order_or_repetition(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, str | None]]
) -> None:
    frame = pd.DataFrame([*rows, ("a", "x", "yes"), ("a", "x", "no")], columns=["sex", "race", "y"])
    frame["pay"] = [None if index % 5 else 1.0 for index in range(len(frame))]
    folder = tmp_path_factory.mktemp("crossed")
    report = measured(frame, folder, "sex", "race")
    turned = measured(frame.iloc[::-1], folder, "sex", "race")
    assert (turned.features, turned.intersections) == (report.features, report.intersections)
    doubled = measured(pd.concat([frame, frame]), folder, "sex", "race")
    once, twice = (values_of(one, crossed=True) for one in (report, doubled))
    assert {key: pytest.approx(value) for key, value in once.items()} == {key: twice[key] for key in once}
    ranges = {kind.name: (kind.lowest, kind.highest) for kind in (*measures_for(TaskKind.BINARY), REPRESENTATION)}
    for one in report.intersections[0].measures:
        lowest, highest = ranges[one.name]
        assert one.value is None or lowest - 1e-12 <= one.value <= highest + 1e-12, one.name
