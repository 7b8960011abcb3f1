"""The charts of the model pages: influence, dependence, errors, calibration, single rows. Drawn with `charts.py`."""

from collections.abc import Sequence
from datetime import date, timedelta

from markupsafe import Markup

from mlpipe_dagster.reports.case_charts import Step, dots, waterfall
from mlpipe_dagster.reports.charts import Bar, Line, bar_chart, histogram, line_chart
from mlpipe_dagster.reports.texts import texts
from mlpipe_dagster.reports.wording import number_text, percent_text
from mlpipe_dagster.xai.explanation import (
    ColumnImportance,
    Dependence,
    DependencePoint,
    Interaction,
    LocalExplanation,
    ModelExplanation,
)
from mlpipe_dagster.xai.quality import Calibration, Thresholds

MOST_BARS = 12


def shares(columns: Sequence[ColumnImportance]) -> Markup:
    """Share of the influence of each column."""
    bars = [Bar(column.name, column.share, text=percent_text(column.share, 0)) for column in columns]
    return bar_chart(bars, title=texts().plain("charts.shares"))


def right_dots(explanation: ModelExplanation) -> Markup | None:
    """Right answers as dots out of ten."""
    if explanation.right_share is None:
        return None
    count = round(10 * explanation.right_share)
    return dots(count, title=texts().plain("charts.dots", count=count))


def details(explanation: ModelExplanation, *, expert: bool) -> dict[str, object]:
    """Every chart of the intermediate and expert pages."""
    measured = [column for column in explanation.columns[:MOST_BARS] if column.permutation is not None]
    drawn: dict[str, object] = {
        "importance": _importance(explanation.columns[:MOST_BARS]),
        "permutation": _permutation(measured) if measured else "",
        "dependence": [
            (_caption(explanation, dependence), _dependence_note(dependence), _dependence(dependence, expert=expert))
            for dependence in explanation.dependence
        ],
        "local": [(local_caption(row), local_note(row), local_waterfall(row)) for row in explanation.local],
        "calibration": _calibration(explanation.calibration),
        "thresholds": _thresholds(explanation.thresholds),
    }
    leading = explanation.interactions[0] if explanation.interactions else None
    drawn["interaction"] = _interaction(leading) if leading and leading.lines and leading.strength > 0 else ""
    if explanation.residuals:
        drawn["residuals"] = histogram(explanation.residuals.histogram, title=texts().plain("charts.residuals"))
    return drawn


def _importance(columns: Sequence[ColumnImportance]) -> Markup:
    bars = [Bar(column.name, column.shap, column.shap_low, column.shap_high) for column in columns]
    return bar_chart(bars, title=texts().plain("charts.importance"))


def _permutation(columns: Sequence[ColumnImportance]) -> Markup:
    bars = [Bar(column.name, column.permutation or 0.0) for column in columns]
    bars.sort(key=lambda bar: -bar.value)
    return bar_chart(bars, title=texts().plain("charts.permutation"))


def _caption(explanation: ModelExplanation, dependence: Dependence) -> str:
    scale = "probability" if explanation.classes else "predicted value"
    of = texts().plain(f"outputs.{scale}", of=dependence.output)
    return texts().plain("details.dependence_caption", column=dependence.column, output=of)


def _dependence_note(dependence: Dependence) -> Markup | str:
    if not dependence.differs or dependence.gap is None:
        return ""
    return texts()("details.dependence_differs", gap=percent_text(dependence.gap, 0))


def _dependence(dependence: Dependence, *, expert: bool) -> Markup:
    title = texts().plain("charts.dependence", column=dependence.column)
    points = dependence.points
    if not dependence.numeric:
        return bar_chart(
            [
                Bar(point.value, point.average, *((point.low, point.high) if expert else ()))
                for point in sorted(points, key=lambda point: -point.average)
            ],
            title=title,
        )
    places = [point.position or 0.0 for point in points]
    lines = [Line(texts().plain("details.average"), _line(points), marked=True)]
    if expert or dependence.differs:
        mean = sum(point.average for point in points) / len(points)
        inside = [effect for effect in dependence.effects if places[0] <= effect.position <= places[-1]]
        if inside:
            moved = tuple((effect.position, mean + effect.effect) for effect in inside)
            lines.append(Line(texts().plain("details.local_effects"), moved))
    if expert:
        lines += [Line("", tuple(zip(places, curve, strict=True)), faint=True) for curve in dependence.curves]
    written = _date if dependence.kind == "datetime" else number_text
    return line_chart(lines, title=title, x_label=dependence.column, written=written)


def _line(points: Sequence[DependencePoint]) -> tuple[tuple[float, float], ...]:
    return tuple((point.position or 0.0, point.average) for point in points)


def _date(days: float) -> str:
    """The date that many days after the start of 1970."""
    return (date(1970, 1, 1) + timedelta(days=days)).isoformat()


def _interaction(pair: Interaction) -> Markup:
    title = f"{pair.first} × {pair.second}"  # noqa: RUF001 - the sign of an interaction
    if pair.numeric:
        lines = [Line(line.value, _line(line.points), marked=True) for line in pair.lines]
        return line_chart(lines, title=title, x_label=pair.first)
    bars = [Bar(f"{point.value} · {line.value}", point.average) for line in pair.lines for point in line.points[:4]]
    bars.sort(key=lambda bar: -bar.value)
    return bar_chart(bars, title=title)


def _calibration(calibration: Calibration | None) -> Markup | str:
    if calibration is None:
        return ""
    points = tuple((held.predicted, held.observed) for held in calibration.bins)
    spans = tuple((held.low, held.high) for held in calibration.bins)
    line = Line(texts().plain("details.observed"), points, marked=True, spans=spans)
    return line_chart([line], title=texts().plain("details.calibration_chart"), diagonal=True)


def _thresholds(thresholds: Thresholds | None) -> Markup | str:
    if thresholds is None:
        return ""
    found = tuple((step.threshold, step.found) for step in thresholds.steps if step.found is not None)
    right = tuple((step.threshold, step.right) for step in thresholds.steps if step.right is not None)
    t = texts()
    lines = [Line(t.plain("details.found"), found, marked=True), Line(t.plain("details.right"), right, marked=True)]
    return line_chart(lines, title=t.plain("details.thresholds_chart"), x_label=t.plain("head.threshold"))


def local_caption(row: LocalExplanation) -> str:
    """`Typical: table row 12`."""
    kinds = ", ".join(texts().plain(f"kinds.{kind}") for kind in row.kinds).capitalize()
    return texts().plain("details.local_title", kinds=kinds, position=number_text(row.position, 15))


def local_note(row: LocalExplanation) -> str:
    """What was predicted and what is true."""
    chance = "" if row.probability is None else f" ({percent_text(row.probability)})"
    predicted, actual = (texts().plain("quoted", name=name) for name in (row.predicted, row.actual))
    return texts().plain("details.local_note", predicted=f"{predicted}{chance}", actual=actual)


def local_waterfall(row: LocalExplanation) -> Markup:
    """From the base value to the output, a step for each of the strongest columns."""
    t = texts()
    steps = [Step(f"{part.column} = {part.value}", part.shap) for part in row.contributions]
    if row.rest:
        steps.append(Step(t.plain("details.local_rest"), row.rest))
    title = t.plain("details.local_chart", output=t.output(row.explained), position=number_text(row.position, 15))
    names = (t.plain("details.local_base"), t.output(row.explained))
    return waterfall(steps, row.base, row.output, title=title, names=names)
