"""`mlpipe train-more`: the search of a stored model goes on, and ends in a new version of it."""

import click

from mlpipe_dagster.commands.client import ApiClient
from mlpipe_dagster.errors import UserError


@click.command()
@click.argument("model_id")
@click.option("--user-id", required=True, help="Whose model it is.")
@click.option("--version", help="Version of the model to go on from; the latest where it is left out.")
@click.option("--time-budget", required=True, help="How long to train: 90, 10m or 1h.")
def train_more(model_id: str, user_id: str, version: str | None, time_budget: str) -> None:
    """Train a model on: the best trials of its search are tried first, then others near them."""
    client = ApiClient()
    about = client.get("ai-models", user_id, model_id, version=version)
    dataset_id = about["training_dataset"]
    if not dataset_id or model_id != f"automl_{dataset_id}":
        raise UserError(f"{model_id} was not trained here: there is no search to go on with.")
    content = {"continue_from": about["version"], "time_budget": time_budget, "stage": "automl"}
    client.post("pipelines", dataset_id, "again", content=content, user_id=user_id)
    click.echo(f"{model_id} is trained on from {about['version']}. Watch it with: mlpipe watch {dataset_id}")
