"""The terms of questions, and who is asked what: the upload's word, then the policy's, then the settings'."""

from typing import Any

import pytest

from mlpipe_dagster.agentic_core import Known
from mlpipe_dagster.choices import Wishes, check_policy
from mlpipe_dagster.errors import UserError
from mlpipe_dagster.patience import Patience, patience_of

SETTINGS = Wishes(mode="auto", question_timeout="none", question_outcome="wait", question_reminder="none")


def test_nothing_said_waits_without_a_limit() -> None:
    assert patience_of(Wishes(), SETTINGS) == Patience(None, "wait", None, ())


def test_each_term_comes_from_the_upload_else_the_policy_else_the_settings() -> None:
    policy = Wishes(question_timeout="3d", question_outcome="cancel", question_reminder="1d", respondents=("bob",))
    upload = Wishes(question_timeout="2h", question_outcome="default")
    assert patience_of(upload, policy.over(SETTINGS)) == Patience(7200, "default", 86_400, ("bob",))
    assert patience_of(Wishes(question_timeout="none"), policy.over(SETTINGS)).seconds is None
    assert patience_of(Wishes(respondents=()), policy.over(SETTINGS)).respondents == ()


@pytest.mark.parametrize(
    ("fields", "outcome"),
    [
        ({"properties": {"a": {"default": 1}, "b": {}}, "required": ["a"]}, "default"),
        ({"properties": {"a": {}, "b": {"default": 1}}, "required": ["a"]}, "wait"),
        ({"properties": {"a": {}}}, "default"),
    ],
)
def test_without_a_whole_suggestion_there_is_none_to_take(fields: dict[str, Any], outcome: str) -> None:
    assert Patience(60, "default").for_question(fields).outcome == outcome
    assert Patience(60, "cancel").for_question(fields).outcome == "cancel"


@pytest.mark.parametrize(
    ("upload", "policy", "asked"),
    [
        ({}, {}, ""),
        ({}, {"mode": "ask"}, "target"),
        ({}, {"ask": ["bias", "explain"]}, "bias explain"),
        ({}, {"mode": "ask", "ask": ["bias"]}, "bias"),
        ({"mode": "auto"}, {"mode": "ask", "ask": ["bias"]}, ""),
        ({"mode": "ask"}, {}, "target"),
        ({"mode": "ask"}, {"mode": "auto"}, "target"),
        ({"mode": "ask"}, {"ask": ["bias", "target"]}, "target bias"),
        ({"mode": "ask"}, {"ask": []}, "target"),
        ({"ask": ["explain"]}, {"ask": ["bias"]}, "explain"),
        ({"ask": []}, {"mode": "ask"}, ""),
        ({"mode": "auto", "ask": ["bias"]}, {}, "bias"),
    ],
)
def test_who_is_asked_what(upload: dict[str, Any], policy: dict[str, Any], asked: str) -> None:
    usual = Wishes.model_validate(policy).over(SETTINGS)
    known = Known("2025-10-10T12:00:00.000000", wishes=Wishes.model_validate(upload), defaults=usual)
    assert [kind for kind in ("target", "bias", "explain") if known.asks(kind)] == asked.split()


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ({"time_budget": "abc"}, "“abc” is not a positive duration"),
        ({"mode": "auto", "ask": ["bias"]}, "asks nothing"),
        ({"question_timeout": "1h", "question_reminder": "2h"}, "question_reminder the shorter one"),
        ({"question_timeout": "1h", "question_reminder": "1h", "question_outcome": "cancel"}, "the shorter one"),
    ],
)
def test_a_policy_that_cannot_be_is_refused(policy: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        check_policy(Wishes.model_validate(policy))


@pytest.mark.parametrize(
    "policy",
    [
        {},
        {"mode": "ask", "ask": ["bias"], "time_budget": "10m"},
        {"question_timeout": "1h", "question_reminder": "2h", "question_outcome": "wait"},
        {"question_timeout": "none", "question_reminder": "2h"},
    ],
)
def test_a_policy_that_can_be_is_taken(policy: dict[str, Any]) -> None:
    check_policy(Wishes.model_validate(policy))
