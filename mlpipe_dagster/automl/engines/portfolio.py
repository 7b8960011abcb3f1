"""The engine `portfolio`: our own search over gradient boosting, linear models and trees, then ensembles of them."""

from mlpipe_dagster.automl.ensemble import add_ensembles
from mlpipe_dagster.automl.search import Reserve, Search, run_search

FOR_ENSEMBLE = 0.08
"""Of the budget, so much is kept for fitting the ensemble's further members again."""
FEWEST_FOR_ENSEMBLE = 6
"""With fewer candidates nothing is kept for it: there is hardly time for one."""


def search(search: Search, reserve: Reserve) -> str:
    """Try candidates while time is left beyond `reserve(best)` seconds; returns why it ended."""

    def further() -> float:
        return FOR_ENSEMBLE * search.clock.budget if len(search.candidates) >= FEWEST_FOR_ENSEMBLE else 0.0

    ended = run_search(search, lambda best: reserve(best) + further())
    add_ensembles(search, further())
    return ended
