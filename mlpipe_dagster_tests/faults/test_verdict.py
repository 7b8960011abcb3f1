"""The verdict must not be blind: each kind of loss, repetition and contradiction is found in facts made for it."""

import copy
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from mlpipe_dagster_tests.end_to_end.outside import Seen
from mlpipe_dagster_tests.faults.facts import DatasetFacts, Facts
from mlpipe_dagster_tests.faults.verdict import Complaint, judge, lost_and_twice, repeated_deliveries

CHAIN = (
    ("dataset.uploaded", "dataset-events", "e1", None),
    ("bias-trigger.reported", "bias-trigger-events", "e2", "e1"),
    ("bias.reported", "bias-events", "e3", "e2"),
    ("automl-trigger.reported", "automl-trigger-events", "e4", "e3"),
    ("model.uploaded", "automl-events", "e5", "e4"),
    ("xai-trigger.reported", "xai-trigger-events", "e6", "e5"),
    ("xai.reported", "xai-events", "e7", "e6"),
    ("xai.reported", "xai-events", "e8", "e6"),
)


def good() -> DatasetFacts:
    """Everything once."""
    events = [
        {"event_type": kind, "topic": topic, "ce_id": ce_id, "ce_causationid": cause, "acknowledged_at": "2026-01-01"}
        for kind, topic, ce_id, cause in CHAIN
    ]
    records = [
        Seen(topic, "d1", {"event_type": kind, "dataset_id": "d1", "bias_report_id": "b1"}, {"ce_id": ce_id})
        for kind, topic, ce_id, _ in CHAIN
    ]
    subjects = (
        "what will happen",
        "the explanation of your model is ready",
        "the explanation of your data is ready",
    )
    pipeline = {
        "status": "done",
        "stages": [{"stage": name, "state": "done", "note": None} for name in ("dataset", "bias", "automl", "xai")],
        "events": events,
        "decisions": [{"outcome": outcome} for outcome in ("trigger", "trigger", "trigger", "notice", "notice")],
        "notifications": [{"subject": f"d1: {subject}"} for subject in subjects],
    }
    return DatasetFacts(
        "d1", pipeline, ["v1"], ["v1"], "b1", ["model_explanation", "data_explanation"], records,
        Counter(dataset=1, bias_report=1, model=1, xai_report=1),
    )  # fmt: skip


def verdict(facts: DatasetFacts, log_was_kept: bool = True) -> list[Complaint]:
    return judge(Facts([facts], []), log_was_kept)


def with_pipeline(**changes: Any) -> DatasetFacts:
    """The good facts with other parts of the pipeline."""
    facts = copy.deepcopy(good())
    assert facts.pipeline is not None
    facts.pipeline.update(changes)
    return facts


def test_everything_once_is_no_complaint() -> None:
    assert verdict(good()) == []


def test_the_same_record_twice_is_a_repeated_delivery_and_no_complaint() -> None:
    facts = good()
    twice = replace(facts, records=[*facts.records, copy.deepcopy(facts.records[4])])
    assert verdict(twice) == []
    assert repeated_deliveries(twice.records) == 1


def test_an_unfinished_run_is_left() -> None:
    (complaint,) = judge(Facts([good()], ["model_job r1 STARTED"]), log_was_kept=True)
    assert (complaint.what, complaint.about) == ("left", "Dagster")


LOSSES = {
    "the upload": replace(good(), pipeline=None),
    "the pipeline's end": with_pipeline(status="running"),
    "a stage": with_pipeline(stages=[{"stage": name, "state": "done", "note": None} for name in ("dataset", "bias")]),
    "an event": with_pipeline(events=good().pipeline["events"][:-1]),  # type: ignore[index]
    "a decision": with_pipeline(decisions=[{"outcome": "trigger"}] * 3 + [{"outcome": "notice"}]),
    "a notification": with_pipeline(notifications=[{"subject": "d1: what will happen"}]),
    "the model": replace(good(), models=[]),
    "the bias report": replace(good(), bias_report=None),
    "an explanation": replace(good(), explanations=["model_explanation"]),
    "a materialization": replace(good(), materializations=Counter(dataset=1, bias_report=1, xai_report=1)),
    "a record": replace(good(), records=good().records[:-1]),
}


@pytest.mark.parametrize("what", LOSSES)
def test_a_loss_is_found(what: str) -> None:
    assert "lost" in {complaint.what for complaint in verdict(LOSSES[what])}
    assert lost_and_twice(verdict(LOSSES[what]), "lost") == 1


def test_an_event_that_waits_in_the_outbox_is_lost_until_it_is_sent() -> None:
    events = copy.deepcopy(good().pipeline["events"])  # type: ignore[index]
    events[6]["acknowledged_at"] = None
    assert [(it.what, it.text) for it in verdict(with_pipeline(events=events))] == [
        ("lost", "xai.reported e7 waits in the outbox")
    ]


def test_a_broker_without_a_log_need_not_have_every_record() -> None:
    assert verdict(replace(good(), records=good().records[3:]), log_was_kept=False) == []


def _another(ce_id: str) -> Seen:
    """The model's event again, under another id."""
    return replace(good().records[4], headers={"ce_id": ce_id})


REPETITIONS = {
    "a ledger row": with_pipeline(
        stages=[*good().pipeline["stages"], {"stage": "xai", "state": "superseded", "note": None}]  # type: ignore[index]
    ),
    "an event": with_pipeline(events=[*good().pipeline["events"], good().pipeline["events"][4]]),  # type: ignore[index]
    "a notification": with_pipeline(
        notifications=[*good().pipeline["notifications"], {"subject": "d1: cancelled"}]  # type: ignore[index]
    ),
    "a decision": with_pipeline(decisions=[{"outcome": "trigger"}] * 4 + [{"outcome": "notice"}] * 2),
    "a dataset version": replace(good(), versions=["v1", "v2"]),
    "a model": replace(good(), models=["v1", "v2"]),
    "an explanation": replace(good(), explanations=["model_explanation", "data_explanation", "data_explanation"]),
    "a materialization": replace(good(), materializations=Counter(dataset=1, bias_report=1, model=2, xai_report=1)),
    "a record under another id": replace(good(), records=[*good().records, _another("e9")]),
}


@pytest.mark.parametrize("what", REPETITIONS)
def test_a_repetition_is_found(what: str) -> None:
    assert "twice" in {complaint.what for complaint in verdict(REPETITIONS[what])}


def _with_value(**changes: Any) -> Seen:
    first = good().records[2]
    return replace(first, value={**first.value, **changes})


CONTRADICTIONS = {
    "one id, two payloads": [*good().records, _with_value(task_type="regression")],
    "one id, two keys": [*good().records, replace(good().records[2], key="d2")],
    "a record without an id": [*good().records, replace(good().records[2], headers={})],
    "a report nobody stored": [*good().records[:2], _with_value(bias_report_id="b2"), *good().records[3:]],
}


@pytest.mark.parametrize("what", CONTRADICTIONS)
def test_a_contradiction_is_found(what: str) -> None:
    found = verdict(replace(good(), records=CONTRADICTIONS[what]))
    assert "contradiction" in {complaint.what for complaint in found}


def test_an_event_that_follows_from_nothing_is_a_contradiction() -> None:
    events = copy.deepcopy(good().pipeline["events"])  # type: ignore[index]
    events[4]["ce_causationid"] = "another dataset's trigger"
    assert [it.text for it in verdict(with_pipeline(events=events))] == [
        "model.uploaded follows from no automl-trigger.reported of this dataset"
    ]
