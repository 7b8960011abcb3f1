"""`mlpipe cancel`, `mlpipe retry`, `mlpipe again` and `mlpipe mitigate`: what a person does to a pipeline in flight."""

import click

from mlpipe_dagster.automl.engines.known import SHORT_BUDGET
from mlpipe_dagster.bias.mitigation.choice import ANY_FITTING, MITIGATION_WISHES
from mlpipe_dagster.commands.client import ApiClient
from mlpipe_dagster.vocabulary import TRIGGERED, Level, Stage, split_list


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


@click.command()
@click.argument("dataset_id")
@click.option("--user-id", help="Whose dataset, where several users have one of that id.")
@click.option("--target", "target_column_name", help="Another column to predict.")
@click.option("--task", "task_type", help="Another task: binary, multiclass, classification or regression.")
@click.option("--sensitive", help="Other sensitive columns, comma-separated; “” for none.")
@click.option("--positive-class", help="Another of the two classes as positive outcome; “” to have it found out.")
@click.option("--conditioning-column", help="Another column to compare groups within; “” to have it found out.")
@click.option("--reference-shares", help="Other shares expected of groups: sex: female=51, male=49; “” for equal ones.")
@click.option("--drop", help="Columns to train without, comma-separated; “” for none.")
@click.option("--mitigation", type=click.Choice(MITIGATION_WISHES), help="What to do about bias before training.")
@click.option("--fairness", help="Hold the model to a constraint: demographic_parity, equalized_odds:0.1, … or none.")
@click.option("--budget", "time_budget", help="Another time budget, such as 90, 10m or 1h.")
@click.option("--engine", help="Who trains: auto, portfolio, deterministic:TRIALS, flaml, autosklearn, autogluon.")
@click.option(
    "--short-budget", type=click.Choice(SHORT_BUDGET), help="A budget below the engine's least: refuse, raise."
)
@click.option("--level", "xai_level", type=click.Choice([level.value for level in Level]), help="Another level.")
@click.option(
    "--from", "stage", type=click.Choice([stage.value for stage in TRIGGERED]), help="Default: what is concerned."
)
def again(dataset_id: str, user_id: str | None, sensitive: str | None, drop: str | None, **changes: str | None) -> None:
    """Change what the pipeline of DATASET_ID does, and run it again; what was made before stays as history."""
    content: dict[str, object] = {name: value for name, value in changes.items() if value is not None}
    listed = {"sensitive_features": sensitive, "drop": drop}
    content |= {name: list(split_list(value)) for name, value in listed.items() if value is not None}
    answer = ApiClient().post("pipelines", dataset_id, "again", content=content, user_id=user_id)
    click.echo(f"{dataset_id} runs again from the stage {answer['stage']}:")
    for reason in answer["choices"]["reasons"]:
        click.echo(f"  {reason}")


@click.command()
@click.argument("dataset_id")
@click.option("--user-id", help="Whose dataset, where several users have one of that id.")
@click.option("--method", type=click.Choice(MITIGATION_WISHES), default=ANY_FITTING, help="Default: one that fits.")
def mitigate(dataset_id: str, user_id: str | None, method: str) -> None:
    """Mitigate the bias of DATASET_ID: its bias is measured before and after, and a model is trained with it."""
    answer = ApiClient().post("pipelines", dataset_id, "again", content={"mitigation": method}, user_id=user_id)
    choices = answer["choices"]
    why = next(reason for reason in choices["reasons"] if reason.startswith("Mitigation:"))
    click.echo(f"{dataset_id} runs again from the stage {answer['stage']}. {why}")
    owner, version = answer["user_id"], answer["version"]
    if choices["mitigation"]:
        click.echo(f"What it changes: GET /transformation-reports/{owner}/{answer['dataset_id']}/{version}")
