"""What is counted, on rows that real stages left; and by which indexes, so that it stays cheap."""

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import event, inspect, text, update

from mlpipe_dagster import clock
from mlpipe_dagster.vocabulary import Stage
from mlpipe_dagster.warehouse import census, failures, positions, retries
from mlpipe_dagster.warehouse.catalogue import Catalogue
from mlpipe_dagster.warehouse.census import Census, Durations
from mlpipe_dagster.warehouse.schema import LedgerRow, OutboxRow, Question
from mlpipe_dagster.warehouse.warehouse import Warehouse
from mlpipe_dagster_tests.warehouse import scenes


def count(warehouse: Warehouse) -> Census:
    with warehouse.reading() as session:
        return census.count(session)


def test_an_empty_catalogue_counts_nothing(warehouse: Warehouse) -> None:
    assert count(warehouse) == Census(handled_letters=[])


def test_the_outbox(warehouse: Warehouse, tmp_path: Path) -> None:
    for name in ("a", "b", "c", "d"):
        scenes.upload(warehouse, tmp_path, name)
    with warehouse.transaction() as session:
        first, second, third, _ = session.query(OutboxRow).order_by(OutboxRow.id)
        first.acknowledged_at = clock.now()
        second.undeliverable, second.created_at = "too large", clock.now() - timedelta(days=1)
        third.created_at = clock.now() - timedelta(seconds=90)
    found = count(warehouse)
    assert (found.outbox_waiting, found.outbox_undeliverable) == (2, 1)
    assert found.outbox_oldest_seconds == pytest.approx(90, abs=60)


def test_stages_pipelines_and_durations(warehouse: Warehouse, tmp_path: Path) -> None:
    version = scenes.read_table(warehouse, tmp_path, scenes.upload(warehouse, tmp_path))
    begun = clock.now() - timedelta(minutes=5)
    with warehouse.transaction() as session:
        took = {"taken_at": begun, "updated_at": begun + timedelta(seconds=7.25)}
        session.execute(update(LedgerRow).where(LedgerRow.stage == "dataset").values(took))
    scenes.claim(warehouse, Stage.BIAS, scenes.arrived(scenes.bias_trigger(version.dataset_id), "bias-trigger-events"))
    found = count(warehouse)
    assert found.pipelines == {"running": 1}
    assert found.stages == {("dataset", "ours", "done"): 1, ("bias", "ours", "taken"): 1}
    ((key, durations),) = found.durations.items()
    assert key == ("dataset", "ours")
    assert durations == Durations((0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1), 1, pytest.approx(7.25, abs=0.001))


def test_foreign_work_is_measured_from_its_trigger(warehouse: Warehouse, tmp_path: Path) -> None:
    scenes.read_table(warehouse, tmp_path, scenes.upload(warehouse, tmp_path))
    begun = clock.now() - timedelta(minutes=5)
    with warehouse.transaction() as session:
        took = {
            "player": "foreign",
            "state": "answered",
            "created_at": begun,
            "updated_at": begun + timedelta(seconds=400),
        }
        session.execute(update(LedgerRow).where(LedgerRow.stage == "dataset").values(took))
    durations = count(warehouse).durations["dataset", "foreign"]
    assert (durations.within[-4:], durations.count) == ((0, 1, 1, 1), 1)
    assert durations.seconds == pytest.approx(400, abs=0.001)


def test_failures(warehouse: Warehouse, tmp_path: Path) -> None:
    """One run meets a passing trouble, the next one fails for good: two failed runs, one failed stage."""
    version = scenes.upload(warehouse, tmp_path)
    what = scenes.upload_event(warehouse, version)
    held = scenes.claim(warehouse, Stage.DATASET, what, "run-1")
    assert count(warehouse).run_failures == {("dataset", "ours"): 0}
    with warehouse.transaction() as session:
        assert retries.put_back(session, warehouse.settings, held, "run_died", "it died")
    assert count(warehouse).run_failures == {("dataset", "ours"): 1}
    held = scenes.claim(warehouse, Stage.DATASET, what, "run-2")
    assert count(warehouse).run_failures == {("dataset", "ours"): 1}
    with warehouse.transaction() as session:
        assert failures.fail_claim(session, warehouse.settings, held, "bad_table", "not a table")
    found = count(warehouse)
    assert found.run_failures == {("dataset", "ours"): 2}
    assert found.failed_lately == {("dataset", "ours"): 1}
    assert found.pipelines == {"failed": 1}
    with warehouse.transaction() as session:
        session.execute(update(LedgerRow).values(updated_at=clock.now() - timedelta(hours=2)))
    assert count(warehouse).failed_lately == {}


def test_questions_and_positions(warehouse: Warehouse) -> None:
    with warehouse.transaction() as session:
        for number, status in enumerate(("open", "open", "answered", "closed")):
            session.add(
                Question(
                    id=f"q{number}", cause=f"c{number}", user_id="ann", dataset_id="loans", number=1, kind="target",
                    subject="s", body="b", fields={}, status=status,
                    created_at=clock.now() - timedelta(hours=number + 1), outcome="cancel",
                    deadline=clock.now() + timedelta(minutes=30 - 60 * number),
                )
            )  # fmt: skip
        positions.remember(session, "dataset-events", "id-1", {0: 12, 1: 3}, idle=True)
    found = count(warehouse)
    assert found.questions_waiting == 2
    assert found.question_oldest_seconds == pytest.approx(7200, abs=60)
    assert found.questions_overdue == {"cancel": 1}  # of the two that are open the first has half an hour left
    assert found.positions == {"dataset-events": ("id-1", {0: 12, 1: 3})}


def test_no_table_that_grows_is_read_whole(warehouse: Warehouse) -> None:
    asked = []

    def note(_connection: object, _cursor: object, statement: str, parameters: object, *_more: object) -> None:
        asked.append((statement, parameters))

    with warehouse.reading() as session:
        bind = session.get_bind()
        event.listen(bind, "before_cursor_execute", note)
        census.count(session)
        event.remove(bind, "before_cursor_execute", note)
        plans = [
            row[3]
            for statement, parameters in asked
            if statement.startswith("SELECT")
            for row in session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        ]
    reads = [plan for plan in plans if plan.split()[0] in {"SCAN", "SEARCH"} and not plan.startswith("SCAN anon")]
    assert len(reads) == 13
    assert [plan for plan in reads if " INDEX " not in plan] == ["SCAN reader_positions"]  # a row a topic


def test_a_catalogue_of_an_older_mlpipe_gets_the_indexes(warehouse: Warehouse) -> None:
    with warehouse.transaction() as session:
        session.execute(text("DROP INDEX ix_ledger_counted"))
        session.execute(text("DROP INDEX ix_questions_waiting"))
    again = Catalogue(warehouse.catalogue.url)
    again.create()
    with again.reading() as session:
        inspector = inspect(session.connection())
        names = {index["name"] for table in ("ledger", "questions") for index in inspector.get_indexes(table)}
    assert {"ix_ledger_counted", "ix_questions_waiting"} <= names
