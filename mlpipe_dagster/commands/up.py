"""`mlpipe up`: the whole platform on this machine until Ctrl-C."""

import threading

import click

from mlpipe_dagster.services.plan import Plan
from mlpipe_dagster.services.stack import running_stack
from mlpipe_dagster.services.supervisor import Supervisor
from mlpipe_dagster.settings import settings

LOOK_SECONDS = 0.5


@click.command()
def up() -> None:
    """Start broker, API and Dagster on this machine; Ctrl-C stops them."""
    stopping = threading.Event()
    click.echo("Starting mlpipe …")
    with running_stack(settings(), click.echo, stopping) as (plan, supervisor):
        if not stopping.is_set():
            greet(plan)
        keep_up(supervisor, stopping)
    click.echo("Stopped.")


def greet(plan: Plan) -> None:
    """Say where everything is, and what other terminals need."""
    click.echo(f"Pipelines and inbox  {plan.api_base}/")
    click.echo(f"REST API             {plan.api_base}/docs")
    click.echo(f"Dagster              {plan.dagster_base}/")
    click.echo(f"Kafka                {plan.bootstrap_servers}")
    click.echo(f"Logs                 {plan.logs}")
    if plan.exports:
        click.echo(f"Workers and other terminals need:\n  {plan.exports}")


def keep_up(supervisor: Supervisor, stopping: threading.Event) -> None:
    """Look after the services until it is time to stop."""
    while not stopping.wait(LOOK_SECONDS):
        supervisor.tend()
    click.echo("Stopping …")
