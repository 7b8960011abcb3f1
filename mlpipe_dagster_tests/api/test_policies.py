"""Policies over REST: read, replaced, refused in words, and what pipelines make of them."""

from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient

from mlpipe_dagster.warehouse import audit, datasets
from mlpipe_dagster.warehouse.warehouse import Warehouse
from mlpipe_dagster_tests.api.requests import upload
from mlpipe_dagster_tests.warehouse import scenes

WHOLE = {
    "mode": "ask",
    "ask": ["target", "bias"],
    "target_column_name": "paid",
    "task_type": "binary",
    "sensitive_features": ["sex"],
    "positive_class": "no",
    "conditioning_column": "income",
    "reference_shares": "sex: f=51, m=49",
    "time_budget": "10m",
    "engine": "portfolio",
    "short_budget": "raise",
    "xai_level": "expert",
    "mitigation": "auto",
    "fairness": "demographic_parity:0.1",
    "question_timeout": "2h",
    "question_outcome": "default",
    "question_reminder": "1h",
    "respondents": ["bob"],
}


def read_table(warehouse: Warehouse, folder: Path, user_id: str = "ann") -> None:
    with warehouse.reading() as session:
        version = datasets.get_version(session, user_id, "loans")
    scenes.read_table(warehouse, folder, version)


def choices(client: TestClient) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/pipelines/loans?user_id=ann").json()["choices"]
    return found


def test_who_has_none_says_nothing_and_the_settings_hold(client: TestClient) -> None:
    found = client.get("/users/ann/policy").json()
    assert (found["user_id"], found["updated_at"]) == ("ann", None)
    assert {found[name] for name in WHOLE if not isinstance(found[name], list)} == {None}
    assert (found["effective"]["time_budget"], found["effective"]["mode"]) == ("60", "auto")


def test_a_policy_is_replaced_as_a_whole(client: TestClient) -> None:
    kept = client.put("/users/ann/policy", json=WHOLE)
    assert kept.status_code == 200, kept.text
    found = client.get("/users/ann/policy").json()
    assert {name: found[name] for name in WHOLE} == WHOLE == {name: found["effective"][name] for name in WHOLE}
    assert found.keys() - found["effective"].keys() == {"user_id", "updated_at", "effective"}
    assert found.keys() >= found["effective"].keys()
    client.put("/users/ann/policy", json={"time_budget": "5m"})
    found = client.get("/users/ann/policy").json()
    assert (found["time_budget"], found["mode"], found["respondents"]) == ("5m", None, None)
    assert client.get("/users/bob/policy").json()["time_budget"] is None


def test_what_a_policy_cannot_say_is_refused_in_words(client: TestClient) -> None:
    for wrong, words in (
        ({"time_budget": "abc"}, "The time budget “abc” is not a positive duration. Write 60 or 60s, 10m, 1h."),
        ({"task_type": "guess"}, "The task type “guess” is not supported."),
        ({"question_timeout": "soon"}, "“soon” is no time to wait."),
        ({"mode": "auto", "ask": ["bias"]}, "Leave one of the two out."),
        ({"question_timeout": "1h", "question_reminder": "1h"}, "the shorter one."),
        ({"mode": "perhaps"}, "Input should be 'auto' or 'ask'"),
        ({"ask": ["everything"]}, "Input should be 'target', 'bias' or 'explain'"),
        ({"question_outcome": "explode"}, "Input should be 'default', 'cancel' or 'wait'"),
        ({"xai_level": "guru"}, "Input should be 'beginner', 'intermediate' or 'expert'"),
        ({"respondents": ["../eve"]}, "Letters, digits and . _ @ + : = - only"),
        ({"target_column_name": ""}, "at least 1 character"),
        (
            {"engine": "other"},
            "There is no engine “other”. Use one of: auto, portfolio, deterministic, flaml, autosklearn, autogluon.",
        ),
        (
            {"engine": "autosklearn"},
            "Install it with `mlpipe engines install autosklearn`, or choose the engine portfolio.",
        ),
        ({"fairness": "quota"}, "The fairness constraint “quota” is not known. Write one of: demographic_parity,"),
        ({"short_budget": "ignore"}, "Input should be 'refuse' or 'raise'"),
        ({"colour": "blue"}, "Extra inputs are not permitted"),
    ):
        refused = client.put("/users/ann/policy", json=wrong)
        assert (refused.status_code, words in refused.text) == (422, True), refused.text
    assert client.get("/users/ann/policy").json()["updated_at"] is None


