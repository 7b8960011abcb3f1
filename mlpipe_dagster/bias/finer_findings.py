"""Findings beyond one column's outcomes: intersections, gaps by group, rows alike in another column, representation.

Thresholds and sentences only, as in `findings.py`, which puts all findings in order.
"""

from collections.abc import Iterator, Sequence

from mlpipe_dagster.bias.findings import LARGE, About, Contrast, contrast, difference
from mlpipe_dagster.bias.labels import frequencies, quoted
from mlpipe_dagster.bias.report import SIGNIFICANT, Conditioning, FeatureBias, Finding, Measure, Severity
from mlpipe_dagster.reports.wording import list_text, number_text
from mlpipe_dagster.vocabulary import TaskKind

MOST_INTERSECTIONS = 3
"""Findings about intersections; the report has the others."""
WIDER = 0.5
"""An intersection is told of where its difference exceeds those of its parts by this part of what is called large."""
UNEQUAL_GAPS = 0.05
"""Differences of missing shares from which on they are told."""
UNEQUAL_SHARES = 0.05
"""The distance of shares of rows and expected shares from which on it is told."""
LEAST_DISPARITY = 0.02
"""Of smaller ones nothing is said: a part of little is little."""
EXPLAINED = 0.5
"""A conditioning column goes with much of a disparity where this part of it, or less, is left."""


def find(
    features: Sequence[FeatureBias],
    intersections: Sequence[FeatureBias],
    conditioning: Conditioning | None,
    about: About,
) -> list[Finding]:
    """The findings, in no order."""
    found = _intersections(features, intersections, about)
    for feature in features:
        found += [*_gaps(feature), *_missing_labels(feature, about), *_representation(feature)]
        if conditioning and about.task is TaskKind.BINARY:
            found += _conditional(feature, conditioning, about)
    return found


def _intersections(
    features: Sequence[FeatureBias], intersections: Sequence[FeatureBias], about: About
) -> list[Finding]:
    """Clear differences between groups of intersections that are wider than those of their parts, widest first."""
    sizes = {frozenset([feature.column]): _size(contrast(feature, about.task)) for feature in features}
    wide = []
    for crossed in intersections:
        contrasted, columns = contrast(crossed, about.task), frozenset(crossed.columns)
        parts = max(size for known, size in sizes.items() if known < columns)
        sizes[columns] = max(parts, _size(contrasted))
        if contrasted.judgement == "clear" and _size(contrasted) >= parts + WIDER * LARGE[about.task][1]:
            wide.append((_size(contrasted), crossed, contrasted))
    wide.sort(key=lambda one: -one[0])
    return [_intersection(crossed, contrasted, about) for _, crossed, contrasted in wide[:MOST_INTERSECTIONS]]


def _size(contrasted: Contrast) -> float:
    value = contrasted.measure.value if contrasted.measure else None
    return 0.0 if value is None else abs(value)


def _intersection(crossed: FeatureBias, contrasted: Contrast, about: About) -> Finding:
    found = difference(crossed, contrasted, about)
    named = list_text([f"“{column}”" for column in crossed.columns])
    return found.model_copy(
        update={"detail": f"{found.detail} None of {named} shows so wide a difference without the others."}
    )


def _gaps(feature: FeatureBias) -> Iterator[Finding]:
    gaps = feature.gaps
    if gaps is None or gaps.p_adjusted >= SIGNIFICANT or gaps.spread < UNEQUAL_GAPS:
        return
    ordered = sorted(gaps.groups, key=lambda group: group.share)
    most, least = (quoted(feature.group(group.group).label) for group in (ordered[-1], ordered[0]))
    shares = frequencies([ordered[-1].share, ordered[0].share], apart=True)
    yield Finding(
        severity="notice",
        headline=f"{feature.column}: “{gaps.column}” is missing more often for {most} than for {least}",
        detail=f"Missing: {most} {shares[0]}, {least} {shares[1]}.",
        advice="Find out why a value is missing more often for some groups before gaps are filled or rows left out: "
        "both change what a model learns of these groups.",
        column=feature.column,
    )


