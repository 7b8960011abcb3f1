"""The engine `deterministic`: the portfolio's search with so many trials in place of seconds, on one thread.

The same table, specification and versions give the same model, bit for bit, however busy the machine is.
"""

from mlpipe_dagster.automl.search import Reserve, Search, run_search


def search(search: Search, reserve: Reserve) -> str:
    """Try the engine's number of candidates; returns why it ended."""
    return run_search(search, reserve, search.trials)
