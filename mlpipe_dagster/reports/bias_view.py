"""What the bias page and the bias plot draw: bars and table cells out of a `BiasReport`.

Numbers are only written here, never computed anew; the page is laid out in `bias_report.html`.
"""

from collections.abc import Sequence

from markupsafe import Markup

from mlpipe_dagster.bias.findings import contrast, counted
from mlpipe_dagster.bias.labels import frequencies, outcome_label
from mlpipe_dagster.bias.report import BiasReport, FeatureBias, Group, Measure, Outcome, Versus
from mlpipe_dagster.reports.charts import Bar, bar_chart
from mlpipe_dagster.reports.wording import number_text, percent_text
from mlpipe_dagster.vocabulary import Level, TaskKind

Head = list[tuple[str, bool]]
Rows = list[list[str]]


def shown_outcome(report: BiasReport, feature: FeatureBias) -> int:
    """Position of the outcome a chart of the feature shows: the one whose rates differ most between its groups."""
    rates = [[outcome.value for outcome in group.outcomes] for group in feature.groups if group.outcomes]
    if report.task is not TaskKind.MULTICLASS or not rates:
        return 0
    return max(range(len(rates[0])), key=lambda index: _spread([row[index] for row in rates]))


def _spread(values: Sequence[float]) -> float:
    return max(values) - min(values)


def outcome_title(report: BiasReport, label: str) -> str:
    """What a rate or mean is of: `good`, `Survived = 1`, `Mean of price`."""
    return f"Mean of {report.target}" if report.task is TaskKind.REGRESSION else outcome_label(report.target, label)


def chart_title(report: BiasReport, feature: FeatureBias) -> str:
    """`Share with good by sex`; some group of the feature has an outcome that is shown."""
    shown = next(group.outcomes for group in feature.groups if group.outcomes)
    share = "" if report.task is TaskKind.REGRESSION else "Share with "
    return f"{share}{outcome_title(report, shown[shown_outcome(report, feature)].label)} by {feature.column}"


def outcome_chart(report: BiasReport, feature: FeatureBias, groups: Sequence[Group], *, level: Level) -> Markup:
    """Bars of one outcome by group, largest first, with intervals, and the value in all rows as a dashed line.

    The group that differs most stands out; one group has an outcome at least.
    """
    index = shown_outcome(report, feature)
    ranked = sorted((group for group in groups if group.outcomes), key=lambda group: -group.outcomes[index].value)
    drawn = [(_named(group, feature), group.outcomes[index]) for group in ranked]
    measure = contrast(feature, report.task).measure
    told = None if measure is None else _named(feature.group(measure.group), feature)
    rates = report.task is not TaskKind.REGRESSION
    scale = 100.0 if rates else 1.0
    texts: list[str | None] = [None] * len(drawn)
    if rates and level is Level.BEGINNER:
        texts = [*frequencies([outcome.value for _, outcome in drawn])]
    bars = [
        Bar(
            label,
            outcome.value * scale,
            _scaled(outcome.low, scale),
            _scaled(outcome.high, scale),
            text,
            quiet=told is not None and label != told,
        )
        for (label, outcome), text in zip(drawn, texts, strict=True)
    ]
    everywhere = _overall(report, drawn[0][1].label)
    return bar_chart(
        bars,
        title=chart_title(report, feature),
        unit="%" if rates else "",
        reference=None if everywhere is None else everywhere.value * scale,
        reference_label="all rows",
    )


def class_title(report: BiasReport) -> str:
    """What the chart of all rows shows."""
    return f"Share of each class of {report.target}"


