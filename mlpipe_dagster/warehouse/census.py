"""What stands in the catalogue, counted for the metrics: by indexes alone, whatever the number of datasets.

Reads only. What the numbers are called in Prometheus, and how often they are asked for, is the API's business.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Float, and_, case, cast, extract, func, select
from sqlalchemy.orm import Session

from mlpipe_dagster import clock
from mlpipe_dagster.warehouse.schema import (
    DeliveryRow,
    HandledLetter,
    LedgerRow,
    OutboxRow,
    Pipeline,
    Question,
    ReaderPosition,
)

DURATION_BUCKETS = (0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
"""Upper bounds in seconds, for the distribution of stage durations."""
LATELY = timedelta(hours=1)

StageKey = tuple[str, str]
"""Stage and player."""


@dataclass(frozen=True)
class Durations:
    """How long ended work took: how many within each bound of `DURATION_BUCKETS`, how many in all, seconds in all."""

    within: tuple[int, ...]
    count: int
    seconds: float


@dataclass(frozen=True)
class Census:
    """The counts of one moment. Ages are seconds, 0 where there is nothing."""

    outbox_waiting: int = 0
    outbox_oldest_seconds: float = 0.0
    outbox_undeliverable: int = 0
    pipelines: Mapping[str, int] = field(default_factory=dict)
    stages: Mapping[tuple[str, str, str], int] = field(default_factory=dict)
    """By stage, player and state."""
    durations: Mapping[StageKey, Durations] = field(default_factory=dict)
    failed_lately: Mapping[StageKey, int] = field(default_factory=dict)
    """Stages that ended as failed within the last hour."""
    run_failures: Mapping[StageKey, int] = field(default_factory=dict)
    """Runs that took a stage and ended without its result: troubles that were tried again, and failures for good."""
    questions_waiting: int = 0
    question_oldest_seconds: float = 0.0
    deliveries: Mapping[str, int] = field(default_factory=dict)
    """Of notifications and questions to outside channels, by state."""
    delivery_oldest_seconds: float = 0.0
    deliveries_failed_lately: int = 0
    """Given up within the last hour."""
    questions_overdue: Mapping[str, int] = field(default_factory=dict)
    """Open questions whose time is over, by what was to happen then."""
    positions: Mapping[str, tuple[str | None, Mapping[int, int]]] = field(default_factory=dict)
    """Topic id and next offset of each partition, as the sensor of each topic has them."""
    handled_letters: Sequence[tuple[str, str]] = ()
    """Coordinates and topic id of dead letters that were replayed or discarded."""


def count(session: Session) -> Census:
    """Count everything in the caller's read."""
    now = clock.now()
    waiting, oldest, undeliverable = _outbox(session)
    questions, oldest_question = session.execute(
        select(func.count(), func.min(Question.created_at)).where(Question.status == "open")
    ).one()
    return Census(
        outbox_waiting=waiting,
        outbox_oldest_seconds=_age(now, oldest),
        outbox_undeliverable=undeliverable,
        pipelines=_by(session, Pipeline.status),
        stages=_by(session, LedgerRow.stage, LedgerRow.player, LedgerRow.state),
        durations=_durations(session),
        failed_lately=_failed_since(session, now - LATELY),
        run_failures=_run_failures(session),
        questions_waiting=questions,
        question_oldest_seconds=_age(now, oldest_question),
        deliveries=_by(session, DeliveryRow.state),
        delivery_oldest_seconds=_age(now, session.scalar(_oldest_delivery())),
        deliveries_failed_lately=session.scalar(_given_up_since(now - LATELY)) or 0,
        questions_overdue=_by(session, Question.outcome, where=_over(now)),
        positions=_positions(session),
        handled_letters=[
            (row.coordinates, row.topic_id)
            for row in session.execute(select(HandledLetter.coordinates, HandledLetter.topic_id))
        ],
    )


def _age(now: datetime, moment: datetime | None) -> float:
    return max((now - moment).total_seconds(), 0.0) if moment else 0.0


