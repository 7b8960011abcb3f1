"""`measure_bias`: a table and its sensitive columns in, a `BiasReport` out.

The order of work: read the target, name the groups, count all in one pass, compare pairs of groups, correct for many
tests, put it into words. Counting is in `counts.py`, formulas in `estimates.py`, words in `findings.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlpipe_dagster.bias import findings, finer_findings, groups
from mlpipe_dagster.bias.comparison import Counted, compare_features, compare_intersections, count_table
from mlpipe_dagster.bias.conditioning import Strata, settle_conditioning
from mlpipe_dagster.bias.cross import choose_crossings
from mlpipe_dagster.bias.groups import Labels, Table
from mlpipe_dagster.bias.leakage import droppable
from mlpipe_dagster.bias.look import look_for_signals
from mlpipe_dagster.bias.reading import Target, read_target, settled
from mlpipe_dagster.bias.report import BiasReport, FeatureBias, Quality
from mlpipe_dagster.bias.sample import read_sample
from mlpipe_dagster.bias.sensitive import SensitiveColumn, recognise
from mlpipe_dagster.bias.shares import check_shares
from mlpipe_dagster.bias.signal_findings import findings_of, leak_sentence
from mlpipe_dagster.bias.signals import Signals
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
        looked = _look(groups.open_table(connection, parquet), profile, target, task, sensitive, conditioning)
    counted = looked.counted
    read = settled(looked.target, counted.cube.tally(()), counted.row_count, positive)
    shares = _check_shares(reference_shares or {}, looked.labels)
    features = compare_features(read, counted, looked.columns, shares)
    intersections = compare_intersections(read, counted, features)
    return _report(profile, looked, read, features, intersections)


@dataclass(frozen=True)
class _Looked:
    """What was read of a table before its groups are compared."""

    target: Target
    columns: Sequence[SensitiveColumn]
    """Those that are measured, in the order of `labels`."""
    labels: Mapping[str, Labels]
    strata: Strata | None
    signals: Signals
    counted: Counted
    notes: tuple[str, ...]
    problems: tuple[str, ...]
    """A sentence about each sensitive column that cannot be measured."""


def _look(
    table: Table, profile: Profile, target: str, task: TaskKind, sensitive: Sequence[str], conditioning: str | None
) -> _Looked:
    read = read_target(table, target, task)
    chosen, problems = _choose_columns(profile, table, target, sensitive)
    labels = {one.column: groups.label_groups(table, one.column, one.kind) for one in chosen}
    sample = read_sample(table, profile, target, read.classes, labels)
    strata = settle_conditioning(table, profile, sample, conditioning, target) if read.classes else None
    unused = "A conditioning column needs classes to compare; the target is a number."
    crossings = choose_crossings(sample, labels)
    return _Looked(
        target=read,
        columns=chosen,
        labels=labels,
        strata=strata,
        signals=look_for_signals(table, profile, sample, target, read.classes, chosen, labels),
        counted=count_table(table, profile, read, labels, crossings.sets, strata),
        notes=(read.note if chosen else "", crossings.note, unused if conditioning and not read.classes else ""),
        problems=problems,
    )


def _report(
    profile: Profile,
    looked: _Looked,
    target: Target,
    features: tuple[FeatureBias, ...],
    intersections: tuple[FeatureBias, ...],
) -> BiasReport:
    """All that was found, with its words."""
    within, signals = looked.strata.about if looked.strata else None, looked.signals
    quality = _quality(profile, target.missing)
    about = findings.About(target.column, target.task, target.positive)
    further = (*finer_findings.find(features, intersections, within, about), *findings_of(signals, target.column))
    rows = looked.counted.row_count
    worded = findings.find(features, target.overall, quality, rows, about, looked.problems, further)
    return BiasReport(
        row_count=rows,
        target=target.column,
        task=target.task,
        positive=target.positive,
        positive_reason=target.positive_reason,
        overall=target.overall,
        features=features,
        intersections=intersections,
        conditioning=within,
        findings=worded.findings,
        verdict=f"{worded.verdict} {leak_sentence(droppable(signals.leaks), target.column)}".rstrip(),
        notes=tuple(note for note in (*profile.notes, *looked.notes, *looked.problems) if note),
        quality=quality,
        signals=signals,
    )


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
