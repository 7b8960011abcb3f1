"""A pipeline in words and tables, from the object that GET /pipelines/{id} answers. Asks nobody, prints nothing."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rich import box
from rich.table import Table

from mlpipe_dagster.vocabulary import Stage

ENDED = ("done", "answered", "failed", "cancelled", "superseded")
STYLES = {"done": "green", "answered": "green", "failed": "red", "taken": "cyan", "waiting": "yellow"}
STATE_WORDS = {
    "expected": "asked for",
    "taken": "running",
    "answered": "done by another worker",
    "unknown": "waits for its dataset or model",
}
LINK_TITLES = {
    "bias_report": "Bias report",
    "model_explanation": "Explanation of the model",
    "data_explanation": "Explanation of the data",
    "model": "Model",
    "pipeline": "Pipeline",
    "lineage": "Lineage in Dagster",
}


MOST_CHOICES = 30
GUARDED = re.compile(r"\\([!-/:-@\[-`{-~])")


@dataclass(frozen=True)
class StageLine:
    """One stage for a person: state as stored (None: not asked for yet), words for it, seconds it took so far."""

    stage: Stage
    state: str | None
    words: str
    seconds: float | None
    note: str
    run_link: str | None


def stage_lines(pipeline: Mapping[str, Any], now: datetime) -> list[StageLine]:
    """The four stages in order, each as its latest row stands; `now` is naive UTC, as the rows' times are."""
    latest = {row["stage"]: row for row in pipeline["stages"]}
    return [_line(stage, latest.get(stage.value), now) for stage in Stage]


def _line(stage: Stage, row: Mapping[str, Any] | None, now: datetime) -> StageLine:
    if row is None:
        return StageLine(stage, None, "not yet", None, "", None)
    end = datetime.fromisoformat(row["updated_at"]) if row["state"] in ENDED else now
    seconds = max((end - datetime.fromisoformat(row["asked_at"])).total_seconds(), 0.0)
    words = STATE_WORDS.get(row["state"], row["state"])
    if row["player"] == "foreign" and row["state"] == "expected":
        words = "waits for another worker"
    if row["attempt"] > 1:
        words += f", attempt {row['attempt']}"
    return StageLine(stage, row["state"], words, seconds, row["note"] or "", row["run_link"])


def duration(seconds: float | None) -> str:
    """`0.4 s`, `12 s`, `3 min 05 s`; empty for None."""
    if seconds is None:
        return ""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def stages_table(lines: Sequence[StageLine]) -> Table:
    """The stages as a table."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("Stage", "State", "Time", "Note"):
        table.add_column(title, justify="right" if title == "Time" else "left")
    for line in lines:
        style = STYLES.get(line.state or "")
        table.add_row(line.stage.value, line.words, duration(line.seconds), line.note, style=style)
    return table


def headline(pipeline: Mapping[str, Any]) -> str:
    """`german-credit v1 of ada: running`."""
    return f"{pipeline['dataset_id']} {pipeline['version']} of {pipeline['user_id']}: {pipeline['status']}"


def choice_lines(pipeline: Mapping[str, Any]) -> list[str]:
    """Why the pipeline does what it does, a sentence a line."""
    return list((pipeline["choices"] or {}).get("reasons", ()))


def event_lines(pipeline: Mapping[str, Any]) -> list[str]:
    """The events in their order: where each lies, or that it waits."""
    return [f"{event['event_type']:<24}{_place(event)}" for event in pipeline["events"]]


def _place(event: Mapping[str, Any]) -> str:
    if event["undeliverable"]:
        return f"cannot be sent: {event['undeliverable']}"
    if event["offset"] is None:
        return f"{event['topic']} (not sent yet)"
    return f"{event['topic']}/{event['partition']}/{event['offset']}"


def question_lines(pipeline: Mapping[str, Any]) -> list[str]:
    """What waits for an answer, and how to give it."""
    waiting = [question for question in pipeline["questions"] if question["status"] == "open"]
    return [line for question in waiting for line in question_text(question)]


def question_text(question: Mapping[str, Any]) -> list[str]:
    """A question with its fields, and the command that answers it."""
    fields = question["fields"]["properties"]
    example = " ".join(f"{name}={_example(shape)}" for name, shape in fields.items())
    return [
        f"{question['subject']} ({question['dataset_id']} {question['version']}, {question['created_at'][:16]})",
        *(f"  {plain(line)}" for line in question["body"].splitlines() if line.strip()),
        *_terms(question),
        *(f"  {name}: {_field(shape)}" for name, shape in fields.items()),
        f"  Answer with: mlpipe answer {question['id']} {example} --user-id {question['user_id']}",
    ]


AT_DEADLINE = {
    "default": "then its suggestion is taken",
    "cancel": "then its pipeline is cancelled",
    "wait": "when it is overdue",
}


def plain(markdown: str) -> str:
    """A line of Markdown without the backslashes that guard its signs, for a terminal."""
    return GUARDED.sub(r"\1", markdown)


def _terms(question: Mapping[str, Any]) -> list[str]:
    """Until when, and who else may answer."""
    others = [user_id for user_id in question.get("respondents", ()) if user_id != question["user_id"]]
    until = question.get("deadline")
    lines = [f"  Answer until {until[:16]} UTC, {AT_DEADLINE[question['outcome']]}."] if until else []
    return lines + ([f"  May be answered by {', '.join(others)}, too."] if others else [])


def _field(shape: Mapping[str, Any]) -> str:
    parts = [str(shape.get("title") or shape.get("description") or "a value")]
    for how, choices in (("one", shape.get("enum")), ("some", shape.get("items", {}).get("enum"))):
        if choices:
            more = f" and {len(choices) - MOST_CHOICES} more" if len(choices) > MOST_CHOICES else ""
            parts.append(f"{how} of {', '.join(map(str, choices[:MOST_CHOICES]))}{more}")
    if shape.get("default") is not None:
        parts.append(f"if you leave it out: {_value(shape['default'])}")
    return "; ".join(parts)


def _example(shape: Mapping[str, Any]) -> str:
    suggested = shape.get("default")
    if suggested is None and shape.get("enum"):
        suggested = shape["enum"][0]
    text = _value(suggested) if suggested is not None else "…"
    return f"'{text}'" if " " in text else text


def _value(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def link_lines(pipeline: Mapping[str, Any]) -> list[str]:
    """Where to look at what has been made so far, and at the runs that made it."""
    links = pipeline["links"]
    found = [(title, links[name]) for name, title in LINK_TITLES.items() if name in links]
    runs = {row["stage"]: row["run_link"] for row in pipeline["stages"] if row["run_link"]}
    found += [(f"Dagster run of {stage}", link) for stage, link in runs.items()]
    width = max(len(title) for title, _ in found)
    return [f"{title:<{width}}  {link}" for title, link in found]


def failure_lines(pipeline: Mapping[str, Any]) -> list[str]:
    """What the owner was told of failures, newest last."""
    return [
        f"{told['subject']}: {plain(told['body'])}" for told in pipeline["notifications"] if told["severity"] == "error"
    ]
