"""The catalogue's tables as typed rows. No queries here: each noun has its own module beside this one.

Times are naive UTC. JSON columns hold what contracts and reports already define.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, MetaData, Text, UniqueConstraint, false
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from mlpipe_dagster import clock


class Row(DeclarativeBase):
    """Base of all rows; constraint names are fixed so that migrations can name them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {dict[str, Any]: JSON, list[Any]: JSON, list[str]: JSON}  # noqa: RUF012 - SQLAlchemy's own form


class DatasetKey(Row):
    """A dataset's identity: outlives its versions, so that numbers and partition keys are never used again."""

    __tablename__ = "dataset_keys"
    user_id: Mapped[str] = mapped_column(primary_key=True)
    dataset_id: Mapped[str] = mapped_column(primary_key=True)
    partition_key: Mapped[str] = mapped_column(unique=True)
    last_version: Mapped[int] = mapped_column(default=0)


class DatasetVersion(Row):
    """One uploaded file and what is known of it."""

    __tablename__ = "datasets"
    __table_args__ = (UniqueConstraint("user_id", "dataset_id", "number"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[str]
    dataset_id: Mapped[str]
    number: Mapped[int]
    partition_key: Mapped[str] = mapped_column(index=True)
    name: Mapped[str]
    description: Mapped[str | None]
    file_type: Mapped[str]
    file_size: Mapped[int] = mapped_column(BigInteger)
    original_filename: Mapped[str]
    file_path: Mapped[str]
    file_hash: Mapped[str | None]
    columns: Mapped[list[str] | None]
    row_count: Mapped[int | None]
    data_types: Mapped[dict[str, Any] | None]
    tags: Mapped[list[Any]]
    custom_metadata: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    correlation_id: Mapped[str]
    parquet_path: Mapped[str | None]
    profile: Mapped[dict[str, Any] | None]
    derived_from: Mapped[int | None]
    """Number of the uploaded version that a mitigation made this one of: without a pipeline, and never the latest."""

    @property
    def version(self) -> str:
        """`v1`, `v2`, …"""
        return f"v{self.number}"


class Pipeline(Row):
    """What happens to one dataset version, from upload to explanation."""

    __tablename__ = "pipelines"
    __table_args__ = (UniqueConstraint("user_id", "dataset_id", "number"), Index("ix_pipelines_status", "status"))
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[str]
    dataset_id: Mapped[str]
    number: Mapped[int]
    status: Mapped[str] = mapped_column(default="running")
    choices: Mapped[dict[str, Any]] = mapped_column(default=dict)
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    updated_at: Mapped[datetime] = mapped_column(default=clock.now, onupdate=clock.now)


class LedgerRow(Row):
    """A claim on one piece of work: a stage asked for by one cause. Unique, whoever delivers the cause how often."""

    __tablename__ = "ledger"
    __table_args__ = (
        UniqueConstraint("stage", "cause"),
        Index("ix_ledger_state_since", "state", "updated_at"),
        Index("ix_ledger_cause", "cause"),
        Index("ix_ledger_run", "run_id"),
        Index("ix_ledger_owner", "user_id", "dataset_id", "number"),
        # all that is counted for the metrics, so that counting reads no payload
        Index("ix_ledger_counted", "stage", "player", "state", "taken_at", "created_at", "updated_at", "attempt"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    stage: Mapped[str]
    """dataset, bias, automl, xai; or `core-bias`, `core-automl`, `core-xai`: a trigger expected of a foreign core."""
    cause: Mapped[str]
    causation_id: Mapped[str]
    """What results of this row name as their cause: the trigger's `ce_id`, else its coordinates."""
    user_id: Mapped[str]
    dataset_id: Mapped[str]
    number: Mapped[int | None]
    """Dataset version; null while the dataset is unknown."""
    partition_key: Mapped[str]
    coordinates: Mapped[str | None]
    correlation_id: Mapped[str | None]
    payload: Mapped[dict[str, Any]]
    player: Mapped[str]
    state: Mapped[str]
    """expected, taken, done, answered, failed, cancelled, superseded, unknown."""
    note: Mapped[str | None]
    continue_pipeline: Mapped[bool] = mapped_column(default=True)
    attempt: Mapped[int] = mapped_column(default=0)
    """How many runs took it."""
    requests: Mapped[int] = mapped_column(default=0, server_default="0")
    """How many runs were asked for; each has a key of its own."""
    failures: Mapped[int] = mapped_column(default=0, server_default="0")
    """How many of its runs died or met a passing trouble."""
    run_id: Mapped[str | None]
    triggered_at: Mapped[datetime]
    taken_at: Mapped[datetime | None]
    deadline: Mapped[datetime]
    """For a run of ours, from the moment it took the row; for a foreign worker, from the trigger."""
    requested_at: Mapped[datetime]
    retry_at: Mapped[datetime | None]
    """When the next try may be asked for; null while no try is put off."""
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    updated_at: Mapped[datetime] = mapped_column(default=clock.now, onupdate=clock.now)


class OutboxRow(Row):
    """An event that became true with the transaction that wrote this row; published after it, at least once."""

    __tablename__ = "outbox"
    __table_args__ = (
        Index("ix_outbox_due", "acknowledged_at", "leased_until"),
        Index("ix_outbox_key", "topic", "record_key", "id"),
        Index("ix_outbox_owner", "user_id", "dataset_id"),
        Index("ix_outbox_settled", "settled", "topic"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    ce_id: Mapped[str] = mapped_column(unique=True)
    event_type: Mapped[str]
    topic: Mapped[str]
    record_key: Mapped[str]
    value: Mapped[str] = mapped_column(Text)
    headers: Mapped[dict[str, Any]]
    user_id: Mapped[str]
    dataset_id: Mapped[str]
    number: Mapped[int | None]
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    leased_until: Mapped[datetime]
    sends: Mapped[int] = mapped_column(default=0)
    acknowledged_at: Mapped[datetime | None]
    topic_id: Mapped[str | None]
    partition: Mapped[int | None]
    offset: Mapped[int | None] = mapped_column(BigInteger)
    undeliverable: Mapped[str | None]
    settled: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Acted on, or nobody has to: the sweep need not look at it again."""


class Decision(Row):
    """What the agentic core made of one event: at most one decision a cause."""

    __tablename__ = "decisions"
    cause: Mapped[str] = mapped_column(primary_key=True)
    topic: Mapped[str]
    coordinates: Mapped[str | None]
    user_id: Mapped[str]
    dataset_id: Mapped[str]
    number: Mapped[int | None]
    outcome: Mapped[str]
    """trigger, question, notification, failure, stop, note."""
    detail: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=clock.now)


class ReaderPosition(Row):
    """How far the sensor of a topic has safely read: the cursor Dagster has stored."""

    __tablename__ = "reader_positions"
    topic: Mapped[str] = mapped_column(primary_key=True)
    topic_id: Mapped[str | None]
    offsets: Mapped[dict[str, Any]]
    idle_since: Mapped[datetime | None]
    """Since when the reader has stood at the log's end; null while there is more to read."""
    updated_at: Mapped[datetime]


class BiasReportRow(Row):
    """One bias report a dataset version, replaced by a later one."""

    __tablename__ = "bias_reports"
    __table_args__ = (UniqueConstraint("user_id", "dataset_id", "number"),)
    id: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str]
    dataset_id: Mapped[str]
    number: Mapped[int]
    report: Mapped[dict[str, Any]]
    target_column_name: Mapped[str | None]
    task_type: Mapped[str | None]
    run_id: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    updated_at: Mapped[datetime] = mapped_column(default=clock.now)


class TransformationReportRow(Row):
    """What was changed in a dataset version to mend bias."""

    __tablename__ = "transformation_reports"
    __table_args__ = (UniqueConstraint("user_id", "dataset_id", "number"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[str]
    dataset_id: Mapped[str]
    number: Mapped[int]
    report: Mapped[Any] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    updated_at: Mapped[datetime] = mapped_column(default=clock.now)


class ModelRow(Row):
    """One version of a model."""

    __tablename__ = "models"
    __table_args__ = (UniqueConstraint("user_id", "model_id", "number"), Index("ix_models_dataset", "dataset_id"))
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[str]
    model_id: Mapped[str]
    number: Mapped[int]
    dataset_id: Mapped[str | None]
    dataset_number: Mapped[int | None]
    name: Mapped[str]
    description: Mapped[str | None]
    framework: Mapped[str]
    model_type: Mapped[str]
    algorithm: Mapped[str | None]
    primary_file_path: Mapped[str | None]
    model_size_mb: Mapped[float | None]
    training_accuracy: Mapped[float | None]
    validation_accuracy: Mapped[float | None]
    test_accuracy: Mapped[float | None]
    training_loss: Mapped[float | None]
    python_version: Mapped[str | None]
    dependencies: Mapped[list[str]] = mapped_column(default=list)
    hardware_requirements: Mapped[str | None]
    tags: Mapped[list[Any]] = mapped_column(default=list)
    custom_metadata: Mapped[dict[str, Any]] = mapped_column(default=dict)
    run_id: Mapped[str | None]
    is_active: Mapped[bool] = mapped_column(default=True)
    is_production_ready: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    updated_at: Mapped[datetime] = mapped_column(default=clock.now)

    @property
    def version(self) -> str:
        """`v1`, `v2`, …"""
        return f"v{self.number}"


class ModelKey(Row):
    """The last version number a model ever had: never used again."""

    __tablename__ = "model_keys"
    user_id: Mapped[str] = mapped_column(primary_key=True)
    model_id: Mapped[str] = mapped_column(primary_key=True)
    last_version: Mapped[int] = mapped_column(default=0)


class ModelFileRow(Row):
    """One file of a model version."""

    __tablename__ = "model_files"
    id: Mapped[int] = mapped_column(primary_key=True)
    model_row: Mapped[int] = mapped_column(ForeignKey("models.id", ondelete="CASCADE"), index=True)
    filename: Mapped[str]
    file_path: Mapped[str]
    file_size: Mapped[int] = mapped_column(BigInteger)
    file_type: Mapped[str]
    file_hash: Mapped[str]
    content_type: Mapped[str]
    is_primary: Mapped[bool]
    description: Mapped[str | None]


class XaiReportRow(Row):
    """One explanation page, replaced by a later one of the same model, type and level."""

    __tablename__ = "xai_reports"
    __table_args__ = (UniqueConstraint("user_id", "dataset_id", "model_id", "report_type", "level"),)
    id: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str]
    dataset_id: Mapped[str]
    number: Mapped[int | None]
    model_id: Mapped[str]
    model_number: Mapped[int | None]
    report_type: Mapped[str]
    level: Mapped[str]
    file_path: Mapped[str]
    file_size: Mapped[int] = mapped_column(BigInteger)
    file_hash: Mapped[str]
    custom_metadata: Mapped[dict[str, Any]] = mapped_column(default=dict)
    foreign: Mapped[bool] = mapped_column(default=False)
    run_id: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    updated_at: Mapped[datetime] = mapped_column(default=clock.now)


class FormerResult(Row):
    """What something newer has replaced: a bias report, an explanation page, or the choices of a pipeline."""

    __tablename__ = "former_results"
    __table_args__ = (Index("ix_former_results_owner", "user_id", "dataset_id", "number"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[str]
    dataset_id: Mapped[str]
    number: Mapped[int | None]
    kind: Mapped[str]
    """choices, bias_report, explanation."""
    about: Mapped[dict[str, Any]]
    made_at: Mapped[datetime]
    replaced_at: Mapped[datetime] = mapped_column(default=clock.now)


class Removal(Row):
    """Something outside the catalogue that a deletion has made nobody's and that is still there."""

    __tablename__ = "removals"
    __table_args__ = (UniqueConstraint("kind", "name"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    """object (its name), run (its id), work (the id of the ledger row whose runs are meant)."""
    name: Mapped[str]
    noted_at: Mapped[datetime] = mapped_column(default=clock.now)


class Question(Row):
    """A decision that is a person's. It waits without a run; whether for ever, its deadline says."""

    __tablename__ = "questions"
    __table_args__ = (
        Index("ix_questions_owner", "user_id", "status"),
        Index("ix_questions_waiting", "status", "created_at"),
        Index("ix_questions_due", "status", "deadline", "outcome"),
    )
    id: Mapped[str] = mapped_column(primary_key=True)
    cause: Mapped[str] = mapped_column(unique=True)
    user_id: Mapped[str]
    dataset_id: Mapped[str]
    number: Mapped[int]
    kind: Mapped[str]
    subject: Mapped[str]
    body: Mapped[str] = mapped_column(Text)
    fields: Mapped[dict[str, Any]]
    """JSON Schema of the answer: an object whose properties carry titles, defaults and choices."""
    about: Mapped[dict[str, Any] | None]
    """What the answer will need to know of the event that was asked about: the trigger that would follow."""
    status: Mapped[str] = mapped_column(default="open")
    """open, answered, closed."""
    version: Mapped[int] = mapped_column(default=1, server_default="1")
    """One more each time the same question is put anew: an answer to an older one does not count."""
    deadline: Mapped[datetime | None]
    outcome: Mapped[str] = mapped_column(default="wait", server_default="wait")
    """What happens at the deadline: default, cancel, wait."""
    remind_at: Mapped[datetime | None]
    reminded_at: Mapped[datetime | None]
    answer: Mapped[dict[str, Any] | None]
    answered_by: Mapped[str | None]
    answered_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    respondents: Mapped[list["Respondent"]] = relationship(
        lazy="selectin", passive_deletes=True, cascade="all, delete-orphan", order_by="Respondent.user_id"
    )

    def may_answer(self, user_id: str) -> bool:
        """The owner may, and whom the owner named."""
        return user_id == self.user_id or any(user_id == named.user_id for named in self.respondents)


class Respondent(Row):
    """A person besides the owner who may answer a question."""

    __tablename__ = "question_respondents"
    question_id: Mapped[str] = mapped_column(ForeignKey("questions.id", ondelete="CASCADE"), primary_key=True)
    user_id: Mapped[str] = mapped_column(primary_key=True, index=True)


class Notification(Row):
    """A message to a person; at most one for each cause."""

    __tablename__ = "notifications"
    __table_args__ = (Index("ix_notifications_owner", "user_id", "created_at"),)
    id: Mapped[str] = mapped_column(primary_key=True)
    cause: Mapped[str] = mapped_column(unique=True)
    user_id: Mapped[str]
    dataset_id: Mapped[str]
    number: Mapped[int | None]
    severity: Mapped[str]
    """info, warning, error."""
    subject: Mapped[str]
    body: Mapped[str] = mapped_column(Text)
    link: Mapped[str | None]
    question_id: Mapped[str | None] = mapped_column(index=True)
    """The question it is about, whose respondents are told, too."""
    created_at: Mapped[datetime] = mapped_column(default=clock.now)


class ChannelRow(Row):
    """Where a person wants to be told outside the platform. The URL is a secret: it is shown nowhere."""

    __tablename__ = "channels"
    id: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str] = mapped_column(index=True)
    url: Mapped[str] = mapped_column(Text)
    shown: Mapped[str]
    """Scheme and host."""
    created_at: Mapped[datetime] = mapped_column(default=clock.now)


class DeliveryRow(Row):
    """A notification or question that one outside channel is to be told; told at least once, or given up."""

    __tablename__ = "deliveries"
    __table_args__ = (
        UniqueConstraint("message", "version", "channel"),
        Index("ix_deliveries_due", "state", "due_at"),
        Index("ix_deliveries_waiting", "state", "created_at"),
        Index("ix_deliveries_ended", "state", "ended_at"),
        Index("ix_deliveries_owner", "user_id", "dataset_id", "number"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    """notification, question."""
    message: Mapped[str]
    """Its id."""
    version: Mapped[int]
    """Of a question, which may be put anew; 0 of a notification."""
    channel: Mapped[str]
    """Id of a ChannelRow, or `platform:` and a digest of the URL in the settings."""
    shown: Mapped[str]
    user_id: Mapped[str]
    dataset_id: Mapped[str]
    number: Mapped[int | None]
    state: Mapped[str]
    """waiting, delivered, failed, dropped."""
    attempts: Mapped[int]
    trouble: Mapped[str | None]
    """Why the last try failed, or why nobody is told."""
    due_at: Mapped[datetime]
    leased_until: Mapped[datetime]
    created_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class HandledLetter(Row):
    """A dead letter that somebody replayed or discarded; Kafka itself forgets no single record."""

    __tablename__ = "handled_letters"
    coordinates: Mapped[str] = mapped_column(primary_key=True)
    topic_id: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[str]
    """replayed, discarded."""
    handled_at: Mapped[datetime] = mapped_column(default=clock.now)


class RolePlayer(Row):
    """Who plays a role; a role without a row is ours."""

    __tablename__ = "roles"
    role: Mapped[str] = mapped_column(primary_key=True)
    player: Mapped[str]
    changed_at: Mapped[datetime] = mapped_column(default=clock.now, onupdate=clock.now)


class UserRow(Row):
    """What a person says of themselves. Nobody needs one to upload; keys, not passwords, open the API."""

    __tablename__ = "users"
    user_id: Mapped[str] = mapped_column(primary_key=True)
    username: Mapped[str] = mapped_column(unique=True)
    email: Mapped[str] = mapped_column(unique=True)
    full_name: Mapped[str | None]
    is_active: Mapped[bool] = mapped_column(default=True)
    is_admin: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    updated_at: Mapped[datetime] = mapped_column(default=clock.now, onupdate=clock.now)


class UserPolicy(Row):
    """What a person usually wants of a pipeline: the choices that their uploads leave open."""

    __tablename__ = "user_policies"
    user_id: Mapped[str] = mapped_column(primary_key=True)
    wishes: Mapped[dict[str, Any]]
    updated_at: Mapped[datetime] = mapped_column(default=clock.now, onupdate=clock.now)


class ApiKeyRow(Row):
    """A key to the API. Of its secret only the SHA-256 is kept."""

    __tablename__ = "api_keys"
    id: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str] = mapped_column(index=True)
    role: Mapped[str]
    name: Mapped[str | None]
    secret_hash: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    revoked_at: Mapped[datetime | None]


class LoginSession(Row):
    """A browser that showed a key at /login; worth nothing once the key is revoked."""

    __tablename__ = "login_sessions"
    token_hash: Mapped[str] = mapped_column(primary_key=True)
    key_id: Mapped[str] = mapped_column(ForeignKey("api_keys.id", ondelete="CASCADE"), index=True)
    expires_at: Mapped[datetime]
