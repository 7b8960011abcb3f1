"""Plots that stand alone: which of them is drawn, and that it is an image whatever the table holds."""

from xml.etree import ElementTree

from sklearn.linear_model import Ridge

from mlpipe_dagster.reports.plots import data_plot, factors_plot
from mlpipe_dagster.tables.profile import ColumnProfile, HistogramBin, Profile, ValueCount
from mlpipe_dagster.vocabulary import TaskKind
from mlpipe_dagster.xai.explain import explain_model
from mlpipe_dagster_tests.xai.models import planted, trained


def text_of(svg: str) -> str:
    return " ".join(ElementTree.fromstring(svg).itertext())


def profile() -> Profile:
    return Profile(
        row_count=100,
        duplicate_rows=0,
        columns=(
            ColumnProfile(
                name="price",
                data_type="float64",
                kind="number",
                missing=20,
                distinct=80,
                histogram=(HistogramBin(lower=1, upper=9, count=80),),
                top_values=(ValueCount(value="3.0", count=2),),
            ),
            ColumnProfile(
                name="<sold>",
                data_type="object",
                kind="category",
                missing=0,
                distinct=2,
                top_values=(ValueCount(value="yes", count=75), ValueCount(value="no", count=25)),
            ),
            ColumnProfile(name="mail", data_type="object", kind="text", missing=0, distinct=100, personal="email"),
        ),
    )


def test_no_target_a_personal_target_and_no_rows_fall_back_to_gaps() -> None:
    assert "20%" in text_of(data_plot(profile(), None))
    assert "Share of missing values" in text_of(data_plot(profile(), "mail"))
    assert "nothing is missing" in text_of(data_plot(Profile(row_count=0, columns=(), duplicate_rows=0), "gone"))


def test_classes_are_bars_and_numbers_a_histogram() -> None:
    assert "75 (75%)" in text_of(data_plot(profile(), "<sold>"))
    assert "Values of price" in text_of(data_plot(profile(), "price"))


def test_leading_columns_with_their_share() -> None:
    table = planted()[["noise", "strong", "value"]]
    explanation = explain_model(trained(table, "value", TaskKind.REGRESSION, Ridge()), table)
    drawn = text_of(factors_plot(explanation))
    assert drawn.index("strong") < drawn.index("noise")
    assert len(factors_plot(explanation)) < 20_000
