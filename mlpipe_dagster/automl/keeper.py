"""Keeps the best so far while a search goes on: finished as if it were the last, as often as a little time allows."""

import time
from collections.abc import Callable
from dataclasses import replace

from mlpipe_dagster.automl.choice import Choice, choose
from mlpipe_dagster.automl.finish import LastFits, constant_of, evaluation_seconds, finish
from mlpipe_dagster.automl.job import Job
from mlpipe_dagster.automl.last_fit import validated_fit
from mlpipe_dagster.automl.model import TrainedModel
from mlpipe_dagster.automl.search import Candidate, Search

KEEPING_SHARE = 0.05
"""Of the time, about as much is spent on keeping the best so far."""


class Keeper:
    """Finishes and hands on the best so far, as often as a small share of the time allows."""

    def __init__(self, search: Search, job: Job, keep: Callable[[TrainedModel], None] | None) -> None:
        self.search, self.job, self.hand_on = search, job, keep
        self.best: Candidate | None = None
        self.times, self.seconds = -1, 0.0
        self.last_seconds, self.last_ended = 0.0, 0.0

    def keep(self) -> None:
        """As it is now, with the fits that were validated: a last fit would take too long."""
        if self.hand_on is None:
            return
        begun = time.monotonic()
        clock = self.search.clock.copy()
        choice = choose(self.search)
        self.best = self.search.best()
        self.hand_on(finish(replace(self.search, clock=clock), choice, _kept_fits(self.search, choice), self.job))
        self.last_ended = time.monotonic()
        self.times, self.last_seconds = self.times + 1, self.last_ended - begun
        self.search.finishing_seconds = self.last_seconds
        self.seconds += self.last_seconds if self.times else 0.0  # the first has a line of its own

    def keep_better(self) -> None:
        """If there is a better one since the last time and its turn has come."""
        best = self.search.best()
        if self.hand_on is None or best is self.best:
            return
        likely = evaluation_seconds(self.search, best, self.job)
        too_late = self.search.clock.left() < 4 * likely  # the last fit and its evaluation come before
        if not too_late and time.monotonic() - self.last_ended > likely / KEEPING_SHARE:
            self.keep()

    def note(self) -> str:
        """What it took of the search, for the ledger."""
        return f"; {self.seconds:.1f} s of it to keep the best so far ({self.times} x)" if self.times > 0 else ""


def _kept_fits(search: Search, choice: Choice) -> LastFits:
    constant = constant_of(search)
    baseline = None if choice.baseline is constant else validated_fit(choice.baseline, search.bench)
    return LastFits(validated_fit(choice.taken, search.bench), baseline, constant)
