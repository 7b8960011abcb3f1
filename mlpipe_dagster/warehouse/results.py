"""Results of the stages: record, announcement and ledger in one transaction, for our runs and for foreign workers.

`save_*` needs a Claim and raises StageLost when the run no longer owns its row; `receive_*` takes what a foreign worker
brings through the API, and answers the row it is for.
"""

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from mlpipe_dagster import clock
from mlpipe_dagster.errors import UserError
from mlpipe_dagster.events import (
    BiasReported,
    Context,
    Event,
    ModelUploaded,
    XaiReported,
)
from mlpipe_dagster.tables.profile import Profile
from mlpipe_dagster.vocabulary import Level, ReportType, Role, Stage, TaskKind, known_task, published_task
from mlpipe_dagster.warehouse import (
    answers,
    audit,
    datasets,
    decisions,
    failures,
    former,
    ledger,
    models,
    outbox,
    reports,
)
from mlpipe_dagster.warehouse.ledger import Claim
from mlpipe_dagster.warehouse.objects import object_name
from mlpipe_dagster.warehouse.outbox import Owner, stable_id
from mlpipe_dagster.warehouse.schema import (
    BiasReportRow,
    DatasetVersion,
    LedgerRow,
    ModelFileRow,
    ModelKey,
    ModelRow,
    TransformationReportRow,
    XaiReportRow,
)
from mlpipe_dagster.warehouse.warehouse import FOREIGN, Warehouse, player_of

MEGABYTE = 1024 * 1024


@dataclass(frozen=True)
class StoredFile:
    """A file of a model that is in the objects already."""

    filename: str
    name: str
    size: int
    digest: str
    content_type: str
    is_primary: bool = False
    description: str | None = None


@dataclass(frozen=True)
class NewModel:
    """What is recorded of a new model version."""

    model_id: str
    name: str
    framework: str
    model_type: str
    files: tuple[StoredFile, ...]
    description: str | None = None
    algorithm: str | None = None
    training_accuracy: float | None = None
    validation_accuracy: float | None = None
    test_accuracy: float | None = None
    training_loss: float | None = None
    python_version: str | None = None
    dependencies: tuple[str, ...] = ()
    hardware_requirements: str | None = None
    tags: tuple[str, ...] = ()
    custom_metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class NewExplanation:
    """One rendered page that is in the objects already."""

    report_type: ReportType
    level: Level
    file: StoredFile


@dataclass(frozen=True)
class NewMitigation:
    """What was done about bias in a dataset version; `rows` are the changed ones, in the objects already."""

    report: dict[str, Any]
    rows: datasets.Upload | None = None
    path: str = ""
    done: dict[str, Any] = field(default_factory=dict)
    """What the changed rows are the result of; kept with them."""


@dataclass(frozen=True)
class Origin:
    """Where a result comes from: one of our claims, or a foreign worker (claim None)."""

    owner: Owner
    context: Context
    claim: Claim | None = None
    run_id: str | None = None
    answers: LedgerRow | None = None
    """The row that a foreign result is for."""


def save_dataset(
    warehouse: Warehouse,
    claim: Claim,
    version_id: int,
    parquet: Path,
    profile: Profile,
    first_rows: Sequence[Mapping[str, str]] = (),
) -> DatasetVersion:
    """Store the table that was read, and in the same transaction what the agentic core makes of it.

    `first_rows`: what a question about the table shows of it (`decisions.asks_for_target`).
    """
    name = _put_table(warehouse, claim.owner, parquet)
    with warehouse.storing([name]) as session:
        ledger.close(session, claim)
        version = datasets.store_profile(session, version_id, name, profile)
        decisions.decide_upload(session, warehouse, claim, version, datasets.uploaded_event(version), first_rows)
    return version


def ensure_table(warehouse: Warehouse, version: DatasetVersion, parquet: Path, profile: Profile) -> DatasetVersion:
    """Store the table of a version whose dataset stage has not run yet (a later stage built it)."""
    name = _put_table(warehouse, datasets.owner_of(version), parquet)
    with warehouse.storing([name]) as session:
        return datasets.store_profile(session, version.id, name, profile)


def _put_table(warehouse: Warehouse, owner: Owner, parquet: Path) -> str:
    name = object_name("tables", owner.user_id, owner.dataset_id, uuid.uuid4().hex, "table.parquet")
    warehouse.objects.put(name, parquet)
    return name


