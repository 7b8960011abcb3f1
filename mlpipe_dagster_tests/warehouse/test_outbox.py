"""The outbox: order, single claims, what can never be delivered, what is sent again."""

import threading
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from mlpipe_dagster import clock
from mlpipe_dagster.errors import BrokerUnavailable, MlpipeError
from mlpipe_dagster.events import Context, DatasetChanged
from mlpipe_dagster.messaging.records import Acknowledgement, OutboundMessage
from mlpipe_dagster.settings import settings
from mlpipe_dagster.vocabulary import Role, Stage
from mlpipe_dagster.warehouse import decisions, ledger, outbox
from mlpipe_dagster.warehouse.delivery import deliver, deliver_or_leave
from mlpipe_dagster.warehouse.outbox import Owner
from mlpipe_dagster.warehouse.schema import Notification, OutboxRow, Pipeline, ReaderPosition
from mlpipe_dagster.warehouse.warehouse import Warehouse, open_warehouse, set_player
from mlpipe_dagster_tests.warehouse import scenes
from mlpipe_dagster_tests.warehouse.scenes import FakeKafka


def emit(warehouse: Warehouse, ce_id: str, dataset_id: str = "loans") -> None:
    event = DatasetChanged(
        event_type="dataset.updated",
        event_id=f"dataset.updated_{ce_id}",
        timestamp=scenes.TIMESTAMP,
        user_id="ann",
        dataset_id=dataset_id,
        version="v1",
        changes={},
    )
    with warehouse.transaction() as session:
        outbox.emit(session, warehouse.settings, event, Context(), Owner("ann", dataset_id, 1), ce_id=ce_id)


def lease(warehouse: Warehouse, ce_id: str, seconds: float) -> None:
    with warehouse.transaction() as session:
        row = session.query(OutboxRow).filter_by(ce_id=ce_id).one()
        row.leased_until = clock.now() + timedelta(seconds=seconds)


def test_a_broker_that_is_down_leaves_everything_due(warehouse: Warehouse) -> None:
    emit(warehouse, "a1")
    assert deliver_or_leave(warehouse, FakeKafka(down=True)) == "Kafka unreachable at nowhere:9092"
    with pytest.raises(BrokerUnavailable):
        deliver(warehouse, FakeKafka(down=True))
    kafka = FakeKafka()
    deliver(warehouse, kafka)
    assert kafka.ids() == ["a1"]


def test_a_row_waits_for_an_older_one_of_its_key_that_somebody_holds(any_warehouse: Warehouse) -> None:
    for ce_id, dataset_id in (("a1", "a"), ("a2", "a"), ("b1", "b")):
        emit(any_warehouse, ce_id, dataset_id)
    lease(any_warehouse, "a1", 60)
    kafka = FakeKafka()
    deliver(any_warehouse, kafka)
    assert kafka.ids() == ["b1"]
    lease(any_warehouse, "a1", -1)
    deliver(any_warehouse, kafka)
    assert kafka.ids() == ["b1", "a1", "a2"]


class DiesAfterSending(FakeKafka):
    """The process ends between the acknowledgement and its note in the catalogue."""

    def publish(self, messages: Sequence[OutboundMessage]) -> list[Acknowledgement | MlpipeError]:
        super().publish(messages)
        raise SystemExit


def test_what_was_sent_and_not_noted_goes_again_under_its_id_when_its_lease_has_ended(warehouse: Warehouse) -> None:
    emit(warehouse, "a1")
    dying, kafka = DiesAfterSending(), FakeKafka()
    with pytest.raises(SystemExit):
        deliver(warehouse, dying)
    emit(warehouse, "a2")
    deliver(warehouse, kafka)
    assert (dying.ids(), kafka.ids()) == (["a1"], []), "the later one of its key waits as long"
    lease(warehouse, "a1", -1)
    deliver(warehouse, kafka)
    deliver(warehouse, kafka)
    assert kafka.ids() == ["a1", "a2"]


