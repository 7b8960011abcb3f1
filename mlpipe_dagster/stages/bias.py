"""Stage `bias`: what the table says about groups of people, measured against the target."""

from collections.abc import Sequence

from mlpipe_dagster.bias.measure import measure_bias
from mlpipe_dagster.bias.report import BiasReport, FeatureBias, Finding, FindingKind
from mlpipe_dagster.bias.shares import Shares, parse_shares
from mlpipe_dagster.reports.bias_plot import bias_plot
from mlpipe_dagster.reports.bias_view import outcome_title, shown_outcome
from mlpipe_dagster.reports.wording import number_text, percent_text
from mlpipe_dagster.stages.mitigation import mitigate_table
from mlpipe_dagster.stages.outcome import Check, Say, StageOutcome
from mlpipe_dagster.stages.table import Table, comparison_named, open_table, store_plot
from mlpipe_dagster.vocabulary import TaskKind
from mlpipe_dagster.warehouse import links, results
from mlpipe_dagster.warehouse.ledger import Claim
from mlpipe_dagster.warehouse.warehouse import Warehouse

GROUPS_SHOWN = 20


def report_bias(warehouse: Warehouse, claim: Claim, say: Say) -> StageOutcome:
    """Measure, store and announce the bias report.

    Raises
    ------
    TargetError, TaskError
        The target is absent, constant or empty, or the task does not fit it.
    UserError
        The shares that a person expects are not of the groups of their column.
    StageLost
        The work is no longer this run's.
    """
    with open_table(warehouse, claim) as table:
        target, task = table.settled(claim)
        sensitive = table.sensitive(target)
        say(f"Comparing {target} ({task.value}) between the groups of: {', '.join(sensitive) or 'no column'}.")
        positive, within = comparison_named(table.choices, target)
        report = measure_bias(
            table.parquet,
            table.profile,
            target=target,
            task=task,
            sensitive=sensitive,
            positive=positive,
            conditioning=within,
            reference_shares=_shares(table, sensitive),
        )
        mitigation = mitigate_table(warehouse, table, report, sensitive)
    results.save_bias_report(warehouse, claim, report.model_dump(mode="json"), target, task, mitigation)
    store_plot(warehouse, "bias_report", table.version, bias_plot(report))
    return _outcome(warehouse, table, report)


def _shares(table: Table, sensitive: tuple[str, ...]) -> Shares:
    """What a person expects of the groups of these columns."""
    said = table.choices.reference_shares if table.choices else None
    return {column: given for column, given in parse_shares(said).items() if column in sensitive} if said else {}


def _outcome(warehouse: Warehouse, table: Table, report: BiasReport) -> StageOutcome:
    settings, version = warehouse.settings, table.version
    warnings = [finding for finding in report.findings if finding.severity == "warning"]
    return StageOutcome(
        summary=report.verdict,
        data_version=f"{version.file_hash}/{report.target}",
        numbers={
            "target": report.target,
            "task": report.task.value,
            "sensitive columns": ", ".join(feature.column for feature in report.features) or "none",
            "warnings": len(warnings),
        },
        links={"bias report": links.bias_view_link(settings, version.user_id, version.dataset_id)},
        checks=(
            _check("groups_fare_alike", warnings, "difference", report.verdict),
            _check("target_is_not_given_away", warnings, "leak", "No single column gives the target away."),
        ),
        row_count=report.row_count,
        table=tuple(row for feature in report.features for row in _groups(report, feature))[:GROUPS_SHOWN],
        table_name="groups",
    )


def _check(name: str, warnings: Sequence[Finding], kind: FindingKind, otherwise: str) -> Check:
    """Passed where no warning is of that kind."""
    found = [finding.headline for finding in warnings if finding.kind == kind]
    return Check(name, not found, "; ".join(found[:5]) or otherwise)


def _groups(report: BiasReport, feature: FeatureBias) -> list[dict[str, str | float | int]]:
    """A row for each group large enough to show, with the outcome that differs most between the feature's groups."""
    index = shown_outcome(report, feature)
    written = number_text if report.task is TaskKind.REGRESSION else percent_text
    return [
        {
            "column": feature.column,
            "group": group.label,
            "rows": group.count or 0,
            "outcome": outcome_title(report, group.outcomes[index].label),
            "rate or mean": written(group.outcomes[index].value),
        }
        for group in feature.groups
        if group.outcomes
    ]