def save_bias_report(
    warehouse: Warehouse,
    claim: Claim,
    report: dict[str, Any],
    target: str,
    task: TaskKind,
    mitigation: NewMitigation | None = None,
) -> BiasReportRow:
    """Store our bias report, with what is done about bias, and announce it."""
    with warehouse.storing([mitigation.path] if mitigation and mitigation.rows else []) as session:
        ledger.close(session, claim)
        origin = Origin(claim.owner, claim.context(task), claim, claim.run_id)
        _store_mitigation(session, warehouse, origin, mitigation)
        return _store_bias_report(session, warehouse, origin, report, target, task.published)


def _store_mitigation(session: Session, warehouse: Warehouse, origin: Origin, mitigation: NewMitigation | None) -> None:
    """The transformation report, and a version with the changed rows; an earlier report of ours goes without one."""
    if mitigation is None:
        former_report = reports.get_transformation_report(session, origin.owner)
        if former_report is not None and reports.is_ours(former_report):
            session.delete(former_report)
            session.flush()
        return
    report = mitigation.report
    if mitigation.rows is not None:
        source = datasets.get_version(session, origin.owner.user_id, origin.owner.dataset_id, origin.owner.number)
        made = datasets.add_mitigated(
            session, warehouse.settings, source, mitigation.rows, mitigation.path, mitigation.done
        )
        report = report | {"mitigated_version": made.version}
    reports.put_transformation_report(session, origin.owner, report, audit.run(origin.run_id))
    session.flush()


def receive_bias_report(
    warehouse: Warehouse, user_id: str, dataset_id: str, report: dict[str, Any], target: str | None, task: str | None
) -> BiasReportRow:
    """Store a foreign bias report and announce it; raises UnknownThing for an unknown dataset."""
    with warehouse.transaction() as session:
        origin = _foreign_origin(session, Stage.BIAS, user_id, dataset_id)
        origin = replace(origin, context=replace(origin.context, task_kind=known_task(task)))
        return _store_bias_report(session, warehouse, origin, report, target, task)


def _foreign_origin(session: Session, stage: Stage, user_id: str, dataset_id: str, **payload: str) -> Origin:
    version = datasets.get_version(session, user_id, dataset_id)
    row = answers.oldest_unanswered(session, stage, user_id, dataset_id, **payload)
    number = row.number if row and row.number is not None else version.number
    context = Context(
        dataset_version=f"v{number}",
        correlation_id=row.correlation_id if row else version.correlation_id,
        causation_id=row.causation_id if row else None,
    )
    return Origin(Owner(user_id, dataset_id, number), context, answers=row)


def _answer_row(session: Session, origin: Origin) -> None:
    if origin.answers is not None:
        session.flush()
        answers.answer(session, origin.answers)


def _store_bias_report(
    session: Session,
    warehouse: Warehouse,
    origin: Origin,
    report: dict[str, Any],
    target: str | None,
    task: str | None,
) -> BiasReportRow:
    owner, now = origin.owner, clock.now()
    row = reports.get_bias_report(session, owner)
    if row is None:
        row = BiasReportRow(
            id=uuid.uuid4().hex, user_id=owner.user_id, dataset_id=owner.dataset_id, number=owner.number
        )
        row.created_at = now
        session.add(row)
    else:
        former.keep_bias_report(session, row)
    row.report, row.target_column_name, row.task_type = report, target, task
    row.run_id, row.updated_at = origin.run_id, now
    _answer_row(session, origin)
    event = BiasReported(
        dataset_id=owner.dataset_id,
        user_id=owner.user_id,
        bias_report_id=row.id,
        timestamp=clock.iso(now),
        has_transformation_report=_has_transformation(session, owner),
        target_column_name=target,
        task_type=published_task(task),
    )
    _announce(session, warehouse, event, origin)
    _record(session, "bias_report.stored", origin, Stage.BIAS, report=row.id)
    return row


def _has_transformation(session: Session, owner: Owner) -> bool:
    query = select(TransformationReportRow.id).where(
        TransformationReportRow.user_id == owner.user_id, TransformationReportRow.dataset_id == owner.dataset_id
    )
    return session.scalar(query.limit(1)) is not None


