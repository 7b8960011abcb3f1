"""`mlpipe role`: who plays a role, ours or a foreign worker."""

import click

from mlpipe_dagster.commands.client import ApiClient
from mlpipe_dagster.vocabulary import Role


@click.command()
@click.argument("role", type=click.Choice([role.value for role in Role]))
@click.argument("player", type=click.Choice(["ours", "foreign"]), required=False)
def role(role: str, player: str | None) -> None:
    """Show who plays ROLE, or set it: `ours` or `foreign`."""
    client = ApiClient()
    answer = client.put("roles", role, content={"by": player}) if player else client.get("roles", role)
    click.echo(f"{role} is played by {'mlpipe' if answer['by'] == 'ours' else 'a foreign worker'} ({answer['by']}).")
