"""The bias page: one `BiasReport` for three kinds of readers, from the same numbers.

Here the parts of the page are chosen by level; cells and charts are written in `bias_view.py`, the layout is
`templates/bias_report.html`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from markupsafe import Markup

from mlpipe_dagster.bias import findings, intervals
from mlpipe_dagster.bias.measures import MeasureKind, measures_for
from mlpipe_dagster.bias.report import SUPPRESSED_BELOW, TOO_FEW_BELOW, BiasReport, FeatureBias, Versus
from mlpipe_dagster.reports.bias_view import (
    Head,
    Rows,
    chart_title,
    comparison_table,
    group_table,
    measure_table,
    outcome_chart,
    significance_table,
)
from mlpipe_dagster.reports.page import render
from mlpipe_dagster.reports.wording import printable
from mlpipe_dagster.vocabulary import Level, TaskKind

_MAIN_MEASURES: dict[TaskKind, tuple[str, ...]] = {
    TaskKind.BINARY: ("CI", "DPL", "DI"),
    TaskKind.MULTICLASS: ("CI", "TVD"),
    TaskKind.REGRESSION: ("CI", "mean difference", "standardized difference"),
}
"""What an intermediate reader sees of the measures."""
_VERSUS: dict[Versus, str] = {
    "reference": "compared with the reference group",
    "rest": "compared with everyone else",
}


@dataclass(frozen=True)
class _Table:
    caption: str
    head: Head
    rows: Rows


@dataclass(frozen=True)
class _Section:
    """One sensitive column on the page."""

    feature: FeatureBias
    title: str
    chart: Markup | None
    groups: _Table
    details: tuple[_Table, ...]


def render_bias_report(report: BiasReport, level: Level, links: Mapping[str, str]) -> str:
    """`report` as one self-contained HTML page for a reader of that level.

    `links` go to the top of the page: the keys `beginner`, `intermediate` and `expert` lead to the same report at that
    level, every other key is the text of a link.
    """
    page = render(
        "bias_report.html",
        report=report,
        level=str(level),
        links=dict(links),
        sections=[_section(report, feature, level) for feature in report.features],
        measures=_explained(report, level),
        advice=list(dict.fromkeys(finding.advice for finding in report.findings if finding.advice)),
        facts={
            "significant": findings.SIGNIFICANT,
            "large": findings.LARGE[report.task],
            "four_fifths": findings.FOUR_FIFTHS,
            "too_few": TOO_FEW_BELOW,
            "suppressed": SUPPRESSED_BELOW,
            "seed": intervals.SEED,
        },
    )
    return printable(page)


def _section(report: BiasReport, feature: FeatureBias, level: Level) -> _Section:
    shown = [group for group in feature.groups if group.outcomes]
    return _Section(
        feature=feature,
        title=chart_title(report, feature) if shown else "",
        chart=outcome_chart(report, feature, shown, level=level) if shown else None,
        groups=_Table("Groups", *group_table(report, feature, level)),
        details=tuple(table for table in _details(report, feature, level) if table.rows),
    )


def _details(report: BiasReport, feature: FeatureBias, level: Level) -> Iterator[_Table]:
    if level is Level.INTERMEDIATE:
        caption = "Measures with 95 % intervals, compared with the reference group"
        yield _Table(caption, *comparison_table(feature, _MAIN_MEASURES[report.task]))
    if level is Level.EXPERT:
        for versus, compared in _VERSUS.items():
            yield _Table(f"Measures, {compared}", *measure_table(report, feature, versus))
            yield _Table(f"Tests of equal outcomes, {compared}", *significance_table(feature, versus))


def _explained(report: BiasReport, level: Level) -> list[MeasureKind]:
    """The measures that the page shows and has to explain."""
    if level is Level.BEGINNER:
        return []
    return [
        kind for kind in measures_for(report.task) if level is Level.EXPERT or kind.name in _MAIN_MEASURES[report.task]
    ]
