"""What the bias page says of a mitigation: before, after, and what a model then does, from a `TransformationReport`.

Numbers are only written here, never computed anew.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from mlpipe_dagster.bias.labels import group_label, outcome_label, quoted
from mlpipe_dagster.bias.mitigation.report import Effect, TransformationReport, Value
from mlpipe_dagster.bias.report import BiasReport
from mlpipe_dagster.reports.bias_view import Head, Rows
from mlpipe_dagster.reports.charts import Bar, bar_chart
from mlpipe_dagster.reports.mitigation import CHANGE_HEAD, cell, change_row, near
from mlpipe_dagster.reports.wording import number_text

RATES = "DPL"
NOT_READ = "not read any more"


@dataclass(frozen=True)
class Change:
    """The largest change of one sensitive column."""

    headline: str
    detail: str
    title: str
    chart: Markup


@dataclass(frozen=True)
class MitigationPart:
    """What the page says of a mitigation."""

    report: TransformationReport
    changes: tuple[Change, ...]
    effects: tuple[Head, Rows]
    transformations: tuple[Head, Rows]


def mitigation_part(report: BiasReport, mitigated: TransformationReport) -> MitigationPart:
    """The largest difference of each sensitive column before, after and in the model, and all of them as a table."""
    return MitigationPart(
        mitigated,
        tuple(_changes(report, mitigated)),
        _effect_table(report, mitigated),
        (list(CHANGE_HEAD), [list(change_row(one)) for one in mitigated.transformations]),
    )


def _changes(report: BiasReport, mitigated: TransformationReport) -> Iterator[Change]:
    for column in mitigated.sensitive:
        found = [effect for effect in mitigated.before_after if effect.column == column]
        differences = [effect for effect in found if effect.group is not None]
        if not found:
            continue
        widest = max(differences or found, key=lambda effect: abs(effect.before.value))
        stages = _stages(widest)
        said = "; ".join(f"{name}: {_written(value, widest)}" for name, value in stages)
        left = "" if widest.after else f"; afterwards “{widest.about}” is {NOT_READ}"
        title = f"{_about(report, widest)}, before and after"
        yield Change(
            headline=f"{column}: {_about(report, widest)}",
            detail=f"{said}{left}.",
            title=title,
            chart=_chart(stages, widest, title),
        )


def _stages(effect: Effect) -> list[tuple[str, Value]]:
    told = (("Before", effect.before), ("After", effect.after), ("In the model's predictions", effect.model))
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
    return (
        f"{number_text(near(100 * value.value))} points" if effect.measure == RATES else number_text(near(value.value))
    )


def _about(report: BiasReport, effect: Effect) -> str:
    """What the numbers of an effect are of, in words."""
    if effect.group is None or effect.reference is None:
        return f"how much “{effect.about}” tells of {effect.column}"
    group, reference = (_spoken(report, effect.column, name) for name in (effect.group, effect.reference))
    what = report.target if effect.about is None else outcome_label(report.target, effect.about)
    return f"“{what}”, {reference} minus {group}"


def _spoken(report: BiasReport, column: str, name: str) -> str:
    kind = next((feature.kind for feature in report.features if feature.column == column), "named")
    return quoted(group_label(column, kind, name))


def _effect_table(report: BiasReport, mitigated: TransformationReport) -> tuple[Head, Rows]:
    head: Head = [("Column", False), ("What", False), ("Measure", False)]
    head += [("Before", True), ("After", True), ("In the model's predictions", True)]
    rows = [
        [
            effect.column,
            _about(report, effect),
            effect.measure,
            cell(effect.before),
            cell(effect.after) if effect.after else NOT_READ,
            cell(effect.model) if effect.model else "",
        ]
        for effect in mitigated.before_after
    ]
    return head, rows
