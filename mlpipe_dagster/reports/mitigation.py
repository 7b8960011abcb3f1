"""What a mitigation changed: before, after, and what a model then does, from a `TransformationReport`.

One shape for the bias page and for the page of its own. Numbers are only written here, never computed anew; the layout
of that page is `templates/mitigation.html`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from mlpipe_dagster.bias.labels import outcome_label, quoted
from mlpipe_dagster.bias.mitigation.report import Effect, Transformation, TransformationReport, Value
from mlpipe_dagster.reports.bias_view import Head, Rows
from mlpipe_dagster.reports.charts import Bar, bar_chart
from mlpipe_dagster.reports.page import render
from mlpipe_dagster.reports.wording import number_text

RATES = "DPL"
NOT_READ = "not read any more"
MOST_ROWS = 200
"""Of each table of the page of its own; the JSON has all."""
NOTHING = 1e-9
"""What is smaller is a matter of rounding."""
STAGES = ("Before", "After", "In the model's predictions")
EFFECT_HEAD: Head = [("Column", False), ("What", False), ("Measure", False), *((stage, True) for stage in STAGES)]
CHANGE_HEAD: Head = [("Column", False), ("What was done", False), ("Before", False), ("After", False)]
Named = Callable[[str, str], str]
"""What a group is called within a sentence, by its column and name."""


@dataclass(frozen=True)
class Change:
    """The largest change of one sensitive column."""

    headline: str
    detail: str
    title: str
    chart: Markup


@dataclass(frozen=True)
class MitigationPart:
    """What a page says of a mitigation."""

    report: TransformationReport
    changes: tuple[Change, ...]
    effects: tuple[Head, Rows]
    transformations: tuple[Head, Rows]


def as_written(column: str, name: str) -> str:
    """A group by its name in the table."""
    return quoted(outcome_label(column, name))


def mitigation_part(report: TransformationReport, named: Named = as_written) -> MitigationPart:
    """The largest difference of each sensitive column before, after and in the model, and all of them as a table."""
    return MitigationPart(
        report,
        tuple(_changes(report, named)),
        (EFFECT_HEAD, [_effect_row(report, effect, named) for effect in report.before_after]),
        (CHANGE_HEAD, [_change_row(change) for change in report.transformations]),
    )


def render_mitigation(report: TransformationReport, links: Mapping[str, str] | None = None) -> str:
    """The page of its own as one self-contained HTML file."""
    part = mitigation_part(report)
    (effect_head, effects), (change_head, changes) = part.effects, part.transformations
    return render(
        "mitigation.html",
        report=report,
        links=dict(links or {}),
        changes=part.changes,
        effect_head=effect_head,
        effect_rows=effects[:MOST_ROWS],
        change_head=change_head,
        change_rows=changes[:MOST_ROWS],
        cut=max(len(effects), len(changes)) > MOST_ROWS,
    )


def _changes(report: TransformationReport, named: Named) -> Iterator[Change]:
    for column in report.sensitive:
        found = [effect for effect in report.before_after if effect.column == column]
        differences = [effect for effect in found if effect.group is not None]
        if not found:
            continue
        widest = max(differences or found, key=lambda effect: abs(effect.before.value))
        stages = _stages(widest)
        said = "; ".join(f"{name}: {_written(value, widest)}" for name, value in stages)
        left = "" if widest.after else f"; afterwards “{widest.about}” is {NOT_READ}"
        about = _about(report, widest, named)
        title = f"{about}, before and after"
        yield Change(
            headline=f"{column}: {about}", detail=f"{said}{left}.", title=title, chart=_chart(stages, widest, title)
        )


def _stages(effect: Effect) -> list[tuple[str, Value]]:
    told = zip(STAGES, (effect.before, effect.after, effect.model), strict=True)
    return [(name, value) for name, value in told if value is not None]


def _chart(stages: Sequence[tuple[str, Value]], effect: Effect, title: str) -> Markup:
    """Bars of a difference before, after and in the model, in that order; the last one stands out."""
    scale = 100.0 if effect.measure == RATES else 1.0
    bars = [
        Bar(
            name,
            scale * value.value,
            None if value.low is None else scale * value.low,
            None if value.high is None else scale * value.high,
            _written(value, effect),
            quiet=index < len(stages) - 1,
        )
        for index, (name, value) in enumerate(stages)
    ]
    return bar_chart(bars, title=title)


def _written(value: Value, effect: Effect) -> str:
    """A difference of rates in points of a hundred, anything else as it is."""
    if effect.measure == RATES:
        return f"{number_text(_near(100 * value.value))} points"
    return number_text(_near(value.value))


def _about(report: TransformationReport, effect: Effect, named: Named) -> str:
    """What the numbers of an effect are of, in words."""
    if effect.group is None or effect.reference is None:
        return f"how much “{effect.about}” tells of {effect.column}"
    group, reference = (named(effect.column, name) for name in (effect.group, effect.reference))
    what = report.target if effect.about is None else outcome_label(report.target, effect.about)
    return f"“{what}”, {reference} minus {group}"


def _effect_row(report: TransformationReport, effect: Effect, named: Named) -> list[str]:
    return [
        effect.column,
        _about(report, effect, named),
        effect.measure,
        _cell(effect.before),
        _cell(effect.after) if effect.after else NOT_READ,
        _cell(effect.model) if effect.model else "",
    ]


def _change_row(change: Transformation) -> list[str]:
    return [change.column, change.transformation, _said(change.original_value), _said(change.modified_value)]


def _near(value: float) -> float:
    """A value, or 0 where rounding alone has left it over."""
    return 0.0 if abs(value) < NOTHING else value


def _cell(value: Value) -> str:
    """A value with its interval, as it stands in a table."""
    if value.low is None or value.high is None:
        return number_text(_near(value.value))
    return f"{number_text(_near(value.value))} ({number_text(value.low)} to {number_text(value.high)})"


def _said(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name.replace('_', ' ')} {_said(part)}" for name, part in value.items())
    return number_text(float(value), 3) if isinstance(value, float) else str(value)
