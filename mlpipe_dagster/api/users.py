"""Routes of users' records. Passwords are taken, since older clients send one, and dropped: keys open this API."""

import json
from typing import Annotated

from fastapi import APIRouter, HTTPException
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, SecretStr, StringConstraints

from mlpipe_dagster import clock
from mlpipe_dagster.api import dagster_runs
from mlpipe_dagster.api.access import TheCaller
from mlpipe_dagster.api.downloads import stream_zip
from mlpipe_dagster.api.parameters import PlainText, TheFlusher, TheWarehouse
from mlpipe_dagster.events import Id
from mlpipe_dagster.warehouse import persons, users
from mlpipe_dagster.warehouse.schema import UserRow
from mlpipe_dagster.warehouse.users import Taken

router = APIRouter(prefix="/users", tags=["users"])

Username = Annotated[str, StringConstraints(pattern=r"^[^\x00/]{1,255}$")]
Email = Annotated[str, StringConstraints(pattern=r"^[^@\x00-\x20]{1,64}@[^@\x00-\x20]{1,189}$")]


class NewUser(BaseModel):
    """What a client sends; of the password nothing is kept, not even a hash."""

    model_config = ConfigDict(frozen=True)
    user_id: Id
    username: Username
    email: Email
    password: SecretStr
    full_name: PlainText | None = None


class UserChanges(BaseModel):
    """What PUT may change; a field that is left out stays as it is."""

    model_config = ConfigDict(frozen=True)
    username: Username | None = None
    email: Email | None = None
    full_name: PlainText | None = None

    def given(self) -> dict[str, str | None]:
        """The fields that were sent; null empties a full name and means nothing elsewhere."""
        sent = self.model_dump(exclude_unset=True)
        return {name: value for name, value in sent.items() if value is not None or name == "full_name"}


class User(BaseModel):
    """A user's record."""

    user_id: str
    username: str
    email: str
    full_name: str | None
    is_active: bool
    is_admin: bool
    created_at: str
    updated_at: str


class Remainder(BaseModel):
    """Something that an erasure does not reach, and why."""

    what: str
    why: str


class Receipt(BaseModel):
    """What an erasure has removed; `to_be_removed`: objects and runs that follow in the next moments."""

    user_id: str
    erased_at: str
    erased: dict[str, int]
    to_be_removed: int
    remains: list[Remainder]


def _answer(row: UserRow) -> User:
    return User(
        user_id=row.user_id,
        username=row.username,
        email=row.email,
        full_name=row.full_name,
        is_active=row.is_active,
        is_admin=row.is_admin,
        created_at=clock.iso(row.created_at),
        updated_at=clock.iso(row.updated_at),
    )


@router.post("/")
def add(new: NewUser, warehouse: TheWarehouse, caller: TheCaller) -> User:
    """Record a user; 400 where the id, the name or the e-mail address is taken."""
    caller.check(new.user_id)
    try:
        with warehouse.transaction() as session:
            return _answer(users.add_user(session, new.user_id, new.username, new.email, new.full_name))
    except Taken as error:
        raise HTTPException(400, str(error)) from error


@router.get("/username/{name}")
def read_named(name: Username, warehouse: TheWarehouse, caller: TheCaller) -> User:
    """A user by name."""
    with warehouse.reading() as session:
        row = users.user_named(session, name)
    caller.check(row.user_id)
    return _answer(row)


@router.get("/{user_id}")
def read(user_id: Id, warehouse: TheWarehouse) -> User:
    """A user by id."""
    with warehouse.reading() as session:
        return _answer(users.get_user(session, user_id))


@router.put("/{user_id}")
def change(user_id: Id, changes: UserChanges, warehouse: TheWarehouse) -> User:
    """Change a user's record; 400 where the name or the e-mail address is taken."""
    try:
        with warehouse.transaction() as session:
            return _answer(users.change_user(session, user_id, changes.given()))
    except Taken as error:
        raise HTTPException(400, str(error)) from error


@router.get("/{user_id}/export", response_class=StreamingResponse)
def export(user_id: Id, warehouse: TheWarehouse) -> StreamingResponse:
    """Everything that is kept of a person as a zip: what is stored as JSON, uploads, model files and pages as files."""
    with warehouse.reading() as session:
        found = persons.holdings(session, user_id)
    documents = {
        f"{name}.json": json.dumps(content, indent=1, ensure_ascii=False) for name, content in found.documents.items()
    }
    return stream_zip(warehouse.objects, found.files, f"{user_id}.zip", documents)


@router.delete("/{user_id}")
def erase(user_id: Id, warehouse: TheWarehouse, flusher: TheFlusher) -> Receipt:
    """Erase a person everywhere: what is in flight is cancelled first; the receipt says what remains, and why."""
    receipt = persons.erase(warehouse, user_id)
    dagster_runs.terminate(warehouse.settings.dagster_base, receipt.open_runs)
    flusher.nudge()
    return Receipt(
        user_id=user_id,
        erased_at=clock.iso(receipt.erased_at),
        erased=receipt.erased,
        to_be_removed=receipt.to_be_removed,
        remains=[Remainder(**one) for one in persons.REMAINS],
    )
