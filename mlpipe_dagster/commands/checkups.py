"""The single checks of `mlpipe doctor`: each asks one part and says how it is and what to do. Repairs nothing."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import requests
from kafka.admin import ConfigResource, ConfigResourceType
from sqlalchemy import make_url, select
from sqlalchemy.exc import SQLAlchemyError

from mlpipe_dagster.errors import BrokerUnavailable
from mlpipe_dagster.messaging.connection import BrokerAdmin, Connection
from mlpipe_dagster.messaging.log_ends import log_ends
from mlpipe_dagster.messaging.topics import TopicState, describe, pipeline_topics, record_limit, topic_table
from mlpipe_dagster.services import probes
from mlpipe_dagster.settings import settings
from mlpipe_dagster.warehouse import outbox
from mlpipe_dagster.warehouse.schema import ReaderPosition
from mlpipe_dagster.warehouse.warehouse import Warehouse, open_warehouse

WAITING_EVENTS_ARE_MANY = 100
START_HINT = "Start it with: mlpipe up"


class Verdict(StrEnum):
    """How a part is."""

    OK = "OK"
    WARN = "WARN"
    FAIL = "FAIL"


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's: how a part is, and what to do where it is not well."""

    verdict: Verdict
    part: str
    text: str
    advice: str = ""


def check_kafka() -> Iterator[Finding]:
    """Broker, topics with their record limits, and how far our readers are."""
    connection = Connection.from_settings()
    admin = BrokerAdmin(connection)
    try:
        states = describe(admin)
        yield Finding(Verdict.OK, "Kafka", f"answers at {connection.bootstrap_servers}")
        yield from _check_topics(admin, connection, states)
        yield from _check_readers(connection, states)
    except BrokerUnavailable as error:
        advice = "Start it with: mlpipe up, or set KAFKA_BOOTSTRAP_SERVERS to a Kafka that runs"
        yield Finding(Verdict.FAIL, "Kafka", str(error), advice)
    finally:
        admin.close()


def _check_topics(admin: BrokerAdmin, connection: Connection, states: dict[str, TopicState]) -> Iterator[Finding]:
    limits = _record_limits(admin, [topic.name for topic in topic_table() if topic.name in states])
    for topic in topic_table():
        state, wanted, limit = states.get(topic.name), record_limit(connection, topic.name), limits.get(topic.name)
        part = f"topic {topic.name}"
        if state is None:
            yield Finding(Verdict.FAIL, part, "does not exist", "mlpipe up creates it")
        elif state.leaderless:
            yield Finding(Verdict.FAIL, part, f"partitions without a leader: {state.leaderless}", "Look at the brokers")
        elif limit is not None and limit < wanted:
            advice = f"Raise its max.message.bytes to {wanted}: wide tables make large events"
            yield Finding(Verdict.WARN, part, f"takes records up to {limit} bytes only", advice)
        else:
            yield Finding(Verdict.OK, part, f"{len(state.partitions)} partition(s), records up to {limit} bytes")


def _record_limits(admin: BrokerAdmin, names: list[str]) -> dict[str, int]:
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    found = admin.ask(lambda client: client.describe_configs(resources, config_filter="all")).get("topic", {})
    values = {name: entries.get("max.message.bytes", {}).get("value") for name, entries in found.items()}
    return {name: int(value) for name, value in values.items() if value is not None}


def _check_readers(connection: Connection, states: dict[str, TopicState]) -> Iterator[Finding]:
    if not catalogue_exists():
        return
    with open_warehouse().reading() as session:
        positions = {row.topic: row for row in session.scalars(select(ReaderPosition))}
    topics = [name for name in pipeline_topics() if name in states]
    ends = log_ends(connection, {(name, number): 0 for name in topics for number in states[name].partitions}).ends
    for name in topics:
        behind = {number: ends[name, number] for number in states[name].partitions}
        yield _reader(name, states[name], positions.get(name), behind)


def _reader(name: str, state: TopicState, position: ReaderPosition | None, ends: dict[int, int]) -> Finding:
    part = f"reader of {name}"
    advice = "If it stays so, see whether the daemon and the sensors run"
    if position is None:
        waiting = sum(ends.values())
        verdict = Verdict.WARN if waiting else Verdict.OK
        return Finding(verdict, part, f"has read nothing yet; {waiting} records in the log", advice if waiting else "")
    if position.topic_id != state.topic_id:
        return Finding(Verdict.WARN, part, "stands in an older log: the topic was created anew", advice)
    lag = sum(max(end - int(position.offsets.get(str(number), 0)), 0) for number, end in ends.items())
    places = ", ".join(f"{number}/{offset}" for number, offset in position.offsets.items())
    text = f"at {places or 'the beginning'}, lag {lag}"
    return Finding(Verdict.WARN if lag else Verdict.OK, part, text, advice if lag else "")