def _record(session: Session, what: str, origin: Origin, stage: Stage, **detail: Any) -> None:
    actor = audit.run(origin.run_id) if origin.claim else audit.service(stage.value)
    audit.record(session, what, actor, origin.owner, cause=origin.context.causation_id, **detail)


def _announce(session: Session, warehouse: Warehouse, event: Event, origin: Origin, part: str = "") -> None:
    """Write the event to the outbox. A person's run is kept from a foreign core, which reads no headers."""
    claim = origin.claim
    if claim and not claim.continue_pipeline and player_of(session, Role.AGENTIC_CORE) == FOREIGN:
        return
    ce_id = stable_id("result", claim.stage.value, part, claim.cause) if claim else None
    outbox.emit(session, warehouse.settings, event, origin.context, origin.owner, ce_id=ce_id)


def save_model(
    warehouse: Warehouse,
    claim: Claim,
    model: NewModel,
    task: TaskKind,
    transformation: Callable[[str], dict[str, Any]] | None = None,
) -> ModelRow:
    """Store our model as a new version and announce it.

    `transformation`: the transformation report of its dataset version, given the model's version.
    """
    with warehouse.storing(file.name for file in model.files) as session:
        ledger.close(session, claim)
        row = _store_model(session, warehouse, Origin(claim.owner, claim.context(task), claim, claim.run_id), model)
        if transformation:
            report = transformation(f"{row.model_id} {row.version}")
            reports.put_transformation_report(session, claim.owner, report, audit.run(claim.run_id))
        return row


def receive_model(warehouse: Warehouse, user_id: str, dataset_id: str | None, model: NewModel) -> ModelRow:
    """Store a foreign model as a new version and announce it; its dataset may be unknown to us."""
    with warehouse.storing(file.name for file in model.files) as session:
        known = dataset_id is not None and datasets.latest(session, user_id, dataset_id) is not None
        if dataset_id is not None and known:
            origin = _foreign_origin(session, Stage.AUTOML, user_id, dataset_id)
        else:
            origin = Origin(Owner(user_id, dataset_id or ""), Context())
        return _store_model(session, warehouse, origin, model)


def _store_model(session: Session, warehouse: Warehouse, origin: Origin, model: NewModel) -> ModelRow:
    owner = origin.owner
    key = session.get(ModelKey, (owner.user_id, model.model_id), with_for_update=True)
    if key is None:
        key = ModelKey(user_id=owner.user_id, model_id=model.model_id, last_version=0)
        session.add(key)
    key.last_version += 1
    primary = next((file for file in model.files if file.is_primary), None)
    row = ModelRow(
        user_id=owner.user_id,
        model_id=model.model_id,
        number=key.last_version,
        dataset_id=owner.dataset_id or None,
        dataset_number=owner.number,
        name=model.name,
        description=model.description,
        framework=model.framework,
        model_type=model.model_type,
        algorithm=model.algorithm,
        primary_file_path=primary.name if primary else None,
        model_size_mb=round(sum(file.size for file in model.files) / MEGABYTE, 6),
        training_accuracy=model.training_accuracy,
        validation_accuracy=model.validation_accuracy,
        test_accuracy=model.test_accuracy,
        training_loss=model.training_loss,
        python_version=model.python_version,
        dependencies=list(model.dependencies),
        hardware_requirements=model.hardware_requirements,
        tags=list(model.tags),
        custom_metadata=model.custom_metadata,
        run_id=origin.run_id,
    )
    session.add(row)
    session.flush()
    session.add_all(_file_row(row.id, file) for file in model.files)
    _answer_row(session, origin)
    _announce(session, warehouse, _model_event(row), origin)
    _record(session, "model.stored", origin, Stage.AUTOML, model=row.model_id, model_version=row.version)
    return row


def _file_row(model_row: int, file: StoredFile) -> ModelFileRow:
    return ModelFileRow(
        model_row=model_row,
        filename=file.filename,
        file_path=file.name,
        file_size=file.size,
        file_type=Path(file.filename).suffix.lstrip("."),
        file_hash=file.digest,
        content_type=file.content_type,
        is_primary=file.is_primary,
        description=file.description,
    )


