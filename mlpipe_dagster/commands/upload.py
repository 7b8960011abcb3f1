"""`mlpipe upload`: a table and what is wanted of it."""

from pathlib import Path

import click

from mlpipe_dagster.automl.engines.known import SHORT_BUDGET
from mlpipe_dagster.bias.mitigation.choice import MITIGATION_WISHES
from mlpipe_dagster.commands.client import ApiClient
from mlpipe_dagster.commands.pipeline import watch_pipeline
from mlpipe_dagster.vocabulary import AFTER_TIMEOUT, Level


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dataset-id", required=True, help="Id of the dataset; an upload under a known id is its next version.")
@click.option("--user-id", required=True, help="Whose dataset it is.")
@click.option("--name", help="Name for people; the file's name where it is left out.")
@click.option("--description", help="What the table is.")
@click.option("--target", help="Column to predict; inferred where it is left out.")
@click.option("--task-type", help="classification, binary, multiclass or regression; inferred where it is left out.")
@click.option("--time-budget", help="Time for the training: 60, 60s, 10m, 1h.")
@click.option("--engine", help="Who trains: auto, portfolio, deterministic:TRIALS, flaml, autosklearn, autogluon.")
@click.option(
    "--short-budget", type=click.Choice(SHORT_BUDGET), help="A budget below the engine's least: refuse, raise."
)
@click.option("--xai-level", type=click.Choice([level.value for level in Level]), help="For whom to explain.")
@click.option("--sensitive", help="Sensitive columns, comma-separated; found where it is left out.")
@click.option("--positive-class", help="Which class of two is the positive outcome; inferred where it is left out.")
@click.option("--conditioning-column", help="Compare groups within the values of this column, too.")
@click.option("--reference-shares", help="Shares of rows expected of groups: sex: female=51, male=49; race: …")
@click.option("--drop", help="Columns to train without, comma-separated.")
@click.option("--mitigation", type=click.Choice(MITIGATION_WISHES), help="What to do about bias before training.")
@click.option("--fairness", help="Hold the model to a constraint: demographic_parity, equalized_odds:0.1, … or none.")
@click.option("--mode", type=click.Choice(["auto", "ask"]), help="Go on by itself, or ask you first.")
@click.option("--ask", help="Which questions to be asked, comma-separated: target, bias, explain.")
@click.option("--question-timeout", help="How long a question waits: 30m, 2h, 3d, none.")
@click.option("--question-outcome", type=click.Choice(AFTER_TIMEOUT), help="What then becomes of it.")
@click.option("--question-reminder", help="When to remind of it, once: 30m, 2h, 3d, none.")
@click.option("--respondents", help="User ids of others who may answer, comma-separated.")
@click.option("--watch", is_flag=True, help="Follow the pipeline to its end.")
def upload(
    file: Path,
    dataset_id: str,
    user_id: str,
    name: str | None,
    description: str | None,
    target: str | None,
    task_type: str | None,
    time_budget: str | None,
    xai_level: str | None,
    sensitive: str | None,
    watch: bool,
    **asked: str | None,
) -> None:
    """Upload the table FILE; its pipeline starts at once."""
    client = ApiClient()
    form = {
        "dataset_id": dataset_id,
        "user_id": user_id,
        "name": name or file.stem,
        "description": description,
        "target_column_name": target,
        "task_type": task_type,
        "time_budget": time_budget,
        "xai_level": xai_level,
        "sensitive_features": sensitive,
        **asked,
    }
    dataset = client.upload(file, file.name, form)
    rows = "" if dataset["row_count"] is None else f"{dataset['row_count']:,} rows, "
    click.echo(f"Stored {dataset_id} {dataset['version']} of {user_id} ({rows}{dataset['file_size']:,} bytes).")
    if watch:
        watch_pipeline(client, dataset_id, user_id)
    else:
        click.echo(f"Follow it with: mlpipe watch {dataset_id} --user-id {user_id}")
