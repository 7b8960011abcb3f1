"""The job `dead_letters`: what `mlpipe dlq` does, for people who work in the Dagster UI."""

from enum import Enum

import dagster as dg
from pydantic import Field

from mlpipe_dagster.defs.resources import KafkaResource, WarehouseResource
from mlpipe_dagster.errors import UserError
from mlpipe_dagster.warehouse import dead_letters
from mlpipe_dagster.warehouse.dead_letters import OPEN
from mlpipe_dagster.warehouse.warehouse import Warehouse


class Action(Enum):
    """What to do with dead letters."""

    LIST = "list"
    REPLAY = "replay"
    DISCARD = "discard"


class DeadLetterConfig(dg.Config):
    """Which dead letters, and what to do with them."""

    action: Action = Field(Action.LIST, description="list, replay (send back to its topic) or discard")
    coordinates: list[str] = Field([], description="topic.dlq/partition/offset of each, as the list shows them")


@dg.op
def handle_dead_letters(
    context: dg.OpExecutionContext, config: DeadLetterConfig, warehouse: WarehouseResource, kafka: KafkaResource
) -> None:
    """List the open dead letters, or replay or discard those that are named."""
    store = warehouse.open()
    try:
        for coordinates in config.coordinates:
            _handle(context, config.action, coordinates, store, kafka)
    except UserError as error:
        raise dg.Failure(description=str(error), allow_retries=False) from error
    for letter in dead_letters.list_letters(store, kafka.connection):
        if letter.state == OPEN:
            context.log.info(f"{letter.coordinates}, attempts {letter.attempts}: {letter.reason}")


def _handle(
    context: dg.OpExecutionContext, action: Action, coordinates: str, store: Warehouse, kafka: KafkaResource
) -> None:
    if action is Action.REPLAY:
        place = dead_letters.replay(store, kafka.connection, kafka.publisher(), coordinates)
        context.log.info(f"{coordinates} was sent again: {place}")
    elif action is Action.DISCARD:
        dead_letters.discard(store, kafka.connection, coordinates)
        context.log.info(f"{coordinates} is discarded.")


@dg.job(name="dead_letters", description="Lists, replays or discards records that nobody could use.")
def dead_letter_job() -> None:
    """One op: what it does stands in its config."""
    handle_dead_letters()
