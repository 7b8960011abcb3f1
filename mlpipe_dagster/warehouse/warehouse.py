"""What every part of the warehouse works with: the catalogue, the objects and the settings, opened together."""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from mlpipe_dagster.settings import Settings, settings
from mlpipe_dagster.vocabulary import Role
from mlpipe_dagster.warehouse import audit
from mlpipe_dagster.warehouse.catalogue import Catalogue, open_catalogue
from mlpipe_dagster.warehouse.objects import Objects, open_objects
from mlpipe_dagster.warehouse.schema import RolePlayer

log = logging.getLogger(__name__)
OURS, FOREIGN = "ours", "foreign"


@dataclass(frozen=True)
class Warehouse:
    """Catalogue, objects and settings. The functions of this package take it, or a session of its catalogue."""

    catalogue: Catalogue
    objects: Objects
    settings: Settings

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """A short write that commits as a whole."""
        with self.catalogue.transaction() as session:
            yield session

    @contextmanager
    def storing(self, names: Iterable[str]) -> Iterator[Session]:
        """A transaction that records these objects; where it comes to nothing they are removed again."""
        with self.transaction() as session:
            try:
                yield session
                session.flush()
            except BaseException:  # a failing commit is another matter: nobody knows whether it was one
                for name in names:
                    self._remove(name)
                raise

    def _remove(self, name: str) -> None:
        try:
            self.objects.delete(name)
        except OSError as error:
            log.warning("%s is left behind: %s", name, error)

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A consistent read."""
        with self.catalogue.reading() as session:
            yield session


def open_warehouse(values: Settings | None = None, s3_client: Any = None) -> Warehouse:
    """The warehouse that the settings name; its tables are created where they are missing."""
    values = values or settings()
    return Warehouse(open_catalogue(values.catalogue), open_objects(values, s3_client), values)


def player_of(session: Session, role: Role) -> str:
    """Who plays the role: `ours` unless somebody said `foreign`."""
    row = session.get(RolePlayer, role.value)
    return row.player if row else OURS


def set_player(session: Session, role: Role, player: str) -> None:
    """From now on `player` plays the role; work that is already asked for stays with whom it was asked of."""
    row = session.get(RolePlayer, role.value)
    if row:
        row.player = player
    else:
        session.add(RolePlayer(role=role.value, player=player))
    audit.record(session, "role.changed", audit.person(None), role=role.value, player=player)
