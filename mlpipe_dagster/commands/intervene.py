"""`mlpipe cancel` and `mlpipe retry`: what a person does to a pipeline in flight."""

import click

from mlpipe_dagster.commands.client import ApiClient
from mlpipe_dagster.vocabulary import Stage


@click.command()
@click.argument("dataset_id")
@click.option("--user-id", help="Whose dataset, where several users have one of that id.")
def cancel(dataset_id: str, user_id: str | None) -> None:
    """Cancel the pipeline of DATASET_ID: its run stops, its question closes, later triggers are ignored."""
    answer = ApiClient().post("pipelines", dataset_id, "cancel", content={}, user_id=user_id)
    runs = len(answer["runs"])
    click.echo(f"{dataset_id} is cancelled" + (f"; {runs} run is being stopped." if runs else "."))


@click.command()
@click.argument("dataset_id")
@click.option("--user-id", help="Whose dataset, where several users have one of that id.")
@click.option("--from", "stage", type=click.Choice([stage.value for stage in Stage]), help="Default: what failed last.")
def retry(dataset_id: str, user_id: str | None, stage: str | None) -> None:
    """Try a failed stage of DATASET_ID again, and go on from there."""
    answer = ApiClient().post("pipelines", dataset_id, "retry", content={}, user_id=user_id, stage=stage)
    click.echo(f"{dataset_id} goes on from the stage {answer['stage']}.")
