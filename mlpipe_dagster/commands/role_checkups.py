"""The doctor's look at roles: whether whoever plays one is there, and nobody else plays it too. Changes nothing."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, exists, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import InstrumentedAttribute, Session

from mlpipe_dagster import clock
from mlpipe_dagster.commands.checkups import Finding, Verdict, catalogue_exists
from mlpipe_dagster.errors import BrokerUnavailable
from mlpipe_dagster.messaging.connection import BrokerAdmin, Connection
from mlpipe_dagster.messaging.group_members import count_members
from mlpipe_dagster.settings import Settings, settings
from mlpipe_dagster.vocabulary import Role, Stage
from mlpipe_dagster.warehouse.schema import BiasReportRow, LedgerRow, ModelRow, XaiReportRow
from mlpipe_dagster.warehouse.warehouse import OURS, open_warehouse, player_of

RECENT = timedelta(days=1)
GROUPS: Mapping[Role, tuple[str, ...]] = {
    Role.AGENTIC_CORE: ("kafka_dataset", "kafka_bias", "kafka_automl", "kafka_xai"),
    Role.BIAS: ("kafka_bias_trigger",),
    Role.AUTOML: ("kafka_automl_trigger",),
    Role.XAI: ("kafka_xai_trigger",),
}
"""The settings of what a foreign worker of each role reads, without their endings: `…_topic` in the group `…_group`."""


def check_roles() -> Iterator[Finding]:
    """Who plays each role, and who reads its topics; nothing where Kafka or the catalogue cannot be asked."""
    if not catalogue_exists():
        return
    try:
        with open_warehouse().reading() as session:
            players = {role: player_of(session, role) for role in Role}
            twice = {role: _done_twice(session, role, clock.now() - RECENT) for role in Role}
    except SQLAlchemyError:  # said by the checks of the warehouse
        return
    admin = BrokerAdmin(Connection.from_settings())
    known = settings()
    try:
        members = count_members(admin, {_group(known, name) for names in GROUPS.values() for name in names})
    except BrokerUnavailable:  # said by the checks of Kafka
        return
    finally:
        admin.close()
    for role in Role:
        yield _finding(known, role, players[role], members)
        if players[role] == OURS and twice[role]:
            text = f"foreign results have come for {', '.join(twice[role])}, which ours had done as well"
            advice = f"Stop the foreign worker, or let it do them alone: mlpipe role {role.value} foreign"
            yield Finding(Verdict.WARN, f"role {role.value}", text, advice)


def _group(known: Settings, name: str) -> str:
    return str(getattr(known, f"{name}_group"))


def _finding(known: Settings, role: Role, player: str, members: Mapping[str, int]) -> Finding:
    part = f"role {role.value}"
    watched = {name: members.get(_group(known, name), 0) for name in GROUPS[role]}
    there = ", ".join(_group(known, name) for name, count in watched.items() if count)
    if player == OURS:
        if not there:
            return Finding(Verdict.OK, part, "is played by ours")
        text = f"is played by ours, and a foreign worker reads its topics, too (group {there}): it is all done twice"
        return Finding(Verdict.WARN, part, text, f"Stop that worker, or: mlpipe role {role.value} foreign")
    missing = [name for name, count in watched.items() if not count]
    if not missing:
        return Finding(Verdict.OK, part, f"is played by a foreign worker (group {there})")
    unread = ", ".join(f"{getattr(known, f'{name}_topic')} (group {_group(known, name)})" for name in missing)
    text = f"is played by a foreign worker, and nobody reads {unread}"
    return Finding(Verdict.WARN, part, text, f"Start that worker, or: mlpipe role {role.value} ours")


def _done_twice(session: Session, role: Role, since: datetime) -> list[str]:
    """Datasets with a foreign result of the role's stage since then, beside one that a run of ours has stored."""
    match role:
        case Role.BIAS:
            foreign = BiasReportRow.run_id.is_(None) & (BiasReportRow.updated_at > since)
            return _beside_ours(session, Stage.BIAS, BiasReportRow, BiasReportRow.number, foreign)
        case Role.AUTOML:
            foreign = ModelRow.run_id.is_(None) & (ModelRow.created_at > since)
            return _beside_ours(session, Stage.AUTOML, ModelRow, ModelRow.dataset_number, foreign)
        case Role.XAI:
            foreign = XaiReportRow.foreign & (XaiReportRow.updated_at > since)
            return _beside_ours(session, Stage.XAI, XaiReportRow, XaiReportRow.number, foreign)
        case Role.AGENTIC_CORE:
            return []


Result = type[BiasReportRow] | type[ModelRow] | type[XaiReportRow]
Version = InstrumentedAttribute[int] | InstrumentedAttribute[int | None]


def _beside_ours(
    session: Session, stage: Stage, kind: Result, number: Version, foreign: ColumnElement[bool]
) -> list[str]:
    ours = exists().where(
        LedgerRow.stage == stage.value,
        LedgerRow.player == OURS,
        LedgerRow.state == "done",
        LedgerRow.user_id == kind.user_id,
        LedgerRow.dataset_id == kind.dataset_id,
        LedgerRow.number == number,
    )
    return sorted({name for name in session.scalars(select(kind.dataset_id).where(foreign, ours)) if name})
