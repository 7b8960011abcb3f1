"""The ledger of claims: one cause, one piece of work, whoever delivers it how often."""

import threading
from datetime import timedelta
from pathlib import Path

import pytest

from mlpipe_dagster import clock
from mlpipe_dagster.errors import StageLost, UserError
from mlpipe_dagster.vocabulary import Role, Stage
from mlpipe_dagster.warehouse import ledger, results
from mlpipe_dagster.warehouse.ledger import Arrived, Claim
from mlpipe_dagster.warehouse.results import NewModel
from mlpipe_dagster.warehouse.schema import LedgerRow, Pipeline
from mlpipe_dagster.warehouse.warehouse import Warehouse, set_player
from mlpipe_dagster_tests.warehouse import scenes


def trigger(ce_id: str | None = "t1", version: str | None = "v1", dataset_id: str = "loans") -> Arrived:
    return scenes.arrived(scenes.bias_trigger(dataset_id), "bias-trigger-events", ce_id=ce_id, version=version)


def enter(warehouse: Warehouse, stage: Stage, what: Arrived) -> LedgerRow:
    with warehouse.transaction() as session:
        return ledger.enter(session, warehouse, stage, what)


def test_a_row_is_taken_by_one_of_two_runs(any_warehouse: Warehouse, tmp_path: Path) -> None:
    scenes.upload(any_warehouse, tmp_path)
    enter(any_warehouse, Stage.BIAS, trigger())
    claims: dict[str, Claim | None] = {}
    together = threading.Barrier(2)

    def run(run_id: str) -> None:
        together.wait()
        with any_warehouse.transaction() as session:
            claims[run_id] = ledger.take(session, Stage.BIAS, "t1", run_id)

    threads = [threading.Thread(target=run, args=(run_id,)) for run_id in ("run-1", "run-2")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winners = [claim for claim in claims.values() if claim is not None]
    assert len(winners) == 1
    with any_warehouse.reading() as session:
        row = session.query(LedgerRow).one()
    assert (row.state, row.run_id, row.attempt) == ("taken", winners[0].run_id, 1)


def test_the_same_cause_enters_one_row(any_warehouse: Warehouse, tmp_path: Path) -> None:
    scenes.upload(any_warehouse, tmp_path)
    first, second = (enter(any_warehouse, Stage.BIAS, trigger()) for _ in range(2))
    assert first.id == second.id
    foreign = [enter(any_warehouse, Stage.BIAS, trigger(ce_id=None)) for _ in range(2)]
    assert foreign[0].id == foreign[1].id != first.id


def test_a_claim_that_is_lost_cannot_close(warehouse: Warehouse, tmp_path: Path) -> None:
    scenes.upload(warehouse, tmp_path)
    held = scenes.claim(warehouse, Stage.BIAS, trigger())
    with warehouse.transaction() as session:
        session.query(LedgerRow).one().run_id = "another-run"
    with pytest.raises(StageLost, match="taken by another run"), warehouse.transaction() as session:
        ledger.close(session, held)
    with warehouse.transaction() as session:
        session.query(LedgerRow).one().run_id = held.run_id
    with warehouse.transaction() as session:
        ledger.close(session, held)
    with pytest.raises(StageLost, match="done"), warehouse.transaction() as session:
        ledger.close(session, held)


def test_only_a_rerun_takes_a_failed_row_and_reopens_its_pipeline(warehouse: Warehouse, tmp_path: Path) -> None:
    scenes.upload(warehouse, tmp_path)
    scenes.claim(warehouse, Stage.BIAS, trigger())
    with warehouse.transaction() as session:
        session.query(LedgerRow).one().state = "failed"
        session.query(Pipeline).one().status = "failed"
    with warehouse.transaction() as session:
        assert ledger.take(session, Stage.BIAS, "t1", "run-2") is None
        taken = ledger.take(session, Stage.BIAS, "t1", "run-3", rerun=True)
        assert taken is not None and taken.run_id == "run-3"
    with warehouse.reading() as session:
        assert session.query(Pipeline).one().status == "running"
        assert session.query(LedgerRow).one().attempt == 2


@pytest.mark.parametrize("version", ["v1", None])
def test_an_unknown_dataset_waits_and_then_is_an_error(warehouse: Warehouse, version: str | None) -> None:
    row = enter(warehouse, Stage.BIAS, trigger(version=version))
    assert (row.state, row.note) == ("unknown", "the dataset is not known yet")
    with warehouse.transaction() as session:
        found = session.query(LedgerRow).one()
        ledger.recheck_unknown(session, warehouse.settings, found)  # within the grace
        found.created_at = clock.now() - timedelta(seconds=61)
    missing = pytest.raises(UserError, match="dataset loans of ann is not in the warehouse")
    with missing, warehouse.transaction() as session:
        ledger.recheck_unknown(session, warehouse.settings, session.query(LedgerRow).one())


def test_a_dataset_that_comes_later_wakes_its_trigger(warehouse: Warehouse, tmp_path: Path) -> None:
    enter(warehouse, Stage.BIAS, trigger(version=None))
    scenes.upload(warehouse, tmp_path)
    with warehouse.transaction() as session:
        row = session.query(LedgerRow).one()
        ledger.recheck_unknown(session, warehouse.settings, row)
        assert (row.state, row.number, row.partition_key) == ("expected", 1, "loans")


def test_an_unknown_model_is_waited_for(warehouse: Warehouse, tmp_path: Path) -> None:
    scenes.upload(warehouse, tmp_path)
    what = scenes.arrived(scenes.xai_trigger(), "xai-trigger-events", ce_id="x1", version="v1")
    assert enter(warehouse, Stage.XAI, what).note == "the model m is not known yet"


def test_a_trigger_of_an_older_version_is_superseded(warehouse: Warehouse, tmp_path: Path) -> None:
    scenes.upload(warehouse, tmp_path)
    scenes.upload(warehouse, tmp_path)
    assert enter(warehouse, Stage.BIAS, trigger(version="v1")).state == "superseded"
    latest = enter(warehouse, Stage.BIAS, trigger(ce_id="t2", version=None))
    assert (latest.state, latest.number) == ("expected", 2)


def test_a_trigger_of_a_cancelled_pipeline_starts_nothing(warehouse: Warehouse, tmp_path: Path) -> None:
    scenes.upload(warehouse, tmp_path)
    with warehouse.transaction() as session:
        session.query(Pipeline).one().status = "cancelled"
    assert enter(warehouse, Stage.BIAS, trigger()).state == "cancelled"


def test_a_foreign_result_stored_after_the_trigger_has_answered_it(warehouse: Warehouse, tmp_path: Path) -> None:
    scenes.upload(warehouse, tmp_path)
    results.receive_bias_report(warehouse, "ann", "loans", {}, None, None)
    old = scenes.arrived(scenes.bias_trigger(), "bias-trigger-events", ce_id="old", version="v1")
    new = scenes.arrived(
        scenes.bias_trigger(), "bias-trigger-events", ce_id="new", version="v1", timestamp=scenes.FAR_FUTURE_MS
    )
    assert enter(warehouse, Stage.BIAS, old).state == "answered"
    assert enter(warehouse, Stage.BIAS, new).state == "expected"
    for number, said_nothing in enumerate((0, -1)):
        timeless = scenes.arrived(
            scenes.bias_trigger(), "bias-trigger-events", ce_id=f"{number}", version="v1", timestamp=said_nothing
        )
        assert enter(warehouse, Stage.BIAS, timeless).state == "expected"


def test_a_foreign_models_age_counts_as_well(warehouse: Warehouse, tmp_path: Path) -> None:
    scenes.upload(warehouse, tmp_path)
    model = NewModel("m", "M", "sklearn", "classification", ())
    results.receive_model(warehouse, "ann", "loans", model)
    what = scenes.arrived(scenes.xai_trigger(), "xai-trigger-events", ce_id="x1", version="v1")
    assert enter(warehouse, Stage.XAI, what).state == "expected"


def test_the_player_is_read_once(warehouse: Warehouse, tmp_path: Path) -> None:
    scenes.upload(warehouse, tmp_path)
    with warehouse.transaction() as session:
        set_player(session, Role.BIAS, "foreign")
    enter(warehouse, Stage.BIAS, trigger())
    with warehouse.transaction() as session:
        set_player(session, Role.BIAS, "ours")
    assert enter(warehouse, Stage.BIAS, trigger()).player == "foreign"
    assert enter(warehouse, Stage.BIAS, trigger(ce_id="t2")).player == "ours"


def test_a_foreign_cores_trigger_closes_what_was_expected_of_it(warehouse: Warehouse, tmp_path: Path) -> None:
    scenes.upload(warehouse, tmp_path)
    cause = scenes.arrived(scenes.model_uploaded(), "automl-events", ce_id="r1", version="v1")
    for _ in range(2):
        with warehouse.transaction() as session:
            ledger.expect_trigger(session, warehouse.settings, Stage.BIAS, cause)
    with warehouse.reading() as session:
        assert [(row.stage, row.state, row.player) for row in session.query(LedgerRow)] == [
            ("core-bias", "expected", "foreign")
        ]
    enter(warehouse, Stage.BIAS, trigger())
    with warehouse.reading() as session:
        assert {row.stage: row.state for row in session.query(LedgerRow)} == {
            "core-bias": "answered",
            "bias": "expected",
        }


def test_a_run_of_a_person_is_its_own_cause(warehouse: Warehouse, tmp_path: Path) -> None:
    version = scenes.upload(warehouse, tmp_path)
    with warehouse.transaction() as session:
        held = ledger.take_for_person(session, warehouse.settings, Stage.BIAS, version, "run-9", {}, False)
    assert (held.cause, held.causation_id, held.context().pipeline_continue) == ("run:run-9", "run:run-9", False)
