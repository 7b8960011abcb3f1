"""A pipeline as people see it: stages, events, decisions, questions, links. Reads only."""

from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from mlpipe_dagster import clock
from mlpipe_dagster.errors import UnknownThing
from mlpipe_dagster.settings import Settings
from mlpipe_dagster.vocabulary import Level, ReportType, Stage
from mlpipe_dagster.warehouse import datasets, decisions, former, inbox, ledger, links, reports
from mlpipe_dagster.warehouse.listing import containing, of_version
from mlpipe_dagster.warehouse.outbox import Owner
from mlpipe_dagster.warehouse.schema import (
    DatasetVersion,
    LedgerRow,
    ModelRow,
    Notification,
    OutboxRow,
    Pipeline,
    Question,
    XaiReportRow,
)

ASSETS = {Stage.DATASET: "dataset", Stage.BIAS: "bias_report", Stage.AUTOML: "model", Stage.XAI: "xai_report"}
"""The Dagster asset of each stage."""


def list_pipelines(
    session: Session,
    settings: Settings,
    user_id: str | None,
    status: str | None,
    limit: int = 100,
    *,
    text: str | None = None,
    changed_since: datetime | None = None,
    skip: int = 0,
) -> list[dict[str, Any]]:
    """Pipelines, newest first; `text` is looked for in the dataset's id and name."""
    query = select(Pipeline, DatasetVersion).join(
        DatasetVersion,
        (DatasetVersion.user_id == Pipeline.user_id)
        & (DatasetVersion.dataset_id == Pipeline.dataset_id)
        & (DatasetVersion.number == Pipeline.number),
    )
    if user_id:
        query = query.where(Pipeline.user_id == user_id)
    if status:
        query = query.where(Pipeline.status == status)
    if text:
        query = query.where(containing(Pipeline.dataset_id, text) | containing(DatasetVersion.name, text))
    if changed_since:
        query = query.where(Pipeline.updated_at >= changed_since)
    newest_first = query.order_by(Pipeline.created_at.desc(), Pipeline.id.desc())
    rows = session.execute(newest_first.offset(skip).limit(limit))
    return [_summary(settings, pipeline, version) for pipeline, version in rows]


def _summary(settings: Settings, pipeline: Pipeline, version: DatasetVersion) -> dict[str, Any]:
    return {
        "dataset_id": pipeline.dataset_id,
        "user_id": pipeline.user_id,
        "version": version.version,
        "name": version.name,
        "partition_key": version.partition_key,
        "status": pipeline.status,
        "created_at": clock.iso(pipeline.created_at),
        "updated_at": clock.iso(pipeline.updated_at),
        "correlation_id": version.correlation_id,
        "choices": pipeline.choices or None,
        "link": links.pipeline_link(settings, version.partition_key, version.user_id),
    }


def pipeline_object(
    session: Session, settings: Settings, dataset_id: str, user_id: str | None = None, version: str | None = None
) -> dict[str, Any]:
    """One pipeline with all that happened in it.

    Raises
    ------
    UnknownThing, Conflict
        There is no such dataset or version; several users have one of that id.
    """
    key = datasets.find_key(session, dataset_id, user_id)
    dataset = datasets.get_version(session, key.user_id, key.dataset_id, version)
    owner = datasets.owner_of(dataset)
    pipeline = ledger.get_pipeline(session, owner)
    if dataset.derived_from is not None:
        raise UnknownThing(
            f"{dataset.version} of {dataset.dataset_id} is what a mitigation made of v{dataset.derived_from}: it has "
            f"no pipeline of its own. Read that of v{dataset.derived_from}."
        )
    if pipeline is None:
        raise RuntimeError(f"dataset version {owner} was stored without its pipeline")
    return {
        **_summary(settings, pipeline, dataset),
        "stages": [_stage(settings, row) for row in _of(session, LedgerRow, owner)],
        "events": [_event(row) for row in _of(session, OutboxRow, owner)],
        "decisions": [
            {"outcome": row.outcome, "detail": row.detail, "cause": row.cause, "at": clock.iso(row.created_at)}
            for row in decisions.decisions_of(session, owner)
        ],
        "questions": [inbox.question_object(row) for row in _of(session, Question, owner, Question.created_at)],
        "notifications": [
            inbox.notification_object(row) for row in _of(session, Notification, owner, Notification.created_at)
        ],
        "history": [
            former.former_object(row, links.former_link(settings, dataset.partition_key, dataset.user_id, row.id))
            for row in former.list_former(session, owner)
        ],
        "links": result_links(session, settings, dataset),
    }


