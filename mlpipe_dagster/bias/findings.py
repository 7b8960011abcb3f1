"""Findings and verdict: what the numbers of a report mean, in plain words with plain numbers.

Thresholds and sentences live here, nothing is computed from the table. A difference is called clear when its corrected
p-value is below 0.05, and large when it passes `LARGE`.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from mlpipe_dagster.bias.labels import frequencies, outcome_label, quoted
from mlpipe_dagster.bias.report import (
    SIGNIFICANT,
    SUPPRESSED_BELOW,
    TOO_FEW_BELOW,
    BiasReport,
    FeatureBias,
    Finding,
    Group,
    Measure,
    Outcome,
    Quality,
)
from mlpipe_dagster.reports.wording import list_text, number_text, percent_text
from mlpipe_dagster.vocabulary import TaskKind

LARGE: dict[TaskKind, tuple[str, float]] = {
    TaskKind.BINARY: ("DPL", 0.1),
    TaskKind.MULTICLASS: ("TVD", 0.1),
    TaskKind.REGRESSION: ("standardized difference", 0.2),
}
"""The measure that decides, and from which size on a difference is called large (0.2: Cohen's small effect)."""
FOUR_FIFTHS = (0.8, 1.25)
"""A ratio of rates outside is large too (EEOC Uniform Guidelines 1978, the four-fifths rule)."""
SMALL_SHARE, SMALL_COUNT = 0.05, 1000
"""A group with fewer than 30 known outcomes, or below both of these, is called small."""
MUCH_MISSING = 0.05
RARE_CLASS = 0.05
MOST_NAMED = 5

Judgement = Literal["clear", "uncertain", "small", "none", "unmeasured"]
_RANK: tuple[Judgement, ...] = ("clear", "uncertain", "small", "none", "unmeasured")
_SEVERITY = {"warning": 0, "notice": 1, "info": 2}


@dataclass(frozen=True)
class Worded:
    """The words of a report."""

    findings: tuple[Finding, ...]
    verdict: str


@dataclass(frozen=True)
class Contrast:
    """The most telling comparison of a feature, and how it is judged."""

    judgement: Judgement
    measure: Measure | None = None
    others: int = 0
    """Further groups that are judged the same."""


@dataclass(frozen=True)
class About:
    """What is measured: the target, its task, and the positive class of a binary one."""

    target: str
    task: TaskKind
    positive: str | None

    @property
    def outcome(self) -> str:
        """The outcome as it stands in a sentence."""
        return f"“{outcome_label(self.target, self.positive)}”" if self.positive is not None else f"“{self.target}”"


def find(
    features: Sequence[FeatureBias],
    overall: Sequence[Outcome],
    quality: Quality,
    row_count: int,
    about: About,
    problems: Sequence[str],
    further: Sequence[Finding] = (),
) -> Worded:
    """All findings, most serious first and of those the largest difference, and the verdict.

    `problems` are sentences about columns not measured, `further` are findings made elsewhere.
    """
    judged = sorted(((one, contrast(one, about.task)) for one in features), key=lambda pair: telling(pair[1]))
    found = [difference(feature, contrasted, about) for feature, contrasted in judged]
    found += [
        Finding(severity="notice", headline="A column was not measured", detail=text, kind="quality")
        for text in problems
    ]
    found += [] if features else [_NOTHING_LEFT if problems else _NOTHING_SENSITIVE]
    for feature in features:
        found += [*_small_groups(feature, row_count), *_missing_groups(feature, row_count)]
        found += [*_unknown_outcomes(feature, about.target), *_spellings(feature)]
    found += [*_quality(quality, row_count, about.target), *_rare_classes(overall, about)]
    return Worded(ordered((*found, *further)), _verdict(judged, named=bool(problems)))


def ordered(found: Iterable[Finding]) -> tuple[Finding, ...]:
    """Most serious first; of the same weight in the order given."""
    return tuple(sorted(found, key=lambda finding: _SEVERITY[finding.severity]))


def contrast(feature: FeatureBias, task: TaskKind) -> Contrast:
    """The comparison with the reference that matters most: clear and large ones first, then by size."""
    name, _ = LARGE[task]
    tests = {test.group: test.p_adjusted for test in feature.tests if test.versus == "reference"}
    compared = [
        Contrast(_judge(feature, measure, tests[measure.group], task), measure)
        for measure in feature.measures
        if measure.name == name and measure.versus == "reference" and not measure.too_few
    ]
    chosen = min(compared, key=telling, default=Contrast("unmeasured"))
    return replace(chosen, others=sum(1 for other in compared if other.judgement == chosen.judgement) - 1)


def most_unequal(report: BiasReport) -> FeatureBias | None:
    """The feature whose groups differ most tellingly; None where nothing could be compared."""
    judged = [(telling(contrast(feature, report.task)), feature) for feature in report.features if feature.reference]
    return min(judged, key=lambda pair: pair[0])[1] if judged else None


def telling(contrasted: Contrast) -> tuple[int, float]:
    """Sorts comparisons, the most telling first."""
    value = contrasted.measure.value if contrasted.measure else None
    return _RANK.index(contrasted.judgement), -math.inf if value is None else -abs(value)


def _judge(feature: FeatureBias, measure: Measure, p_adjusted: float, task: TaskKind) -> Judgement:
    ratios = [
        other.value
        for other in feature.measures
        if (other.name, other.group, other.versus) == ("DI", measure.group, "reference") and other.value is not None
    ]
    low, high = FOUR_FIFTHS
    by_ratio = task is TaskKind.BINARY and any(not low <= ratio <= high for ratio in ratios)
    clear = p_adjusted < SIGNIFICANT
    if measure.value is None:  # the target does not vary within the groups: they differ altogether or not at all
        return "clear" if clear else "none"
    if abs(measure.value) >= LARGE[task][1] or by_ratio:
        return "clear" if clear else "uncertain"
    return "small" if clear else "none"


def difference(feature: FeatureBias, contrasted: Contrast, about: About) -> Finding:
    """The finding about the most telling comparison of a feature, or that there is nothing to compare."""
    if contrasted.measure is None or feature.reference is None:
        return _not_compared(feature)
    severity, sentence, advice = _WORDS[contrasted.judgement]
    more = f" The same holds for {contrasted.others} further group{'s' * (contrasted.others > 1)}."
    detail = f"{_numbers(feature, contrasted.measure, about)} {sentence}"
    detail += more if contrasted.others and contrasted.judgement != "none" else ""
    if contrasted.judgement == "none":
        headline = f"{feature.column}: no clear difference in {about.outcome}"
    else:
        headline = f"{feature.column}: {_comparison(feature, contrasted.measure, about)}"
    return Finding(
        severity=severity,
        headline=headline,
        detail=detail,
        meaning=_MEANINGS[contrasted.judgement],
        limits=_LIMITS,
        advice=advice,
        column=feature.column,
    )


_MEANINGS: dict[Judgement, str] = {
    "clear": "Outcomes may have been decided unequally, rows collected unequally, or the groups may differ in what "
    "decides the outcome. A model trained on these rows learns the difference and may repeat or enlarge it.",
    "uncertain": "There may be a difference as large as this, a larger one, or none: more rows would tell.",
    "small": "A model may learn the small difference too, and decisions at a threshold can make it larger.",
    "none": "",
}
_LIMITS = (
    "That a group is the cause of its outcomes, or that a difference is unfair: the numbers show what is in the table, "
    "not why."
)

_WORDS: dict[Judgement, tuple[Literal["info", "notice", "warning"], str, str]] = {
    "clear": (
        "warning",
        "This is too large and too certain to be put down to chance.",
        "Find out why the groups differ before you train: is it how the rows were collected, how the outcome was "
        "decided, or a difference you want a model to learn? After training, compare the errors of each group.",
    ),
    "uncertain": (
        "notice",
        "There are too few rows to tell this from chance.",
        "Collect more rows of groups whose difference is uncertain, or treat it as real until more is known.",
    ),
    "small": (
        "notice",
        "The difference is small, and too certain to be put down to chance.",
        "After training, check that a model does not make small differences larger.",
    ),
    "none": ("info", "This could well be chance.", ""),
}


def _sides(feature: FeatureBias, measure: Measure) -> tuple[str, str]:
    reference = feature.group(feature.reference or "").label
    return quoted(feature.group(measure.group).label), quoted(reference)


def _comparison(feature: FeatureBias, measure: Measure, about: About) -> str:
    group, reference = _sides(feature, measure)
    if about.task is TaskKind.MULTICLASS:
        return f"the outcomes of {group} and {reference} differ"
    mine, other = feature.group(measure.group).outcomes, feature.group(feature.reference or "").outcomes
    more = mine[0].value > other[0].value
    if about.task is TaskKind.REGRESSION:
        return f"{about.outcome} is {'higher' if more else 'lower'} on average for {group} than for {reference}"
    return f"{about.outcome} is {'more' if more else 'less'} common for {group} than for {reference}"


def _numbers(feature: FeatureBias, measure: Measure, about: About) -> str:
    group, reference = _sides(feature, measure)
    mine, other = feature.group(measure.group).outcomes, feature.group(feature.reference or "").outcomes
    if about.task is TaskKind.REGRESSION:
        means = f"{group} {number_text(mine[0].value)}, {reference} {number_text(other[0].value)}"
        size = (
            "" if measure.value is None else f"; they differ by {number_text(abs(measure.value))} standard deviations"
        )
        return f"Mean of “{about.target}”: {means}{size}."
    widest = max(range(len(mine)), key=lambda index: abs(mine[index].value - other[index].value))
    first, second = frequencies([mine[widest].value, other[widest].value], apart=True)
    label = f"“{outcome_label(about.target, mine[widest].label)}”"
    return f"{label}: {group} {first}, {reference} {second}."


def _not_compared(feature: FeatureBias) -> Finding:
    shown = [group for group in feature.groups if not group.suppressed]
    if not feature.groups:
        why = "It has no value in any row."
    elif len(feature.groups) == 1:
        why = f"All rows with a value belong to one group, {quoted(feature.groups[0].label)}."
    elif len(shown) < 2:
        why = "No two of its groups have five rows or more with a known outcome."
    else:
        why = "Fewer than two of its groups have 30 rows with a known outcome: too few to say."
    advice = "Collect more rows of the groups that are missing, or do not rely on a model for them."
    headline = f"{feature.column}: nothing to compare"
    return Finding(severity="notice", headline=headline, detail=why, advice=advice, column=feature.column)


_NOTHING_SENSITIVE = Finding(
    severity="notice",
    headline="No sensitive column was looked at",
    detail="No column about sex, age, origin or another protected trait was named or recognised by its name or values.",
    meaning="Perhaps no people stand behind the rows; or their traits are not in the table, or under names that say "
    "nothing.",
    limits="That a model trained on this table treats everybody alike: without groups nobody can tell.",
    kind="quality",
    advice="If people stand behind the rows, name the columns to look at. Others may still stand in for such traits.",
)


_NOTHING_LEFT = _NOTHING_SENSITIVE.model_copy(
    update={
        "detail": "None of the columns that were named has groups that can be compared.",
        "meaning": "The columns may have other names in this table, or hold what tells single people apart.",
        "advice": "Name columns of this table that say which group a row belongs to, or none to have them found.",
    }
)


def _is_small(group: Group) -> bool:
    few = group.too_few and (group.count or 0) < TOO_FEW_BELOW
    return few or ((group.share or 0) < SMALL_SHARE and (group.count or 0) < SMALL_COUNT)


def counted(group: Group) -> str:
    """The rows of a group, or that they are too few to be shown."""
    return f"fewer than {SUPPRESSED_BELOW}" if group.count is None else f"{group.count:,}"


def _small_groups(feature: FeatureBias, row_count: int) -> Iterator[Finding]:
    others = [group for group in feature.groups if feature.reference and group.name != feature.reference]
    small = [group for group in others if _is_small(group)]
    if not small:
        return
    known = row_count - feature.missing
    named = sorted(small, key=lambda group: (group.count is not None, group.count or 0))[:MOST_NAMED]
    sized = [f"{quoted(group.label)} {counted(group)}" for group in named]
    sized += [f"{len(small) - len(named)} more"] if len(small) > len(named) else []
    yield Finding(
        severity="notice",
        headline=f"{feature.column}: {'one group is' if len(small) == 1 else f'{len(small)} groups are'} small",
        detail=f"{list_text(sized)} of {known:,} rows.",
        advice="Test a model on small groups before you rely on it for them: it learns little from few rows.",
        column=feature.column,
    )


def _unknown_outcomes(feature: FeatureBias, target: str) -> Iterator[Finding]:
    """Groups that are large enough, of whose outcomes too few are known."""
    unknown = [group for group in feature.groups if group.too_few and (group.count or 0) >= TOO_FEW_BELOW]
    if not unknown:
        return
    said = [f"{quoted(group.label)} {_known_outcomes(group)} of {counted(group)} rows" for group in unknown]
    named = list_text(said[:MOST_NAMED] + ([f"{len(said) - MOST_NAMED} more"] if len(said) > MOST_NAMED else []))
    yield Finding(
        severity="warning",
        headline=f"{feature.column}: outcomes of {list_text([quoted(group.label) for group in unknown[:MOST_NAMED]])} "
        "are hardly known",
        detail=f"“{target}” is known for: {named}. Rows without an outcome are left out.",
        meaning="A model learns little or nothing about these groups, though they are in the table.",
        limits="How the groups fare: nobody can tell from rows without an outcome.",
        advice="Find out why the outcome is missing for them before you train, and whether a model is meant for them.",
        column=feature.column,
    )


def _known_outcomes(group: Group) -> str:
    known = (group.count or 0) - (group.missing or 0)
    return f"fewer than {SUPPRESSED_BELOW}" if 0 < known < SUPPRESSED_BELOW else f"{known:,}"


def _spellings(feature: FeatureBias) -> Iterator[Finding]:
    """Values that differ in case and blanks alone: one group, counted as several."""
    written: dict[str, list[str]] = {}
    for group in feature.groups:
        written.setdefault(" ".join(group.name.split()).casefold(), []).append(group.name)
    several = [f"“{name}”" for names in written.values() if len(names) > 1 for name in names]
    if several:
        yield Finding(
            severity="notice",
            headline=f"{feature.column}: groups are written in several ways",
            detail=f"{list_text(several[:10])} are counted as groups of their own.",
            meaning="Differences between groups may be hidden, or look like chance, because their rows are split.",
            advice="If they are the same, write them in one way and upload the table again.",
            column=feature.column,
        )


def _missing_groups(feature: FeatureBias, row_count: int) -> Iterator[Finding]:
    if feature.groups and feature.missing > MUCH_MISSING * row_count:
        yield Finding(
            severity="notice",
            headline=f"{feature.column}: the group is often unknown",
            detail=f"{feature.missing:,} of {row_count:,} rows have no value and are in none of the comparisons.",
            advice="Find out whose group is unknown: groups may differ in that too.",
            column=feature.column,
        )


def _quality(quality: Quality, row_count: int, target: str) -> Iterator[Finding]:
    if quality.missing_target:
        yield Finding(
            severity="notice",
            headline=f"“{target}” is missing in some rows",
            detail=f"{quality.missing_target:,} of {row_count:,} rows have no outcome; they are left out.",
            kind="quality",
            advice="Find out whether outcomes are missing more often for some groups: the table of groups shows it.",
        )
    if quality.duplicate_rows:
        yield Finding(
            severity="notice",
            headline="Some rows are repeated",
            detail=f"{quality.duplicate_rows:,} of {row_count:,} rows are copies of another row.",
            kind="quality",
            advice="Remove repeated rows unless they are separate cases: with them a model looks better than it is.",
        )
    for columns, what in (
        (quality.constant_columns, "the same value in every row"),
        (quality.empty_columns, "no value"),
    ):
        if columns:
            named = list_text([f"“{column}”" for column in columns[:10]] + (["more"] if len(columns) > 10 else []))
            yield Finding(
                severity="info",
                headline=f"Columns with {what}",
                detail=f"{named}: nothing is learnt from them.",
                kind="quality",
            )


def rare_headline(target: str) -> str:
    """The headline of the finding about rare classes."""
    return f"Some classes of “{target}” are rare"


def _rare_classes(overall: Sequence[Outcome], about: About) -> Iterator[Finding]:
    rare = [outcome for outcome in overall if about.task is not TaskKind.REGRESSION and outcome.value < RARE_CLASS]
    if rare:
        named = [
            f"“{outcome_label(about.target, outcome.label)}” {percent_text(outcome.value)}" for outcome in rare[:5]
        ]
        yield Finding(
            severity="notice",
            headline=rare_headline(about.target),
            detail=f"{list_text(named)} of the rows{' and further classes' if len(rare) > 5 else ''}.",
            kind="quality",
            advice="Accuracy hides errors on rare classes; look at precision and recall of each class.",
        )


def _verdict(judged: Sequence[tuple[FeatureBias, Contrast]], *, named: bool) -> str:
    columns: dict[Judgement, list[str]] = {}
    for feature, contrasted in judged:
        columns.setdefault(contrasted.judgement, []).append(f"“{feature.column}”")
    for judgement, sentence in _VERDICTS:
        if judgement in columns:
            return sentence.format(list_text(columns[judgement]))
    if not judged:
        what = "that was named could be compared" if named else "was found"
        return (
            f"No sensitive column {what}, so unequal outcomes could not be measured: "
            "this is a report on the quality of the table."
        )
    return f"The groups of {list_text(columns['unmeasured'])} could not be compared: there are too few rows or groups."


_VERDICTS: tuple[tuple[Judgement, str], ...] = (
    (
        "clear",
        "Outcomes differ clearly between the groups of {}. A model trained on this table is likely to repeat that.",
    ),
    ("uncertain", "Outcomes seem to differ between the groups of {}, but there are too few rows to be sure."),
    ("small", "Outcomes differ a little between the groups of {}; no large difference was found."),
    ("none", "No clear difference in outcomes was found between the groups of {}."),
)
