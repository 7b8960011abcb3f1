"""The page of a mitigation: one `TransformationReport` as before -> mitigation -> after, in words, charts and tables.

Nothing is measured here; the layout is `templates/mitigation.html`.
"""

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from mlpipe_dagster.bias.mitigation.report import Effect, Transformation, TransformationReport, Value
from mlpipe_dagster.reports.charts import Bar, bar_chart
from mlpipe_dagster.reports.page import render
from mlpipe_dagster.reports.wording import number_text

MOST_CHARTS = 6
MOST_ROWS = 200
BEFORE, AFTER, MODEL = "In the table", "As the model learns from it", "In its predictions"
NOTHING = 1e-9
"""What is smaller is a matter of rounding."""
HEAD = (("Groups", False), ("About", False), (BEFORE, True), (AFTER, True), (MODEL, True))
CHANGE_HEAD = (("Column", False), ("What was done", False), ("Before", False), ("After", False))
TRACE_HEAD = (("Sensitive column", False), ("Told by", False), ("Measure", False), (BEFORE, True), (AFTER, True))


def render_mitigation(report: TransformationReport, links: Mapping[str, str] | None = None) -> str:
    """The page as one self-contained HTML file."""
    compared = [line for line in report.before_after if line.group is not None]
    traced = [line for line in report.before_after if line.group is None]
    widest = sorted(compared, key=lambda line: -abs(line.before.value))
    return render(
        "mitigation.html",
        report=report,
        links=dict(links or {}),
        lead=_lead(report, widest),
        charts=[(_title(line), _chart(line)) for line in widest[:MOST_CHARTS]],
        head=HEAD,
        rows=[_row(line) for line in compared[:MOST_ROWS]],
        trace_head=TRACE_HEAD,
        traced_rows=[_traced(line) for line in traced[:MOST_ROWS]],
        change_head=CHANGE_HEAD,
        change_rows=[change_row(change) for change in report.transformations[:MOST_ROWS]],
        cut=max(len(compared), len(traced), len(report.transformations)) > MOST_ROWS,
    )


def _lead(report: TransformationReport, widest: Sequence[Effect]) -> str:
    if not widest:
        return "There were no two groups to compare."
    line = widest[0]
    said = [f"{_told(line.before, line)} in the table"]
    if line.after is not None and line.after != line.before:
        said.append(f"{_told(line.after, line)} in the rows as the model learns from them")
    if line.model is not None:
        said.append(f"{_told(line.model, line)} in its predictions on rows it has not seen")
    what = f"“{line.about}”" if line.about is not None else f"the mean of “{report.target}”"
    return f"The widest gap, in {what} between “{line.reference}” and “{line.group}”: {'; '.join(said)}."


def _told(value: Value, line: Effect) -> str:
    if line.measure != "DPL":
        return number_text(abs(value.value))
    return f"{round(abs(value.value) * 100):d} of 100"


def _title(line: Effect) -> str:
    about = f" in “{line.about}”" if line.about is not None else ""
    return f"{line.column}: “{line.reference}” minus “{line.group}”{about}"


def _chart(line: Effect) -> Markup:
    steps = ((BEFORE, line.before), (AFTER, line.after), (MODEL, line.model))
    bars = [Bar(name, near(value.value), value.low, value.high, quiet=name == BEFORE) for name, value in steps if value]
    return bar_chart(bars, title=_title(line))


def _row(line: Effect) -> tuple[str, ...]:
    return (
        f"{line.column}: {line.reference} \N{MINUS SIGN} {line.group}",
        line.about or "mean",
        cell(line.before),
        cell(line.after) if line.after else "",
        cell(line.model) if line.model else "",
    )


def _traced(line: Effect) -> tuple[str, ...]:
    after = cell(line.after) if line.after else "not read"
    return line.column, line.about or "", line.measure, cell(line.before), after


def near(value: float) -> float:
    """A value, or 0 where rounding alone has left it over."""
    return 0.0 if abs(value) < NOTHING else value


def cell(value: Value) -> str:
    """A value with its interval, as it stands in a table."""
    if value.low is None or value.high is None:
        return number_text(near(value.value))
    return f"{number_text(near(value.value))} ({number_text(value.low)} to {number_text(value.high)})"


def change_row(change: Transformation) -> tuple[str, ...]:
    """A row under `CHANGE_HEAD`."""
    return change.column, change.transformation, _said(change.original_value), _said(change.modified_value)


def _said(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name.replace('_', ' ')} {_said(part)}" for name, part in value.items())
    return number_text(float(value), 3) if isinstance(value, float) else str(value)
