"""Records of a topic become rows: parsed at this edge, entered into the ledger or decided, each once for its cause.

A tick reads, takes in, launches what is asked for, and stores its cursor; repeating any of it does no harm.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy.exc import DataError
from sqlalchemy.orm import Session

from mlpipe_dagster.errors import BudgetError, ContractError, MlpipeError
from mlpipe_dagster.events import (
    STAGE_RESULTS,
    STAGE_TRIGGERS,
    AutomlTrigger,
    BiasReported,
    DatasetUploaded,
    Event,
    ModelUploaded,
    XaiReported,
)
from mlpipe_dagster.messaging.dead_letters import dead_letter
from mlpipe_dagster.messaging.records import OutboundMessage, Record
from mlpipe_dagster.vocabulary import Role, Stage, parse_time_budget
from mlpipe_dagster.warehouse import audit, datasets, decisions, ledger, links, models, reports
from mlpipe_dagster.warehouse.ledger import Arrived
from mlpipe_dagster.warehouse.outbox import Owner
from mlpipe_dagster.warehouse.schema import LedgerRow
from mlpipe_dagster.warehouse.warehouse import FOREIGN, OURS, Warehouse, player_of

STAGE_OF_TRIGGER = {contract: stage for stage, contract in STAGE_TRIGGERS.items()}
STAGE_OF_RESULT = {contract: stage for stage, contract in STAGE_RESULTS.items()}
LONGEST_ID = 512
"""Characters of a record's key or `ce_id`: a database indexes them."""


@dataclass(frozen=True)
class ForeignResult:
    """A result that a foreign worker stored: the lineage shows it as a materialization without a run."""

    stage: Stage
    partition_key: str
    version: str
    link: str
    cause: str


@dataclass
class Intake:
    """What a batch of records asks for."""

    wanted: list[tuple[LedgerRow, Record]] = field(default_factory=list)
    """Rows of ours that wait for a run, with the record that asked."""
    foreign: list[ForeignResult] = field(default_factory=list)
    dead: list[OutboundMessage] = field(default_factory=list)
    """Dead letters: to be acknowledged before the cursor advances."""
    notes: list[str] = field(default_factory=list)


def take_in(warehouse: Warehouse, contract: type[Event], records: Sequence[Record]) -> Intake:
    """Enter or decide every record, in one transaction; what cannot be parsed becomes a dead letter."""
    intake = Intake()
    with warehouse.transaction() as session:
        for record in records:
            try:
                _check_storable(record)
                arrived = Arrived(_parse(warehouse, contract, record), record)
                with session.begin_nested():
                    _take_in_one(session, warehouse, arrived, intake)
            except (ContractError, BudgetError, DataError) as error:
                _bury(session, intake, record, contract, error)
    return intake


def _check_storable(record: Record) -> None:
    """Key and headers go into the catalogue, the `ce_id` and the key into its indexes; raises ContractError."""
    key = (record.key or b"").decode("utf-8", "replace")
    if len(key) > LONGEST_ID or len(record.headers.get("ce_id", "")) > LONGEST_ID:
        raise ContractError(f"The record's key or ce_id is longer than {LONGEST_ID} characters.")
    if "\0" in key or any("\0" in text for name, text in record.headers.items() if name.startswith("ce_")):
        raise ContractError("The record's key or a header has a null character, which no database stores.")


def _parse(warehouse: Warehouse, contract: type[Event], record: Record) -> Event:
    event = contract.from_bytes(record.value)
    if isinstance(event, AutomlTrigger):
        parse_time_budget(event.time_budget, warehouse.settings.time_budget_unit)
    return event


def _bury(
    session: Session, intake: Intake, record: Record, contract: type[Event], error: MlpipeError | DataError
) -> None:
    stage = STAGE_OF_TRIGGER.get(contract) or STAGE_OF_RESULT[contract]
    intake.dead.append(dead_letter(record, error, stage.value))
    if record.cause == record.headers.get("ce_id", "")[:LONGEST_ID].replace("\0", ""):  # it may be one of ours
        decisions.note_dead_letter(session, record.cause, record.topic, record.coordinates, str(error))
    audit.record(session, "dead_letter.buried", audit.SENSOR, coordinates=record.coordinates, stage=stage.value)
    intake.notes.append(f"{record.coordinates} is a dead letter: {error}")


def _take_in_one(session: Session, warehouse: Warehouse, arrived: Arrived, intake: Intake) -> None:
    stage = STAGE_OF_TRIGGER.get(type(arrived.event))
    if stage is None:
        outcome = decisions.decide_record(session, warehouse, arrived)
        intake.notes.append(f"{arrived.record.coordinates}: {outcome or 'decided before'}")
        intake.foreign.extend(_foreign_results(session, warehouse, arrived))
        return
    row = ledger.enter(session, warehouse, stage, arrived)
    by_foreign_core = isinstance(arrived.event, DatasetUploaded) and player_of(session, Role.AGENTIC_CORE) == FOREIGN
    if by_foreign_core and row.state == "expected":
        ledger.expect_trigger(session, warehouse.settings, Stage.BIAS, arrived)
    if row.state == "expected" and row.player == OURS and row.retry_at is None:
        if all(known.id != row.id for known, _ in intake.wanted):  # a repetition in the same batch needs no second run
            intake.wanted.append((row, arrived.record))
    else:
        intake.notes.append(f"{arrived.record.coordinates}: {row.note or f'{row.state}, played by {row.player}'}")


def _foreign_results(session: Session, warehouse: Warehouse, arrived: Arrived) -> list[ForeignResult]:
    event, owner = arrived.event, arrived.owner(session)
    partition_key = datasets.partition_key_of(session, owner.user_id, owner.dataset_id)
    link = _foreign_link(session, warehouse, event, owner)
    if partition_key is None or link is None:
        return []
    return [ForeignResult(STAGE_OF_RESULT[type(event)], partition_key, f"v{owner.number}", link, arrived.cause)]


def _foreign_link(session: Session, warehouse: Warehouse, event: Event, owner: Owner) -> str | None:
    """Where the result can be seen; None for our own, whose run has materialized it."""
    settings = warehouse.settings
    match event:
        case BiasReported():
            report = reports.get_bias_report(session, owner)
            return (
                links.bias_view_link(settings, owner.user_id, owner.dataset_id)
                if report and not report.run_id
                else None
            )
        case ModelUploaded():
            model = models.get_model(session, event.user_id, event.model_id, event.version)
            return links.model_link(settings, event.user_id, event.model_id) if model and not model.run_id else None
        case XaiReported():
            page = reports.get_explanation(
                session, event.user_id, event.dataset_id, event.model_id, event.report_type, event.level
            )
            return links.xai_view_link(settings, event) if page and page.foreign else None
    return None
