"""How a stage's outcome looks in the Dagster UI: summary with a plot, links, numbers, schema, checks."""

from typing import Any

import dagster as dg

from mlpipe_dagster.settings import Settings
from mlpipe_dagster.stages.outcome import Check, StageOutcome
from mlpipe_dagster.warehouse import links
from mlpipe_dagster.warehouse.ledger import Claim
from mlpipe_dagster.warehouse.pipelines import ASSETS

LONGEST_SUMMARY = 700  # Markdown over 1,000 characters hides behind a dialog
MOST_COLUMNS = 500

SEVERITIES = {"warn": dg.AssetCheckSeverity.WARN, "error": dg.AssetCheckSeverity.ERROR}


def materialize_result(settings: Settings, claim: Claim, outcome: StageOutcome) -> dg.MaterializeResult[Any]:
    """The materialization of a claim's asset, with its checks."""
    asset = ASSETS[claim.stage]
    return dg.MaterializeResult(
        asset_key=asset,
        metadata=_metadata(settings, asset, claim, outcome),
        data_version=dg.DataVersion(outcome.data_version),
        tags={"mlpipe/row": str(claim.row_id)},
        check_results=[_check_result(asset, check) for check in outcome.checks],
    )


def _metadata(settings: Settings, asset: str, claim: Claim, outcome: StageOutcome) -> dict[str, Any]:
    owner = claim.owner
    plot = links.plot_link(settings, asset, owner.user_id, owner.dataset_id, f"v{owner.number}")
    summary = outcome.summary[:LONGEST_SUMMARY]
    shown: dict[str, Any] = {"summary": dg.MetadataValue.md(f"{summary}\n\n![{asset} of {owner.dataset_id}]({plot})")}
    shown |= {name: dg.MetadataValue.url(link) for name, link in outcome.links.items()}
    shown["pipeline page"] = dg.MetadataValue.url(links.pipeline_link(settings, claim.partition_key, owner.user_id))
    shown |= dict(outcome.numbers)
    if outcome.row_count is not None:
        shown["dagster/row_count"] = outcome.row_count
    if outcome.columns:
        columns = [dg.TableColumn(name, kind) for name, kind in list(outcome.columns.items())[:MOST_COLUMNS]]
        shown["dagster/column_schema"] = dg.TableSchema(columns=columns)
    if outcome.table:
        shown["table"] = dg.MetadataValue.table([dg.TableRecord(dict(row)) for row in outcome.table])
    return shown


def _check_result(asset: str, check: Check) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=check.name,
        passed=check.passed,
        severity=SEVERITIES[check.severity],
        description=check.description,
    )
