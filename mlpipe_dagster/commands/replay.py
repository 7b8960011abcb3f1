"""`mlpipe replay`: a stored model trained again here, and compared with what is stored."""

import tempfile
from pathlib import Path

import click

from mlpipe_dagster.commands.client import ApiClient
from mlpipe_dagster.commands.model_files import fetch_model, fetch_table


@click.command()
@click.argument("model_id")
@click.option("--user-id", required=True, help="Whose model it is.")
@click.option("--version", help="Version of the model; the latest where it is left out.")
def replay(model_id: str, user_id: str, version: str | None) -> None:
    """Train a model again on this machine and say how far the two differ.

    Takes as long as the first training. Models of the engine deterministic have to be bit-equal while table and
    versions are the same; if such a one is not, the command fails.
    """
    told, kept = replayed(ApiClient(), user_id, model_id, version)
    click.echo(told)
    if not kept:
        raise SystemExit(1)


def replayed(client: ApiClient, user_id: str, model_id: str, version: str | None) -> tuple[str, bool]:
    """What came of it in words, and whether what was promised held."""
    from mlpipe_dagster.automl import artefacts
    from mlpipe_dagster.automl.replay import replay as train_again
    from mlpipe_dagster.tables.convert import to_parquet

    with tempfile.TemporaryDirectory(prefix="mlpipe-") as name:
        folder = Path(name)
        about = fetch_model(client, user_id, model_id, version, folder / "model")
        data = artefacts.description(folder / "model").spec.data
        upload = fetch_table(client, user_id, about["training_dataset"], folder, data.version if data else "")
        to_parquet(upload.file, upload.file.name, folder / "table.parquet")
        (folder / "work").mkdir()
        found = train_again(folder / "model", folder / "table.parquet", folder / "work", upload.md5)
        return found.told(), found.kept