def test_a_change_enters_the_audit_trail(client: TestClient, warehouse: Warehouse) -> None:
    client.put("/users/ann/policy", json={"time_budget": "5m", "respondents": ["bob"]})
    with warehouse.reading() as session:
        (entry,) = audit.list_audit(session, audit.AuditFilter(what="policy.changed"), 0, 10)
    assert (entry.user_id, entry.actor_kind, entry.actor) == ("ann", "user", "ann")
    assert entry.detail == {"policy": {"time_budget": "5m", "respondents": ["bob"]}}


def test_a_policy_decides_what_an_upload_leaves_open(client: TestClient, warehouse: Warehouse, tmp_path: Path) -> None:
    client.put("/users/ann/policy", json={name: WHOLE[name] for name in WHOLE if "ask" not in name and name != "mode"})
    upload(client, time_budget="7s")
    read_table(warehouse, tmp_path)
    found = choices(client)
    assert (found["target"], found["task"], found["sensitive"], found["level"]) == ("paid", "binary", ["sex"], "expert")
    assert found["time_budget"] == "7s"
    assert "Target column: paid (your default)." in found["reasons"]
    assert (found["positive"], found["conditioning"]) == ("no", "income")
    assert "Positive outcome: no (your default)." in found["reasons"]
    assert found["fairness"] == "demographic_parity:0.1"
    assert "Fairness constraint: demographic_parity:0.1 (your default)." in found["reasons"]


def test_a_default_counts_where_it_fits(client: TestClient, warehouse: Warehouse, tmp_path: Path) -> None:
    policy = {"positive_class": "no", "conditioning_column": "sex", "fairness": "equalized_odds"}
    client.put("/users/ann/policy", json=policy)
    upload(client, target_column_name="income")
    read_table(warehouse, tmp_path)
    found = choices(client)
    assert (found["positive"], found["conditioning"], found["sensitive"]) == (None, None, ["sex"])
    assert found["fairness"] is None
    assert "Fairness constraint: none (your default, equalized_odds:0.05, does not fit)." in found["reasons"]


def test_a_policy_of_somebody_else_decides_nothing(client: TestClient, warehouse: Warehouse, tmp_path: Path) -> None:
    client.put("/users/bob/policy", json=WHOLE)
    upload(client)
    read_table(warehouse, tmp_path)
    assert (choices(client)["target"], client.get("/questions").json()) == ("income", [])


def test_a_policy_asks_with_its_terms_and_proposes_its_target(
    client: TestClient, warehouse: Warehouse, tmp_path: Path
) -> None:
    client.put("/users/ann/policy", json=WHOLE)
    upload(client)
    read_table(warehouse, tmp_path)
    (asked,) = client.get("/questions?user_id=bob").json()
    assert (asked["outcome"], asked["respondents"]) == ("default", ["ann", "bob"])
    assert asked["deadline"] and asked["remind_at"]
    assert asked["fields"]["properties"]["target_column_name"]["default"] == "paid"
    answered = client.post(f"/questions/{asked['id']}/answer", json={"answer": {}, "user_id": "bob"})
    assert answered.status_code == 200
    assert choices(client)["target"] == "paid"


def test_a_task_that_does_not_fit_the_table_is_no_reason_to_fail(
    client: TestClient, warehouse: Warehouse, tmp_path: Path
) -> None:
    client.put("/users/ann/policy", json={"task_type": "regression", "target_column_name": "not in this table"})
    upload(client, target_column_name="paid")
    read_table(warehouse, tmp_path)
    assert choices(client)["task"] == "binary"
