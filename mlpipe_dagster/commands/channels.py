"""`mlpipe channels list|add|remove`: where a user is told of notifications and questions outside the platform."""

import sys

import click

from mlpipe_dagster.commands.client import ApiClient
from mlpipe_dagster.errors import UserError


@click.group()
def channels() -> None:
    """A user's own notification channels: e-mail, Slack, webhooks and what else Apprise knows."""


@channels.command("list")
@click.argument("user_id")
def list_all(user_id: str) -> None:
    """List the channels of USER_ID, of each its scheme and host."""
    _show(ApiClient().get("users", user_id, "channels"))


@channels.command()
@click.argument("user_id")
def add(user_id: str) -> None:
    """Add a channel to USER_ID. Its Apprise URL is asked for, or read from standard input: it is a secret."""
    url = _read_secret()
    client = ApiClient()
    present = [channel["id"] for channel in client.get("users", user_id, "channels")]
    _show(client.put("users", user_id, "channels", content={"urls": [url], "keep": present}))


@channels.command()
@click.argument("user_id")
@click.argument("channel_id")
def remove(user_id: str, channel_id: str) -> None:
    """Remove the channel CHANNEL_ID of USER_ID; what waits for it is told to it no more."""
    client = ApiClient()
    present = [channel["id"] for channel in client.get("users", user_id, "channels")]
    if channel_id not in present:
        raise UserError(f"{user_id} has no channel {channel_id}. See: mlpipe channels list {user_id}")
    keep = [one for one in present if one != channel_id]
    _show(client.put("users", user_id, "channels", content={"keep": keep}))


def _read_secret() -> str:
    """From a terminal without showing it, else from whatever standard input is."""
    said = click.prompt("Apprise URL", hide_input=True, err=True) if sys.stdin.isatty() else sys.stdin.readline()
    return str(said).strip()


def _show(found: list[dict[str, str]]) -> None:
    for channel in found:
        click.echo(f"{channel['id']}  {channel['created_at'][:16]}  {channel['channel']}")
    if not found:
        click.echo("There is no channel of the user's own.")