def _outbox(session: Session) -> tuple[int, datetime | None, int]:
    waits = OutboxRow.undeliverable.is_(None)
    query = select(
        func.count(case((waits, 1))), func.min(case((waits, OutboxRow.created_at))), func.count(OutboxRow.undeliverable)
    ).where(OutboxRow.acknowledged_at.is_(None))
    waiting, oldest, undeliverable = session.execute(query).one()
    return waiting, oldest, undeliverable


def _over(now: datetime) -> ColumnElement[bool]:
    return and_(Question.status == "open", Question.deadline <= now)


def _by(session: Session, *columns: Any, where: ColumnElement[bool] | None = None) -> dict[Any, int]:
    query = select(*columns, func.count()).group_by(*columns)
    rows = session.execute(query if where is None else query.where(where)).all()
    return {row[0] if len(columns) == 1 else tuple(row[:-1]): row[-1] for row in rows}


def _oldest_delivery() -> Any:
    return select(func.min(DeliveryRow.created_at)).where(DeliveryRow.state == "waiting")


def _given_up_since(since: datetime) -> Any:
    return select(func.count()).where(DeliveryRow.state == "failed", DeliveryRow.ended_at >= since)


_BEGUN = case(
    (and_(LedgerRow.player == "ours", LedgerRow.state == "done"), LedgerRow.taken_at),
    (and_(LedgerRow.player == "foreign", LedgerRow.state == "answered"), LedgerRow.created_at),
)
"""When work began that ended with a result: ours when a run took it, a foreign worker's when it was asked for."""


def _durations(session: Session) -> dict[StageKey, Durations]:
    ended = (
        select(LedgerRow.stage, LedgerRow.player, _seconds_between(session, _BEGUN, LedgerRow.updated_at).label("took"))
        .where(_BEGUN.is_not(None))
        .offset(0)  # keeps SQLite from working out each duration once for every bound
        .subquery()
    )
    within = [func.count(case((ended.c.took <= bound, 1))) for bound in DURATION_BUCKETS]
    query = select(ended.c.stage, ended.c.player, func.count(), func.sum(ended.c.took), *within)
    rows = session.execute(query.group_by(ended.c.stage, ended.c.player)).all()
    return {(row[0], row[1]): Durations(tuple(row[4:]), row[2], float(row[3])) for row in rows}


def _seconds_between(session: Session, begun: Any, ended: Any) -> ColumnElement[float]:
    if session.get_bind().dialect.name == "sqlite":
        return cast((func.julianday(ended) - func.julianday(begun)) * 86400, Float)
    return cast(extract("epoch", ended - begun), Float)


def _failed_since(session: Session, since: datetime) -> dict[StageKey, int]:
    query = (
        select(LedgerRow.stage, LedgerRow.player, func.count())
        .where(LedgerRow.state == "failed", LedgerRow.updated_at >= since)
        .group_by(LedgerRow.stage, LedgerRow.player)
    )
    return {(stage, player): number for stage, player, number in session.execute(query)}


_NO_FAILURE = ("taken", "done", "answered", "cancelled", "superseded")
"""States whose latest run has not failed: it works, it succeeded, or it was stopped."""


def _run_failures(session: Session) -> dict[StageKey, int]:
    ended_well = case((and_(LedgerRow.state.in_(_NO_FAILURE), LedgerRow.attempt > 0), 1), else_=0)
    query = select(LedgerRow.stage, LedgerRow.player, func.sum(LedgerRow.attempt - ended_well))
    rows = session.execute(query.group_by(LedgerRow.stage, LedgerRow.player)).all()
    return {(stage, player): int(number) for stage, player, number in rows}


def _positions(session: Session) -> dict[str, tuple[str | None, Mapping[int, int]]]:
    return {
        row.topic: (row.topic_id, {int(partition): int(offset) for partition, offset in row.offsets.items()})
        for row in session.scalars(select(ReaderPosition))
    }
