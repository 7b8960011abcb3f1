"""`measure_bias`: a table and its sensitive columns in, a `BiasReport` out.

The order of work: read the target, name the groups, count all in one pass, compare pairs of groups, correct for many
tests, put it into words. Counting is in `counts.py`, formulas in `estimates.py`, words in `findings.py`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mlpipe_dagster.bias import findings, finer_findings, groups
from mlpipe_dagster.bias.compare import GroupName, Subject, compare, corrected
from mlpipe_dagster.bias.conditioning import Strata, settle_conditioning
from mlpipe_dagster.bias.counts import Cube, Question, Set, count_gaps, count_rows
from mlpipe_dagster.bias.cross import MOST_CROSSED_CLASSES, coarser, cross_note, crossed_subject, crossings
from mlpipe_dagster.bias.gaps import most_unequal_gaps
from mlpipe_dagster.bias.groups import Labels, Table
from mlpipe_dagster.bias.intervals import IntArray
from mlpipe_dagster.bias.labels import group_label
from mlpipe_dagster.bias.leakage import droppable
from mlpipe_dagster.bias.look import look_for_signals
from mlpipe_dagster.bias.reading import Target, read_target, settled
from mlpipe_dagster.bias.report import BiasReport, FeatureBias, Gaps, Quality
from mlpipe_dagster.bias.representation import check_shares
from mlpipe_dagster.bias.sample import read_sample
from mlpipe_dagster.bias.sensitive import SensitiveColumn, recognise
from mlpipe_dagster.bias.signal_findings import findings_of, leak_sentence
from mlpipe_dagster.bias.target import did_you_mean
from mlpipe_dagster.errors import UserError
from mlpipe_dagster.tables.duck import connect
from mlpipe_dagster.tables.profile import Profile
from mlpipe_dagster.vocabulary import TaskKind


def measure_bias(
    parquet: Path,
    profile: Profile,
    *,
    target: str,
    task: TaskKind,
    sensitive: Sequence[str],
    positive: str | None = None,
    conditioning: str | None = None,
    reference_shares: Mapping[str, Mapping[str, float]] | None = None,
) -> BiasReport:
    """Bias of the table in `parquet` with regard to `target`, for each column of `sensitive` and their intersections.

    `positive` names the favourable class of a binary target; without it, it is inferred and the reason given. Columns
    of `sensitive` that are absent or identify people are reported, not measured. `conditioning` names the column within
    whose values groups are compared once more; without it, one is proposed. `reference_shares` gives, by sensitive
    column, the share of each group that the table should have; without it, equal shares.

    Raises
    ------
    TargetError
        The target is absent, constant or empty, or `positive` is not one of its classes.
    TaskError
        The target has more than two classes for a binary task, or holds no numbers for a regression.
    UserError
        `conditioning` or `reference_shares` do not fit the table.
    """
    with connect(allowed=[parquet]) as connection:
        table = groups.open_table(connection, parquet)
        read = read_target(table, target, task)
        chosen, problems = _choose_columns(profile, table, target, sensitive)
        labels = {one.column: groups.label_groups(table, one.column, one.kind) for one in chosen}
        sample = read_sample(table, profile, target, read.classes, labels)
        strata = settle_conditioning(table, profile, sample, conditioning, target) if read.classes else None
        signals = look_for_signals(table, profile, sample, target, read.classes, chosen, labels)
        counted = _count(table, profile, read, labels, strata)
    read = settled(counted.target, counted.cube.tally(()), table.row_count, positive)
    shares = _check_shares(reference_shares or {}, labels)
    features = corrected([compare(read, subject) for subject in _subjects(counted, chosen, shares)])
    features = tuple(
        feature.model_copy(update={"gaps": gaps}) for feature, gaps in zip(features, _gaps(counted), strict=True)
    )
    intersections = corrected([_compare_crossed(read, counted, features, one) for one in crossings(len(features))])
    unused = "A conditioning column needs classes to compare; the target is a number." if conditioning else ""
    notes = (
        *profile.notes,
        read.note if chosen else "",
        cross_note([one.column for one in chosen]),
        "" if read.classes else unused,
        *problems,
    )
    within = strata.about if strata else None
    quality = _quality(profile, read.missing)
    about = findings.About(read.column, read.task, read.positive)
    further = (*finer_findings.find(features, intersections, within, about), *findings_of(signals, target))
    worded = findings.find(features, read.overall, quality, table.row_count, about, problems, further)
    return BiasReport(
        row_count=table.row_count,
        target=read.column,
        task=read.task,
        positive=read.positive,
        positive_reason=read.positive_reason,
        overall=read.overall,
        features=features,
        intersections=intersections,
        conditioning=within,
        findings=worded.findings,
        verdict=f"{worded.verdict} {leak_sentence(droppable(signals.leaks), target)}".rstrip(),
        notes=tuple(note for note in notes if note),
        quality=quality,
        signals=signals,
    )


@dataclass(frozen=True)
class _Counted:
    """What was counted of a table, and of what."""

    target: Target
    labels: tuple[Labels, ...]
    """The groups of each sensitive column."""
    gapped: tuple[str, ...]
    """The columns with missing cells."""
    cube: Cube
    gaps: Sequence[tuple[IntArray, IntArray]]
    """For each sensitive column the rows of its groups, and their missing cells by gapped column; empty without."""
    row_count: int


def _count(
    table: Table, profile: Profile, target: Target, named: Mapping[str, Labels], strata: Strata | None
) -> _Counted:
    labels = tuple(named.values())
    aside = {target.column, *named}
    gapped = tuple(one.name for one in profile.columns if one.missing and one.name not in aside)
    question = Question(
        features=labels,
        sets=(*((index,) for index in range(len(labels))), *crossings(len(labels))),
        classes=target.classes,
        number=target.number,
        edges=target.cells.edges if target.cells else None,
        strata=strata.labels if strata else None,
        gaps=gapped,
        cells=len(set(table.types) - aside),
    )
    gaps = count_gaps(table, labels, gapped) if gapped and labels else []
    cube = count_rows(table, question)
    return _Counted(target, labels, gapped, cube, gaps, table.row_count)


def _check_shares(
    shares: Mapping[str, Mapping[str, float]], labels: Mapping[str, Labels]
) -> dict[str, dict[str, float]]:
    for column in shares:
        if column not in labels:
            hint = did_you_mean(column, list(labels)) or " Name a sensitive column that is measured."
            raise UserError(
                f"Reference shares are given for “{column}”, which is not among the sensitive columns.{hint}"
            )
    return {column: check_shares(column, labels[column].names, given) for column, given in shares.items()}


def _subjects(
    counted: _Counted, columns: Sequence[SensitiveColumn], shares: Mapping[str, dict[str, float]]
) -> Iterator[Subject]:
    for index, (sensitive, labels) in enumerate(zip(columns, counted.labels, strict=True)):
        tally = counted.cube.tally((index,))
        names = [labels.names[position] for position in tally.groups[:, 0]]
        yield Subject(
            column=sensitive.column,
            kind=sensitive.kind,
            why=sensitive.why,
            groups=tuple(GroupName(name, group_label(sensitive.column, sensitive.kind, name)) for name in names),
            tally=tally,
            missing=counted.row_count - int(tally.sizes.sum()),
            note=labels.note,
            shares=shares.get(sensitive.column),
        )


def _compare_crossed(target: Target, counted: _Counted, features: Sequence[FeatureBias], parts: Set) -> FeatureBias:
    tally, cells = counted.cube.tally(parts), target.cells
    if cells:
        tally, cells = coarser(tally, cells)
    names = [counted.labels[part].names for part in parts]
    subject = crossed_subject([features[part] for part in parts], names, tally, counted.row_count)
    return compare(replace(target, cells=cells, most_shown=MOST_CROSSED_CLASSES), subject)


def _gaps(counted: _Counted) -> list[Gaps | None]:
    if not counted.gaps:
        return [None] * len(counted.labels)
    return [
        most_unequal_gaps(labels.names, rows, missing, counted.gapped)
        for labels, (rows, missing) in zip(counted.labels, counted.gaps, strict=True)
    ]


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


def _quality(profile: Profile, missing_target: int) -> Quality:
    return Quality(
        duplicate_rows=profile.duplicate_rows,
        constant_columns=tuple(column.name for column in profile.columns if column.kind == "constant"),
        empty_columns=tuple(column.name for column in profile.columns if column.kind == "empty"),
        missing_target=missing_target,
    )
