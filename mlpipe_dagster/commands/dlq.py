"""`mlpipe dlq`: the records nobody could use, and what to do with them."""

import click

from mlpipe_dagster.messaging.connection import Connection
from mlpipe_dagster.messaging.publisher import Publisher
from mlpipe_dagster.warehouse import dead_letters
from mlpipe_dagster.warehouse.dead_letters import OPEN, Letter
from mlpipe_dagster.warehouse.warehouse import open_warehouse


@click.group()
def dlq() -> None:
    """Dead letters: records that broke their contract."""


@dlq.command("list")
@click.option("--all", "everything", is_flag=True, help="Also those that were replayed or discarded.")
def list_all(everything: bool) -> None:
    """List dead letters with the reason of each."""
    letters = dead_letters.list_letters(open_warehouse(), Connection.from_settings())
    shown = [letter for letter in letters if everything or letter.state == OPEN]
    for letter in shown:
        click.echo(f"{letter.coordinates}  {letter.state}  attempts {letter.attempts}  {letter.reason}")
    if not shown:
        click.echo("There is no dead letter.")


@dlq.command()
@click.argument("coordinates")
def show(coordinates: str) -> None:
    """Show the dead letter at COORDINATES (topic.dlq/partition/offset): headers, key, value."""
    click.echo(_text(dead_letters.find_letter(open_warehouse(), Connection.from_settings(), coordinates)))


def _text(letter: Letter) -> str:
    record = letter.record
    headers = "\n".join(f"  {name}: {value}" for name, value in record.headers.items())
    key, value = (("null" if part is None else part.decode("utf-8", "replace")) for part in (record.key, record.value))
    return f"{letter.coordinates} ({letter.state}), from {letter.origin}\n{headers}\nkey: {key}\nvalue: {value}"


@dlq.command()
@click.argument("coordinates")
def replay(coordinates: str) -> None:
    """Send the record back to its topic, once what was wrong is mended."""
    connection = Connection.from_settings()
    publisher = Publisher(connection)
    try:
        place = dead_letters.replay(open_warehouse(), connection, publisher, coordinates)
    finally:
        publisher.close()
    click.echo(f"{coordinates} was sent again: {place}")


@dlq.command()
@click.argument("coordinates")
def discard(coordinates: str) -> None:
    """Say that nothing is to be done about the dead letter."""
    dead_letters.discard(open_warehouse(), Connection.from_settings(), coordinates)
    click.echo(f"{coordinates} is discarded.")
