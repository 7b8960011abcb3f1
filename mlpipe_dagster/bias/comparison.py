"""What is counted of a table, and each sensitive column and intersection compared from it.

Which columns are taken is settled before, in `measure.py`; counting is in `counts.py`, comparing in `compare.py`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from mlpipe_dagster.bias.compare import GroupName, Subject, compare, corrected
from mlpipe_dagster.bias.conditioning import Strata
from mlpipe_dagster.bias.counts import Cube, Question, Set, count_gaps, count_rows
from mlpipe_dagster.bias.cross import MOST_CROSSED_CLASSES, coarser, crossed_subject
from mlpipe_dagster.bias.gaps import most_unequal_gaps
from mlpipe_dagster.bias.groups import Labels, Table
from mlpipe_dagster.bias.intervals import IntArray
from mlpipe_dagster.bias.labels import group_labels
from mlpipe_dagster.bias.reading import Target
from mlpipe_dagster.bias.report import FeatureBias, Gaps
from mlpipe_dagster.bias.sensitive import SensitiveColumn
from mlpipe_dagster.tables.profile import Profile


@dataclass(frozen=True)
class Counted:
    """What was counted of a table, and of what."""

    labels: tuple[Labels, ...]
    """The groups of each sensitive column."""
    crossed: tuple[Set, ...]
    """The intersections, by the positions of their columns."""
    gapped: tuple[str, ...]
    """The columns with missing cells."""
    cube: Cube
    gaps: Sequence[tuple[IntArray, IntArray]]
    """For each sensitive column the rows of its groups, and their missing cells by gapped column; empty without."""
    row_count: int


def count_table(
    table: Table,
    profile: Profile,
    target: Target,
    named: Mapping[str, Labels],
    crossed: tuple[Set, ...],
    strata: Strata | None = None,
) -> Counted:
    """The rows of every group of the columns `named` and of the intersections `crossed`."""
    labels = tuple(named.values())
    aside = {target.column, *named}
    gapped = tuple(one.name for one in profile.columns if one.missing and one.name not in aside)
    question = Question(
        features=labels,
        sets=(*((index,) for index in range(len(labels))), *crossed),
        classes=target.classes,
        number=target.number,
        edges=target.cells.edges if target.cells else None,
        strata=strata.labels if strata else None,
        gaps=gapped,
        cells=len(set(table.types) - aside),
    )
    gaps = count_gaps(table, labels, gapped) if gapped and labels else []
    return Counted(labels, crossed, gapped, count_rows(table, question), gaps, table.row_count)


def compare_features(
    target: Target, counted: Counted, columns: Sequence[SensitiveColumn], shares: Mapping[str, dict[str, float]]
) -> tuple[FeatureBias, ...]:
    """Each sensitive column; `target` is settled, `shares` are those expected of a column's groups."""
    features = corrected([compare(target, subject) for subject in _subjects(counted, columns, shares)])
    gaps = zip(features, _gaps(counted), strict=True)
    return tuple(feature.model_copy(update={"gaps": found}) for feature, found in gaps)


def compare_intersections(target: Target, counted: Counted, features: Sequence[FeatureBias]) -> tuple[FeatureBias, ...]:
    """Each intersection of `features`, the compared columns."""
    return corrected([_compare_crossed(target, counted, features, parts) for parts in counted.crossed])


def _subjects(
    counted: Counted, columns: Sequence[SensitiveColumn], shares: Mapping[str, dict[str, float]]
) -> Iterator[Subject]:
    for index, (sensitive, labels) in enumerate(zip(columns, counted.labels, strict=True)):
        tally = counted.cube.tally((index,))
        names = [labels.names[position] for position in tally.groups[:, 0]]
        called = group_labels(sensitive.column, sensitive.kind, names)
        yield Subject(
            column=sensitive.column,
            kind=sensitive.kind,
            why=sensitive.why,
            groups=tuple(map(GroupName, names, called)),
            tally=tally,
            missing=counted.row_count - int(tally.sizes.sum()),
            note=labels.note,
            shares=shares.get(sensitive.column),
        )


def _compare_crossed(target: Target, counted: Counted, features: Sequence[FeatureBias], parts: Set) -> FeatureBias:
    tally, cells = counted.cube.tally(parts), target.cells
    if cells:
        tally, cells = coarser(tally, cells)
    names = [counted.labels[part].names for part in parts]
    subject = crossed_subject([features[part] for part in parts], names, tally, counted.row_count)
    return compare(replace(target, cells=cells, most_shown=MOST_CROSSED_CLASSES), subject)


def _gaps(counted: Counted) -> list[Gaps | None]:
    if not counted.gaps:
        return [None] * len(counted.labels)
    return [
        most_unequal_gaps(labels.names, rows, missing, counted.gapped)
        for labels, (rows, missing) in zip(counted.labels, counted.gaps, strict=True)
    ]
