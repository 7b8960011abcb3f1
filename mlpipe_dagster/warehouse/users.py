"""Records of users: made, found, changed. Nobody needs one to upload; what a person has lies elsewhere."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from mlpipe_dagster.errors import UnknownThing
from mlpipe_dagster.warehouse import audit
from mlpipe_dagster.warehouse.outbox import Owner
from mlpipe_dagster.warehouse.schema import UserRow


class Taken(ValueError):  # noqa: N818 - reads as what it says where it is raised
    """Somebody else has the id, the name or the e-mail address."""


def add_user(session: Session, user_id: str, username: str, email: str, full_name: str | None) -> UserRow:
    """A new record; raises Taken."""
    if session.get(UserRow, user_id):
        raise Taken(f"There is a user {user_id} already.")
    _check_free(session, user_id, username, email)
    row = UserRow(user_id=user_id, username=username, email=email, full_name=full_name)
    session.add(row)
    session.flush()
    audit.record(session, "user.added", audit.person(user_id), Owner(user_id, ""))
    return row


def get_user(session: Session, user_id: str) -> UserRow:
    """The record; raises UnknownThing."""
    row = session.get(UserRow, user_id)
    if row is None:
        raise UnknownThing(f"There is no record of the user {user_id}.")
    return row


def user_named(session: Session, username: str) -> UserRow:
    """The record by its user name; raises UnknownThing."""
    row = session.scalar(select(UserRow).where(UserRow.username == username))
    if row is None:
        raise UnknownThing(f"There is no record of a user named {username}.")
    return row


def change_user(session: Session, user_id: str, changes: dict[str, str | None]) -> UserRow:
    """The record with what was given; raises UnknownThing and Taken."""
    row = get_user(session, user_id)
    _check_free(session, user_id, changes.get("username"), changes.get("email"))
    for name, value in changes.items():
        setattr(row, name, value)
    session.flush()
    audit.record(session, "user.changed", audit.person(user_id), Owner(user_id, ""), changed=sorted(changes))
    return row


def _check_free(session: Session, user_id: str, username: str | None, email: str | None) -> None:
    for column, value in ((UserRow.username, username), (UserRow.email, email)):
        if value is not None and session.scalar(select(UserRow).where(column == value, UserRow.user_id != user_id)):
            raise Taken(f"Another user has {value} already.")
