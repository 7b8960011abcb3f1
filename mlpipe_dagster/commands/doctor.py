"""`mlpipe doctor`: asks every part whether it works, and says what to do where not. The checks are beside it."""

import logging
import sys

import click
from rich.console import Console
from rich.text import Text

from mlpipe_dagster.commands.checkups import (
    Finding,
    Verdict,
    check_api,
    check_dagster,
    check_kafka,
    check_warehouse,
)
from mlpipe_dagster.commands.delivery_checkups import check_deliveries
from mlpipe_dagster.commands.role_checkups import check_roles

CHECKS = (check_kafka, check_warehouse, check_roles, check_deliveries, check_api, check_dagster)
STYLES = {Verdict.OK: "green", Verdict.WARN: "yellow", Verdict.FAIL: "bold red"}


@click.command()
def doctor() -> None:
    """Check every part: Kafka, warehouse, roles, notifications, API, Dagster. Exits with 1 where something fails."""
    logging.getLogger("kafka").setLevel(logging.CRITICAL)  # what it would log stands in the findings
    console = Console(highlight=False)
    found = []
    for check in CHECKS:
        for finding in check():
            found.append(finding)
            console.print(line(finding), soft_wrap=True)
    failures = sum(finding.verdict is Verdict.FAIL for finding in found)
    warnings = sum(finding.verdict is Verdict.WARN for finding in found)
    click.echo(f"{len(found)} checks: {failures} failed, {warnings} to look at.")
    if failures:
        sys.exit(1)


def line(finding: Finding) -> Text:
    """`FAIL  API: is not ready at …  -> Start it with: mlpipe up`."""
    text = Text.assemble((f"{finding.verdict.value:<4}", STYLES[finding.verdict]), f"  {finding.part}: {finding.text}")
    if finding.advice:
        text.append(f"  -> {finding.advice}")
    return text
