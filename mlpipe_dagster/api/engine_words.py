"""The engines in the words of a form's choices: what each needs, and which are not installed here.

Which there are is said in automl/engines/known.py.
"""

from mlpipe_dagster.automl.engines.known import KNOWN, PORTFOLIO, SMALLEST_BUDGET, KnownEngine


def engine_choices(settled: str = PORTFOLIO) -> tuple[dict[str, str], tuple[str, ...]]:
    """Name to words of each engine and of the settled one, which may name its trials; those that are not here."""
    absent = tuple(name for name, engine in KNOWN.items() if not engine.is_installed())
    return {settled: settled} | {name: _words(engine, name in absent) for name, engine in KNOWN.items()}, absent


def _words(engine: KnownEngine, absent: bool) -> str:
    if absent:
        return f"{engine.title} (not installed here: {engine.installing})"
    if engine.trials:
        return f"{engine.title} ({engine.trials} trials in place of seconds: the same model again)"
    least = engine.smallest_budget
    return engine.title if least <= SMALLEST_BUDGET else f"{engine.title} (at least {least:g} seconds)"
