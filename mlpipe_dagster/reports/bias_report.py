"""The bias page: one `BiasReport` for three kinds of readers, from the same numbers.

Here the parts of the page are chosen by level and put in order; cells and charts are written in `bias_view.py` and
`bias_signals.py`, the layout is `templates/bias_report.html`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup

from mlpipe_dagster.bias import findings, intervals
from mlpipe_dagster.bias.labels import outcome_label, quoted
from mlpipe_dagster.bias.measures import MeasureKind, measures_for
from mlpipe_dagster.bias.mitigation.report import TransformationReport
from mlpipe_dagster.bias.report import (
    SIGNIFICANT,
    SUPPRESSED_BELOW,
    TOO_FEW_BELOW,
    BiasReport,
    FeatureBias,
    Finding,
    FindingKind,
    Versus,
)
from mlpipe_dagster.reports import bias_signals
from mlpipe_dagster.reports.bias_view import (
    Head,
    Rows,
    chart_title,
    class_chart,
    class_title,
    comparison_table,
    group_table,
    measure_table,
    outcome_chart,
    representation_table,
    significance_table,
    telling_groups,
)
from mlpipe_dagster.reports.mitigation import MitigationPart, Named, mitigation_part
from mlpipe_dagster.reports.page import render
from mlpipe_dagster.reports.wording import isolated, printable
from mlpipe_dagster.vocabulary import Level, TaskKind

MOST_BYTES = 2_000_000
"""Of a page; where it would be larger, its tables are cut, and it says so."""
_CUTS = (None, 300, 60, 12, 0)
"""Rows that each table keeps, tried in turn."""
MOST_BARS = 8
_MAIN_MEASURES: dict[TaskKind, tuple[str, ...]] = {
    TaskKind.BINARY: ("CI", "DPL", "DI"),
    TaskKind.MULTICLASS: ("CI", "TVD"),
    TaskKind.REGRESSION: ("CI", "mean difference", "standardized difference"),
}
"""What an intermediate reader sees of the measures."""
_VERSUS: dict[Versus, str] = {
    "reference": "compared with the reference group",
    "rest": "compared with everyone else",
    "expected": "compared with the expected shares",
}
_SECTIONS: dict[FindingKind, str] = {
    "difference": "Do groups fare differently?",
    "leak": "Does a column give the answer away?",
    "proxy": "Do other columns give groups away?",
    "quality": "Is the table sound?",
}
_RANK = {"warning": 0, "notice": 1, "info": 2}


@dataclass(frozen=True)
class _Table:
    caption: str
    head: Head
    rows: Rows
    cut: int = 0
    """Rows that were left out."""


@dataclass(frozen=True)
class _Card:
    """One finding on the page, with the picture that shows it and the tables behind it."""

    finding: Finding
    title: str = ""
    chart: Markup | None = None
    about: FeatureBias | None = None
    tables: tuple[_Table, ...] = ()


@dataclass(frozen=True)
class _Section:
    """The findings of one kind, and what follows from them, said once."""

    kind: FindingKind
    title: str
    cards: tuple[_Card, ...]
    asides: tuple[Finding, ...]
    """For information."""
    meanings: tuple[str, ...]
    limits: tuple[str, ...]
    advice: tuple[str, ...]
    further: tuple[_Table, ...] = ()
    """Tables that belong to no finding."""


def render_bias_report(
    report: BiasReport, level: Level, links: Mapping[str, str], mitigated: TransformationReport | None = None
) -> str:
    """`report` as one self-contained HTML page of 2 MB at most for a reader of that level.

    `mitigated` is what was done about the bias, where something was.

    `links` go to the top of the page: the keys `beginner`, `intermediate` and `expert` lead to the same report at that
    level, every other key is the text of a link.

    Raises
    ------
    ValueError
        Even without its tables the page is larger than 2 MB.
    """
    sections = _sections(report, level)
    part = mitigation_part(mitigated, _named_in(report)) if mitigated else None
    done = _mitigation_tables(part, level) if part else ()
    for cut in _CUTS:
        kept = [_cut_section(section, cut) for section in sections]
        page = _rendered(report, level, links, kept, part, _cut(done, cut))
        if len(page.encode()) <= MOST_BYTES:
            return page
    raise ValueError(
        f"A bias page of {len(page):,} characters is larger than {MOST_BYTES:,} bytes even without tables."
    )


def _named_in(report: BiasReport) -> Named:
    """What a group is called as it is in the rest of the report: women, men."""
    called = {(feature.column, group.name): group.label for feature in report.features for group in feature.groups}
    return lambda column, name: quoted(called.get((column, name)) or outcome_label(column, name))


def _mitigation_tables(part: MitigationPart, level: Level) -> tuple[_Table, ...]:
    tables = [_Table("Before, after and in the model, with 95 % intervals", *part.effects)]
    if level is Level.EXPERT:
        tables.append(_Table("What was changed", *part.transformations))
    return tuple(table for table in tables if table.rows)


def _rendered(
    report: BiasReport,
    level: Level,
    links: Mapping[str, str],
    sections: Sequence[_Section],
    mitigation: MitigationPart | None,
    mitigation_tables: Sequence[_Table],
) -> str:
    page = render(
        "bias_report.html",
        report=report,
        level=str(level),
        links=dict(links),
        sections=sections,
        mitigation=mitigation,
        mitigation_tables=mitigation_tables,
        warnings=[finding for finding in report.findings if finding.severity == "warning"],
        measures=_explained(report, level),
        facts={
            "significant": SIGNIFICANT,
            "large": findings.LARGE[report.task],
            "four_fifths": findings.FOUR_FIFTHS,
            "too_few": TOO_FEW_BELOW,
            "suppressed": SUPPRESSED_BELOW,
            "seed": intervals.SEED,
        },
    )
    return isolated(printable(page))


def _sections(report: BiasReport, level: Level) -> list[_Section]:
    """The kinds of findings, those with the most serious ones first."""
    sections = [_section(report, kind, level) for kind in _SECTIONS]
    held = [section for section in sections if section.cards or section.asides or section.further]
    return sorted(held, key=lambda section: min((_RANK[card.finding.severity] for card in section.cards), default=3))


def _section(report: BiasReport, kind: FindingKind, level: Level) -> _Section:
    found = [finding for finding in report.findings if finding.kind == kind]
    shown: set[str] = set()
    cards = [_card(report, finding, level, shown) for finding in found]
    kept = tuple(card for card in cards if card.finding.severity != "info" or card.chart is not None)
    spoken = [card.finding for card in kept]
    return _Section(
        kind=kind,
        title=_SECTIONS[kind],
        cards=kept,
        asides=tuple(card.finding for card in cards if card not in kept),
        meanings=_once(finding.meaning for finding in spoken),
        limits=_once(finding.limits for finding in spoken),
        advice=_once(finding.advice for finding in spoken),
        further=tuple(table for table in _further(report, kind, level, shown) if table.rows),
    )


def _once(texts: Iterator[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text for text in texts if text))


def _card(report: BiasReport, finding: Finding, level: Level, shown: set[str]) -> _Card:
    """The finding with its picture; each column is drawn with its first finding only."""
    card = _Card(finding)
    if finding.kind == "leak" and "leaks" not in shown and report.signals:
        shown.add("leaks")
        title = bias_signals.leak_title(report.target)
        return replace(card, title=title, chart=bias_signals.leak_chart(report.signals.leaks, report.target))
    if finding.kind == "proxy" and report.signals:
        feature = next(one for one in report.signals.features if one.column == finding.column)
        shown.add(feature.column)
        table = _Table(
            f"What gives {feature.column} away", *bias_signals.proxy_table(feature, expert=level is Level.EXPERT)
        )
        tables = () if level is Level.BEGINNER else (table,)
        title = bias_signals.proxy_title(feature)
        return replace(card, title=title, chart=bias_signals.proxy_chart(feature), tables=tables)
    if finding.kind == "difference":
        return _about_groups(report, card, level, shown)
    if finding.headline == findings.rare_headline(report.target):
        return replace(card, title=class_title(report), chart=class_chart(report, MOST_BARS))
    return card


def _about_groups(report: BiasReport, card: _Card, level: Level, shown: set[str]) -> _Card:
    every = (*report.features, *report.intersections)
    feature = next((one for one in every if one.column == card.finding.column), None)
    if feature is None:
        return card
    if feature.gaps and f"“{feature.gaps.column}” is missing" in card.finding.headline:
        return replace(card, title=bias_signals.gap_title(feature), chart=bias_signals.gap_chart(feature))
    if feature.column in shown:
        return card
    shown.add(feature.column)
    groups = telling_groups(report, feature, MOST_BARS)
    return replace(
        card,
        title=chart_title(report, feature) if groups else "",
        chart=outcome_chart(report, feature, groups, level=level) if groups else None,
        about=feature,
        tables=_tables(report, feature, level),
    )


def _tables(report: BiasReport, feature: FeatureBias, level: Level) -> tuple[_Table, ...]:
    groups = _Table(f"Groups of {feature.column}", *group_table(report, feature, level))
    return tuple(table for table in (groups, *_details(report, feature, level)) if table.rows)


def _details(report: BiasReport, feature: FeatureBias, level: Level) -> Iterator[_Table]:
    if level is Level.INTERMEDIATE:
        caption = f"Measures of {feature.column} with 95 % intervals, compared with the reference group"
        yield _Table(caption, *comparison_table(feature, _MAIN_MEASURES[report.task]))
    if level is Level.EXPERT:
        for versus, compared in _VERSUS.items():
            yield _Table(f"Measures of {feature.column}, {compared}", *measure_table(report, feature, versus))
            yield _Table(f"Tests of {feature.column}, {compared}", *significance_table(feature, versus))
        yield _Table(f"Representation in {feature.column}", *representation_table(feature))


def _further(report: BiasReport, kind: FindingKind, level: Level, shown: set[str]) -> Iterator[_Table]:
    """What no finding shows: features and intersections without one, proxies without one, all leaks."""
    expert = level is Level.EXPERT
    if kind == "difference":
        yield from (
            _Table(f"Groups of {one.column}", *group_table(report, one, level))
            for one in (*report.features, *(report.intersections if level is not Level.BEGINNER else ()))
            if one.column not in shown
        )
    if report.signals is None or level is Level.BEGINNER:
        return
    if kind == "proxy":
        for feature in report.signals.features:
            if feature.column not in shown:
                caption = f"What other columns tell of {feature.column}"
                yield _Table(caption, *bias_signals.proxy_table(feature, expert=expert))
    if kind == "leak":
        yield _Table("Columns that tell of the target", *bias_signals.leak_table(report.signals.leaks))


def _cut_section(section: _Section, most: int | None) -> _Section:
    cards = tuple(replace(card, tables=_cut(card.tables, most)) for card in section.cards)
    return replace(section, cards=cards, further=_cut(section.further, most))


def _cut(tables: Sequence[_Table], most: int | None) -> tuple[_Table, ...]:
    if most is None:
        return tuple(tables)
    return tuple(replace(table, rows=table.rows[:most], cut=max(0, len(table.rows) - most)) for table in tables)


def _explained(report: BiasReport, level: Level) -> list[MeasureKind]:
    """The measures that the page shows and has to explain."""
    if level is Level.BEGINNER:
        return []
    return [
        kind for kind in measures_for(report.task) if level is Level.EXPERT or kind.name in _MAIN_MEASURES[report.task]
    ]
