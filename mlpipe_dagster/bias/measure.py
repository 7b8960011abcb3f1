"""`measure_bias`: a table and its sensitive columns in, a `BiasReport` out.

The order of work: read the target, count groups by outcome, compare pairs of groups, correct for many tests, put it
into words. Counting is in `groups.py`, formulas in `measures.py`, words in `findings.py`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlpipe_dagster.bias import findings, groups, intervals
from mlpipe_dagster.bias.groups import Labels, Table
from mlpipe_dagster.bias.labels import group_label
from mlpipe_dagster.bias.leakage import droppable
from mlpipe_dagster.bias.look import look_for_signals
from mlpipe_dagster.bias.measures import Pair, Side, joined, measures_for
from mlpipe_dagster.bias.report import (
    SUPPRESSED_BELOW,
    TOO_FEW_BELOW,
    BiasReport,
    FeatureBias,
    Group,
    Measure,
    Outcome,
    OutcomeTest,
    Quality,
    Versus,
)
from mlpipe_dagster.bias.sensitive import SensitiveColumn, recognise
from mlpipe_dagster.bias.signal_findings import findings_of, leak_sentence
from mlpipe_dagster.bias.signals import Signals
from mlpipe_dagster.bias.target import (
    choose_positive,
    did_you_mean,
    require_column,
    require_fitting_task,
    require_variation,
)
from mlpipe_dagster.errors import TaskError
from mlpipe_dagster.tables.duck import connect
from mlpipe_dagster.tables.profile import Profile
from mlpipe_dagster.vocabulary import TaskKind

_DRAWS = {TaskKind.BINARY: 1000, TaskKind.MULTICLASS: 1000, TaskKind.REGRESSION: 400}


@dataclass(frozen=True)
class Target:
    """The target as it is measured: classes, or a number in cells."""

    column: str
    task: TaskKind
    overall: tuple[Outcome, ...]
    missing: int
    classes: Labels | None = None
    number: str = ""
    edges: tuple[float, ...] = ()
    positive: str | None = None
    positive_reason: str = ""
    note: str = ""

    @property
    def shown(self) -> tuple[int, ...]:
        """Positions of the classes whose rates are shown: the positive one, or all of them."""
        names = self.classes.names if self.classes else ()
        return tuple(index for index, name in enumerate(names) if self.positive in (None, name))


def measure_bias(
    parquet: Path,
    profile: Profile,
    *,
    target: str,
    task: TaskKind,
    sensitive: Sequence[str],
    positive: str | None = None,
) -> BiasReport:
    """Bias of the table in `parquet` with regard to `target`, for each column of `sensitive`.

    `positive` names the favourable class of a binary target; without it, it is inferred and the reason given. Columns
    of `sensitive` that are absent or identify people are reported, not measured.

    Raises
    ------
    TargetError
        The target is absent, constant or empty, or `positive` is not one of its classes.
    TaskError
        The target has more than two classes for a binary task, or holds no numbers for a regression.
    """
    with connect(allowed=[parquet]) as connection:
        table = groups.open_table(connection, parquet)
        require_column(target, list(table.types))
        read = _read_target(table, target, task, positive)
        chosen, problems = _choose_columns(profile, table, target, sensitive)
        features = _corrected([_measure_feature(table, read, column) for column in chosen])
        signals = look_for_signals(table, profile, target, task, chosen)
        row_count = table.row_count
    notes = (*profile.notes, read.note if chosen else "", *problems)
    report = _report(read, features, _quality(profile, read.missing), row_count, problems, notes)
    return _with_signals(report, signals)


def _with_signals(report: BiasReport, signals: Signals) -> BiasReport:
    """The report with what single columns give away, and the findings that follow from it."""
    everything = (*report.findings, *findings_of(signals, report.target))
    verdict = f"{report.verdict} {leak_sentence(droppable(signals.leaks), report.target)}".rstrip()
    found = {
        "signals": signals,
        "findings": findings.ordered(everything),
        "verdict": verdict,
    }
    return report.model_copy(update=found)


def _report(
    read: Target,
    features: tuple[FeatureBias, ...],
    quality: Quality,
    row_count: int,
    problems: Sequence[str],
    notes: Sequence[str],
) -> BiasReport:
    about = findings.About(read.column, read.task, read.positive)
    worded = findings.find(features, read.overall, quality, row_count, about, problems)
    return BiasReport(
        row_count=row_count,
        target=read.column,
        task=read.task,
        positive=read.positive,
        positive_reason=read.positive_reason,
        overall=read.overall,
        features=features,
        findings=worded.findings,
        verdict=worded.verdict,
        notes=tuple(note for note in notes if note),
        quality=quality,
    )


def _read_target(table: Table, column: str, task: TaskKind, positive: str | None) -> Target:
    if task is TaskKind.REGRESSION:
        return _read_number(table, column)
    classes = groups.label_values(table, column)
    counts = groups.count_labels(table, classes)
    require_variation(column, len(classes.names))
    require_fitting_task(column, task, len(classes.names))
    known = int(counts.sum())
    overall = tuple(_rate(name, int(count), known) for name, count in zip(classes.names, counts, strict=True))
    chosen, reason = None, ""
    if task is TaskKind.BINARY:
        chosen, reason = choose_positive(column, {outcome.label: outcome.count for outcome in overall}, positive)
    return Target(column, task, overall, table.row_count - known, classes, "", (), chosen, reason, classes.note)


def _read_number(table: Table, column: str) -> Target:
    number = groups.number_of(table, column)
    if number is None:
        raise TaskError(f"The target column “{column}” holds no numbers. Use the task type classification.")
    moments = groups.moments_of(table, number)
    edges, exact = groups.choose_edges(table, number)
    require_variation(column, len(edges))
    note = (
        "" if exact else f"Distributions of “{column}” are compared at {len(edges):,} quantiles: KS is a lower bound."
    )
    overall = (_mean(moments),) if moments else ()
    missing = table.row_count - (moments.count if moments else 0)
    return Target(column, TaskKind.REGRESSION, overall, missing, None, number, tuple(edges), note=note)


def _rate(name: str, count: int, known: int) -> Outcome:
    low, high = intervals.wilson(count, known)
    return Outcome(label=name, count=count, value=count / known, low=low, high=high, method="Wilson interval")


def _mean(moments: intervals.Moments) -> Outcome:
    low, high = intervals.student(moments) or (None, None)
    return Outcome(
        label="mean", count=moments.count, value=moments.mean, low=low, high=high, method="Student's t interval"
    )


def _choose_columns(
    profile: Profile, table: Table, target: str, sensitive: Sequence[str]
) -> tuple[list[SensitiveColumn], tuple[str, ...]]:
    """The columns to measure, and a sentence about each that was asked for and cannot be."""
    chosen, notes = [], []
    for column in dict.fromkeys(sensitive):
        described = profile.column(column)
        if column not in table.types:
            hint = did_you_mean(column, list(table.types))
            notes.append(f"The sensitive column “{column}” is not in the table and was not measured.{hint}")
        elif column == target:
            notes.append(f"“{column}” is the target itself and cannot be compared with itself.")
        elif described and (described.personal or described.kind == "identifier"):
            notes.append(f"“{column}” identifies single people, so there are no groups in it to compare.")
        else:
            known = recognise(described) if described else None
            chosen.append(known or SensitiveColumn(column, "named", "it was named as sensitive"))
    return chosen, tuple(notes)


def _measure_feature(table: Table, target: Target, sensitive: SensitiveColumn) -> FeatureBias:
    labels = groups.label_groups(table, sensitive.column, sensitive.kind)
    sizes = groups.count_labels(table, labels)
    sides = _sides(table, target, labels, [int(size) for size in sizes])
    measurable = {name: side for name, side in sides.items() if side.known >= SUPPRESSED_BELOW}
    reference = max(measurable, key=lambda name: measurable[name].known, default=None) if len(sides) > 1 else None
    compared = list(_pairs(sides, measurable, reference)) if reference else []
    return FeatureBias(
        column=sensitive.column,
        kind=sensitive.kind,
        why=sensitive.why,
        groups=tuple(_group(target, sensitive, name, side, int(sizes.sum())) for name, side in sides.items()),
        reference=reference,
        reference_reason="the largest group" if reference else "",
        missing=table.row_count - int(sizes.sum()),
        grouping=labels.note,
        measures=tuple(measure for name, versus, pair in compared for measure in _measures(target, name, versus, pair)),
        tests=tuple(_test(name, versus, pair) for name, versus, pair in compared),
    )


def _sides(table: Table, target: Target, labels: Labels, sizes: Sequence[int]) -> dict[str, Side]:
    """What is counted of each group that has rows, in the order of the labels."""
    if target.classes:
        counts = groups.count_cross(table, labels, target.classes)
        moments: list[intervals.Moments | None] = [None] * len(sizes)
    else:
        counts = groups.count_cells(table, labels, target.number, target.edges)
        moments = groups.moments_by(table, labels, target.number)
    drawn = intervals.resampled(counts, _DRAWS[target.task])
    return {
        name: Side(sizes[index], counts[index], drawn[:, index], moments[index])
        for index, name in enumerate(labels.names)
        if sizes[index]
    }


def _pairs(sides: dict[str, Side], measurable: dict[str, Side], reference: str) -> Iterator[tuple[str, Versus, Pair]]:
    """Each group against the reference; with three groups or more, each against everyone else too."""
    for name, side in measurable.items():
        if name != reference:
            yield name, "reference", Pair(sides[reference], side)
    if len(sides) < 3:
        return
    for name, side in measurable.items():
        rest = joined([other for other_name, other in sides.items() if other_name != name])
        if rest.known >= SUPPRESSED_BELOW:
            yield name, "rest", Pair(rest, side)


def _group(target: Target, sensitive: SensitiveColumn, name: str, side: Side, known_rows: int) -> Group:
    hidden, suppressed = side.size < SUPPRESSED_BELOW, side.known < SUPPRESSED_BELOW
    return Group(
        name=name,
        label=group_label(sensitive.column, sensitive.kind, name),
        count=None if hidden else side.size,
        share=None if hidden else side.size / known_rows,
        missing=None if hidden else side.size - side.known,
        outcomes=() if suppressed else _outcomes(target, side),
        too_few=side.known < TOO_FEW_BELOW,
        suppressed=suppressed,
    )


def _outcomes(target: Target, side: Side) -> tuple[Outcome, ...]:
    if side.moments:
        return (_mean(side.moments),)
    names = target.classes.names if target.classes else ()
    return tuple(_rate(names[index], int(side.counts[index]), side.known) for index in target.shown)


def _measures(target: Target, group: str, versus: Versus, pair: Pair) -> Iterator[Measure]:
    names = target.classes.names if target.classes else ()
    too_few = min(pair.a.known, pair.d.known) < TOO_FEW_BELOW
    for kind in measures_for(target.task):
        for position in target.shown if kind.about == "class" else (0,):
            found = kind.estimate(pair, position)
            yield Measure(
                name=kind.name,
                group=group,
                versus=versus,
                outcome=names[position] if kind.about == "class" else None,
                value=found.value,
                low=found.low,
                high=found.high,
                method=found.method,
                too_few=too_few,
                note=found.note,
            )


def _test(group: str, versus: Versus, pair: Pair) -> OutcomeTest:
    p_value, method = pair.outcome_test
    return OutcomeTest(group=group, versus=versus, method=method, p_value=p_value, p_adjusted=p_value)


def _corrected(features: Sequence[FeatureBias]) -> tuple[FeatureBias, ...]:
    """The features with p-values corrected over all their tests, those against the reference and the rest apart."""
    tests = [test for feature in features for test in feature.tests]
    adjusted = {
        versus: iter(intervals.holm([test.p_value for test in tests if test.versus == versus]))
        for versus in ("reference", "rest")
    }
    return tuple(
        feature.model_copy(
            update={
                "tests": tuple(
                    test.model_copy(update={"p_adjusted": next(adjusted[test.versus])}) for test in feature.tests
                )
            }
        )
        for feature in features
    )


def _quality(profile: Profile, missing_target: int) -> Quality:
    return Quality(
        duplicate_rows=profile.duplicate_rows,
        constant_columns=tuple(column.name for column in profile.columns if column.kind == "constant"),
        empty_columns=tuple(column.name for column in profile.columns if column.kind == "empty"),
        missing_target=missing_target,
    )
