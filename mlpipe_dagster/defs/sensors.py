"""Seven sensors from one factory, one a topic: read, take in, launch; the offsets live in the cursor.

Runs, partitions, asset events and the cursor go through SensorResult; a tick's own writes are unique on their cause, so
that a repeated or previewed tick does no harm.
"""

import time
from dataclasses import replace

import dagster as dg

from mlpipe_dagster.defs.jobs import STAGE_JOBS, run_request
from mlpipe_dagster.defs.partitions import missing_partitions
from mlpipe_dagster.defs.resources import KafkaResource, WarehouseResource
from mlpipe_dagster.defs.warm_runs.sensor_loop import WAITS
from mlpipe_dagster.errors import BrokerUnavailable, MlpipeError, TooLarge
from mlpipe_dagster.events import PIPELINE_EVENTS, STAGE_TRIGGERS, Event
from mlpipe_dagster.messaging.group_mirror import mirror
from mlpipe_dagster.messaging.reader import Batch, Cursor, TakenOver, process_reader
from mlpipe_dagster.messaging.records import OutboundMessage
from mlpipe_dagster.messaging.topics import topic_table
from mlpipe_dagster.settings import settings
from mlpipe_dagster.vocabulary import Role, Stage
from mlpipe_dagster.warehouse import positions
from mlpipe_dagster.warehouse.intake import ForeignResult, Intake, take_in
from mlpipe_dagster.warehouse.ledger import STAGE_ROLES
from mlpipe_dagster.warehouse.pipelines import ASSETS
from mlpipe_dagster.warehouse.warehouse import OURS, Warehouse, player_of

LATEST_MATERIALIZATIONS = 20
REST_SECONDS = 0.5
_positions_known: dict[str, tuple[str, bool]] = {}
"""What this process last stored of each topic's position: cursor and whether it was idle."""
_shown: dict[str, str] = {}
"""The cursor of each topic that this process last showed to lag tools."""
_read_as: dict[str, tuple[str, str]] = {}
"""The cursor that the last tick of a topic ended with, and who played the topic's role in it."""


def _sensor_name(contract: type[Event]) -> str:
    """The event a sensor waits for, as its topic is called by default: `bias_trigger_events`."""
    return contract.topic_setting.removeprefix("kafka_").removesuffix("_topic") + "_events"


def build_sensor(contract: type[Event]) -> dg.SensorDefinition:
    """The sensor of a contract's topic."""
    stage = next((stage for stage, trigger in STAGE_TRIGGERS.items() if trigger is contract), None)
    follows = f"starts the asset {ASSETS[stage]}" if stage else "lets the agentic core decide what follows"

    @dg.sensor(
        name=_sensor_name(contract),
        jobs=[STAGE_JOBS[stage]] if stage else [STAGE_JOBS[Stage.DATASET]],
        minimum_interval_seconds=1,
        default_status=dg.DefaultSensorStatus.RUNNING,
        tags={WAITS: "true"},
        description=f"Watches the Kafka topic {contract.topic(settings())} and {follows}.",
    )
    def watch(
        context: dg.SensorEvaluationContext, warehouse: WarehouseResource, kafka: KafkaResource
    ) -> dg.SensorResult | dg.SkipReason:
        return tick(context, contract, warehouse.open(), kafka)

    return watch


def tick(
    context: dg.SensorEvaluationContext, contract: type[Event], warehouse: Warehouse, kafka: KafkaResource
) -> dg.SensorResult | dg.SkipReason:
    """One long poll of a topic and what follows from its records."""
    topic = contract.topic(warehouse.settings)
    stored = Cursor.from_json(context.cursor)
    group = next(entry.group for entry in topic_table() if entry.name == topic)
    wait = warehouse.settings.sensor_poll_seconds
    try:
        _remember(warehouse, topic, stored, idle=False)
        _show(warehouse, kafka, contract, group, stored)
        batch = process_reader().read(topic, stored, wait, group=group)
        player = _player(warehouse, contract)
        intake = take_in(warehouse, contract, batch.records)
        _publish_dead_letters(kafka, intake)
    except (BrokerUnavailable, TakenOver) as reason:
        time.sleep(REST_SECONDS)  # the next tick follows at once
        return dg.SkipReason(str(reason))
    for note in (*batch.notes, *intake.notes):
        context.log.info(note)
    if batch.records:
        kafka.deliver_or_leave(warehouse)
        _read_as[topic] = (batch.cursor.to_json(), player)
    elif batch.lag == 0 and batch.cursor == stored:
        _remember(warehouse, topic, stored, idle=True)
    return _result(context, batch, intake, topic)


