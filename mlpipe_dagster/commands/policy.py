"""`mlpipe policy show|set`: what a user usually wants of a pipeline, where an upload says nothing."""

from typing import Any

import click

from mlpipe_dagster.commands.client import ApiClient
from mlpipe_dagster.errors import UserError
from mlpipe_dagster.vocabulary import split_list

ABOUT = ("user_id", "updated_at", "effective")
LISTS = ("ask", "sensitive_features", "drop", "respondents")


@click.group()
def policy() -> None:
    """What a user usually wants of a pipeline."""


@policy.command()
@click.argument("user_id")
def show(user_id: str) -> None:
    """Show the policy of USER_ID, and what holds where it says nothing."""
    _tell(ApiClient().get("users", user_id, "policy"))


@policy.command(name="set")
@click.argument("user_id")
@click.argument("changes", nargs=-1, required=True, metavar="KEY=VALUE…")
def set_policy(user_id: str, changes: tuple[str, ...]) -> None:
    """Change the policy of USER_ID; KEY= takes back what it says of KEY. Lists are written a,b."""
    client = ApiClient()
    content = changed(client.get("users", user_id, "policy"), changes)
    _tell(client.put("users", user_id, "policy", content=content))


def changed(before: dict[str, Any], changes: tuple[str, ...]) -> dict[str, Any]:
    """The policy with the changes, as it is sent.

    Raises
    ------
    UserError
        A change is not of the form KEY=VALUE, or names nothing that a policy says.
    """
    said = {name: value for name, value in before.items() if name not in ABOUT}
    for text in changes:
        name, equals, value = text.partition("=")
        if not equals or name not in said:
            raise UserError(f"“{text}” is no change. Write KEY=VALUE, with one of: {', '.join(said)}.")
        said[name] = (list(split_list(value)) if name in LISTS else value) if value.strip() else None
    return said


def _tell(found: dict[str, Any]) -> None:
    for name, usual in found["effective"].items():
        from_settings = found[name] is None and usual is not None
        click.echo(f"{name:<20} {_text(usual)}{'  (a setting)' if from_settings else ''}")


def _text(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "nothing said" if value is None else str(value)
