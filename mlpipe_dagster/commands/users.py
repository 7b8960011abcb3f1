"""`mlpipe users export|erase`: all that is kept of a person, given to them or erased."""

from pathlib import Path

import click

from mlpipe_dagster.commands.client import ApiClient


@click.group()
def users() -> None:
    """All that is kept of a person."""


@users.command()
@click.argument("user_id")
@click.option("--to", "target", type=click.Path(dir_okay=False, path_type=Path), help="Default: USER_ID.zip here.")
def export(user_id: str, target: Path | None) -> None:
    """Store everything of USER_ID as a zip: records as JSON, tables, models and explanations as files."""
    target = target or Path(f"{user_id}.zip")
    size = ApiClient().download("users", user_id, "export", target=target)
    click.echo(f"{target}: {size} bytes")


@users.command()
@click.argument("user_id")
@click.option("--yes", is_flag=True, help="Do not ask.")
def erase(user_id: str, yes: bool) -> None:
    """Erase everything of USER_ID; what is in flight is cancelled first. The receipt says what remains, and why."""
    if not yes:
        click.confirm(f"Erase everything of {user_id}? It cannot be brought back", abort=True)
    receipt = ApiClient().delete("users", user_id)
    click.echo(f"Erased of {user_id} at {receipt['erased_at'][:19]} UTC:")
    for name, count in receipt["erased"].items():
        if count:
            click.echo(f"  {count:>6}  {name.replace('_', ' ')}")
    if receipt["to_be_removed"]:
        click.echo(f"{receipt['to_be_removed']} objects and runs follow in the next moments.")
    click.echo("What remains, and why:")
    for one in receipt["remains"]:
        click.echo(f"  {one['what']}\n      {one['why']}")