def class_chart(report: BiasReport, most: int) -> Markup:
    """Bars of the largest and the rarest classes in all rows, largest first; the rarest stands out."""
    ranked = sorted(report.overall, key=lambda outcome: -outcome.value)
    drawn = ranked if len(ranked) <= most else [*ranked[: most // 2], *ranked[-(most // 2) :]]
    bars = [
        Bar(
            outcome_label(report.target, outcome.label),
            100 * outcome.value,
            text=percent_text(outcome.value),
            quiet=outcome is not drawn[-1],
        )
        for outcome in drawn
    ]
    return bar_chart(bars, title=class_title(report))


def telling_groups(report: BiasReport, feature: FeatureBias, most: int) -> list[Group]:
    """At most so many groups to draw: the reference, the one that differs most, and the largest of the others."""
    measure = contrast(feature, report.task).measure
    first = {feature.reference, measure.group if measure else None}
    shown = sorted((group for group in feature.groups if group.outcomes), key=lambda group: -(group.count or 0))
    ranked = [group for group in shown if group.name in first] + [group for group in shown if group.name not in first]
    kept = {group.name for group in ranked[:most]}
    return [group for group in feature.groups if group.name in kept]


def _scaled(value: float | None, scale: float) -> float | None:
    return None if value is None else value * scale


def _overall(report: BiasReport, label: str) -> Outcome | None:
    return next((outcome for outcome in report.overall if outcome.label == label), None)


def group_table(report: BiasReport, feature: FeatureBias, level: Level) -> tuple[Head, Rows]:
    """Head and rows of the table of groups, as exact as the level asks for."""
    labels = next(([outcome.label for outcome in group.outcomes] for group in feature.groups if group.outcomes), [])
    head = [("Group", False), ("Rows", True)]
    head += [] if level is Level.BEGINNER else [("Share", True), ("Target missing", True)]
    head += [(outcome_title(report, label), True) for label in labels]
    spoken = _spoken(report, feature, len(labels)) if level is Level.BEGINNER else {}
    rows = []
    for group in feature.groups:
        cells = [_named(group, feature), counted(group)]
        if level is not Level.BEGINNER:
            cells += ["" if group.share is None else percent_text(group.share), _count(group.missing)]
        cells += spoken.get(group.name) or [_value(outcome, report, level) for outcome in group.outcomes]
        rows.append(cells + ["not shown"] * (len(labels) - len(group.outcomes)))
    return head, rows


def _named(group: Group, feature: FeatureBias) -> str:
    if group.name == feature.reference:
        return f"{group.label} (compared with)"
    return f"{group.label} (too few to say)" if group.too_few and not group.suppressed else group.label


def _count(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _spoken(report: BiasReport, feature: FeatureBias, outcomes: int) -> dict[str, list[str]]:
    """The outcomes of each group as frequencies out of the same number; empty for a numeric target."""
    shown = [group for group in feature.groups if group.outcomes]
    if report.task is TaskKind.REGRESSION:
        return {}
    columns = [frequencies([group.outcomes[index].value for group in shown]) for index in range(outcomes)]
    return {group.name: [column[row] for column in columns] for row, group in enumerate(shown)}


def _value(outcome: Outcome, report: BiasReport, level: Level) -> str:
    if report.task is TaskKind.REGRESSION or level is Level.EXPERT:
        digits = 4 if level is Level.EXPERT else 3
        text = number_text(outcome.value, digits)
        ends = [number_text(end, digits) for end in (outcome.low, outcome.high) if end is not None]
    else:
        text = percent_text(outcome.value)
        ends = [percent_text(end) for end in (outcome.low, outcome.high) if end is not None]
    return f"{text} ({ends[0]} to {ends[1]})" if len(ends) == 2 and level is not Level.BEGINNER else text


def comparison_table(feature: FeatureBias, names: Sequence[str]) -> tuple[Head, Rows]:
    """One row for each group: the measures of those names against the reference, and the corrected p-value."""
    tests = {test.group: test for test in feature.tests if test.versus == "reference"}
    found = {(measure.group, measure.name): measure for measure in feature.measures if measure.versus == "reference"}
    head: Head = [("Group", False), *((name, True) for name in names), ("p, corrected", True)]
    rows = []
    for name, test in tests.items():
        measures = [found[name, measure] for measure in names]
        label = feature.group(name).label + (" (too few to say)" if measures[0].too_few else "")
        rows.append([label, *(_brief(measure) for measure in measures), _p_text(test.p_adjusted)])
    return head, rows


def _brief(measure: Measure) -> str:
    if measure.value is None:
        return "not defined"
    ends = _interval(measure.low, measure.high, 3)
    return f"{number_text(measure.value)} ({ends})" if ends else number_text(measure.value)


def measure_table(report: BiasReport, feature: FeatureBias, versus: Versus) -> tuple[Head, Rows]:
    """One row for each measure of each group, against the reference or the rest."""
    head: Head = [("Group", False), ("Measure", False), ("Outcome", False), ("Value", True), ("95 % interval", True)]
    rows = [
        [
            feature.group(measure.group).label,
            measure.name,
            "" if measure.outcome is None else outcome_label(report.target, measure.outcome),
            "not defined" if measure.value is None else number_text(measure.value, 4),
            _interval(measure.low, measure.high, 4),
            _method(measure),
        ]
        for measure in feature.measures
        if measure.versus == versus
    ]
    return [*head, ("Method", False)], rows


def _method(measure: Measure) -> str:
    remarks = (measure.method, "too few to say" if measure.too_few else "", measure.note)
    return "; ".join(remark for remark in remarks if remark)


def _interval(low: float | None, high: float | None, digits: int) -> str:
    """Only KL can have a lower end without an upper one: it is infinite then."""
    if low is None:
        return ""
    return f"{number_text(low, digits)} to {'infinite' if high is None else number_text(high, digits)}"


def significance_table(feature: FeatureBias, versus: Versus) -> tuple[Head, Rows]:
    """Head and rows of the tests of a feature."""
    head: Head = [("Group", False), ("Test", False), ("p", True), ("p, corrected", True)]
    rows = [
        [feature.group(test.group).label, test.method, _p_text(test.p_value), _p_text(test.p_adjusted)]
        for test in feature.tests
        if test.versus == versus
    ]
    return head, rows


def representation_table(feature: FeatureBias) -> tuple[Head, Rows]:
    """The share of each group beside the expected one; nothing where there is none."""
    head: Head = [("Group", False), ("Share", True), ("Expected", True)]
    found = feature.representation
    if found is None:
        return head, []
    rows = [
        [group.label, "not shown" if group.share is None else percent_text(group.share), percent_text(expected)]
        for group in feature.groups
        if (expected := found.expected.get(group.name)) is not None
    ]
    distance = f"{number_text(found.distance)} ({found.method}: p {_p_text(found.p_adjusted)}, corrected)"
    return head, [*rows, ["distance of both", distance, found.against]]


def _p_text(value: float) -> str:
    return "< 0.0001" if value < 0.0001 else f"{value:.4f}"
