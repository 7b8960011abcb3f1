"""The wall clock of one training: how much of the budget is left and where it went.

Nothing here knows what the time is spent on.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Self

from mlpipe_dagster.automl.model import BudgetEntry


class Clock:
    """Counts from `started_at` (in the seconds of `now`), else its creation; `entries` becomes the budget ledger."""

    def __init__(
        self,
        budget_seconds: float,
        now: Callable[[], float] = time.monotonic,
        started_at: float | None = None,
        counts: bool = True,
    ) -> None:
        self._now = now
        self._start = now() if started_at is None else started_at
        self.budget = budget_seconds
        self.counts = counts
        self.entries: list[BudgetEntry] = []
        self._note = ""

    def copy(self) -> Self:
        """The same clock with a ledger of its own."""
        other = type(self)(self.budget, self._now, self._start, self.counts)
        other.entries = list(self.entries)
        return other

    def uncounted(self, seconds: float) -> Self:
        """The same clock, which limits nothing: sizes are those of a budget of so many seconds, whatever it takes."""
        other = self.copy()
        other.budget, other.counts = seconds, False
        return other

    def elapsed(self) -> float:
        """Seconds since the training began."""
        return self._now() - self._start

    def second_of(self, moment: float) -> float:
        """The second of the training at a moment of `time.monotonic`."""
        return moment - self._start

    def left(self) -> float:
        """Seconds until the budget is used up; negative beyond it. Without end where time is not counted."""
        return self.budget - self.elapsed() if self.counts else math.inf

    def share(self, part: float) -> float:
        """Seconds of a part of the budget; without end where time is not counted."""
        return part * self.budget if self.counts else math.inf

    @contextmanager
    def entry(self, what: str, since: float | None = None) -> Iterator[None]:
        """Write what happens inside, or since that second, as one line of the ledger."""
        begun = self.elapsed() if since is None else since
        self._note = ""
        yield
        self.entries.append(BudgetEntry(what=what, seconds=self.elapsed() - begun, note=self._note))

    def remark(self, note: str) -> None:
        """Say something about the entry that is open."""
        self._note = note
