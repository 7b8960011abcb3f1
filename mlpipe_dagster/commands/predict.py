"""`mlpipe predict`: the rows of a file, predicted by a stored model."""

import io
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlpipe_dagster.commands.client import ApiClient

if TYPE_CHECKING:
    import pandas as pd

BATCH_ROWS = 5_000
TEXT_FILES = (".csv", ".tsv", ".txt")


@click.command()
@click.argument("model_id")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--user-id", required=True, help="Whose model it is.")
@click.option("--version", help="Version of the model; the latest where it is left out.")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where the predictions go; standard output if not.",
)
def predict(model_id: str, file: Path, user_id: str, version: str | None, output: Path | None) -> None:
    """Predict the rows of FILE (CSV, or any other table that can be uploaded), as CSV with one line for each row."""
    client = ApiClient()
    parts: list[str] = []
    for batch in batches(rows_of(file)):
        answer = client.post_csv("ai-models", user_id, model_id, "predict", text=batch, version=version)
        parts.append(answer if not parts else answer.partition("\n")[2])
    content = "".join(parts)
    if output is None:
        click.echo(content, nl=False)
    else:
        output.write_text(content, encoding="utf-8")
        click.echo(f"{content.count(chr(10)) - 1:,} rows predicted: {output}")


def rows_of(file: Path) -> "pd.DataFrame":
    """The rows of a file; those of delimited text as they are written there. Raises TableError."""
    from mlpipe_dagster.automl.predicting import read_csv
    from mlpipe_dagster.tables.convert import to_parquet
    from mlpipe_dagster.tables.load import load

    if file.suffix.lower() in TEXT_FILES:
        return read_csv(file)
    with tempfile.TemporaryDirectory(prefix="mlpipe-") as folder:
        to_parquet(file, file.name, Path(folder) / "table.parquet")
        return load(Path(folder) / "table.parquet")


def batches(rows: "pd.DataFrame") -> Iterator[str]:
    """The rows as CSV, so many at a time as the API takes."""
    for start in range(0, len(rows), BATCH_ROWS):
        text = io.StringIO()
        rows.iloc[start : start + BATCH_ROWS].to_csv(text, index=False)
        yield text.getvalue()
