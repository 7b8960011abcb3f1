"""Routes of a user's own notification channels. Their URLs are secrets: taken here, and never given out again."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from mlpipe_dagster import clock
from mlpipe_dagster.api.parameters import PlainText, TheWarehouse
from mlpipe_dagster.channels import addresses, apart
from mlpipe_dagster.errors import UserError
from mlpipe_dagster.events import Id
from mlpipe_dagster.warehouse import deliveries
from mlpipe_dagster.warehouse.schema import ChannelRow
from mlpipe_dagster.warehouse.warehouse import Warehouse

router = APIRouter(prefix="/users/{user_id}/channels", tags=["users"])

Urls = Annotated[list[SecretStr], Field(max_length=deliveries.MOST_CHANNELS)]
Ids = Annotated[list[PlainText], Field(max_length=deliveries.MOST_CHANNELS)]


class Wanted(BaseModel):
    """The channels a user is to have: those of the Apprise URLs, and of the present ones those to keep."""

    model_config = ConfigDict(frozen=True)
    urls: Urls = []
    keep: Ids = []


class Channel(BaseModel):
    """A channel as it may be shown."""

    id: str
    channel: str
    """Scheme and host."""
    created_at: str


@router.get("")
def read(user_id: Id, warehouse: TheWarehouse) -> list[Channel]:
    """The user's channels, scheme and host of each."""
    with warehouse.reading() as session:
        return [_answer(row) for row in deliveries.list_channels(session, user_id)]


@router.put("")
def change(user_id: Id, wanted: Wanted, warehouse: TheWarehouse) -> list[Channel]:
    """Set the user's channels; 422 where a URL is none that Apprise knows, or leads into this machine or network."""
    urls = [url.get_secret_value() for url in wanted.urls]
    _check(warehouse, urls)
    with warehouse.transaction() as session:
        deliveries.set_channels(session, user_id, urls, wanted.keep, user_id)
        return [_answer(row) for row in deliveries.list_channels(session, user_id)]


def _check(warehouse: Warehouse, urls: list[str]) -> None:
    for url in urls:
        addresses.check(url, warehouse.settings.notify_private)
    for place in apart.unknown(urls):
        raise UserError(
            f"Apprise can make nothing of {addresses.shown(urls[place])}. Look at how its URLs are written."
        )


def _answer(row: ChannelRow) -> Channel:
    return Channel(id=row.id, channel=row.shown, created_at=clock.iso(row.created_at))
