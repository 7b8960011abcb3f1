"""What `mlpipe policy set` sends: the policy as it was, with the changes."""

import pytest

from mlpipe_dagster.commands.policy import changed
from mlpipe_dagster.errors import UserError

BEFORE = {
    "user_id": "ann",
    "mode": "ask",
    "ask": None,
    "time_budget": "60",
    "respondents": ["bob"],
    "updated_at": "2025-10-10T12:00:00.000000",
    "effective": {},
}


def test_what_is_not_named_stays() -> None:
    assert changed(BEFORE, ("time_budget=10m",)) == {
        "mode": "ask", "ask": None, "time_budget": "10m", "respondents": ["bob"],
    }  # fmt: skip


def test_lists_are_written_with_commas_and_nothing_takes_back() -> None:
    sent = changed(BEFORE, ("ask=target, bias", "respondents=", "mode="))
    assert (sent["ask"], sent["respondents"], sent["mode"]) == (["target", "bias"], None, None)


@pytest.mark.parametrize("change", ["time_budget", "colour=red", "user_id=bob", "effective={}"])
def test_what_is_no_change_is_refused(change: str) -> None:
    with pytest.raises(UserError, match="one of: mode, ask, time_budget, respondents"):
        changed(BEFORE, (change,))
