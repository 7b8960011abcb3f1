"""A table in numbers a reader can follow: contents, gaps, target, columns to be wary of, what the bias report found.

Works from the profile and the bias report; the table itself is not read again.
"""

from collections import Counter

from mlpipe_dagster.bias.report import BiasReport
from mlpipe_dagster.tables.profile import ColumnProfile, Profile
from mlpipe_dagster.vocabulary import TaskKind
from mlpipe_dagster.xai.explanation import (
    BiasFinding,
    ColumnSummary,
    DataExplanation,
    SensitiveColumn,
    Suspicion,
)

MOST_CLASSES = 12
MANY_MISSING = 0.4
ALMOST_CONSTANT = 0.98
FEW_OF_CLASS = 0.1
_KIND_REASONS = {
    "empty": "It holds no values at all.",
    "constant": "Every row has the same value: it tells rows apart in no way.",
    "identifier": "It looks like a running number or key: a model can learn rows by heart from it.",
}


def summarise(
    profile: Profile, *, target: str | None, task: TaskKind | None, bias: BiasReport | None
) -> DataExplanation:
    """Everything the three pages about a table say."""
    rows, columns = profile.row_count, profile.columns
    missing, cells = sum(column.missing for column in columns), rows * len(columns)
    aim = profile.column(target) if target else None
    values = _target_values(aim, task)
    known = rows - aim.missing if aim else 0
    sizes = [count for _, count in values]
    return DataExplanation(
        target=target,
        task=task,
        row_count=rows,
        column_count=len(columns),
        duplicate_rows=profile.duplicate_rows,
        duplicate_share=profile.duplicate_rows / rows if rows else 0.0,
        cells=cells,
        missing_cells=missing,
        missing_share=missing / cells if cells else 0.0,
        kinds=dict(Counter(column.kind for column in columns).most_common()),
        columns=tuple(_column(column, rows) for column in columns),
        target_values=values,
        target_known=known,
        target_other=max(known - sum(sizes), 0) if values else 0,
        target_smallest_share=min(sizes) / known if sizes and known else None,
        target_largest_share=max(sizes) / known if sizes and known else None,
        target_histogram=aim.histogram if aim and not values else (),
        suspicions=tuple(_suspicions(profile, target)),
        bias_measured=bias is not None,
        notes=profile.notes,
        **_bias_parts(bias),
    )


def _column(column: ColumnProfile, rows: int) -> ColumnSummary:
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
        top=() if hidden else tuple((top.value, top.count) for top in column.top_values[:5]),
        personal=column.personal,
    )


def _target_values(aim: ColumnProfile | None, task: TaskKind | None) -> tuple[tuple[str, int], ...]:
    """Classes of the target; nothing for a number or a personal column."""
    if aim is None or task is TaskKind.REGRESSION or aim.personal is not None:
        return ()
    return tuple((top.value, top.count) for top in aim.top_values[:MOST_CLASSES])


def _suspicions(profile: Profile, target: str | None) -> list[Suspicion]:
    found = []
    for column in profile.columns:
        reason = "" if column.name == target else _reason(column, profile.row_count)
        if reason:
            found.append(Suspicion(column=column.name, reason=reason))
    return found


def _reason(column: ColumnProfile, rows: int) -> str:
    if column.kind in _KIND_REASONS:
        return _KIND_REASONS[column.kind]
    if column.personal is not None:
        return f"It identifies people directly ({column.personal}). A model should not need it."
    if rows and column.missing / rows >= MANY_MISSING:
        return f"{column.missing:,} of {rows:,} values are missing."
    known = rows - column.missing
    if column.top_values and known and column.top_values[0].count / known >= ALMOST_CONSTANT:
        top = column.top_values[0]
        return f"Nearly all rows have the same value, “{top.value}” ({top.count:,} of {known:,})."
    if column.kind == "text" and column.distinct > 0.9 * max(known, 1):
        return "It is free text or a name: nearly every row has its own."
    return ""


def _bias_parts(bias: BiasReport | None) -> dict[str, object]:
    if bias is None:
        return {}
    findings = [
        BiasFinding(
            severity=finding.severity,
            headline=finding.headline,
            detail=finding.detail,
            advice=finding.advice,
            column=finding.column,
        )
        for finding in bias.findings
    ]
    sensitive = [
        SensitiveColumn(
            column=feature.column,
            kind=feature.kind,
            groups=tuple((group.label, group.count) for group in feature.groups),
        )
        for feature in bias.features
    ]
    return {"bias_verdict": bias.verdict, "bias_findings": tuple(findings), "sensitive": tuple(sensitive)}
