"""Further tries through sensors, runs and sweep: troubles that pass, launches that fail, runs that take too long."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.launcher import LaunchRunContext, RunLauncher

from mlpipe_dagster import clock
from mlpipe_dagster.definitions import assemble
from mlpipe_dagster.defs.resources import StagesResource
from mlpipe_dagster.vocabulary import Stage
from mlpipe_dagster.warehouse import inbox, interventions, pipelines
from mlpipe_dagster.warehouse.schema import LedgerRow
from mlpipe_dagster_tests.defs import troubled_stages
from mlpipe_dagster_tests.defs.flow import Flow, records
from mlpipe_dagster_tests.defs.troubled_stages import meets


@pytest.fixture
def troubled_flow(broker: str) -> Iterator[Flow]:
    """A flow whose bias stage meets what a test puts in its way."""
    troubled_stages.ON_THE_WAY.clear()
    with dg.DagsterInstance.ephemeral() as instance:
        yield Flow(instance, troubled_stages.defs)


def bias_row(flow: Flow) -> LedgerRow:
    with flow.warehouse.reading() as session:
        return session.query(LedgerRow).filter_by(stage="bias").one()


def change(flow: Flow, **values: Any) -> None:
    with flow.warehouse.transaction() as session:
        session.query(LedgerRow).filter_by(stage="bias").update(values)


def make_due(flow: Flow) -> None:
    """As if the wait for the next try were over."""
    change(flow, retry_at=clock.now() - timedelta(seconds=1))


def ask_for_bias(flow: Flow, table: Path) -> None:
    flow.upload(table, "small")
    flow.tick("dataset_events")
    flow.tick("bias_trigger_events")


def status(flow: Flow) -> dict[str, Any]:
    with flow.warehouse.reading() as session:
        return pipelines.pipeline_object(session, flow.warehouse.settings, "small")


def test_a_passing_trouble_is_tried_again_after_a_wait_and_announced_once(
    troubled_flow: Flow, small_table: Path
) -> None:
    flow = troubled_flow
    for error in (ConnectionResetError("reset by peer"), OSError(28, "No space left on device")):
        meets(error)
    ask_for_bias(flow, small_table)
    assert not flow.runs[-1].success
    flow.tick("sweep")
    assert len(flow.runs) == 2, "its wait is not over"
    stage = status(flow)["stages"][-1]
    assert stage["note"].startswith("ConnectionResetError: reset by peer (try 2 of 5 from ")
    for tries in (2, 3):
        make_due(flow)
        flow.tick("sweep")
        assert bias_row(flow).attempt == tries
    row = bias_row(flow)
    assert (row.state, row.note, flow.requested >= {f"{row.id}/2", f"{row.id}/3"}) == ("done", None, True)
    assert (len(records("bias-events")), len(records("pipeline-failed-events"))) == (1, 0)


@pytest.mark.parametrize("error", [MemoryError(), KeyError("age")], ids=repr)
def test_what_does_not_pass_fails_at_once(troubled_flow: Flow, small_table: Path, error: Exception) -> None:
    meets(error)
    ask_for_bias(troubled_flow, small_table)
    troubled_flow.tick("sweep")
    row = bias_row(troubled_flow)
    assert (row.state, row.attempt, row.failures) == ("failed", 1, 0)
    assert len(records("pipeline-failed-events")) == 1


@pytest.mark.usefixtures("without_waiting")
def test_after_the_last_try_it_says_so_once_and_can_be_retried(troubled_flow: Flow, small_table: Path) -> None:
    flow = troubled_flow
    for number in (1, 2, 3):
        meets(ConnectionResetError(f"reset {number}"))
    ask_for_bias(flow, small_table)
    for _ in range(4):
        flow.tick("sweep")
    (record,) = records("pipeline-failed-events")
    assert b"the last time: ConnectionResetError: reset 3." in (record.value or b"")
    with flow.warehouse.reading() as session:
        assert [note.severity for note in inbox.list_notifications(session, "ada")].count("error") == 1
    assert interventions.retry_pipeline(flow.warehouse, "small") is Stage.BIAS
    flow.flush()
    flow.tick("bias_trigger_events")
    assert (len(records("bias-events")), status(flow)["status"]) == (1, "running")


class Refusing(RunLauncher[Any]):
    """Launches nothing."""

    def launch_run(self, context: LaunchRunContext) -> None:
        raise ChildProcessError("no room for another process")

    def terminate(self, run_id: str) -> bool:
        return False


@pytest.mark.usefixtures("without_waiting")
def test_launches_that_fail_are_counted_and_given_up_in_words(
    quick_flow: Flow, small_table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow, launcher = quick_flow, Refusing()
    launcher.register_instance(flow.instance)
    monkeypatch.setattr(flow.instance, "_run_launcher", launcher)
    flow.upload(small_table, "small")
    keys = []
    for sensor in ("dataset_events", "sweep", "sweep"):
        result = flow.tick(sensor, advance=False)
        assert isinstance(result, dg.SensorResult) and result.run_requests
        (request,) = result.run_requests
        keys.append(request.run_key)
        run = flow.instance.create_run_for_job(flow.definitions.resolve_job_def("dataset_job"), tags=dict(request.tags))
        with pytest.raises(ChildProcessError):
            flow.instance.launch_run(run.run_id, None)  # type: ignore[arg-type]
        with flow.warehouse.transaction() as session:
            session.query(LedgerRow).one().requested_at = clock.now() - timedelta(seconds=10)
    flow.tick("sweep")
    (record,) = records("pipeline-failed-events")
    assert b"Tried 3 times in vain, the last time: ChildProcessError: no room for another process" in (
        record.value or b""
    )
    assert len(set(keys)) == 3
    with flow.warehouse.reading() as session:
        row = session.query(LedgerRow).one()
    assert (row.state, row.attempt) == ("failed", 0)


class NoRoom(StagesResource):
    """Runs that need it die before their first step."""

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        raise ChildProcessError("no room to begin")


@pytest.mark.usefixtures("without_waiting")
def test_a_run_that_dies_before_its_first_step_is_tried_again(quick_flow: Flow, small_table: Path) -> None:
    flow, works = quick_flow, quick_flow.definitions
    flow.upload(small_table, "small")
    result = flow.tick("dataset_events", advance=False)
    assert isinstance(result, dg.SensorResult) and result.run_requests
    flow.instance.add_dynamic_partitions("dataset_id", ["small"])
    flow.definitions = assemble(NoRoom(**troubled_stages.QUICK))
    assert not flow.run(result.run_requests[0]).success
    assert [run.status for run in flow.instance.get_runs()] == [dg.DagsterRunStatus.FAILURE]
    with flow.warehouse.transaction() as session:
        session.query(LedgerRow).one().requested_at = clock.now() - timedelta(seconds=10)
    flow.definitions = works
    flow.tick("sweep")
    assert flow.runs[-1].success
    (stage,) = status(flow)["stages"]
    assert (stage["state"], stage["attempt"]) == ("done", 1)


@pytest.mark.usefixtures("without_waiting")
def test_a_killed_run_is_tried_again_and_named(quick_flow: Flow, small_table: Path) -> None:
    flow = quick_flow
    flow.upload(small_table, "small")
    result = flow.tick("dataset_events", advance=False)
    assert isinstance(result, dg.SensorResult) and result.run_requests
    run = flow.instance.create_run_for_job(
        flow.definitions.resolve_job_def("dataset_job"),
        tags=dict(result.run_requests[0].tags),
        status=dg.DagsterRunStatus.STARTED,
    )
    flow.instance.report_run_failed(run, "The process of this run was killed by signal 9.")
    with flow.warehouse.transaction() as session:
        session.query(LedgerRow).one().requested_at = clock.now() - timedelta(seconds=10)
    again = flow.tick("sweep", advance=False)
    assert isinstance(again, dg.SensorResult) and len(again.run_requests or []) == 1
    assert (status(flow)["stages"][0]["note"] or "").startswith("The process of this run was killed by signal 9")


def test_a_run_that_takes_too_long_is_ended_and_its_pipeline_fails_once(
    quick_flow: Flow, small_table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = quick_flow
    flow.upload(small_table, "small")
    flow.tick("dataset_events")
    result = flow.tick("bias_trigger_events", advance=False)
    assert isinstance(result, dg.SensorResult) and result.run_requests
    run = flow.instance.create_run_for_job(
        flow.definitions.resolve_job_def("bias_report_job"),
        tags=dict(result.run_requests[0].tags),
        status=dg.DagsterRunStatus.STARTED,
    )
    past = clock.now() - timedelta(hours=1)
    change(flow, state="taken", run_id=run.run_id, taken_at=past, deadline=past + timedelta(seconds=600))
    ended: list[str] = []
    monkeypatch.setattr(flow.instance.run_launcher, "terminate", ended.append)
    for _ in range(2):
        flow.tick("sweep")
    assert set(ended) == {run.run_id}
    (record,) = records("pipeline-failed-events")
    assert b'"overdue"' in (record.value or b"") and b"MLPIPE_BIAS_DEADLINE" in (record.value or b"")
    assert status(flow)["status"] == "failed"
