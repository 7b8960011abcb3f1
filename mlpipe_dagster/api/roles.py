"""Routes of roles: who plays the agentic core, the bias detector, AutoML and XAI."""

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from mlpipe_dagster.api.parameters import TheWarehouse
from mlpipe_dagster.vocabulary import Role
from mlpipe_dagster.warehouse.warehouse import player_of, set_player

router = APIRouter(prefix="/roles", tags=["roles"])


class Player(BaseModel):
    """Who plays a role."""

    model_config = ConfigDict(frozen=True)
    by: Literal["ours", "foreign"]


@router.get("/{role}")
def read(role: Role, warehouse: TheWarehouse) -> Player:
    """Who plays the role."""
    with warehouse.reading() as session:
        return Player.model_validate({"by": player_of(session, role)})


@router.put("/{role}")
def change(role: Role, player: Player, warehouse: TheWarehouse) -> Player:
    """From now on this player gets the role's work; what was asked for already stays where it is."""
    with warehouse.transaction() as session:
        set_player(session, role, player.by)
    return player
