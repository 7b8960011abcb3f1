"""Change what a pipeline does and run it again from a stage: new choices, a new trigger, the former ones as history.

One transaction. Trying the same thing once more is `interventions.retry_pipeline`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy.orm import Session

from mlpipe_dagster.agentic_core import Known, bias_trigger
from mlpipe_dagster.choices import Choices, Wishes, choose, keeping_reasons, revised
from mlpipe_dagster.errors import Conflict, UserError
from mlpipe_dagster.events import AutomlTrigger, Context, Event, XaiTrigger
from mlpipe_dagster.vocabulary import TRIGGERED, Level, Stage
from mlpipe_dagster.warehouse import (
    audit,
    datasets,
    decisions,
    former,
    inbox,
    interventions,
    ledger,
    outbox,
    pipelines,
    reports,
)
from mlpipe_dagster.warehouse.datasets import OPEN_STATES
from mlpipe_dagster.warehouse.outbox import Owner
from mlpipe_dagster.warehouse.schema import DatasetVersion, LedgerRow, Pipeline
from mlpipe_dagster.warehouse.warehouse import Warehouse

FIRST_STAGE: Mapping[str, Stage] = {
    "target_column_name": Stage.BIAS,
    "task_type": Stage.BIAS,
    "sensitive_features": Stage.BIAS,
    "positive_class": Stage.BIAS,
    "conditioning_column": Stage.BIAS,
    "reference_shares": Stage.BIAS,
    "drop": Stage.AUTOML,
    "mitigation": Stage.BIAS,
    "time_budget": Stage.AUTOML,
    "engine": Stage.AUTOML,
    "fairness": Stage.AUTOML,
    "short_budget": Stage.AUTOML,
    "continue_from": Stage.AUTOML,
    "xai_level": Stage.XAI,
}
"""The first stage whose result a changed choice makes untrue."""


@dataclass(frozen=True)
class RunAgain:
    """What was set going."""

    owner: Owner
    stage: Stage
    choices: Choices


def run_again(
    warehouse: Warehouse, dataset_id: str, user_id: str | None, changes: Wishes, stage: Stage | None, by: str
) -> RunAgain:
    """Record the changed choices and start the stage, by default the first that the changes concern.

    Raises
    ------
    UnknownThing, Conflict
        No such dataset; its pipeline is at work, its table was not read, or what the stage builds on is not there.
    UserError
        A choice does not fit the table, or the stage is too late for what is changed.
    """
    said = changes.model_dump(exclude_none=True, exclude={"mode"})
    start = _start(said, stage)
    with warehouse.transaction() as session:
        owner = interventions.latest_owner(session, dataset_id, user_id)
        pipeline = _idle(session, owner)
        version = datasets.get_version(session, owner.user_id, owner.dataset_id, owner.number)
        known = decisions.what_is_known(session, warehouse, owner, version)
        if known.profile is None:
            raise Conflict(f"The table of {dataset_id} has not been read yet. Wait, or: mlpipe retry {dataset_id}")
        choices = _changed(known, changes)
        event = _trigger(session, owner, start, choices, known)
        if known.choices:
            former.keep_choices(
                session, owner, pipeline.choices, pipeline.updated_at, stage=start.value, by=by, changed=sorted(said)
            )
        pipeline.choices, pipeline.status = choices.model_dump(mode="json"), "running"
        closed = inbox.close_questions(session, owner)  # what the person says now answers what they were asked before
        audit.record(
            session, "pipeline.run_again", audit.person(user_id or owner.user_id), owner, stage=start.value,
            changed=said, questions_closed=closed,
        )  # fmt: skip
        outbox.emit(session, warehouse.settings, event, _context(session, version, choices, event), owner)
    return RunAgain(owner, start, choices)


def _start(said: Mapping[str, object], stage: Stage | None) -> Stage:
    needed = min((FIRST_STAGE[name] for name in said), key=TRIGGERED.index, default=stage or Stage.BIAS)
    if stage is None:
        return needed
    if stage not in TRIGGERED:
        raise UserError("Start from bias, automl or xai. To read the table again: mlpipe retry --from dataset")
    if TRIGGERED.index(stage) > TRIGGERED.index(needed):
        names = ", ".join(name for name in said if TRIGGERED.index(FIRST_STAGE[name]) < TRIGGERED.index(stage))
        raise UserError(f"The stage {stage.value} comes too late for a change of {names}. Start from {needed.value}.")
    return stage


def _idle(session: Session, owner: Owner) -> Pipeline:
    pipeline = ledger.get_pipeline(session, owner)
    if pipeline is None:
        raise RuntimeError(f"dataset version {owner} was stored without its pipeline")
    session.refresh(pipeline, with_for_update=True)  # of two requests at the same moment one wins
    at_work = any(row.state in OPEN_STATES for row in interventions.rows_of(session, owner))
    if pipeline.status == "running" or at_work:
        raise Conflict(f"The pipeline of {owner.dataset_id} is at work. Cancel it first, or wait.")
    return pipeline


def _changed(known: Known, changes: Wishes) -> Choices:
    """The recorded choices with the changes; another target has its task inferred anew where none is named."""
    if known.profile is None:
        raise ValueError("the table was not read")
    wishes = revised(known.wishes, known.choices, changes)
    choices = choose(known.profile, wishes, known.defaults, known.budget_unit)
    return keeping_reasons(known.choices, choices)


def _trigger(session: Session, owner: Owner, stage: Stage, choices: Choices, known: Known) -> Event:
    if stage is Stage.BIAS:
        return bias_trigger(owner.dataset_id, owner.user_id, choices, known).event
    if stage is Stage.AUTOML:
        if reports.get_bias_report(session, owner) is None:
            raise Conflict(f"{owner.dataset_id} has no bias report to go on from. Start from bias.")
        return AutomlTrigger(
            dataset_id=owner.dataset_id,
            user_id=owner.user_id,
            timestamp=known.timestamp,
            target_column_name=choices.target,
            task_type=choices.task.published,
            time_budget=choices.time_budget,
        )
    model = pipelines.latest_model_of(session, owner)
    if model is None:
        raise Conflict(f"{owner.dataset_id} has no model to explain. Start from automl.")
    return XaiTrigger(
        user_id=owner.user_id,
        dataset_id=owner.dataset_id,
        model_id=model.model_id,
        level=Level(choices.level),
        timestamp=known.timestamp,
        version=model.version,
    )


def _context(session: Session, version: DatasetVersion, choices: Choices, event: Event) -> Context:
    last: LedgerRow | None = next(reversed(interventions.rows_of(session, datasets.owner_of(version))), None)
    return Context(
        dataset_version=version.version,
        correlation_id=version.correlation_id,
        causation_id=last.causation_id if last else None,
        task_kind=None if isinstance(event, XaiTrigger) else choices.task,
        time_budget_seconds=choices.time_budget_seconds if isinstance(event, AutomlTrigger) else None,
    )
