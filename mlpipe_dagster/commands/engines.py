"""`mlpipe engines list|install`: who can train on this machine, and how others come to it."""

import click

from mlpipe_dagster.automl.engines import install as installer
from mlpipe_dagster.automl.engines.known import KNOWN


@click.group()
def engines() -> None:
    """Who can train on this machine."""


@engines.command(name="list")
def show() -> None:
    """Show the engines, their least time budget, and whether they are installed."""
    for engine in KNOWN.values():
        state = "installed" if engine.is_installed() else f"not installed: {engine.installing}"
        click.echo(f"{engine.name:<14} from {engine.smallest_budget:g} s  {state}")


@engines.command()
@click.argument("name", type=click.Choice([engine.name for engine in KNOWN.values() if engine.interpreter]))
def install(name: str) -> None:
    """Install the engine NAME, in an interpreter of its own."""
    click.echo(f"Installed: {installer.install(name, click.echo)}")
