"""`/metrics` on real state: parsed by Prometheus' client library, with Kafka and without, from two applications."""

import threading
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy.exc import OperationalError

from mlpipe_dagster.api import platform_metrics
from mlpipe_dagster.api.app import create_app
from mlpipe_dagster.errors import ContractError
from mlpipe_dagster.messaging import log_watch
from mlpipe_dagster.messaging.connection import Connection
from mlpipe_dagster.messaging.dead_letters import dead_letter
from mlpipe_dagster.messaging.embedded import EmbeddedBroker
from mlpipe_dagster.messaging.publisher import Publisher
from mlpipe_dagster.messaging.records import Record
from mlpipe_dagster.messaging.topics import topic_ids
from mlpipe_dagster.vocabulary import Stage
from mlpipe_dagster.warehouse import dead_letters, failures, positions
from mlpipe_dagster.warehouse.warehouse import Warehouse
from mlpipe_dagster_tests.api.requests import upload
from mlpipe_dagster_tests.api.scraping import Scrape, scrape
from mlpipe_dagster_tests.warehouse import scenes

TYPES = {
    "kafka_consumergroup_group_lag": "gauge",
    "kafka_consumergroup_group_offset": "gauge",
    "kafka_partition_latest_offset": "gauge",
    "mlpipe_catalogue_up": "gauge",
    "mlpipe_dead_letters_open": "gauge",
    "mlpipe_deliveries": "gauge",
    "mlpipe_deliveries_failed_last_hour": "gauge",
    "mlpipe_delivery_oldest_age_seconds": "gauge",
    "mlpipe_http_request_duration_seconds": "histogram",
    "mlpipe_http_requests": "counter",
    "mlpipe_kafka_up": "gauge",
    "mlpipe_outbox_oldest_age_seconds": "gauge",
    "mlpipe_outbox_undeliverable": "gauge",
    "mlpipe_outbox_waiting": "gauge",
    "mlpipe_pipelines": "gauge",
    "mlpipe_question_oldest_age_seconds": "gauge",
    "mlpipe_questions_overdue": "gauge",
    "mlpipe_questions_waiting": "gauge",
    "mlpipe_run_failures": "counter",
    "mlpipe_stage_duration_seconds": "histogram",
    "mlpipe_stages": "gauge",
    "mlpipe_stages_failed_last_hour": "gauge",
}
OF_KAFKA = {name for name in TYPES if name.startswith("kafka_")} | {"mlpipe_dead_letters_open"}


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every scrape counts anew, and waits for Kafka as long as it takes: what is cached is tested by itself."""
    monkeypatch.setattr(platform_metrics, "FRESH_SECONDS", 0)
    monkeypatch.setattr(log_watch, "FRESH_SECONDS", 0)
    monkeypatch.setattr(log_watch, "PATIENCE_SECONDS", 30)


def without_created(found: Scrape) -> dict[str, str]:
    ours = {name: family.type for name, family in found.families.items() if not name.startswith("process_")}
    return {name: kind for name, kind in ours.items() if not name.endswith("_created")}


def test_names_types_and_help(client: TestClient) -> None:
    client.get("/health")
    found = scrape(client)
    assert without_created(found) == TYPES
    assert [family.name for family in found.families.values() if len(family.documentation) < 10] == []
    assert found.value("process_resident_memory_bytes") is not None


def test_requests_are_counted_by_template_never_by_id(client: TestClient) -> None:
    upload(client, "loans")
    for dataset_id in ("loans", "loans", "nobody"):
        client.get(f"/datasets/ann/{dataset_id}")
    client.get("/no/such/page")
    client.request("BREW", "/health")
    found = scrape(client)
    assert found.values("mlpipe_http_requests_total") == {
        ("POST", "/datasets/upload", "200"): 1,
        ("GET", "/datasets/{user_id}/{dataset_id}", "200"): 2,
        ("GET", "/datasets/{user_id}/{dataset_id}", "404"): 1,
        ("GET", "none", "404"): 1,
        ("other", "/health", "405"): 1,
    }
    labels = {"method": "GET", "route": "/datasets/{user_id}/{dataset_id}", "status": "200"}
    assert found.value("mlpipe_http_request_duration_seconds_count", **labels) == 2
    assert found.value("mlpipe_http_request_duration_seconds_bucket", le="+Inf", **labels) == 2
    assert (found.value("mlpipe_http_request_duration_seconds_sum", **labels) or 0) > 0


def test_a_request_that_breaks_counts_as_500(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    breaking = TestClient(client.app, raise_server_exceptions=False)
    monkeypatch.setattr("mlpipe_dagster.api.inbox.list_questions", lambda *_: 1 / 0, raising=False)
    monkeypatch.setattr("mlpipe_dagster.warehouse.inbox.list_questions", lambda *_: 1 / 0)
    assert breaking.get("/questions").status_code == 500
    assert scrape(client).value("mlpipe_http_requests_total", method="GET", route="/questions", status="500") == 1


def test_the_state_of_the_platform(client: TestClient, warehouse: Warehouse, tmp_path: Path) -> None:
    scenes.read_table(warehouse, tmp_path, scenes.upload(warehouse, tmp_path, "good"))
    bad = scenes.upload(warehouse, tmp_path, "bad")
    held = scenes.claim(warehouse, Stage.DATASET, scenes.upload_event(warehouse, bad))
    with warehouse.transaction() as session:
        failures.fail_claim(session, warehouse.settings, held, "bad_table", "not a table")
    found = scrape(client)
    statuses = ("running", "waiting", "done", "failed", "cancelled", "superseded")
    by_status = {status: found.value("mlpipe_pipelines", status=status) for status in statuses}
    assert by_status == {"running": 1, "waiting": 0, "done": 0, "failed": 1, "cancelled": 0, "superseded": 0}
    ours = {"stage": "dataset", "player": "ours"}
    assert found.value("mlpipe_stages", state="done", **ours) == 1
    assert found.value("mlpipe_stages", state="failed", **ours) == 1
    assert found.value("mlpipe_stages_failed_last_hour", **ours) == 1
    assert found.value("mlpipe_run_failures_total", **ours) == 1
    assert found.value("mlpipe_stage_duration_seconds_count", **ours) == 1
    assert found.value("mlpipe_stage_duration_seconds_bucket", le="3600.0", **ours) == 1
    assert found.value("mlpipe_questions_waiting") == 0
    assert found.value("mlpipe_deliveries", state="failed") == 0
    assert found.value("mlpipe_deliveries_failed_last_hour") == 0
    assert found.value("mlpipe_delivery_oldest_age_seconds") == 0
    for outcome in ("default", "cancel", "wait"):
        assert found.value("mlpipe_questions_overdue", outcome=outcome) == 0


def test_lag_is_from_the_cursor_of_our_reader_to_the_end_of_the_log(
    client: TestClient, warehouse: Warehouse, broker: EmbeddedBroker
) -> None:
    """The broker is shared: others have written, so lag is compared with the end that the same scrape names."""
    for _ in range(3):
        upload(client)
    client.app.state.flusher.stop()  # type: ignore[attr-defined]  # what it was sending has arrived then
    place = {"topic": "dataset-events", "partition": "0"}
    group = {"group": "agentic-core-dataset-consumer", **place}
    found = scrape(client)
    end = found.value("kafka_partition_latest_offset", **place)
    assert end is not None and end >= 3
    assert found.value("kafka_consumergroup_group_lag", **group) == end, "nothing was read yet"
    topic_id = topic_ids(Connection(broker.address))["dataset-events"]
    with warehouse.transaction() as session:
        positions.remember(session, "dataset-events", topic_id, {0: int(end) - 2}, idle=False)
    found = scrape(client)
    assert found.value("kafka_consumergroup_group_lag", **group) == 2
    assert found.value("kafka_consumergroup_group_offset", **group) == end - 2
    with warehouse.transaction() as session:
        positions.remember(session, "dataset-events", "another log", {0: int(end) - 2}, idle=False)
    assert scrape(client).value("kafka_consumergroup_group_lag", **group) == end, "the topic was created anew"
    assert len(found.values("kafka_consumergroup_group_lag")) == 7


def test_dead_letters_are_open_until_somebody_handles_them(client: TestClient, warehouse: Warehouse) -> None:
    connection = Connection.from_settings()
    open_before = scrape(client).value("mlpipe_dead_letters_open", topic="bias-events.dlq")
    assert open_before is not None
    broken = Record("bias-events", 0, 5, 0, b"k", b"{", ())
    publisher = Publisher(connection)
    publisher.publish([dead_letter(broken, ContractError("no JSON"), "core")] * 2)
    publisher.close()
    assert scrape(client).value("mlpipe_dead_letters_open", topic="bias-events.dlq") == open_before + 2
    newest = dead_letters.list_letters(warehouse, connection)[-1]
    dead_letters.discard(warehouse, connection, newest.coordinates)
    assert scrape(client).value("mlpipe_dead_letters_open", topic="bias-events.dlq") == open_before + 1


def test_without_kafka_everything_else_is_there(lonely_client: TestClient) -> None:
    upload(lonely_client)
    found = scrape(lonely_client)
    assert found.value("mlpipe_kafka_up") == 0
    assert found.value("mlpipe_outbox_waiting") == 1
    assert set(TYPES) - set(found.families) == OF_KAFKA


def test_a_scrape_does_not_wait_for_kafka(lonely_client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kafka is still being asked when the answer is there."""
    release, asked = threading.Event(), threading.Event()

    def hang(_self: object, _before: object) -> log_watch.LogView:
        asked.set()
        release.wait(60)
        return log_watch.LogView(reachable=True)

    monkeypatch.setattr(log_watch.LogWatch, "_ask", hang)
    monkeypatch.setattr(log_watch, "PATIENCE_SECONDS", 0.05)
    found = scrape(lonely_client)
    assert asked.is_set() and not release.is_set()
    assert found.value("mlpipe_kafka_up") == 0
    release.set()
    monkeypatch.setattr(log_watch, "PATIENCE_SECONDS", 30)
    assert scrape(lonely_client).value("mlpipe_kafka_up") == 1


