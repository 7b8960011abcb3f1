"""Explanations of tables: gaps, targets and suspicious columns, counted by hand; nothing of personal values."""

from mlpipe_dagster.bias.report import BiasReport, FeatureBias, Finding, Group, Quality
from mlpipe_dagster.bias.signals import Leak, Signals
from mlpipe_dagster.tables.profile import ColumnProfile, HistogramBin, Profile, ValueCount
from mlpipe_dagster.vocabulary import TaskKind
from mlpipe_dagster.xai.data_explanation import DataExplanation
from mlpipe_dagster.xai.explain_table import explain_data

CLASSES = (ValueCount(value="no", count=60), ValueCount(value="yes", count=30))


def profile() -> Profile:
    return Profile(
        row_count=100,
        duplicate_rows=5,
        notes=("2 lines were left out.",),
        columns=(
            ColumnProfile(name="id", data_type="int64", kind="identifier", missing=0, distinct=100),
            ColumnProfile(name="mail", data_type="object", kind="text", missing=0, distinct=99, personal="email"),
            ColumnProfile(
                name="age",
                data_type="float64",
                kind="number",
                missing=50,
                distinct=40,
                minimum=18,
                maximum=80,
                mean=40,
                median=39,
                standard_deviation=9,
                histogram=(HistogramBin(lower=18, upper=80, count=50),),
            ),
            ColumnProfile(
                name="plan",
                data_type="object",
                kind="category",
                missing=0,
                distinct=2,
                top_values=(ValueCount(value="a", count=99), ValueCount(value="b", count=1)),
            ),
            ColumnProfile(
                name="answer", data_type="object", kind="category", missing=10, distinct=2, top_values=CLASSES
            ),
        ),
    )


def bias() -> BiasReport:
    return BiasReport(
        row_count=100,
        target="answer",
        task=TaskKind.BINARY,
        overall=(),
        features=(
            FeatureBias(
                column="age",
                kind="age",
                why="its name",
                groups=(
                    Group(name="young", label="young", count=48, share=0.96, missing=0),
                    Group(name="old", label="old", count=None, share=None, missing=None, suppressed=True),
                ),
                reference="young",
            ),
        ),
        findings=(Finding(severity="warning", headline="Unequal.", detail="By 10.", advice="Look."),),
        verdict="Groups differ.",
        quality=Quality(duplicate_rows=5, constant_columns=(), empty_columns=(), missing_target=10),
    )


def test_an_empty_table_divides_by_nothing() -> None:
    empty = Profile(row_count=0, columns=(), duplicate_rows=0)
    explanation = explain_data(empty, target=None, task=None, bias=None)
    assert (explanation.missing_share, explanation.duplicate_share, explanation.cells) == (0.0, 0.0, 0)


def test_a_target_the_table_does_not_have_is_no_target() -> None:
    explanation = explain_data(profile(), target="gone", task=None, bias=None)
    assert explanation.target_values == ()
    assert explanation.target_known == 0


def test_counts() -> None:
    explanation = explain_data(profile(), target="answer", task=TaskKind.BINARY, bias=bias())
    assert (explanation.cells, explanation.missing_cells, explanation.missing_share) == (500, 60, 0.12)
    assert explanation.duplicate_share == 0.05
    assert explanation.target_values == (("no", 60), ("yes", 30))
    assert explanation.target_known == 90
    assert explanation.target_largest_share == 60 / 90
    assert explanation.kinds == {"category": 2, "identifier": 1, "text": 1, "number": 1}
    assert explanation.bias_verdict == "Groups differ."
    assert explanation.bias_findings[0].advice == "Look."
    assert explanation.sensitive[0].groups == (("young", 48), ("old", None))
    assert DataExplanation.model_validate_json(explanation.model_dump_json()) == explanation


def test_a_number_to_predict_is_shown_by_its_histogram() -> None:
    explanation = explain_data(profile(), target="age", task=TaskKind.REGRESSION, bias=None)
    assert explanation.target_values == ()
    assert explanation.target_histogram[0].count == 50
    assert not explanation.bias_measured


def test_suspicious_columns() -> None:
    explanation = explain_data(profile(), target="answer", task=TaskKind.BINARY, bias=None)
    reasons = {suspicion.column: suspicion.reason for suspicion in explanation.suspicions}
    assert list(reasons) == ["id", "mail", "age", "plan"]
    assert reasons["id"].key == "running_number"
    assert reasons["mail"].values == {"how": "email"}
    assert reasons["age"].values == {"missing": 50, "rows": 100}
    assert reasons["plan"].values == {"value": "a", "count": 99, "known": 100}


def test_leaks_that_the_bias_report_names_are_told_in_its_words_under_columns_to_look_at() -> None:
    leak = Leak(
        column="plan", kind="gives away", severity="warning", power=0.97, low=0.9, high=1.0, why="By itself it tells."
    )
    signals = Signals(rows=100, of=100, features=(), leaks=(leak,))
    finding = Finding(severity="warning", headline="A leak.", detail="It tells.", kind="leak")
    report = bias().model_copy(update={"signals": signals, "findings": (*bias().findings, finding)})
    explanation = explain_data(profile(), target="answer", task=TaskKind.BINARY, bias=report)
    assert explanation.suspicions[0].column == "plan"
    assert explanation.suspicions[0].reason.values == {"text": "By itself it tells."}
    assert [found.headline for found in explanation.bias_findings] == ["Unequal."]
