"""Judges what was found: what is lost, what happened twice, what contradicts itself. Pure; asks nobody."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mlpipe_dagster_tests.end_to_end.outside import Seen
from mlpipe_dagster_tests.faults.facts import ASSETS, DatasetFacts, Facts, said_of_stages

STAGES = ("dataset", "bias", "automl", "xai")
EVENTS = {
    "dataset.uploaded": 1,
    "bias-trigger.reported": 1,
    "bias.reported": 1,
    "automl-trigger.reported": 1,
    "model.uploaded": 1,
    "xai-trigger.reported": 1,
    "xai.reported": 2,
}
"""How many of each a dataset has."""
CAUSED_BY = {
    "bias-trigger.reported": "dataset.uploaded",
    "bias.reported": "bias-trigger.reported",
    "automl-trigger.reported": "bias.reported",
    "model.uploaded": "automl-trigger.reported",
    "xai-trigger.reported": "model.uploaded",
    "xai.reported": "xai-trigger.reported",
}
NOTIFICATIONS = ("what will happen", "the explanation of your model is ready", "the explanation of your data is ready")
EXPLANATIONS = ("data_explanation", "model_explanation")
LOST, TWICE, CONTRADICTION, LEFT = "lost", "twice", "contradiction", "left"


@dataclass(frozen=True)
class Complaint:
    """One thing that must not be; `about` a dataset, or what else is left."""

    what: str
    about: str
    text: str


def judge(facts: Facts, log_was_kept: bool) -> list[Complaint]:
    """Everything that is wrong. `log_was_kept`: every announced event must still be on its topic."""
    found = [complaint for dataset in facts.datasets for complaint in _judge_dataset(dataset, log_was_kept)]
    found += _same_id_same_record([seen for dataset in facts.datasets for seen in dataset.records])
    return found + [Complaint(LEFT, "Dagster", f"an unfinished run: {run}") for run in facts.unfinished_runs]


def repeated_deliveries(records: Iterable[Seen]) -> int:
    """Records that had been on a topic before under the same `ce_id`: allowed, delivery is at least once."""
    counted = Counter(seen.headers.get("ce_id") for seen in records)
    return sum(count - 1 for count in counted.values())


def lost_and_twice(complaints: Sequence[Complaint], what: str) -> int:
    """About how many datasets there is such a complaint."""
    return len({complaint.about for complaint in complaints if complaint.what == what})


def _judge_dataset(facts: DatasetFacts, log_was_kept: bool) -> Iterator[Complaint]:
    pipeline = facts.pipeline
    if pipeline is None:
        yield Complaint(LOST, facts.dataset_id, "its upload was acknowledged, and the API does not know it")
        return
    if pipeline["status"] != "done":
        yield Complaint(LOST, facts.dataset_id, f"its pipeline is {pipeline['status']}: {said_of_stages(pipeline)}")
    events: list[dict[str, Any]] = pipeline["events"]
    counted = {
        "stage": (_count(stage["stage"] for stage in pipeline["stages"] if stage["state"] == "done"), _once(STAGES)),
        "ledger row": (_count(stage["stage"] for stage in pipeline["stages"]), _once(STAGES)),
        "event": (_count(event["event_type"] for event in events), Counter(EVENTS)),
        "decision": (_count(it["outcome"] for it in pipeline["decisions"]), Counter(trigger=3, notice=2)),
        "dataset version": (_count(facts.versions), _once(["v1"])),
        "model version": (_count(facts.models), _once(["v1"])),
        "bias report": (_count([] if facts.bias_report is None else ["stored"]), _once(["stored"])),
        "explanation": (_count(facts.explanations), _once(EXPLANATIONS)),
        "notification": (_count(_subjects(facts)), _once(NOTIFICATIONS)),
        "materialization": (facts.materializations, _once(ASSETS)),
    }
    for what, (there, wanted) in counted.items():
        yield from _compare(facts.dataset_id, what, there, wanted)
    yield from _chain(facts.dataset_id, events)
    yield from _records(facts, events, log_was_kept)


def _subjects(facts: DatasetFacts) -> list[str]:
    assert facts.pipeline is not None
    return [it["subject"].removeprefix(f"{facts.dataset_id}: ") for it in facts.pipeline["notifications"]]


def _count(things: Iterable[str]) -> Counter[str]:
    return Counter(things)


def _once(things: Iterable[str]) -> Counter[str]:
    return Counter(set(things))


def _compare(about: str, what: str, there: Counter[str], wanted: Counter[str]) -> Iterator[Complaint]:
    for thing, count in (wanted - there).items():
        yield Complaint(LOST, about, f"{what} {thing}: {count} missing")
    for thing, count in (there - wanted).items():
        yield Complaint(TWICE, about, f"{what} {thing}: {count} too many")


def _chain(about: str, events: Sequence[dict[str, Any]]) -> Iterator[Complaint]:
    """Everything was announced, and names what it follows from."""
    ids = defaultdict(set)
    for event in events:
        ids[event["event_type"]].add(event["ce_id"])
    for event in events:
        if event["acknowledged_at"] is None:
            yield Complaint(LOST, about, f"{event['event_type']} {event['ce_id']} waits in the outbox")
        cause = CAUSED_BY.get(event["event_type"])
        if cause and event["ce_causationid"] not in ids[cause]:
            yield Complaint(CONTRADICTION, about, f"{event['event_type']} follows from no {cause} of this dataset")


def _records(facts: DatasetFacts, events: Sequence[dict[str, Any]], log_was_kept: bool) -> Iterator[Complaint]:
    """The topics carry what the API says was announced, each effect under one `ce_id`, and nothing else."""
    announced = {event["ce_id"]: event for event in events}
    seen = {record.headers.get("ce_id"): record for record in facts.records}
    for ce_id, record in seen.items():
        if ce_id not in announced:
            yield Complaint(TWICE, facts.dataset_id, f"{record.topic} carries {ce_id}, which nobody announced")
        elif announced[ce_id]["event_type"] != record.value["event_type"]:
            yield Complaint(CONTRADICTION, facts.dataset_id, f"{ce_id} is announced as another event than it is")
    if log_was_kept:
        for ce_id in announced.keys() - seen.keys():
            yield Complaint(LOST, facts.dataset_id, f"{announced[ce_id]['event_type']} {ce_id} is on no topic")
    for record in facts.records:
        if record.value["event_type"] == "bias.reported" and record.value["bias_report_id"] != facts.bias_report:
            yield Complaint(CONTRADICTION, facts.dataset_id, "bias-events names a report that is not the stored one")


def _same_id_same_record(records: Sequence[Seen]) -> Iterator[Complaint]:
    first: dict[str | None, Seen] = {}
    for seen in records:
        ce_id = seen.headers.get("ce_id")
        known = first.setdefault(ce_id, seen)
        if ce_id is None:
            yield Complaint(CONTRADICTION, seen.key, f"a record on {seen.topic} without ce_id")
        elif known != seen:
            yield Complaint(CONTRADICTION, seen.key, f"{ce_id} is on {known.topic} and {seen.topic} as two records")
