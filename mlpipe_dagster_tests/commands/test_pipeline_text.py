"""A pipeline in words, from an object written out by hand."""

import copy
from datetime import datetime
from typing import Any

from rich.console import Console

from mlpipe_dagster.commands import pipeline_text
from mlpipe_dagster.commands.pipeline_text import duration, stage_lines
from mlpipe_dagster.vocabulary import Stage

NOW = datetime(2026, 3, 1, 12, 1, 0)


def row(stage: str, state: str, asked_at: str, updated_at: str, **other: Any) -> dict[str, Any]:
    plain = {"note": None, "player": "ours", "attempt": 1, "cause": "c", "coordinates": None, "run_id": None}
    times = {"asked_at": asked_at, "updated_at": updated_at, "deadline": updated_at}
    return {"stage": stage, "state": state, **plain, "run_link": None, **times, **other}


PIPELINE: dict[str, Any] = {
    "dataset_id": "iris",
    "user_id": "ada",
    "version": "v2",
    "name": "Iris",
    "status": "running",
    "choices": {"reasons": ["Target column: species (as you asked)."]},
    "stages": [
        row("dataset", "failed", "2026-03-01T12:00:00.000000", "2026-03-01T12:00:01.000000", note="bad_table: empty"),
        row("dataset", "done", "2026-03-01T12:00:02.000000", "2026-03-01T12:00:04.500000"),
        row(
            "bias",
            "taken",
            "2026-03-01T12:00:05.000000",
            "2026-03-01T12:00:06.000000",
            attempt=2,
            run_link="http://d/r",
        ),
        row("automl", "expected", "2026-03-01T11:57:00.000000", "2026-03-01T11:57:00.000000", player="foreign"),
    ],
    "events": [
        {
            "event_type": "dataset.uploaded",
            "topic": "dataset-events",
            "partition": 0,
            "offset": 7,
            "undeliverable": None,
        },
        {
            "event_type": "bias.reported",
            "topic": "bias-events",
            "partition": None,
            "offset": None,
            "undeliverable": None,
        },
        {"event_type": "model.uploaded", "topic": "t", "partition": None, "offset": None, "undeliverable": "too large"},
    ],
    "questions": [],
    "notifications": [
        {"severity": "info", "subject": "iris: what will happen", "body": "…", "link": None},
        {"severity": "error", "subject": "iris: the training failed", "body": "No memory.", "link": None},
    ],
    "links": {"pipeline": "http://a/pipelines/iris", "bias_report": "http://a/bias", "dagster_xai": "http://d/x"},
}
QUESTION: dict[str, Any] = {
    "id": "q-1",
    "user_id": "ada",
    "dataset_id": "iris",
    "version": "v2",
    "subject": "Iris: which column should be predicted?",
    "body": "Iris has 150 rows.",
    "status": "open",
    "created_at": "2026-03-01T12:00:09.000000",
    "fields": {
        "properties": {
            "target_column_name": {"type": "string", "title": "Column to predict", "enum": ["sepal length", "species"]},
            "task_type": {"type": "string", "title": "Kind of task", "enum": ["binary"], "default": "binary"},
        }
    },
}


def test_each_stage_stands_as_its_latest_row() -> None:
    lines = stage_lines(PIPELINE, NOW)
    assert [line.stage for line in lines] == [Stage.DATASET, Stage.BIAS, Stage.AUTOML, Stage.XAI]
    assert [line.words for line in lines] == ["done", "running, attempt 2", "waits for another worker", "not yet"]
    assert [line.seconds for line in lines] == [2.5, 55.0, 240.0, None]


def test_a_clock_that_differs_gives_no_negative_time() -> None:
    assert stage_lines(PIPELINE, datetime(2026, 3, 1, 11, 0))[1].seconds == 0.0


def test_the_table_has_a_line_for_each_stage() -> None:
    console = Console(width=80, record=True)
    with console.capture() as capture:
        console.print(pipeline_text.stages_table(stage_lines(PIPELINE, NOW)))
    lines = [line.split() for line in capture.get().splitlines() if line.strip()]
    assert lines[2] == ["dataset", "done", "2.5", "s"]
    assert lines[3] == ["bias", "running,", "attempt", "2", "55", "s"]
    assert lines[4] == ["automl", "waits", "for", "another", "worker", "4", "min", "00", "s"]


def test_events_say_where_they_lie_or_why_not() -> None:
    assert pipeline_text.event_lines(PIPELINE) == [
        "dataset.uploaded        dataset-events/0/7",
        "bias.reported           bias-events (not sent yet)",
        "model.uploaded          cannot be sent: too large",
    ]


def test_headline_choices_failures_and_links() -> None:
    assert pipeline_text.headline(PIPELINE) == "iris v2 of ada: running"
    assert pipeline_text.choice_lines(PIPELINE) == ["Target column: species (as you asked)."]
    assert pipeline_text.choice_lines({**PIPELINE, "choices": None}) == []
    assert pipeline_text.failure_lines(PIPELINE) == ["iris: the training failed: No memory."]
    assert pipeline_text.link_lines(PIPELINE) == [
        "Bias report          http://a/bias",
        "Pipeline             http://a/pipelines/iris",
        "Dagster run of bias  http://d/r",
    ]


def test_a_question_shows_its_choices_and_the_command_that_answers_it() -> None:
    asked = copy.deepcopy(PIPELINE)
    asked["questions"] = [QUESTION, {**QUESTION, "status": "answered"}]
    assert pipeline_text.question_lines(asked) == [
        "Iris: which column should be predicted? (iris v2, 2026-03-01T12:00)",
        "  Iris has 150 rows.",
        "  target_column_name: Column to predict; one of sepal length, species",
        "  task_type: Kind of task; one of binary; if you leave it out: binary",
        "  Answer with: mlpipe answer q-1 target_column_name='sepal length' task_type=binary --user-id ada",
    ]


def test_some_of_many_are_named_and_guarded_signs_are_shown_plainly() -> None:
    names = [f"c{number}" for number in range(31)]
    several = {"type": "array", "title": "Left out", "items": {"type": "string", "enum": names}}
    asked = {**QUESTION, "body": r"“\<b\>” is `as\_it\_is`.", "fields": {"properties": {"drop": several}}}
    told = pipeline_text.question_text(asked)
    assert told[1] == "  “<b>” is `as_it_is`."
    assert told[2] == f"  drop: Left out; some of {', '.join(names[:30])} and 1 more"


def test_durations() -> None:
    assert [duration(seconds) for seconds in (None, 0.44, 12.4, 185)] == ["", "0.4 s", "12 s", "3 min 05 s"]
