"""The sweep ends questions whose time is over; a waiting question costs no run, whatever restarts meanwhile."""

import json
from datetime import datetime
from pathlib import Path

import dagster as dg
import pytest
from sqlalchemy import update

from mlpipe_dagster.warehouse import pipelines
from mlpipe_dagster.warehouse.catalogue import open_catalogue
from mlpipe_dagster.warehouse.schema import Question
from mlpipe_dagster_tests.defs.flow import Flow, records

LONG_AGO = datetime(2025, 10, 10, 12, 0)


def status(flow: Flow) -> str:
    with flow.warehouse.reading() as session:
        return str(pipelines.pipeline_object(session, flow.warehouse.settings, "small")["status"])


@pytest.mark.parametrize(("outcome", "ends", "triggers"), [("default", "running", 1), ("cancel", "cancelled", 0)])
def test_the_sweep_ends_what_is_over(
    quick_flow: Flow, small_table: Path, outcome: str, ends: str, triggers: int
) -> None:
    flow = quick_flow
    flow.upload(small_table, "small", mode="ask", question_timeout="2h", question_outcome=outcome)
    flow.tick("dataset_events")
    flow.tick("sweep")
    assert (status(flow), len(flow.runs)) == ("waiting", 1)
    open_catalogue.cache_clear()  # as after a restart of every process
    with dg.DagsterInstance.ephemeral() as instance:
        restarted = Flow(instance, flow.definitions)
        restarted.tick("sweep")
        assert (status(restarted), restarted.runs) == ("waiting", [])
        with restarted.warehouse.transaction() as session:
            session.execute(update(Question).values(deadline=LONG_AGO))
        restarted.tick("sweep")
        assert (status(restarted), restarted.runs) == (ends, [])
    sent = records("bias-trigger-events")
    assert len(sent) == triggers
    assert [json.loads(record.value or b"")["dataset_id"] for record in sent] == ["small"] * triggers
