"""The engine `autosklearn`: auto-sklearn 0.15 in an interpreter of its own (`apart.py`, `autosklearn_program.py`)."""

from mlpipe_dagster.automl.engines.apart import search_apart
from mlpipe_dagster.automl.engines.known import KNOWN
from mlpipe_dagster.automl.search import Reserve, Search


def search(search: Search, reserve: Reserve) -> str:
    """Search until the time beyond `reserve(best)` seconds is over; raises EngineError as `search_apart`."""
    return search_apart(KNOWN["autosklearn"], search, reserve)
