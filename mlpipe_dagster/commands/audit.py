"""`mlpipe audit verify` and `mlpipe history`: whether the audit trail is whole, and what it says of one dataset."""

import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import click

from mlpipe_dagster.commands.client import ApiClient

PAGE = 1000


@click.group()
def audit() -> None:
    """The audit trail: who changed what, when and why."""


@audit.command()
@click.option("--head", help="The head of an earlier time: it must still be in the chain.")
def verify(head: str | None) -> None:
    """Compute every hash of the trail again, in the catalogue itself; exits with 1 when anything is wrong."""
    from mlpipe_dagster.warehouse import audit as trail
    from mlpipe_dagster.warehouse import audit_chain
    from mlpipe_dagster.warehouse.warehouse import open_warehouse

    catalogue = open_warehouse().catalogue
    trail.seal(catalogue)
    chain = audit_chain.verify(catalogue, head)
    for fault in chain.faults:
        click.echo(fault)
    late = f", {chain.late} of them sealed more than ten minutes late" if chain.late else ""
    click.echo(f"{chain.length} entries{late}; {len(chain.faults)} faults")
    click.echo(f"head {chain.head}")
    click.echo("Keep the head elsewhere: `mlpipe audit verify --head …` then finds an end that was cut off.", err=True)
    if chain.faults:
        sys.exit(1)


@click.command()
@click.argument("dataset_id")
@click.option("--user-id", help="Owner, where several users have a dataset of that id.")
def history(dataset_id: str, user_id: str | None) -> None:
    """Who did what to DATASET_ID, when, and what it followed from; oldest first."""
    entries = list(_entries(ApiClient(), dataset_id, user_id))
    for entry in entries:
        click.echo(_line(entry))
    if not entries:
        click.echo(f"Nothing is recorded of {dataset_id}.")


def _entries(client: ApiClient, dataset_id: str, user_id: str | None) -> Iterator[Mapping[str, Any]]:
    after = 0
    while True:
        query = {"dataset_id": dataset_id, "user_id": user_id, "after": str(after), "limit": str(PAGE)}
        page = client.get("audit", **query)
        yield from page
        if len(page) < PAGE:
            return
        after = page[-1]["id"]


def _line(entry: Mapping[str, Any]) -> str:
    actor = f"{entry['actor_kind']} {entry['actor'] or ''}".rstrip()
    version = entry["version"] or ""
    cause = entry["coordinates"] or entry["cause"] or ""
    detail = ", ".join(f"{name}={_short(value)}" for name, value in entry["detail"].items())
    because = f"  <- {cause}" if cause else ""
    return f"{entry['at'][:19]}  {version:<3} {entry['what']:<22} {actor:<44} {detail}{because}"


def _short(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
