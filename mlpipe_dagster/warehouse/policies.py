"""Policies: what each user usually wants of a pipeline. An upload's own choices come before, the settings after.

What can be wished for, and what a pipeline makes of it, stands in choices.py.
"""

from datetime import datetime

from sqlalchemy.orm import Session

from mlpipe_dagster import clock
from mlpipe_dagster.choices import Wishes, check_policy
from mlpipe_dagster.settings import Settings
from mlpipe_dagster.warehouse import audit
from mlpipe_dagster.warehouse.outbox import Owner
from mlpipe_dagster.warehouse.schema import UserPolicy


def policy_of(session: Session, user_id: str) -> tuple[Wishes, datetime | None]:
    """A user's policy and since when; who has none says nothing."""
    row = session.get(UserPolicy, user_id)
    return (Wishes.model_validate(row.wishes), row.updated_at) if row else (Wishes(), None)


def defaults_of(session: Session, settings: Settings, user_id: str) -> Wishes:
    """What holds where an upload says nothing: the user's policy, else the settings."""
    return policy_of(session, user_id)[0].over(Wishes.from_settings(settings))


def put_policy(session: Session, settings: Settings, user_id: str, wishes: Wishes) -> datetime:
    """From now on this is the user's policy, as a whole; returns since when.

    Raises
    ------
    UserError
        Something in it is not understood, or contradicts itself.
    """
    check_policy(wishes, settings.time_budget_unit)
    said, now = wishes.model_dump(mode="json", exclude_none=True), clock.now()
    row = session.get(UserPolicy, user_id, with_for_update=True)
    if row is None:
        row = UserPolicy(user_id=user_id)
        session.add(row)
    row.wishes, row.updated_at = said, now
    audit.record(session, "policy.changed", audit.person(user_id), Owner(user_id, ""), policy=said)
    return now