def _model_event(row: ModelRow) -> ModelUploaded:
    return ModelUploaded(
        event_id=clock.new_event_id("model_uploaded", row.model_id),
        timestamp=clock.iso(row.created_at or clock.now()),
        user_id=row.user_id,
        model_id=row.model_id,
        version=row.version,
        framework=row.framework,
        model_type=row.model_type,
        dataset_id=row.dataset_id,
        algorithm=row.algorithm,
        model_size_mb=row.model_size_mb,
        training_accuracy=row.training_accuracy,
        validation_accuracy=row.validation_accuracy,
        test_accuracy=row.test_accuracy,
    )


def save_explanations(
    warehouse: Warehouse, claim: Claim, model: ModelRow, pages: Sequence[NewExplanation], level: Level
) -> list[XaiReportRow]:
    """Store our pages; the two at the trigger's level are announced. That ends the pipeline."""
    with warehouse.storing(page.file.name for page in pages) as session:
        ledger.close(session, claim)
        origin = Origin(claim.owner, claim.context(), claim, claim.run_id)
        rows = [_store_page(session, origin, model.model_id, model.number, page) for page in pages]
        for row in rows:
            if row.level == level.value:
                _announce(session, warehouse, _xai_event(row), origin, row.report_type)
        if claim.continue_pipeline:
            ledger.finish_pipeline(session, claim.owner)
    return rows


def save_data_explanation_alone(
    warehouse: Warehouse,
    claim: Claim,
    model: ModelRow,
    pages: Sequence[NewExplanation],
    level: Level,
    refusal: UserError,
) -> None:
    """Store and announce what was said of the data; row and pipeline end as failed, for the model was refused."""
    with warehouse.storing(page.file.name for page in pages) as session:
        ledger.close(session, claim)
        origin = Origin(claim.owner, claim.context(), claim, claim.run_id)
        for page in pages:
            row = _store_page(session, origin, model.model_id, model.number, page)
            if page.level is level:
                _announce(session, warehouse, _xai_event(row), origin, row.report_type)
        work = session.get_one(LedgerRow, claim.row_id)
        failures.fail_row(session, warehouse.settings, work, refusal.error_type, str(refusal), claim.run_id)


def receive_explanation(
    warehouse: Warehouse, user_id: str, dataset_id: str, model_id: str, page: NewExplanation
) -> XaiReportRow:
    """Store a foreign page and announce it; the pipeline ends when both types at its level are there."""
    with warehouse.storing([page.file.name]) as session:
        asked = {"model_id": model_id, "level": page.level.value}
        origin = _foreign_origin(session, Stage.XAI, user_id, dataset_id, **asked)
        newest = models.get_model(session, user_id, model_id)
        row = _store_page(session, origin, model_id, newest.number if newest else None, page, foreign=True)
        _answer_row(session, origin)
        _announce(session, warehouse, _xai_event(row), origin)
        if origin.answers is not None and origin.answers.state == "answered":
            ledger.finish_pipeline(session, origin.owner)
    return row


def _store_page(
    session: Session,
    origin: Origin,
    model_id: str,
    model_number: int | None,
    page: NewExplanation,
    foreign: bool = False,
) -> XaiReportRow:
    owner, now = origin.owner, clock.now()
    row = reports.get_explanation(session, owner.user_id, owner.dataset_id, model_id, page.report_type, page.level)
    if row is None:
        row = XaiReportRow(id=uuid.uuid4().hex, user_id=owner.user_id, dataset_id=owner.dataset_id, model_id=model_id)
        row.report_type, row.level, row.created_at = page.report_type.value, page.level.value, now
        row.custom_metadata = {}
        session.add(row)
    else:
        former.keep_explanation(session, row)
    row.number, row.model_number = owner.number, model_number
    row.file_path, row.file_size, row.file_hash = page.file.name, page.file.size, page.file.digest
    row.foreign, row.run_id, row.updated_at = foreign, origin.run_id, now
    _record(session, "xai_report.stored", origin, Stage.XAI, model=model_id, type=row.report_type, level=row.level)
    return row


def _xai_event(row: XaiReportRow) -> XaiReported:
    return XaiReported(
        event_id=clock.new_event_id("xai_reported", row.id),
        timestamp=clock.iso(row.updated_at),
        user_id=row.user_id,
        dataset_id=row.dataset_id,
        model_id=row.model_id,
        report_type=ReportType(row.report_type),
        level=Level(row.level),
        xai_report_id=row.id,
    )
