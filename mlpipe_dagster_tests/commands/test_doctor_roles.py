"""The doctor on roles, over a real broker: a role that two play, one that nobody plays, and one that is played."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from kafka import KafkaConsumer

from mlpipe_dagster.commands.checkups import Finding, Verdict
from mlpipe_dagster.commands.role_checkups import check_roles
from mlpipe_dagster.messaging.connection import Connection
from mlpipe_dagster.messaging.embedded import EmbeddedBroker, free_port
from mlpipe_dagster.messaging.topics import create_topics
from mlpipe_dagster.settings import settings
from mlpipe_dagster.vocabulary import Role, Stage, TaskKind
from mlpipe_dagster.warehouse import results
from mlpipe_dagster.warehouse.warehouse import Warehouse, open_warehouse, set_player
from mlpipe_dagster_tests.brokers import called, new_prefix, real_kafka, some_port, topic_variables
from mlpipe_dagster_tests.warehouse import scenes

JOIN_SECONDS = 60


@pytest.fixture
def warehouse(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Warehouse]:
    """A warehouse, and a broker with its topics."""
    for name, value in topic_variables(new_prefix(real_kafka())).items():
        monkeypatch.setenv(name, value)
    with EmbeddedBroker(some_port()) as embedded:
        monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", real_kafka() or embedded.address)
        settings.cache_clear()
        create_topics(Connection.from_settings())
        yield open_warehouse()


@contextmanager
def worker(topic: str, group: str) -> Iterator[None]:
    """A foreign worker's consumer, as a member of its group."""
    options = Connection.from_settings().client_options() | {"session_timeout_ms": 6000, "heartbeat_interval_ms": 1000}
    member = KafkaConsumer(called(topic), **options, group_id=called(group), enable_auto_commit=False)
    give_up_at = time.monotonic() + JOIN_SECONDS
    while not member.assignment() and time.monotonic() < give_up_at:
        member.poll(timeout_ms=100)
    assert member.assignment()
    try:
        yield
    finally:
        member.close()


def foreign(warehouse: Warehouse, *roles: Role) -> None:
    with warehouse.transaction() as session:
        for role in roles:
            set_player(session, role, "foreign")


def found() -> dict[str, Finding]:
    return {finding.part: finding for finding in check_roles()}


def test_without_a_catalogue_or_a_broker_nothing_is_said(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert found() == {} and not home.exists()
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", f"127.0.0.1:{free_port(23900)}")
    settings.cache_clear()
    open_warehouse()
    assert found() == {}


def test_a_role_of_ours_that_a_foreign_worker_plays_too(warehouse: Warehouse) -> None:
    assert {part: finding.verdict for part, finding in found().items()} == {
        "role agentic-core": Verdict.OK, "role bias": Verdict.OK, "role automl": Verdict.OK, "role xai": Verdict.OK,
    }  # fmt: skip
    with worker("bias-trigger-events", "bias-trigger-consumer"):
        finding = found()["role bias"]
        assert (finding.verdict, "it is all done twice" in finding.text) == (Verdict.WARN, True)
        assert finding.advice == "Stop that worker, or: mlpipe role bias foreign"
        foreign(warehouse, Role.BIAS)
        assert found()["role bias"].verdict is Verdict.OK
    assert found()["role bias"].verdict is Verdict.WARN, "its worker has left"


def test_a_foreign_role_that_nobody_plays(warehouse: Warehouse) -> None:
    foreign(warehouse, Role.AUTOML, Role.AGENTIC_CORE)
    findings = found()
    automl, core = findings["role automl"], findings["role agentic-core"]
    assert called("automl-trigger-events") in automl.text and "nobody reads" in automl.text
    assert automl.advice == "Start that worker, or: mlpipe role automl ours"
    assert core.text.count("(group ") == 4
    assert findings["role xai"].verdict is Verdict.OK


def test_a_foreign_result_for_what_ours_did(warehouse: Warehouse, tmp_path: Path) -> None:
    scenes.upload(warehouse, tmp_path)
    what = scenes.arrived(scenes.bias_trigger(), "bias-trigger-events", ce_id="t1", version="v1")
    held = scenes.claim(warehouse, Stage.BIAS, what)
    results.save_bias_report(warehouse, held, {}, "paid", TaskKind.BINARY)
    assert all("foreign results" not in finding.text for finding in check_roles())
    results.receive_bias_report(warehouse, "ann", "loans", {"theirs": 1}, "paid", "binary")
    (finding,) = [finding for finding in check_roles() if "foreign results" in finding.text]
    assert (finding.verdict, finding.part) == (Verdict.WARN, "role bias")
    assert "loans" in finding.text and "mlpipe role bias foreign" in finding.advice
