"""Groups into `FeatureBias`: each group of a feature or an intersection against the reference group and everyone else.

What is counted comes from `counts.py`, formulas from `measures.py`; which columns belong together is `cross.py`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mlpipe_dagster.bias import intervals
from mlpipe_dagster.bias.counts import Tally
from mlpipe_dagster.bias.measures import MeasureKind, measures_for
from mlpipe_dagster.bias.pairs import Pair, Side, joined
from mlpipe_dagster.bias.reading import Target, mean_outcome, rate_outcome
from mlpipe_dagster.bias.report import (
    SUPPRESSED_BELOW,
    TOO_FEW_BELOW,
    FeatureBias,
    Group,
    Measure,
    Outcome,
    OutcomeTest,
    Versus,
)
from mlpipe_dagster.bias.representation import represent
from mlpipe_dagster.vocabulary import TaskKind

DRAWS = {TaskKind.BINARY: 1000, TaskKind.MULTICLASS: 1000, TaskKind.REGRESSION: 400}


@dataclass(frozen=True)
class GroupName:
    """What a group is called: for programs, for people, and by the columns of an intersection."""

    name: str
    label: str
    parts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Subject:
    """A feature or an intersection with its groups; the last group of `tally` has no name where others are merged."""

    column: str
    kind: str
    why: str
    groups: tuple[GroupName, ...]
    tally: Tally
    missing: int
    columns: tuple[str, ...] = ()
    note: str = ""
    shares: dict[str, float] | None = None
    """The share expected of each group by its name; equal shares where it is not given."""


def compare(target: Target, subject: Subject) -> FeatureBias:
    """All measures of a subject; p-values are not corrected yet."""
    everyone = _sides(target, subject.tally)
    sides = {group.name: side for group, side in zip(subject.groups, everyone, strict=False)}
    measurable = {name: side for name, side in sides.items() if side.known >= SUPPRESSED_BELOW}
    reference = max(measurable, key=lambda name: measurable[name].known, default=None) if len(everyone) > 1 else None
    compared = list(_pairs(target, sides, everyone, measurable, reference)) if reference else []
    known = sum(side.size for side in everyone)
    representation, shares = represent(sides, known, subject.shares) if len(everyone) > 1 else (None, ())
    measures = [measure for name, versus, pair in compared for measure in _measures(target, name, versus, pair)]
    return FeatureBias(
        column=subject.column,
        columns=subject.columns,
        kind=subject.kind,
        why=subject.why,
        groups=tuple(_group(target, group, sides[group.name], known) for group in subject.groups),
        reference=reference,
        reference_reason=_reason(sides, reference) if reference else "",
        missing=subject.missing,
        grouping=subject.note,
        measures=(*measures, *shares),
        tests=tuple(_test(name, versus, pair) for name, versus, pair in compared),
        representation=representation,
    )


def _reason(sides: dict[str, Side], reference: str) -> str:
    largest = sides[reference].size == max(side.size for side in sides.values())
    return "the largest group" if largest else "the group with most known outcomes"


def _sides(target: Target, tally: Tally) -> list[Side]:
    drawn = intervals.resampled(tally.counts, DRAWS[target.task])
    strata = [None] * len(tally.sizes) if tally.strata is None else list(tally.strata)
    columns = zip(tally.sizes.tolist(), tally.counts, tally.moments, strata, tally.gaps, strict=True)
    return [
        Side(size, counts, drawn[:, index], moments, stratum, gaps)
        for index, (size, counts, moments, stratum, gaps) in enumerate(columns)
    ]


def _pairs(
    target: Target, sides: dict[str, Side], everyone: Sequence[Side], measurable: dict[str, Side], reference: str
) -> Iterator[tuple[str, Versus, Pair]]:
    """Each group against the reference; with three groups or more, each against everyone else too."""
    points = target.cells.points if target.cells else None
    for name, side in measurable.items():
        if name != reference:
            yield name, "reference", Pair(sides[reference], side, points)
    if len(everyone) < 3:
        return
    drawn = np.sum([side.drawn for side in everyone], axis=0)
    for name, side in measurable.items():
        rest = joined([replace(other, drawn=other.drawn[:0]) for other in everyone if other is not side])
        if rest.known >= SUPPRESSED_BELOW:
            yield name, "rest", Pair(replace(rest, drawn=drawn - side.drawn), side, points)


def _group(target: Target, group: GroupName, side: Side, known_rows: int) -> Group:
    hidden, suppressed = side.size < SUPPRESSED_BELOW, side.known < SUPPRESSED_BELOW
    return Group(
        name=group.name,
        label=group.label,
        parts=group.parts,
        count=None if hidden else side.size,
        share=None if hidden else side.size / known_rows,
        missing=None if hidden else side.size - side.known,
        missing_cells=None if hidden or side.gaps is None else side.gaps.mean,
        outcomes=() if suppressed else _outcomes(target, side),
        too_few=side.known < TOO_FEW_BELOW,
        suppressed=suppressed,
    )


def _outcomes(target: Target, side: Side) -> tuple[Outcome, ...]:
    if side.moments:
        return (mean_outcome(side.moments),)
    return tuple(rate_outcome(target.names[index], int(side.counts[index]), side.known) for index in target.shown)


def _measures(target: Target, group: str, versus: Versus, pair: Pair) -> Iterator[Measure]:
    for kind in measures_for(target.task):
        if not kind.conditional or pair.d.strata is not None:
            for position in target.shown if kind.about == "class" else (0,):
                yield _measure(target, kind, position, group, versus, pair)


def _measure(target: Target, kind: MeasureKind, position: int, group: str, versus: Versus, pair: Pair) -> Measure:
    found = kind.estimate(pair, position)
    return Measure(
        name=kind.name,
        group=group,
        versus=versus,
        outcome=target.names[position] if kind.about == "class" else None,
        value=found.value,
        low=found.low,
        high=found.high,
        method=found.method,
        too_few=min(pair.a.known, pair.d.known) < TOO_FEW_BELOW,
        note=found.note,
    )


def _test(group: str, versus: Versus, pair: Pair) -> OutcomeTest:
    p_value, method = pair.outcome_test
    return OutcomeTest(group=group, versus=versus, method=method, p_value=p_value, p_adjusted=p_value)


def corrected(features: Sequence[FeatureBias]) -> tuple[FeatureBias, ...]:
    """The features with p-values corrected by Holm's method over all of them.

    Tests against the reference, tests against the rest, and tests of representation are three families.
    """
    tests = [test for feature in features for test in feature.tests]
    adjusted = {
        versus: iter(intervals.holm([test.p_value for test in tests if test.versus == versus]))
        for versus in ("reference", "rest")
    }
    shares = iter(intervals.holm([one.representation.p_value for one in features if one.representation]))
    return tuple(
        feature.model_copy(
            update={
                "tests": tuple(
                    test.model_copy(update={"p_adjusted": next(adjusted[test.versus])}) for test in feature.tests
                ),
                "representation": feature.representation
                and feature.representation.model_copy(update={"p_adjusted": next(shares)}),
            }
        )
        for feature in features
    )