def test_a_catalogue_that_does_not_answer_is_said(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_session: object) -> None:
        raise OperationalError("SELECT", {}, Exception("gone"))

    monkeypatch.setattr("mlpipe_dagster.warehouse.census.count", broken)
    found = scrape(client)
    assert found.value("mlpipe_catalogue_up") == 0
    assert found.value("mlpipe_kafka_up") == 1
    assert "mlpipe_outbox_waiting" not in found.families


def test_two_processes_say_the_same_of_the_platform_and_count_their_own_requests(client: TestClient) -> None:
    upload(client)
    client.app.state.flusher.stop()  # type: ignore[attr-defined]
    with TestClient(create_app()) as other:
        first, second = scrape(client), scrape(other)
    for name in ("mlpipe_pipelines", "mlpipe_stages", "kafka_consumergroup_group_lag", "mlpipe_dead_letters_open"):
        assert first.values(name) == second.values(name)
    assert sum(first.values("mlpipe_http_requests_total").values()) == 1
    assert second.values("mlpipe_http_requests_total") == {}


def test_what_was_just_counted_is_not_counted_again(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    scrape(client)
    monkeypatch.setattr(platform_metrics, "FRESH_SECONDS", 3600)
    upload(client)
    assert scrape(client).value("mlpipe_pipelines", status="running") == 0
    monkeypatch.setattr(platform_metrics, "FRESH_SECONDS", 0)
    assert scrape(client).value("mlpipe_pipelines", status="running") == 1


def test_buckets_are_cumulative(client: TestClient, warehouse: Warehouse, tmp_path: Path) -> None:
    scenes.read_table(warehouse, tmp_path, scenes.upload(warehouse, tmp_path))
    families = {family.name: family for family in text_string_to_metric_families(client.get("/metrics").text)}
    buckets = [s for s in families["mlpipe_stage_duration_seconds"].samples if s.name.endswith("_bucket")]
    assert [float(sample.labels["le"]) for sample in buckets] == [
        0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, float("inf"),
    ]  # fmt: skip
    values = [sample.value for sample in buckets]
    assert values == sorted(values) and values[-1] == 1
