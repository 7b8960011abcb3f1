"""Questions and the clock: who is reminded, and what becomes of a question that nobody answered in time.

Called by the sweep. Each question is one transaction; of an answer and the timeout at the same moment one wins, in any
process. Which terms a question has is decided in patience.py.
"""

import logging

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from mlpipe_dagster import clock
from mlpipe_dagster.agentic_core import Notice
from mlpipe_dagster.errors import Conflict, UnknownThing, UserError
from mlpipe_dagster.warehouse import audit, decisions, inbox, interventions, ledger
from mlpipe_dagster.warehouse.datasets import LIVE_STATUSES
from mlpipe_dagster.warehouse.outbox import Owner
from mlpipe_dagster.warehouse.schema import Question
from mlpipe_dagster.warehouse.warehouse import Warehouse

MOST_AT_ONCE = 200
log = logging.getLogger(__name__)


def apply(warehouse: Warehouse) -> int:
    """Remind of what is to be reminded of, then end what is over; returns how many questions were ended."""
    now = clock.now()
    reminders = (Question.remind_at <= now, Question.reminded_at.is_(None))
    with warehouse.reading() as session:
        to_remind = _ids(session, *reminders)
        over = _ids(session, Question.deadline <= now, Question.outcome != "wait")
    for question_id in to_remind:
        with warehouse.transaction() as session:
            _remind(session, question_id)
    return sum(_end(warehouse, question_id) for question_id in over)


def _ids(session: Session, *conditions: ColumnElement[bool]) -> list[str]:
    query = select(Question.id).where(Question.status == "open", *conditions)
    return list(session.scalars(query.order_by(Question.deadline).limit(MOST_AT_ONCE)))


def _owner(question: Question) -> Owner:
    return Owner(question.user_id, question.dataset_id, question.number)


def _remind(session: Session, question_id: str) -> None:
    """Once, unless it was answered a moment ago."""
    row = session.get(Question, question_id, with_for_update=True)
    if row is None or row.status != "open" or row.reminded_at is not None:
        return
    row.reminded_at = clock.now()
    until = f" Until {row.deadline:%Y-%m-%d %H:%M} UTC." if row.deadline else ""
    notice = Notice(f"Waits for your answer: {row.subject}", f"Asked on {row.created_at:%Y-%m-%d %H:%M} UTC.{until}")
    inbox.notify(session, _owner(row), notice, f"reminder:{row.id}:{row.version}", row)
    audit.record(session, "question.reminded", audit.SWEEP, _owner(row), cause=row.cause, question=row.id)


def _end(warehouse: Warehouse, question_id: str) -> bool:
    """Whether the timeout won; somebody's answer, or a newer upload, may have closed the question meanwhile."""
    try:
        with warehouse.transaction() as session:
            _apply_outcome(session, warehouse, question_id)
    except (Conflict, UnknownThing):
        return False
    except UserError as error:
        log.warning("the suggestion of question %s cannot be taken: %s", question_id, error)
        with warehouse.transaction() as session:
            _leave_open(session, question_id, str(error))
        return False
    return True


def _apply_outcome(session: Session, warehouse: Warehouse, question_id: str) -> None:
    if inbox.get_question(session, question_id).outcome == "cancel":
        question = inbox.close_without_answer(session, question_id)
        pipeline = ledger.get_pipeline(session, _owner(question))
        if pipeline and pipeline.status in LIVE_STATUSES:
            why = f"Nobody answered in time: {question.subject}"
            interventions.end_pipeline(session, pipeline, _owner(question), inbox.THE_TIMEOUT, audit.SWEEP, why)
        return
    question = decisions.take_default(session, warehouse, question_id)
    taken = "\n".join(f"- {name}: {value}" for name, value in (question.answer or {}).items() if value is not None)
    notice = Notice(f"Nobody answered in time: {question.subject}", f"The suggestion was taken:\n\n{taken}", "warning")
    inbox.notify(session, _owner(question), notice, f"timeout:{question.id}:{question.version}", question)


def _leave_open(session: Session, question_id: str, why: str) -> None:
    """A suggestion that does not fit any more is no answer: from now on the question waits for a person."""
    row = session.get(Question, question_id, with_for_update=True)
    if row is None or row.status != "open":
        return
    row.outcome = "wait"
    notice = Notice(f"Waits for your answer: {row.subject}", f"Its suggestion cannot be taken: {why}", "warning")
    inbox.notify(session, _owner(row), notice, f"timeout:{row.id}:{row.version}", row)
    audit.record(session, "question.kept_open", audit.SWEEP, _owner(row), cause=row.cause, question=row.id)
