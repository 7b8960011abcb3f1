"""`mlpipe keys`: makes, lists and revokes keys to the API, in the catalogue itself: the first key needs no key."""

import click

from mlpipe_dagster import clock
from mlpipe_dagster.vocabulary import AccessRole
from mlpipe_dagster.warehouse import keys as stored
from mlpipe_dagster.warehouse.warehouse import open_warehouse


@click.group()
def keys() -> None:
    """Keys to the API, for MLPIPE_AUTH=api-keys."""


@keys.command()
@click.option("--user-id", required=True, help="Whom the key speaks for.")
@click.option("--role", required=True, type=click.Choice([role.value for role in AccessRole]), help="What it opens.")
@click.option("--name", help="What it is for, to tell keys apart.")
def create(user_id: str, role: str, name: str | None) -> None:
    """Make a key and show it, this once."""
    with open_warehouse().transaction() as session:
        key = stored.create_key(session, user_id, AccessRole(role), name)
    click.echo(key)
    click.echo(
        "Keep it now: only its hash is stored. Send it as “Authorization: Bearer …” or “X-API-Key: …”.", err=True
    )


@keys.command("list")
def list_all() -> None:
    """List the keys; their secrets are not known here."""
    with open_warehouse().reading() as session:
        rows = stored.list_keys(session)
    for row in rows:
        state = f"revoked {clock.iso(row.revoked_at)[:16]}" if row.revoked_at else "valid"
        click.echo(
            f"{row.id}  {row.role:<7}  {row.user_id}  {clock.iso(row.created_at)[:16]}  {state}  {row.name or ''}"
        )
    if not rows:
        click.echo("There is no key. Make one: mlpipe keys create --user-id USER --role admin")


@keys.command()
@click.argument("key_id")
def revoke(key_id: str) -> None:
    """Revoke the key KEY_ID at once, with the browser sessions it opened."""
    with open_warehouse().transaction() as session:
        row = stored.revoke_key(session, key_id)
    click.echo(f"The key {row.id} of {row.user_id} opens nothing any more.")
