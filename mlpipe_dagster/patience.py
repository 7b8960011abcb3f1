"""How long a question waits for a person, what then happens, when they are reminded, and who may answer it.

Pure: from what was wished for. The clock and the rows are the warehouse's (warehouse/questions_due.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from mlpipe_dagster.choices import Wishes
from mlpipe_dagster.vocabulary import AfterTimeout, parse_wait


@dataclass(frozen=True)
class Patience:
    """The terms of one question; times count from when it is asked, None: never."""

    seconds: float | None = None
    outcome: AfterTimeout = "wait"
    reminder_seconds: float | None = None
    respondents: tuple[str, ...] = ()
    """Who may answer besides the owner."""

    def for_question(self, fields: Mapping[str, Any]) -> "Patience":
        """The terms of a question with these fields: where it suggests no whole answer there is no default to take."""
        whole = all("default" in fields["properties"][name] for name in fields.get("required", ()))
        return self if whole or self.outcome != "default" else replace(self, outcome="wait")


def patience_of(wishes: Wishes, defaults: Wishes) -> Patience:
    """Each term from the wishes, else the defaults; by default a question waits without a limit."""
    timeout = wishes.question_timeout or defaults.question_timeout
    reminder = wishes.question_reminder or defaults.question_reminder
    respondents = wishes.respondents if wishes.respondents is not None else defaults.respondents
    return Patience(
        seconds=parse_wait(timeout) if timeout else None,
        outcome=wishes.question_outcome or defaults.question_outcome or "wait",
        reminder_seconds=parse_wait(reminder) if reminder else None,
        respondents=respondents or (),
    )
