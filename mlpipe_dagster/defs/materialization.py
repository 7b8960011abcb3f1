"""How a stage's outcome looks in the Dagster UI: summary with a plot, links, numbers, schema, checks."""

from typing import Any

import dagster as dg

from mlpipe_dagster.settings import Settings
from mlpipe_dagster.stages.outcome import Check, StageOutcome
from mlpipe_dagster.warehouse import links
from mlpipe_dagster.warehouse.ledger import Claim
from mlpipe_dagster.warehouse.pipelines import ASSETS

LONGEST_MARKDOWN = 990  # from 1,000 characters on it hides behind a dialog
MOST_COLUMNS = 500
MARKDOWN_SIGNS = "\\`*_{}[]<>#|~!&"

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
    shown: dict[str, Any] = {"summary": dg.MetadataValue.md(_markdown(outcome.summary, f"![{asset}]({plot})"))}
    shown |= {name: dg.MetadataValue.url(link) for name, link in outcome.links.items()}
    shown["pipeline page"] = dg.MetadataValue.url(links.pipeline_link(settings, claim.partition_key, owner.user_id))
    shown |= {name: _rounded(value) for name, value in outcome.numbers.items()}
    if outcome.table:
        rows = [{name: _rounded(value) for name, value in row.items()} for row in outcome.table]
        shown[outcome.table_name] = dg.MetadataValue.table([dg.TableRecord(row) for row in rows])
    if outcome.row_count is not None:
        shown["dagster/row_count"] = outcome.row_count
    if outcome.columns:
        columns = [dg.TableColumn(of.name, of.data_type, of.description) for of in outcome.columns[:MOST_COLUMNS]]
        shown["dagster/column_schema"] = dg.TableSchema(columns=columns)
    return shown


def _markdown(summary: str, picture: str) -> str:
    """Paragraphs and a picture. The text may hold names out of a table: they mean nothing but themselves."""
    text = summary.replace("\n", "\n\n")
    plain = "".join(f"\\{sign}" if sign in MARKDOWN_SIGNS else sign for sign in text)
    room = LONGEST_MARKDOWN - len(picture)
    cut = plain if len(plain) <= room else plain[:room].rstrip("\\") + "…"
    return f"{cut}\n\n{picture}"


def _rounded(value: str | float) -> str | float:
    """Four digits are enough to read; whole parts are never rounded away."""
    if not isinstance(value, float):
        return value
    return round(value, 1) if abs(value) >= 1000 else float(f"{value:.4g}")


def _check_result(asset: str, check: Check) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=check.name,
        passed=check.passed,
        severity=SEVERITIES[check.severity],
        description=check.description,
    )