def _of(session: Session, row: Any, owner: Owner, order: Any = None) -> list[Any]:
    query = select(row).where(*of_version(row, owner))
    return list(session.scalars(query.order_by(row.id if order is None else order)))


def _stage(settings: Settings, row: LedgerRow) -> dict[str, Any]:
    return {
        "stage": row.stage,
        "state": row.state,
        "note": row.note,
        "player": row.player,
        "attempt": row.attempt,
        "cause": row.cause,
        "coordinates": row.coordinates,
        "run_id": row.run_id,
        "run_link": links.run_link(settings, row.run_id) if row.run_id else None,
        "asked_at": clock.iso(row.created_at),
        "updated_at": clock.iso(row.updated_at),
        "deadline": clock.iso(row.deadline),
    }


def _event(row: OutboxRow) -> dict[str, Any]:
    return {
        "event_type": row.event_type,
        "topic": row.topic,
        "partition": row.partition,
        "offset": row.offset,
        "ce_id": row.ce_id,
        "ce_causationid": row.headers.get("ce_causationid"),
        "created_at": clock.iso(row.created_at),
        "acknowledged_at": clock.iso_or_none(row.acknowledged_at),
        "undeliverable": row.undeliverable,
    }


def result_links(session: Session, settings: Settings, dataset: DatasetVersion) -> dict[str, str]:
    """Links to what has been made of this version so far, and to its Dagster pages."""
    owner = datasets.owner_of(dataset)
    found = {"pipeline": links.pipeline_link(settings, dataset.partition_key, dataset.user_id)}
    if reports.get_bias_report(session, owner):
        found["bias_report"] = links.bias_view_link(settings, owner.user_id, owner.dataset_id)
    if reports.get_transformation_report(session, owner):
        found["mitigation"] = links.mitigation_link(settings, owner.user_id, owner.dataset_id, dataset.version)
    model = latest_model_of(session, owner)
    if model:
        found["model"] = links.model_link(settings, model.user_id, model.model_id)
    for page in _announced_pages(session, owner):
        found[page.report_type] = links.explanation_link(
            settings, page.user_id, page.dataset_id, page.model_id, ReportType(page.report_type), Level(page.level)
        )
    for stage, asset in ASSETS.items():
        found[f"dagster_{stage.value}"] = links.asset_partition_link(settings, asset, dataset.partition_key)
    return found | {"lineage": links.lineage_link(settings)}


def latest_model_of(session: Session, owner: Owner) -> ModelRow | None:
    """The newest model trained on a dataset version."""
    query = select(ModelRow).where(
        ModelRow.user_id == owner.user_id,
        ModelRow.dataset_id == owner.dataset_id,
        ModelRow.dataset_number == owner.number,
    )
    return session.scalar(query.order_by(ModelRow.id.desc()).limit(1))


def _announced_pages(session: Session, owner: Owner) -> list[XaiReportRow]:
    """The explanation pages at the level their pipeline asked for, oldest first, so that the newest link wins."""
    asked = [row for row in _of(session, LedgerRow, owner) if row.stage == Stage.XAI.value]
    level = asked[-1].payload.get("level") if asked else None
    pages = _of(session, XaiReportRow, owner, XaiReportRow.updated_at)
    return [page for page in pages if level in (None, page.level)]
