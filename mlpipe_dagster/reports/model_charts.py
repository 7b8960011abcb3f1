"""The charts of the model pages: influence, partial dependence, errors, single rows. Drawn with `charts.py`."""

from collections.abc import Sequence
from datetime import date, timedelta

from markupsafe import Markup

from mlpipe_dagster.reports.charts import Bar, Line, bar_chart, histogram, line_chart
from mlpipe_dagster.reports.wording import number_text, percent_text, signed_text
from mlpipe_dagster.xai.explanation import ColumnImportance, Dependence, LocalExplanation, ModelExplanation

MOST_BARS = 12


def shares(columns: Sequence[ColumnImportance]) -> Markup:
    """Share of the influence of each column."""
    bars = [Bar(column.name, column.share, text=percent_text(column.share, 0)) for column in columns]
    return bar_chart(bars, title="Share of the influence of the leading columns")


def details(explanation: ModelExplanation, *, expert: bool) -> dict[str, object]:
    """Every chart of the intermediate and expert pages."""
    measured = [column for column in explanation.columns[:MOST_BARS] if column.permutation is not None]
    drawn: dict[str, object] = {
        "importance": _importance(explanation.columns[:MOST_BARS]),
        "permutation": _permutation(measured) if measured else "",
        "dependence": [
            (_dependence_caption(explanation, dependence), _dependence(dependence, expert=expert))
            for dependence in explanation.dependence
        ],
        "local": [(local_caption(row), _local_note(row), _local(row)) for row in explanation.local],
    }
    if explanation.residuals:
        drawn["residuals"] = histogram(explanation.residuals.histogram, title="Errors: predicted minus actual")
    return drawn


def _importance(columns: Sequence[ColumnImportance]) -> Markup:
    bars = [Bar(column.name, column.shap, column.shap_low, column.shap_high) for column in columns]
    return bar_chart(bars, title="Mean absolute SHAP value of each column")


def _permutation(columns: Sequence[ColumnImportance]) -> Markup:
    bars = [Bar(column.name, column.permutation or 0.0) for column in columns]
    return bar_chart(bars, title="Growth of the loss when a column is shuffled")


def _dependence_caption(explanation: ModelExplanation, dependence: Dependence) -> str:
    of = f"probability of “{dependence.output}”" if explanation.classes else f"predicted “{dependence.output}”"
    return f"{dependence.column}: {of}"


def _dependence(dependence: Dependence, *, expert: bool) -> Markup:
    title = f"Average prediction by {dependence.column}"
    if not dependence.numeric:
        return bar_chart(
            [
                Bar(point.value, point.average, *((point.low, point.high) if expert else ()))
                for point in dependence.points
            ],
            title=title,
        )
    curves = {"average": [point.average for point in dependence.points]}
    if expert:
        curves["10th percentile"] = [point.low for point in dependence.points]
        curves["90th percentile"] = [point.high for point in dependence.points]
    places = [point.position or 0.0 for point in dependence.points]
    lines = [
        Line(name, tuple(zip(places, values, strict=True)), marked=name == "average") for name, values in curves.items()
    ]
    written = _date if dependence.kind == "datetime" else number_text
    return line_chart(lines, title=title, x_label=dependence.column, written=written)


def _date(days: float) -> str:
    """The date that many days after the start of 1970."""
    return (date(1970, 1, 1) + timedelta(days=days)).isoformat()


def local_caption(row: LocalExplanation) -> str:
    """`Typical: table row 12`."""
    return f"{' and '.join(row.kinds).capitalize()}: table row {number_text(row.position, 15)}"


def _local_note(row: LocalExplanation) -> str:
    chance = "" if row.probability is None else f" ({percent_text(row.probability)})"
    said = f"Predicted “{row.predicted}”{chance}, actually “{row.actual}”."
    return f"{said} {row.output_name.capitalize()}: base {number_text(row.base)}, here {number_text(row.output)}."


def _local(row: LocalExplanation) -> Markup:
    bars = [Bar(f"{part.column} = {part.value}", part.shap, text=signed_text(part.shap)) for part in row.contributions]
    if row.rest:
        bars.append(Bar("all other columns", row.rest, text=signed_text(row.rest)))
    return bar_chart(bars, title=f"Contributions to the {row.output_name}, table row {row.position}")
