"""Routes of policies: what a user usually wants of a pipeline, where an upload says nothing."""

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from mlpipe_dagster import clock
from mlpipe_dagster.api.parameters import AnyCaseLevel, PlainText, TheWarehouse
from mlpipe_dagster.automl.engines.known import ShortBudget, usable_engine
from mlpipe_dagster.bias.mitigation.choice import MitigationWish
from mlpipe_dagster.choices import AskedKind, Mode, Wishes
from mlpipe_dagster.events import Id
from mlpipe_dagster.vocabulary import AfterTimeout, Level
from mlpipe_dagster.warehouse import policies

router = APIRouter(prefix="/users", tags=["users"])

Word = Annotated[PlainText, Field(min_length=1, max_length=1000)]
MOST_NAMES = 200


class NewPolicy(BaseModel):
    """A policy as a whole: what is left out or null is left to the settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    mode: Mode | None = None
    ask: Annotated[list[AskedKind], Field(max_length=MOST_NAMES)] | None = None
    target_column_name: Word | None = None
    task_type: Word | None = None
    sensitive_features: Annotated[list[Word], Field(max_length=MOST_NAMES)] | None = None
    positive_class: Word | None = None
    conditioning_column: Word | None = None
    reference_shares: Word | None = None
    drop: Annotated[list[Word], Field(max_length=MOST_NAMES)] | None = None
    time_budget: Word | None = None
    engine: Word | None = None
    short_budget: ShortBudget | None = None
    xai_level: AnyCaseLevel | None = None
    mitigation: MitigationWish | None = None
    fairness: Word | None = None
    question_timeout: Word | None = None
    question_outcome: AfterTimeout | None = None
    question_reminder: Word | None = None
    respondents: Annotated[list[Id], Field(max_length=MOST_NAMES)] | None = None


class Policy(BaseModel):
    """A user's policy; null where it says nothing. `effective`: with the settings where it says nothing."""

    user_id: str
    mode: str | None
    ask: list[str] | None
    target_column_name: str | None
    task_type: str | None
    sensitive_features: list[str] | None
    positive_class: str | None
    conditioning_column: str | None
    reference_shares: str | None
    drop: list[str] | None
    time_budget: str | None
    engine: str | None
    short_budget: str | None
    xai_level: Level | None
    mitigation: str | None
    fairness: str | None
    question_timeout: str | None
    question_outcome: str | None
    question_reminder: str | None
    respondents: list[str] | None
    updated_at: str | None
    effective: dict[str, Any]


@router.get("/{user_id}/policy")
def read(user_id: Id, warehouse: TheWarehouse) -> Policy:
    """What this user usually wants; who has no policy says nothing."""
    with warehouse.reading() as session:
        wishes, since = policies.policy_of(session, user_id)
    effective = wishes.over(Wishes.from_settings(warehouse.settings)).model_dump(mode="json")
    return Policy(
        user_id=user_id,
        updated_at=clock.iso_or_none(since),
        effective={name: effective[name] for name in NewPolicy.model_fields},
        **wishes.model_dump(mode="json"),
    )


@router.put("/{user_id}/policy")
def change(user_id: Id, policy: NewPolicy, warehouse: TheWarehouse) -> Policy:
    """Replace the policy as a whole; it holds for what is decided from now on, not for questions that wait already."""
    if policy.engine is not None:
        usable_engine(policy.engine)
    with warehouse.transaction() as session:
        policies.put_policy(session, warehouse.settings, user_id, Wishes.model_validate(policy.model_dump()))
    return read(user_id, warehouse)
