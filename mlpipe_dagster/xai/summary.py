"""A table in numbers a reader can follow: contents, gaps, target, columns to be wary of, what the bias report found.

Works from the profile and the bias report; the table itself is not read again.
"""

from collections.abc import Sequence

from mlpipe_dagster.bias.report import BiasReport
from mlpipe_dagster.tables.personal import masked
from mlpipe_dagster.tables.profile import ColumnProfile, Profile
from mlpipe_dagster.vocabulary import TaskKind
from mlpipe_dagster.xai.data_explanation import BiasFinding, ColumnSummary, Relation, SensitiveColumn, Suspicion
from mlpipe_dagster.xai.pieces import Note

MOST_CLASSES = 12
MANY_MISSING = 0.4
ALMOST_CONSTANT = 0.98
FEW_OF_CLASS = 0.1
GROUP_FINDINGS = ("difference", "proxy")
_KIND_REASONS = {"empty": "no_values", "constant": "one_value", "identifier": "running_number"}


def column_summary(column: ColumnProfile, rows: int) -> ColumnSummary:
    """One column; nothing of the values where they identify people."""
    hidden = column.personal is not None
    return ColumnSummary(
        name=column.name,
        kind=column.kind,
        data_type=column.data_type,
        missing=column.missing,
        missing_share=column.missing / rows if rows else 0.0,
        distinct=column.distinct,
        minimum=None if hidden else column.minimum,
        maximum=None if hidden else column.maximum,
        mean=None if hidden else column.mean,
        standard_deviation=None if hidden else column.standard_deviation,
        median=None if hidden else column.median,
        top=() if hidden else tuple((masked(top.value), top.count) for top in column.top_values[:5]),
        personal=column.personal,
    )


def target_values(aim: ColumnProfile | None, task: TaskKind | None) -> tuple[tuple[str, int], ...]:
    """Classes of the target; nothing for a number or a personal column."""
    if aim is None or task is TaskKind.REGRESSION or aim.personal is not None:
        return ()
    if task is None and aim.histogram and aim.distinct > MOST_CLASSES:
        return ()
    return tuple((masked(top.value), top.count) for top in aim.top_values[:MOST_CLASSES])


def suspicions(profile: Profile, target: str | None) -> list[Suspicion]:
    """Columns, other than the target, that deserve a look before anybody relies on them."""
    found = []
    for column in profile.columns:
        reason = None if column.name == target else _reason(column, profile.row_count)
        if reason:
            found.append(Suspicion(column=column.name, reason=reason))
    return found


def leaking(relations: Sequence[Relation], bias: BiasReport | None) -> list[Suspicion]:
    """Columns that may give the target away: those the bias report names, where it looked for them, in its words;
    else those that alone say nearly everything.
    """
    if bias is not None and bias.signals is not None:
        return [
            Suspicion(column=leak.column, reason=Note(key="said", values={"text": leak.why}))
            for leak in bias.signals.leaks
        ]
    return [
        Suspicion(column=relation.column, reason=Note(key="leaks", values={"share": relation.share}))
        for relation in relations
        if relation.leaks
    ]


def _reason(column: ColumnProfile, rows: int) -> Note | None:
    if column.kind in _KIND_REASONS:
        return Note(key=_KIND_REASONS[column.kind])
    if column.personal is not None:
        return Note(key="identifies_people", values={"how": column.personal})
    if rows and column.missing / rows >= MANY_MISSING:
        return Note(key="many_missing", values={"missing": column.missing, "rows": rows})
    known = rows - column.missing
    if column.top_values and known and column.top_values[0].count / known >= ALMOST_CONSTANT:
        top = column.top_values[0]
        return Note(key="almost_constant", values={"value": masked(top.value), "count": top.count, "known": known})
    if column.kind == "text" and column.distinct > 0.9 * max(known, 1):
        return Note(key="free_text")
    return None


def bias_findings(bias: BiasReport) -> tuple[BiasFinding, ...]:
    """The findings of the bias report about groups of people, most serious first."""
    return tuple(
        BiasFinding(
            severity=finding.severity,
            headline=finding.headline,
            detail=finding.detail,
            advice=finding.advice,
            column=finding.column,
        )
        for finding in bias.findings
        if finding.kind in GROUP_FINDINGS
    )


def sensitive_columns(bias: BiasReport) -> tuple[SensitiveColumn, ...]:
    """The columns that tell groups of people apart, with the size of each group."""
    return tuple(
        SensitiveColumn(
            column=feature.column,
            kind=feature.kind,
            groups=tuple((group.label, group.count) for group in feature.groups),
        )
        for feature in bias.features
    )
