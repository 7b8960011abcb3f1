"""How a stage ends for good without a result: row, pipeline, `pipeline.failed` and a notice, all in one transaction.

Who finds that it failed (a run, the sweep, the outbox) is their business.
"""

from sqlalchemy.orm import Session

from mlpipe_dagster import clock
from mlpipe_dagster.agentic_core import Notice
from mlpipe_dagster.events import Context, PipelineFailed
from mlpipe_dagster.settings import Settings
from mlpipe_dagster.vocabulary import Stage
from mlpipe_dagster.warehouse import audit, inbox, ledger, outbox
from mlpipe_dagster.warehouse.answers import OVERDUE
from mlpipe_dagster.warehouse.audit import SWEEP, Actor
from mlpipe_dagster.warehouse.outbox import Owner, stable_id
from mlpipe_dagster.warehouse.schema import LedgerRow, OutboxRow

STAGE_TITLES = {
    Stage.DATASET: "reading the table",
    Stage.BIAS: "the bias report",
    Stage.AUTOML: "the training",
    Stage.XAI: "the explanation",
}
LONGEST_MESSAGE = 2000


def fail_pipeline(
    session: Session,
    settings: Settings,
    owner: Owner,
    stage: Stage,
    error_type: str,
    message: str,
    cause: str,
    context: Context,
    run_id: str | None = None,
    actor: Actor = SWEEP,
    row: LedgerRow | None = None,
) -> None:
    """Announce that the pipeline cannot go on, and tell its owner why and what to do. The same cause says it once.

    `row`: the work that failed, where there was some; the audit trail names what that followed from.
    """
    message = message[:LONGEST_MESSAGE]
    event = PipelineFailed(
        event_id=clock.new_event_id("pipeline.failed", owner.dataset_id),
        timestamp=clock.iso(clock.now()),
        user_id=owner.user_id,
        dataset_id=owner.dataset_id,
        stage=stage,
        error_type=error_type,
        error_message=message,
        run_id=run_id,
    )
    failure_id = stable_id("failure", stage.value, cause, error_type)
    outbox.emit(session, settings, event, context, owner, ce_id=failure_id)
    notice = Notice(f"{owner.dataset_id}: {STAGE_TITLES[stage]} failed", message, severity="error")
    inbox.notify(session, owner, notice, f"failure:{failure_id}")
    pipeline = ledger.get_pipeline(session, owner)
    if pipeline and pipeline.status in ("running", "waiting"):
        pipeline.status = "failed"
        audit.record(
            session, "pipeline.failed", actor, owner, cause=row.cause if row else cause,
            coordinates=row.coordinates if row else None, run_id=run_id, stage=stage.value,
            error_type=error_type, event=failure_id,
        )  # fmt: skip


def fail_row(
    session: Session,
    settings: Settings,
    row: LedgerRow,
    error_type: str,
    message: str,
    run_id: str | None = None,
    actor: Actor = SWEEP,
) -> None:
    """End a row for good. A run that a person started in the UI fails for them alone: the pipeline is not touched."""
    row.state, row.note = "failed", f"{error_type}: {message}"[:LONGEST_MESSAGE]
    what = "stage.overdue" if error_type == OVERDUE else "stage.failed"
    ledger.record(session, what, actor, row, error_type=error_type)
    if not row.continue_pipeline:
        return
    stage = Stage(row.stage.removeprefix(ledger.CORE_PREFIX))
    owner = Owner(row.user_id, row.dataset_id, row.number)
    context = Context(
        dataset_version=f"v{row.number}" if row.number else None,
        correlation_id=row.correlation_id,
        causation_id=row.causation_id,
    )
    fail_pipeline(
        session, settings, owner, stage, error_type, message, f"{row.id}/{row.attempt}", context, run_id, actor, row
    )


def fail_claim(session: Session, settings: Settings, claim: ledger.Claim, error_type: str, message: str) -> bool:
    """End the row of a run that cannot succeed; False when the row is no longer this run's."""
    row = session.get_one(LedgerRow, claim.row_id)
    if row.state != "taken" or row.run_id != claim.run_id:
        return False
    fail_row(session, settings, row, error_type, message, claim.run_id, audit.run(claim.run_id))
    return True


def fail_undeliverable(session: Session, settings: Settings, row: OutboxRow) -> None:
    """An event over the topic's limit can never leave: say so, and block nothing behind it."""
    stage = _STAGE_OF_EVENT.get(row.event_type)
    if stage is None:  # our own failure notices have no stage after them
        return
    owner = Owner(row.user_id, row.dataset_id, row.number)
    context = Context(causation_id=row.ce_id, correlation_id=row.headers.get("ce_correlationid"))
    message = (
        f"The event {row.event_type} is larger than Kafka's limit and cannot be sent. "
        "Upload the table with shorter column names, fewer columns or less metadata."
    )
    fail_pipeline(session, settings, owner, stage, "undeliverable", message, row.ce_id, context)


_STAGE_OF_EVENT = {
    "dataset.uploaded": Stage.DATASET,
    "bias-trigger.reported": Stage.BIAS,
    "bias.reported": Stage.BIAS,
    "automl-trigger.reported": Stage.AUTOML,
    "model.uploaded": Stage.AUTOML,
    "xai-trigger.reported": Stage.XAI,
    "xai.reported": Stage.XAI,
}