def _missing_labels(feature: FeatureBias, about: About) -> Iterator[Finding]:
    unequal = [
        measure
        for measure in feature.measures
        if (measure.name, measure.versus, measure.too_few) == ("label missingness", "reference", False)
        and _beyond_zero(measure)
        and abs(measure.value or 0.0) >= UNEQUAL_GAPS
    ]
    if not unequal or feature.reference is None:
        return
    widest = max(unequal, key=lambda measure: abs(measure.value or 0.0))
    group, reference = feature.group(widest.group), feature.group(feature.reference)
    shares = [(one.missing or 0) / (one.count or 1) for one in (group, reference)]
    spoken = frequencies(shares, apart=True)
    more = "more" if shares[0] > shares[1] else "less"
    yield Finding(
        severity="notice",
        headline=f"{feature.column}: “{about.target}” is missing {more} often for {quoted(group.label)} "
        f"than for {quoted(reference.label)}",
        detail=f"No outcome: {quoted(group.label)} {spoken[0]}, {quoted(reference.label)} {spoken[1]}. "
        "Rows without an outcome are left out, so the comparison is of those who have one.",
        advice="Find out whose outcomes are unknown: if that depends on the outcome, the true rates are other ones.",
        column=feature.column,
    )


def _beyond_zero(measure: Measure) -> bool:
    return measure.low is not None and measure.high is not None and not measure.low <= 0 <= measure.high


def _conditional(feature: FeatureBias, conditioning: Conditioning, about: About) -> Iterator[Finding]:
    """Whether the most telling difference is still there among rows alike in the conditioning column."""
    contrasted = contrast(feature, about.task)
    if contrasted.measure is None or contrasted.judgement != "clear":
        return
    found = {
        measure.name: measure
        for measure in feature.measures
        if (measure.group, measure.versus) == (contrasted.measure.group, "reference")
    }
    plain, within = found.get("DD"), found.get("CDDL")
    if not plain or not within or plain.value is None or within.value is None:
        return
    if abs(plain.value) < LEAST_DISPARITY or not _beyond_zero(plain):
        return
    group, reference = (quoted(feature.group(name).label) for name in (plain.group, feature.reference or ""))
    column, left = f"“{conditioning.column}”", within.value / plain.value
    said, severity = _what_is_left(left, turned=left < 0 and _beyond_zero(within))
    yield Finding(
        severity=severity,
        headline=f"{feature.column}: {said} {column}",
        detail=f"Of {group} and {reference} together, the share of {group} is {_points(plain)} among rows without "
        f"{about.outcome} than among rows with it; {_points(within)} among rows alike in {column}.",
        advice=f"Ask whether {column} is itself decided fairly: that a difference goes with it does not make it fair.",
        column=feature.column,
    )


def _points(disparity: Measure) -> str:
    """How much larger or smaller a share is, in points: `22 points (12 to 33) smaller`."""
    value, low, high = disparity.value or 0.0, disparity.low or 0.0, disparity.high or 0.0
    way, ends = ("larger", (low, high)) if value >= 0 else ("smaller", (-high, -low))
    first, last = (number_text(100 * end, 2) for end in ends)
    points = number_text(100 * abs(value), 2)
    return f"{points} point{'s' * (points != '1')} ({first} to {last}) {way}"


def _what_is_left(left: float, *, turned: bool) -> tuple[str, Severity]:
    """Words that the conditioning column follows; `left` is the part of the disparity within its values."""
    if turned:
        return "the difference turns round among rows alike in", "notice"
    if left <= EXPLAINED:
        return "much of the difference goes with", "notice"
    return "the difference stays among rows alike in", "info"


def _representation(feature: FeatureBias) -> Iterator[Finding]:
    """Said only of shares that a person has given: nobody expects groups of equal size."""
    found = feature.representation
    if found is None or found.against != "given shares":
        return
    if found.p_adjusted >= SIGNIFICANT or found.distance < UNEQUAL_SHARES:
        return
    shares = {group.name: group.share for group in feature.groups if group.share is not None}
    if not shares:
        return
    scarcest = min(shares, key=lambda name: shares[name] / found.expected[name])
    there, wanted = frequencies([shares[scarcest], found.expected[scarcest]], apart=True)
    yield Finding(
        severity="notice",
        headline=f"{feature.column}: fewer rows of {quoted(feature.group(scarcest).label)} than expected",
        detail=f"{there} rows are of that group; {wanted} were expected.",
        advice="Collect more rows of groups that are under-represented, or weight the rows, before you train.",
        column=feature.column,
    )
