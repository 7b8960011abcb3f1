"""Cancelling a pipeline at any of its stages: what is at work stores nothing, and what comes later starts nothing.

That the process of a cancelled run is gone, with all it started, is tested in test_warm_runs.py.
"""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import select

from mlpipe_dagster import clock
from mlpipe_dagster.vocabulary import Stage
from mlpipe_dagster.warehouse import datasets, interventions, pipelines
from mlpipe_dagster.warehouse.schema import LedgerRow, Removal
from mlpipe_dagster_tests.defs import troubled_stages
from mlpipe_dagster_tests.defs.flow import Flow, bias_trigger, records

SENSORS = ("dataset_events", "bias_trigger_events", "bias_events", "automl_trigger_events", "automl_events",
           "xai_trigger_events")  # fmt: skip
TRIGGERED_BY = {
    Stage.DATASET: "dataset_events",
    Stage.BIAS: "bias_trigger_events",
    Stage.AUTOML: "automl_trigger_events",
    Stage.XAI: "xai_trigger_events",
}
RESULTS = ("bias-trigger-events", "bias-events", "automl-events", "xai-events")


@pytest.fixture
def troubled_flow(broker: str) -> Iterator[Flow]:
    """A flow whose bias stage meets what a test puts in its way."""
    troubled_stages.ON_THE_WAY.clear()
    with dg.DagsterInstance.ephemeral() as instance:
        yield Flow(instance, troubled_stages.defs)


def cancel(flow: Flow) -> interventions.Cancelled:
    return interventions.cancel_pipeline(flow.warehouse, "small", "ada", by="ada")


def status(flow: Flow) -> dict[str, Any]:
    with flow.warehouse.reading() as session:
        return pipelines.pipeline_object(session, flow.warehouse.settings, "small")


def ask_for(flow: Flow, table: Path, stage: Stage) -> dg.RunRequest:
    """The pipeline up to the trigger of the stage, and the run that it asks for."""
    flow.upload(table, "small")
    for sensor in SENSORS[: SENSORS.index(TRIGGERED_BY[stage])]:
        flow.tick(sensor)
    result = flow.tick(TRIGGERED_BY[stage], advance=False)
    assert isinstance(result, dg.SensorResult) and result.run_requests
    for request in result.dynamic_partitions_requests or []:
        flow.instance.add_dynamic_partitions("dataset_id", list(request.partition_keys))
    return result.run_requests[0]


@pytest.mark.parametrize("stage", list(Stage))
def test_a_run_that_starts_after_the_cancellation_stores_nothing_and_nothing_follows(
    quick_flow: Flow, small_table: Path, stage: Stage
) -> None:
    flow = quick_flow
    request = ask_for(flow, small_table, stage)
    before = [len(records(topic)) for topic in RESULTS]
    cancel(flow)
    run = flow.run(request)
    assert run.success and not run.get_asset_materialization_events()
    runs = len(flow.runs)
    flow.turn()
    assert len(flow.runs) == runs
    assert [len(records(topic)) for topic in RESULTS] == before
    assert status(flow)["status"] == "cancelled"


def test_a_stage_that_finishes_at_that_very_moment_stores_nothing(troubled_flow: Flow, small_table: Path) -> None:
    flow = troubled_flow
    ended: list[interventions.Cancelled] = []
    troubled_stages.ON_THE_WAY.append(lambda: ended.append(cancel(flow)))
    flow.upload(small_table, "small")
    flow.tick("dataset_events")
    flow.tick("bias_trigger_events")
    run = flow.runs[-1]
    assert ended[0].run_ids == (run.run_id,), "this is the run to be terminated"
    assert run.success and not run.get_asset_materialization_events()
    assert records("bias-events") == [] and records("pipeline-failed-events") == []
    assert status(flow)["stages"][-1]["note"] == "cancelled by ada"


def test_a_trigger_that_arrives_later_is_ignored_with_a_note(quick_flow: Flow, small_table: Path) -> None:
    flow = quick_flow
    flow.upload(small_table, "small")
    flow.tick("dataset_events")
    cancel(flow)
    flow.tick("bias_trigger_events")  # our own, which was on its way
    flow.publish("bias-trigger-events", bias_trigger("small"), headers={"ce_id": "late"})
    flow.tick("bias_trigger_events")
    assert "the pipeline was cancelled" in flow.messages[-1]
    assert len(flow.runs) == 1


def test_work_that_waits_for_its_next_try_is_cancelled_too(troubled_flow: Flow, small_table: Path) -> None:
    flow = troubled_flow
    troubled_stages.meets(ConnectionResetError("reset by peer"))
    flow.upload(small_table, "small")
    flow.tick("dataset_events")
    flow.tick("bias_trigger_events")
    cancel(flow)
    with flow.warehouse.transaction() as session:
        session.query(LedgerRow).filter_by(stage="bias").one().retry_at = clock.now() - timedelta(seconds=1)
    flow.tick("sweep")
    assert (len(flow.runs), records("bias-events")) == (2, [])


def test_runs_on_their_way_are_ended_and_a_persons_new_one_is_not(
    quick_flow: Flow, small_table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = quick_flow
    request = ask_for(flow, small_table, Stage.BIAS)
    job = flow.definitions.resolve_job_def("bias_report_job")
    waiting = flow.instance.create_run_for_job(job, tags=dict(request.tags), status=dg.DagsterRunStatus.STARTING)
    again = flow.instance.create_run_for_job(
        job,
        tags=dict(request.tags),
        status=dg.DagsterRunStatus.STARTING,
        parent_run_id=waiting.run_id,
        root_run_id=waiting.run_id,
    )
    cancel(flow)
    ended: list[str] = []
    monkeypatch.setattr(flow.instance.run_launcher, "terminate", ended.append)
    flow.tick("sweep")
    assert ended == [waiting.run_id] and again.run_id not in ended


@pytest.mark.parametrize("version", [None, "v1"])
def test_a_dataset_deleted_in_flight_leaves_no_run_and_no_object(
    quick_flow: Flow, small_table: Path, version: str | None
) -> None:
    flow = quick_flow
    request = ask_for(flow, small_table, Stage.AUTOML)
    assert flow.instance.get_runs_count() > 0
    datasets.delete_dataset(flow.warehouse, "ada", "small", version)
    late = flow.run(request)
    assert late.success and not late.get_asset_materialization_events()
    flow.turn()
    assert flow.instance.get_runs_count() == 0
    folder = flow.warehouse.settings.home / "objects"
    assert [path for path in folder.rglob("*") if path.is_file()] == []
    flow.turn()
    assert flow.instance.get_runs_count() == 0
    with flow.warehouse.reading() as session:
        assert session.scalars(select(Removal)).all() == []


def test_a_run_at_work_is_ended_before_it_is_removed(
    troubled_flow: Flow, small_table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = troubled_flow
    ended: list[str] = []
    monkeypatch.setattr(type(flow.instance.run_launcher), "terminate", lambda _, run_id: ended.append(run_id))

    def deleted_meanwhile() -> None:
        datasets.delete_dataset(flow.warehouse, "ada", "small")
        flow.tick("sweep")
        (left,) = flow.instance.get_runs()
        assert (left.status, [left.run_id]) == (dg.DagsterRunStatus.STARTED, ended)

    troubled_stages.ON_THE_WAY.append(deleted_meanwhile)
    flow.upload(small_table, "small")
    flow.tick("dataset_events")
    flow.tick("bias_trigger_events")
    assert ended and flow.runs[-1].success
    flow.tick("sweep")
    assert flow.instance.get_runs_count() == 0
