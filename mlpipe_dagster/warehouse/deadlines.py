"""How long a stage may take, and what a person is told when that was not enough.

Who looks at the clock is reconcile.py, for foreign workers and for runs of ours.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from mlpipe_dagster.settings import Settings
from mlpipe_dagster.vocabulary import Stage, parse_time_budget

LONGEST_BUDGET_SECONDS = 365 * 24 * 3600.0
"""Beyond it a deadline means nothing, and soon leaves the calendar."""

DEADLINE_SETTINGS: Mapping[Stage, str] = {
    Stage.DATASET: "dataset_deadline_seconds",
    Stage.BIAS: "bias_deadline_seconds",
    Stage.AUTOML: "automl_grace_seconds",
    Stage.XAI: "xai_deadline_seconds",
}
"""The setting that bounds each stage; a training's counts beyond its time budget."""


def time_allowed(stage: Stage, settings: Settings, payload: Mapping[str, Any]) -> timedelta:
    """How long the work of a trigger may take; raises BudgetError for a time budget that is none."""
    seconds: float = getattr(settings, DEADLINE_SETTINGS[stage])
    if stage is Stage.AUTOML:
        budget = str(payload.get("time_budget") or settings.default_time_budget)
        seconds += min(parse_time_budget(budget, settings.time_budget_unit), LONGEST_BUDGET_SECONDS)
    return timedelta(seconds=seconds)


def too_late(stage: Stage, allowed: timedelta, partition_key: str) -> str:
    """What to tell the owner of a run of ours that was stopped because its time was up."""
    variable = Settings.model_fields[DEADLINE_SETTINGS[stage]].alias
    return (
        f"It was not done within {allowed.total_seconds():.0f} s and was stopped. "
        f"Try again: mlpipe retry {partition_key}, or give it longer first: {variable}."
    )
