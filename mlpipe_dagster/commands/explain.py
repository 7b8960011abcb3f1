"""`mlpipe explain`: one row of a model's table in words, or the whole explanation made again in a folder."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from mlpipe_dagster.commands.client import ApiClient
from mlpipe_dagster.commands.model_files import fetch_model, fetch_table
from mlpipe_dagster.errors import UserError


@click.command()
@click.argument("model_id")
@click.option("--user-id", required=True, help="Whose model it is.")
@click.option("--version", help="Version of the model; the latest where it is left out.")
@click.option("--row", type=click.IntRange(min=1), help="Row of the table, counted from 1.")
@click.option("--set", "changes", multiple=True, metavar="COLUMN=VALUE", help="Another value; may be repeated.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of what is drawn.")
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Make the whole explanation again, into this folder: explanation.json and the pages.",
)
def explain(
    model_id: str,
    user_id: str,
    version: str | None,
    row: int | None,
    changes: tuple[str, ...],
    seed: int,
    output: Path | None,
) -> None:
    """Say what a model predicts for a row, why, and what would turn it; or make its whole explanation again."""
    client = ApiClient()
    if output is not None:
        explain_again(client, user_id, model_id, version, seed, output)
        return
    if row is None and not changes:
        raise UserError("Say which row: --row 12, or --set COLUMN=VALUE for every column; or --output FOLDER.")
    values = dict(_pair(change) for change in changes)
    content = {"row": row, "values": values, "seed": seed}
    click.echo(told(client.post("ai-models", user_id, model_id, "explain", content=content, version=version)))


def _pair(change: str) -> tuple[str, str]:
    name, equals, value = change.partition("=")
    if not equals:
        raise UserError(f"“{change}” is not COLUMN=VALUE.")
    return name, value


def told(answer: Mapping[str, Any]) -> str:
    """The API's answer in a few lines."""
    local, turned = answer["explanation"], answer["counterfactual"]
    chance = answer["probabilities"].get(answer["predicted"])
    sure = "" if chance is None else f" ({chance:.0%})"
    lines = [f"{answer['target']}: {answer['predicted']}{sure}"]
    if local["actual"] != "missing":
        lines.append(f"In the table: {local['actual']}")
    lines.append(f"Why ({local['explained']['scale']} of {local['explained']['of']}, from {local['base']:.4g}):")
    lines += [f"  {part['shap']:+.4g}  {part['column']} = {part['value']}" for part in local["contributions"]]
    if local["rest"]:
        lines.append(f"  {local['rest']:+.4g}  all other columns")
    lines.append(f"  = {local['output']:.4g}")
    if turned is None:
        return "\n".join([*lines, "No change of up to three columns was found that turns the answer."])
    lines.append(f"What would turn it to {turned['predicted_after']}:")
    lines += [f"  {change['column']}: {change['before']} -> {change['after']}" for change in turned["changes"]]
    return "\n".join(lines)


def explain_again(client: ApiClient, user_id: str, model_id: str, version: str | None, seed: int, output: Path) -> None:
    """Load model and table from the API, explain here, and write explanation.json and the three pages."""
    from mlpipe_dagster.automl import artefacts
    from mlpipe_dagster.bias.sensitive import find_sensitive
    from mlpipe_dagster.reports.explanations import render_model_explanation
    from mlpipe_dagster.tables.convert import to_parquet
    from mlpipe_dagster.tables.load import load
    from mlpipe_dagster.vocabulary import Level
    from mlpipe_dagster.xai.explain import explain_model

    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="mlpipe-") as name:
        folder = Path(name)
        about = fetch_model(client, user_id, model_id, version, folder / "model")
        upload = fetch_table(client, user_id, about["training_dataset"], folder).file
        profile = to_parquet(upload, upload.name, folder / "table.parquet")
        hidden = [column.name for column in profile.columns if column.personal]
        kept = [found.column for found in find_sensitive(profile)]
        model = artefacts.load(folder / "model")
        found = explain_model(model, load(folder / "table.parquet"), seed=seed, hide=hidden, keep=kept)
    (output / "explanation.json").write_text(found.model_dump_json(indent=1), encoding="utf-8")
    links = {level.value: f"{level.value}.html" for level in Level}
    for level in Level:
        page = render_model_explanation(found, level, links)
        (output / f"{level.value}.html").write_text(page, encoding="utf-8")
    click.echo(f"Written to {output}: explanation.json, {', '.join(links.values())}.")
