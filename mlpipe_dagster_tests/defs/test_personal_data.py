"""No name, e-mail address or phone of a table leaves with a flow: pages, messages, events, Dagster's metadata."""

import json
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dagster as dg
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from mlpipe_dagster.api.app import create_app
from mlpipe_dagster.channels.courier import AT_ONCE, carry
from mlpipe_dagster.settings import settings
from mlpipe_dagster.vocabulary import Level, ReportType
from mlpipe_dagster.warehouse import decisions, inbox, pipelines
from mlpipe_dagster.warehouse.schema import OutboxRow
from mlpipe_dagster.warehouse.warehouse import Warehouse
from mlpipe_dagster_tests.channels.receivers import Webhook, webhook
from mlpipe_dagster_tests.defs.flow import Flow

FAMILIES = ("Quisling", "Xylander", "Zworykin", "Brontë", "Vlček")
NOTE = "call me at hidden.note@plantedmail.org"
PLANTED = (*FAMILIES, "plantedmail.org", "+47 99 88", "+4799")


def planted_table(folder: Path) -> Path:
    """A table whose first four columns are about people; a free text has an e-mail address in some rows, too."""
    generator = random.Random(7)
    lines = ["customer name,email,telefon,customer_no,remark,sex,hours,target"]
    for row in range(120):
        family, hours = FAMILIES[row % len(FAMILIES)], generator.randint(10, 60)
        label = "yes" if hours + generator.gauss(0, 8) > 38 else "no"
        lines.append(
            f"Mr. {'ABCDEFGHIJ'[row % 10]} {family},p{row}@plantedmail.org,+47 99 88 {row:03},{70_000 + 13 * row},"
            f"{NOTE if row % 3 else 'none'},{generator.choice(['female', 'male'])},{hours},{label}"
        )
    file = folder / "people.csv"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def pages(flow: Flow) -> dict[str, str]:
    """Every page of the pipeline, as the API shows it, and the lists of questions and notifications."""
    with flow.warehouse.reading() as session:
        pipeline = pipelines.pipeline_object(session, flow.warehouse.settings, "people")
    assert pipeline["status"] == "done", pipeline
    paths = [
        f"/xai-reports/ada/people/automl_people/{kind.value}/{level.value}/view"
        for kind in ReportType
        for level in Level
    ]
    paths += [f"/bias-reports/ada/people/view?level={level.value}" for level in Level]
    paths += [f"/plots/{asset}/ada/people/v1.svg" for asset in ("dataset", "bias_report", "model", "xai_report")]
    paths += [
        "/bias-reports/ada/people",
        "/pipelines/people?user_id=ada",
        "/notifications",
        "/questions",
        "/inbox",
        "/",
    ]
    found = {}
    with TestClient(create_app()) as client:
        for path in paths:
            answer = client.get(path, headers={"Accept": "text/html"})
            assert answer.status_code == 200, (path, answer.text)
            found[path] = answer.text
    return found


def told_dagster(flow: Flow) -> str:
    """Everything that runs have told Dagster beside logs: materializations, their metadata, results of checks."""
    events = [event for run in flow.runs for event in run.all_events]
    kinds = ("ASSET_MATERIALIZATION", "ASSET_CHECK_EVALUATION", "STEP_FAILURE")
    told = [dg.serialize_value(event) for event in events if event.event_type_value in kinds]
    assert len(told) >= 8
    return "\n".join(told)


def test_no_planted_value_leaves(flow: Flow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLPIPE_DEFAULT_TIME_BUDGET", "6")
    settings.cache_clear()
    flow.upload(planted_table(tmp_path), "people", target_column_name="target")
    flow.turn(2)
    shown = pages(flow) | {"dagster": told_dagster(flow)}
    with flow.warehouse.reading() as session:
        shown["events"] = "\n".join(session.scalars(select(OutboxRow.value)))
    leaks = [(place, word) for place, text in shown.items() for word in PLANTED if word in text]
    assert not leaks
    assert "call me at •••" in shown["/xai-reports/ada/people/automl_people/model_explanation/expert/view"]
    assert "customer name" in shown["/xai-reports/ada/people/automl_people/data_explanation/expert/view"], (
        "columns keep their names"
    )


def told_outside(warehouse: Warehouse, hook: Webhook) -> str:
    """Everything that a channel was told, once nothing waits."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        while carry(warehouse, pool):
            pass
    return json.dumps(hook.taken, ensure_ascii=False)


@pytest.mark.long
def test_outside_channels_carry_no_value_of_the_table(
    flow: Flow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every question is asked, a pipeline fails, and the channel of the platform is told of all of it."""
    table = planted_table(tmp_path)
    with webhook() as hook:
        monkeypatch.setenv("MLPIPE_NOTIFY_URLS", hook.url)
        settings.cache_clear()
        flow.upload(table, "people", ask=["target", "bias"])
        flow.turn()
        with flow.warehouse.reading() as session:
            (asked,) = inbox.list_questions(session, "ada", "open")
        told = told_outside(flow.warehouse, hook)
        decisions.answer_question(flow.warehouse, asked.id, {"target_column_name": "target"}, "ada")
        flow.flush()
        flow.turn()
        flow.upload(table, "failing", target_column_name="hours", task_type="binary")
        flow.turn()
        told += told_outside(flow.warehouse, hook)
    assert [word for word in (*PLANTED, "female", "male") if word in told] == []
    assert [name for name in ("customer", "email", "telefon") if name in told] == [], "columns of people are not named"
    subjects = ("which column", "go on after the bias report", "reading the table failed")
    assert [words for words in (*subjects, "target_column_name=sex") if words not in told] == []


def test_a_column_that_identifies_people_is_no_target(flow: Flow, tmp_path: Path) -> None:
    flow.upload(planted_table(tmp_path), "people", target_column_name="email")
    flow.turn()
    with flow.warehouse.reading() as session:
        pipeline = pipelines.pipeline_object(session, flow.warehouse.settings, "people")
        told = [note.body for note in inbox.list_notifications(session, "ada")]
    assert pipeline["status"] == "failed"
    assert ["identifies people (email)" in body for body in told] == [True]