def _publish_dead_letters(kafka: KafkaResource, intake: Intake) -> None:
    """Every dead letter is acknowledged, or the tick ends here and reads the record again.

    One that is too large for its topic goes without its value: its headers say where that lies.
    """
    letters = intake.dead
    while letters:
        answers = list(zip(letters, kafka.publisher().publish(letters), strict=True))
        refused = [said for letter, said in answers if isinstance(said, MlpipeError) and not _may_shrink(letter, said)]
        if refused:
            raise BrokerUnavailable(f"A dead letter could not be stored: {refused[0]}") from refused[0]
        letters = [replace(letter, value=None) for letter, said in answers if isinstance(said, TooLarge)]


def _may_shrink(letter: OutboundMessage, answer: MlpipeError) -> bool:
    return isinstance(answer, TooLarge) and letter.value is not None


def _result(context: dg.SensorEvaluationContext, batch: Batch, intake: Intake, topic: str) -> dg.SensorResult:
    requests = [run_request(row, record.run_key) for row, record in intake.wanted]
    keys = [row.partition_key for row, _ in intake.wanted] + [found.partition_key for found in intake.foreign]
    where = ", ".join(f"{partition}@{offset}" for partition, offset in sorted(batch.cursor.offsets.items()))
    lag = "unknown" if batch.lag is None else batch.lag
    summary = "; ".join((f"{topic}: {len(batch.records)} records, next {where or '0@0'}, lag {lag}", *intake.notes))
    return dg.SensorResult(
        run_requests=requests,
        cursor=batch.cursor.to_json(),
        dynamic_partitions_requests=missing_partitions(context.instance, keys),
        asset_events=[materialization(found) for found in intake.foreign if not _is_shown(context.instance, found)],
        skip_reason=None if requests else summary,
    )


def materialization(found: ForeignResult) -> dg.AssetMaterialization:
    """A foreign worker's result, as the lineage shows it."""
    return dg.AssetMaterialization(
        asset_key=ASSETS[found.stage],
        partition=found.partition_key,
        description="Stored by a foreign worker.",
        metadata={
            "player": "foreign",
            "version": found.version,
            "result": dg.MetadataValue.url(found.link),
            "event": found.cause,
        },
    )


def _is_shown(instance: dg.DagsterInstance, found: ForeignResult) -> bool:
    """Whether an earlier tick, repeated since, has reported this result."""
    asset, partitions = dg.AssetKey(ASSETS[found.stage]), [found.partition_key]
    known = instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=asset, asset_partitions=partitions), limit=LATEST_MATERIALIZATIONS
    )
    events = (record.asset_materialization for record in known.records)
    return any(event and "event" in event.metadata and event.metadata["event"].value == found.cause for event in events)


def _remember(warehouse: Warehouse, topic: str, cursor: Cursor, *, idle: bool) -> None:
    """Store the position that Dagster has stored; only when it is news."""
    known = _positions_known.get(topic)
    text = cursor.to_json()
    if cursor.topic_id is None or known == (text, idle) or (not idle and known and known[0] == text):
        return
    with warehouse.transaction() as session:
        positions.remember(session, topic, cursor.topic_id, cursor.offsets, idle)
    _positions_known[topic] = (text, idle)


def _show(warehouse: Warehouse, kafka: KafkaResource, contract: type[Event], group: str | None, cursor: Cursor) -> None:
    """Show that position to lag tools.

    Of a topic that a foreign worker reads the group is that worker's alone: one that is down, or starts later, has to
    find every record that came meanwhile.
    """
    topic, text = contract.topic(warehouse.settings), cursor.to_json()
    if group is None or cursor.topic_id is None or _shown.get(topic) == text:
        return
    read_to, player = _read_as.get(topic, ("", ""))
    if (player if read_to == text else _player(warehouse, contract)) != OURS:
        return
    if mirror(kafka.connection, group, topic, cursor.offsets):  # where Kafka refuses, the next tick tries again
        _shown[topic] = text


def _player(warehouse: Warehouse, contract: type[Event]) -> str:
    """Who acts on the topic's records now: a trigger's stage, or the agentic core on everything else."""
    roles = {STAGE_TRIGGERS[stage]: role for stage, role in STAGE_ROLES.items()}
    with warehouse.reading() as session:
        return player_of(session, roles.get(contract, Role.AGENTIC_CORE))


SENSORS = [build_sensor(contract) for contract in PIPELINE_EVENTS]