def check_warehouse() -> Iterator[Finding]:
    """Catalogue, outbox and objects."""
    shown = make_url(settings().catalogue).render_as_string(hide_password=True)
    if not catalogue_exists():
        yield Finding(Verdict.FAIL, "catalogue", f"there is none at {shown} yet", START_HINT)
        return
    try:
        warehouse = open_warehouse()
        warehouse.catalogue.check()
        yield Finding(Verdict.OK, "catalogue", f"answers at {shown}")
        yield _check_outbox(warehouse)
    except SQLAlchemyError as error:
        advice = "See that its database runs, and MLPIPE_CATALOGUE"
        yield Finding(Verdict.FAIL, "catalogue", f"{shown}: {str(error).splitlines()[0]}", advice)
        return
    yield _check_objects(warehouse)


def catalogue_exists() -> bool:
    """Whether there is a catalogue to ask: looking must not create one."""
    url = make_url(settings().catalogue)
    return url.get_backend_name() != "sqlite" or Path(url.database or "").is_file()


def _check_outbox(warehouse: Warehouse) -> Finding:
    with warehouse.reading() as session:
        waiting = outbox.depth(session)
    if not waiting:
        return Finding(Verdict.OK, "outbox", "nothing waits to be sent")
    verdict = Verdict.WARN if waiting < WAITING_EVENTS_ARE_MANY else Verdict.FAIL
    return Finding(verdict, "outbox", f"{waiting} events wait to be sent", "They leave when Kafka and the daemon run")


def _check_objects(warehouse: Warehouse) -> Finding:
    place = settings().objects_location
    try:
        warehouse.objects.check()
    except OSError as error:
        advice = "See that there is room and permission, and MLPIPE_OBJECTS"
        return Finding(Verdict.FAIL, "objects", f"{place}: {error}", advice)
    return Finding(Verdict.OK, "objects", f"can be written and read at {place}")


def check_api() -> Iterator[Finding]:
    """The REST API, asked whether it is ready."""
    base = settings().api_base
    trouble = probes.api_trouble(base)
    if trouble is None:
        yield Finding(Verdict.OK, "API", f"is ready at {base}")
    else:
        yield Finding(Verdict.FAIL, "API", f"{base} {trouble}", f"{START_HINT}, or set API_BASE")


def check_dagster() -> Iterator[Finding]:
    """Dagster's webserver, daemon and sensors, as the webserver knows them."""
    base = settings().dagster_base
    if not probes.webserver_ready(base):
        advice = f"{START_HINT}, or set MLPIPE_DAGSTER_BASE"
        yield Finding(Verdict.FAIL, "Dagster webserver", f"does not answer at {base}", advice)
        return
    yield Finding(Verdict.OK, "Dagster webserver", f"answers at {base}")
    try:
        yield from map(_daemon, probes.daemons(base))
        yield from map(_sensor, probes.sensors(base))
    except requests.RequestException as error:
        yield Finding(Verdict.FAIL, "Dagster", str(error), "Look at the logs of the webserver and the code server")


def _daemon(daemon: probes.Daemon) -> Finding:
    part = f"daemon {daemon.name.lower()}"
    if daemon.healthy:
        return Finding(Verdict.OK, part, "gives signs of life")
    text = daemon.errors[0].splitlines()[0] if daemon.errors else "gives no sign of life"
    return Finding(Verdict.FAIL, part, text, "Look at daemon.log in the logs folder; mlpipe up starts it again")


def _sensor(sensor: probes.Sensor) -> Finding:
    part = f"sensor {sensor.name}"
    if not sensor.running:
        return Finding(Verdict.WARN, part, "is switched off", "Switch it on in Dagster under Automation")
    last = sensor.tick_text.splitlines()[0] if sensor.tick_text else ""
    if sensor.tick_status == "FAILURE":
        return Finding(Verdict.FAIL, part, f"last tick failed: {last}", "See its ticks in Dagster under Automation")
    if sensor.tick_status is None:
        return Finding(Verdict.OK, part, "runs; no tick yet")
    return Finding(Verdict.OK, part, f"runs; last tick {sensor.tick_status.lower()}{': ' + last if last else ''}")
