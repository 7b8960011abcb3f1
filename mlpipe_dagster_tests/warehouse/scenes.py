"""Scenes that warehouse and API tests start from: an uploaded table, a record that arrived, a stage at work.

And a fake Kafka that keeps what is published.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlpipe_dagster.errors import BrokerUnavailable, MlpipeError, TooLarge
from mlpipe_dagster.events import BiasTrigger, DatasetUploaded, Event, ModelUploaded, XaiTrigger
from mlpipe_dagster.messaging.records import Acknowledgement, OutboundMessage, Record
from mlpipe_dagster.tables.profile import ColumnProfile, Profile, ValueCount
from mlpipe_dagster.vocabulary import Stage
from mlpipe_dagster.warehouse import datasets, ledger, results
from mlpipe_dagster.warehouse.datasets import Upload
from mlpipe_dagster.warehouse.ledger import Arrived, Claim
from mlpipe_dagster.warehouse.schema import DatasetVersion, OutboxRow
from mlpipe_dagster.warehouse.warehouse import Warehouse

TIMESTAMP = "2025-10-10T12:00:00.000000"
EPOCH_2025_MS = 1_760_097_600_000
"""2025-10-10T12:00:00Z in milliseconds."""
FAR_FUTURE_MS = 4_102_444_800_000


def upload(
    warehouse: Warehouse, folder: Path, dataset_id: str = "loans", user_id: str = "ann", **more: Any
) -> DatasetVersion:
    """A small CSV as the next version of a dataset."""
    file = folder / "loans.csv"
    file.write_text("income,sex,paid\n10,f,yes\n20,m,no\n")
    values = {"name": "Loans", "file_type": "csv", "file_size": 31, "file_hash": "0" * 32} | more
    return datasets.store_upload(
        warehouse, Upload(user_id=user_id, dataset_id=dataset_id, filename="loans.csv", file=file, **values)
    )


def profile() -> Profile:
    """What reading that table finds, blown up to 400 rows."""
    return Profile(
        row_count=400,
        columns=(
            ColumnProfile(name="income", data_type="int64", kind="number", missing=0, distinct=300),
            ColumnProfile(
                name="sex",
                data_type="object",
                kind="category",
                missing=0,
                distinct=2,
                top_values=(ValueCount(value="f", count=210), ValueCount(value="m", count=190)),
            ),
            ColumnProfile(
                name="paid",
                data_type="object",
                kind="category",
                missing=0,
                distinct=2,
                top_values=(ValueCount(value="yes", count=250), ValueCount(value="no", count=150)),
            ),
        ),
        duplicate_rows=0,
    )


def arrived(
    event: Event,
    topic: str,
    *,
    ce_id: str | None = None,
    version: str | None = None,
    offset: int = 0,
    timestamp: int = EPOCH_2025_MS,
) -> Arrived:
    """The event as a record that was read from Kafka."""
    headers = {"ce_id": ce_id, "ce_datasetversion": version}
    raw = tuple((name, value.encode()) for name, value in headers.items() if value is not None)
    return Arrived(event, Record(topic, 0, offset, timestamp, event.record_key.encode(), event.to_bytes(), raw))


def bias_trigger(dataset_id: str = "loans", user_id: str = "ann") -> BiasTrigger:
    """A trigger as a foreign core sends it, with every nullable value null."""
    return BiasTrigger(
        dataset_id=dataset_id,
        user_id=user_id,
        timestamp=TIMESTAMP,
        target_column_name=None,
        task_type=None,
        metadata={},
        record_count=None,
    )


def xai_trigger(model_id: str = "m", dataset_id: str = "loans", user_id: str = "ann") -> XaiTrigger:
    """A trigger for the latest version of a model."""
    return XaiTrigger.model_validate(
        {
            "user_id": user_id,
            "dataset_id": dataset_id,
            "model_id": model_id,
            "level": "beginner",
            "timestamp": TIMESTAMP,
            "version": None,
        }
    )


def model_uploaded(dataset_id: str | None = "loans") -> ModelUploaded:
    """The announcement of a foreign model with every nullable value null."""
    return ModelUploaded(
        event_id="model_uploaded_m_1_00000000",
        timestamp=TIMESTAMP,
        user_id="ann",
        model_id="m",
        version="v1",
        framework="sklearn",
        model_type="classification",
        dataset_id=dataset_id,
        algorithm=None,
        model_size_mb=None,
        training_accuracy=None,
        validation_accuracy=None,
        test_accuracy=None,
    )


def upload_event(warehouse: Warehouse, version: DatasetVersion) -> Arrived:
    """The `dataset.uploaded` of that version, as it was written to the outbox."""
    with warehouse.reading() as session:
        rows = session.query(OutboxRow).filter_by(
            event_type="dataset.uploaded", user_id=version.user_id, dataset_id=version.dataset_id, number=version.number
        )
        row = rows.one()
    event = DatasetUploaded.from_bytes(row.value.encode())
    return arrived(event, row.topic, ce_id=row.ce_id, version=version.version)


def claim(warehouse: Warehouse, stage: Stage, what: Arrived, run_id: str = "run-1") -> Claim:
    """Enter the row of a trigger and take it for a run."""
    with warehouse.transaction() as session:
        ledger.enter(session, warehouse, stage, what)
    with warehouse.transaction() as session:
        taken = ledger.take(session, stage, what.cause, run_id)
    assert taken is not None
    return taken


def read_table(
    warehouse: Warehouse, folder: Path, version: DatasetVersion, found: Profile | None = None
) -> DatasetVersion:
    """Play the dataset stage of that version: its profile is stored and the core has decided."""
    held = claim(warehouse, Stage.DATASET, upload_event(warehouse, version), f"run-{version.id}")
    parquet = folder / "table.parquet"
    parquet.write_bytes(b"PAR1")
    return results.save_dataset(warehouse, held, version.id, parquet, found or profile())


def outbox_rows(warehouse: Warehouse, event_type: str | None = None) -> list[OutboxRow]:
    """Rows of the outbox, oldest first."""
    with warehouse.reading() as session:
        rows = session.query(OutboxRow).order_by(OutboxRow.id).all()
    return [row for row in rows if event_type in (None, row.event_type)]


def value_of(row: OutboxRow) -> dict[str, Any]:
    """The value as a consumer parses it."""
    content: dict[str, Any] = json.loads(row.value)
    return content


@dataclass
class FakeKafka:
    """Keeps what is published, in order; `refuse` says which message meets which error, `down` fails everything."""

    refuse: Callable[[OutboundMessage], MlpipeError | None] = lambda message: None
    down: bool = False
    topic_id: str = "topic-id-1"
    log: list[OutboundMessage] = field(default_factory=list)

    def publish(self, messages: Sequence[OutboundMessage]) -> list[Acknowledgement | MlpipeError]:
        if self.down:
            raise BrokerUnavailable("Kafka unreachable at nowhere:9092")
        return [self._one(message) for message in messages]

    def _one(self, message: OutboundMessage) -> Acknowledgement | MlpipeError:
        error = self.refuse(message)
        if error is not None:
            return error
        self.log.append(message)
        return Acknowledgement(self.topic_id, 0, len(self.log) - 1, EPOCH_2025_MS)

    def ids(self) -> list[str]:
        """`ce_id` of every message, in the order of the log."""
        return [dict(message.headers)["ce_id"].decode() for message in self.log if dict(message.headers)["ce_id"]]  # type: ignore[union-attr]


def too_large_for(topic: str) -> Callable[[OutboundMessage], MlpipeError | None]:
    """Refuse every message of a topic as over the limit."""
    return lambda message: TooLarge("over the limit of 8") if message.topic == topic else None
