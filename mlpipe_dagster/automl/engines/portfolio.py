"""The engine `portfolio`: our own search over gradient boosting, linear models and trees (`automl/search.py`)."""

from mlpipe_dagster.automl.search import Reserve, Search, run_search


def search(search: Search, reserve: Reserve) -> str:
    """Try candidates while time is left beyond `reserve(best)` seconds; returns why it ended."""
    return run_search(search, reserve)
