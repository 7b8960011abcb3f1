"""The engine `portfolio`: our own search over gradient boosting, linear models and trees, then an ensemble of them."""

from mlpipe_dagster.automl.ensemble import add_ensemble, again_seconds
from mlpipe_dagster.automl.search import Candidate, Reserve, Search, run_search

MEMBERS = 2.0
"""So many times what the last fit of the best candidate takes is kept for fitting further members again."""
MOST_FOR_ENSEMBLE = 0.15
"""Of the budget, at most this is kept for it."""
FEWEST_FOR_ENSEMBLE = 6
"""With fewer candidates nothing is kept for it: there is hardly time for one."""


def search(search: Search, reserve: Reserve) -> str:
    """Try candidates while time is left beyond `reserve(best)` seconds; returns why it ended."""

    def further(best: Candidate | None) -> float:
        if best is None or len(search.candidates) < FEWEST_FOR_ENSEMBLE:
            return 0.0
        return min(MOST_FOR_ENSEMBLE * search.clock.budget, MEMBERS * again_seconds(search, best))

    ended = run_search(search, lambda best: reserve(best) + further(best))
    add_ensemble(search, search.clock.left() - reserve(search.best()))
    return ended