def test_each_row_is_claimed_once_by_several_threads(any_warehouse: Warehouse) -> None:
    for place in range(60):
        emit(any_warehouse, f"e{place}", f"d{place % 7}")
    kafkas = [FakeKafka() for _ in range(4)]
    threads = [
        threading.Thread(target=lambda kafka=kafka: outbox.flush(any_warehouse.catalogue, kafka, _nothing, limit=5))
        for kafka in kafkas
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sent = [ce_id for kafka in kafkas for ce_id in kafka.ids()]
    assert len(sent) == 60
    assert set(sent) == {f"e{place}" for place in range(60)}


def _nothing(*_: object) -> None:
    raise AssertionError("nothing here is over the limit")


def test_the_same_ce_id_is_written_once(any_warehouse: Warehouse) -> None:
    emit(any_warehouse, "same")
    emit(any_warehouse, "same")
    assert len(scenes.outbox_rows(any_warehouse)) == 1


def test_an_event_over_the_limit_goes_without_columns(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLPIPE_KAFKA_MAX_MESSAGE_BYTES", "20000")
    settings.cache_clear()
    warehouse = open_warehouse()
    columns = [f"column_{place:06}" for place in range(2000)]
    scenes.upload(warehouse, tmp_path, columns=columns, data_types=dict.fromkeys(columns, "int64"), row_count=2)
    dataset = scenes.value_of(scenes.outbox_rows(warehouse)[0])["dataset"]
    assert (dataset["columns"], dataset["data_types"], dataset["row_count"]) == (None, None, 2)


def test_what_cannot_be_delivered_fails_its_pipeline_and_blocks_nothing(warehouse: Warehouse, tmp_path: Path) -> None:
    scenes.upload(warehouse, tmp_path, "wide")
    emit(warehouse, "behind", "wide")
    kafka = FakeKafka(refuse=scenes.too_large_for("dataset-events"))
    deliver(warehouse, kafka)
    assert [message.topic for message in kafka.log] == ["dataset-change-events", "pipeline-failed-events"]
    failed = scenes.value_of(scenes.outbox_rows(warehouse, "pipeline.failed")[0])
    assert (failed["stage"], failed["error_type"], failed["dataset_id"]) == ("dataset", "undeliverable", "wide")
    with warehouse.reading() as session:
        assert session.query(Pipeline).one().status == "failed"
        assert session.query(Notification).one().severity == "error"
    deliver(warehouse, kafka)
    assert len(kafka.log) == 2


def test_a_broker_that_dies_behind_an_undeliverable_row_does_not_hide_it(warehouse: Warehouse, tmp_path: Path) -> None:
    scenes.upload(warehouse, tmp_path)
    emit(warehouse, "behind")

    def refuse(message: object) -> object:
        return scenes.too_large_for("dataset-events")(message) or BrokerUnavailable("gone")  # type: ignore[arg-type]

    with pytest.raises(BrokerUnavailable):
        deliver(warehouse, FakeKafka(refuse=refuse))  # type: ignore[arg-type]
    with warehouse.reading() as session:
        assert session.query(Pipeline).one().status == "failed"


def test_what_is_acknowledged_keeps_its_coordinates(warehouse: Warehouse) -> None:
    emit(warehouse, "a1")
    deliver(warehouse, FakeKafka())
    row = scenes.outbox_rows(warehouse)[0]
    assert (row.topic_id, row.partition, row.offset, row.sends) == ("topic-id-1", 0, 0, 1)
    with warehouse.reading() as session:
        assert outbox.depth(session) == 0


TOPIC = "dataset-events"


def position(warehouse: Warehouse, topic_id: str, next_offset: int, idle_seconds: float | None = None) -> None:
    idle = clock.now() - timedelta(seconds=idle_seconds) if idle_seconds is not None else None
    with warehouse.transaction() as session:
        session.merge(
            ReaderPosition(
                topic=TOPIC, topic_id=topic_id, offsets={"0": next_offset}, idle_since=idle, updated_at=clock.now()
            )
        )


def again(warehouse: Warehouse, topic_id: str = "topic-id-1") -> int:
    with warehouse.transaction() as session:
        return outbox.send_again(session, warehouse.settings, {TOPIC: topic_id})


@pytest.fixture
def sent(warehouse: Warehouse, tmp_path: Path) -> Warehouse:
    """A warehouse whose one `dataset.uploaded` was acknowledged at offset 0 and not acted on."""
    scenes.upload(warehouse, tmp_path)
    deliver(warehouse, FakeKafka())
    return warehouse


def test_what_the_reader_has_not_met_yet_is_not_sent_again(sent: Warehouse) -> None:
    assert again(sent) == 0  # no reader has stood anywhere yet
    position(sent, "topic-id-1", 0)
    assert again(sent) == 0
    position(sent, "topic-id-1", 0, idle_seconds=10)
    assert again(sent) == 0


def test_what_the_reader_is_past_is_sent_again(sent: Warehouse) -> None:
    position(sent, "topic-id-1", 1)
    assert again(sent) == 1
    kafka = FakeKafka()
    deliver(sent, kafka)
    assert kafka.ids() == [scenes.outbox_rows(sent)[0].ce_id]


def test_what_went_to_a_topic_that_is_gone_is_sent_again(sent: Warehouse) -> None:
    assert again(sent, "topic-id-2") == 1


def test_what_an_idle_reader_does_not_find_is_sent_again(sent: Warehouse) -> None:
    with sent.transaction() as session:
        session.query(OutboxRow).one().acknowledged_at = clock.now() - timedelta(seconds=40)
    position(sent, "topic-id-1", 0, idle_seconds=40)
    assert again(sent) == 1


def test_what_was_acted_on_or_has_ended_is_not_sent_again(sent: Warehouse, tmp_path: Path) -> None:
    with sent.transaction() as session:
        session.query(Pipeline).one().status = "cancelled"
    assert again(sent, "topic-id-2") == 0
    with sent.transaction() as session:
        session.query(Pipeline).one().status = "running"
    with sent.reading() as session:
        version = session.get_one(scenes.DatasetVersion, 1)
    with sent.transaction() as session:
        ledger.enter(session, sent, Stage.DATASET, scenes.upload_event(sent, version))
    assert again(sent, "topic-id-2") == 0


def test_a_foreign_players_trigger_goes_again_to_a_new_broker_only(warehouse: Warehouse, tmp_path: Path) -> None:
    with warehouse.transaction() as session:
        set_player(session, Role.BIAS, "foreign")
    scenes.read_table(warehouse, tmp_path, scenes.upload(warehouse, tmp_path))
    deliver(warehouse, FakeKafka())
    trigger = scenes.outbox_rows(warehouse, "bias-trigger.reported")[0]
    with warehouse.transaction() as session:
        what = scenes.arrived(scenes.bias_trigger(), trigger.topic, ce_id=trigger.ce_id, version="v1")
        assert ledger.enter(session, warehouse, Stage.BIAS, what).player == "foreign"
    for topic_id, count in (("topic-id-1", 0), ("topic-id-2", 1)):
        with warehouse.transaction() as session:
            assert outbox.send_again(session, warehouse.settings, {trigger.topic: topic_id}) == count


def test_a_dead_letter_of_ours_is_not_sent_again(sent: Warehouse) -> None:
    with sent.transaction() as session:
        row = session.query(OutboxRow).one()
        decisions.note_dead_letter(session, row.ce_id, TOPIC, f"{TOPIC}/0/0", "not JSON")
    assert again(sent, "topic-id-2") == 0
