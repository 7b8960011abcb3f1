"""The page of one pipeline: its object arranged for reading, the form that changes it, and the end of its audit trail.

What the form asks for is done in rerun_form.py.
"""

import json
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from fastapi.responses import Response

from mlpipe_dagster.api.answer_forms import MOST_TICKS
from mlpipe_dagster.api.engine_words import engine_choices
from mlpipe_dagster.api.templating import page
from mlpipe_dagster.automl.engines.known import PORTFOLIO
from mlpipe_dagster.automl.fairness.constraint import KINDS, UNCONSTRAINED, Constraint, parse_constraint
from mlpipe_dagster.bias.mitigation.choice import ANY_FITTING, NO_MITIGATION
from mlpipe_dagster.choices import BINARY_CLASSES, predictable
from mlpipe_dagster.tables.profile import Profile
from mlpipe_dagster.vocabulary import TRIGGERED, Level, Mitigation, Stage, TaskKind
from mlpipe_dagster.warehouse import audit, datasets, pipelines
from mlpipe_dagster.warehouse.audit import AuditFilter
from mlpipe_dagster.warehouse.warehouse import Warehouse

RELOAD_SECONDS = 5
TRAIL = 30
"""So many entries of the audit trail are shown; all of them are behind its links."""
LONGEST_DETAIL = 300
CHOSEN: Mapping[str, str] = {
    "target_column_name": "target",
    "task_type": "task",
    "sensitive_features": "sensitive",
    "positive_class": "positive",
    "conditioning_column": "conditioning",
    "reference_shares": "reference_shares",
    "drop": "drop",
    "time_budget": "time_budget",
    "engine": "engine",
    "xai_level": "level",
    "mitigation": "mitigation",
    "fairness": "fairness",
}
"""Field of the form to the choice that it changes."""
TASKS = {"": "found out", **{task.value: task.value for task in TaskKind}}
MITIGATIONS = {
    NO_MITIGATION: "nothing",
    ANY_FITTING: "a method that fits",
    **{method.value: method.value for method in Mitigation},
}
FAIRNESS = {
    UNCONSTRAINED: "need not be alike",
    **{Constraint(kind=kind).word: Constraint(kind=kind).title for kind in KINDS},
}
LEVELS = {level.value: level.value for level in Level}
STEP_TITLES: Mapping[Stage, str] = {
    Stage.DATASET: "Read the table",
    Stage.BIAS: "Measure bias",
    Stage.AUTOML: "Train a model",
    Stage.XAI: "Explain it",
}
STARTS = {"": "the first stage that a change concerns"} | {
    stage.value: title for stage, title in STEP_TITLES.items() if stage in TRIGGERED
}
RESULT_TITLES: Mapping[str, str] = {
    "bias_report": "Bias report",
    "mitigation": "Mitigation: before and after",
    "model": "Model",
    "model_explanation": "Explanation of the model",
    "data_explanation": "Explanation of the data",
}
HISTORY_TITLES: Mapping[str, str] = {"choices": "Choices", "bias_report": "Bias report", "explanation": "Explanation"}
DAGSTER_TITLES: Mapping[str, str] = {
    "dagster_dataset": "Table",
    "dagster_bias": "Bias report",
    "dagster_automl": "Model",
    "dagster_xai": "Explanation",
    "lineage": "All assets",
}


@dataclass(frozen=True)
class Step:
    """One of the four stages: its title, and its newest row where there is one."""

    title: str
    row: Mapping[str, Any] | None

    @property
    def state(self) -> str:
        """The row's state; `not started` without one."""
        return str(self.row["state"]) if self.row else "not started"


@dataclass(frozen=True)
class Attempt:
    """What somebody entered to run the pipeline again, and why it was not accepted."""

    said: Mapping[str, Any]
    fault: str
    status: int


def show(
    warehouse: Warehouse,
    dataset_id: str,
    user_id: str | None,
    version: str | None = None,
    *,
    reload: bool = False,
    attempt: Attempt | None = None,
) -> Response:
    """The page; a browser keeps it up to date, by script or by loading it again, unless told not to.

    Raises
    ------
    UnknownThing, Conflict
        As `pipelines.pipeline_object`.
    """
    with warehouse.reading() as session:
        pipeline = pipelines.pipeline_object(session, warehouse.settings, dataset_id, user_id, version)
        newest = datasets.get_version(session, pipeline["user_id"], pipeline["dataset_id"])
        wanted = AuditFilter(pipeline["user_id"], pipeline["dataset_id"], int(pipeline["version"].removeprefix("v")))
        trail = [audit.audit_object(row) for row in audit.latest_audit(session, wanted, TRAIL)]
        profile = datasets.profile_of(newest)
    engines, absent = engine_choices(settled_choices(pipeline).get("engine", PORTFOLIO))
    is_newest = newest.version == pipeline["version"]
    return page(
        "pipeline.html",
        attempt.status if attempt else 200,
        pipeline=pipeline,
        steps=_steps(pipeline),
        rows=[row | {"title": _row_title(str(row["stage"]))} for row in pipeline["stages"]],
        results=_titled(pipeline["links"], RESULT_TITLES),
        dagster=_titled(pipeline["links"], DAGSTER_TITLES),
        history_titles=HISTORY_TITLES,
        live=pipeline["status"] == "running",
        reload=reload,
        reload_seconds=RELOAD_SECONDS,
        columns=profile.names if profile and is_newest else (),
        targets=predictable(profile) if profile else (),
        entered=attempt.said if attempt else settled_choices(pipeline),
        fault=attempt.fault if attempt else "",
        tasks=TASKS,
        levels=LEVELS,
        mitigations=MITIGATIONS,
        constraints=FAIRNESS | _own_constraint(pipeline),
        engines=engines,
        absent_engines=absent,
        most_ticks=MOST_TICKS,
        classes=_classes(profile, pipeline),
        starts=STARTS,
        trail=[entry | {"detail": _detail(entry["detail"])} for entry in trail],
        trail_query=urlencode({"user_id": wanted.user_id, "dataset_id": wanted.dataset_id, "version": wanted.number}),
    )


def settled_choices(pipeline: Mapping[str, Any]) -> dict[str, Any]:
    """What the pipeline does, in the words of the form that changes it."""
    choices = pipeline["choices"] or {}
    settled = {field: choices[name] for field, name in CHOSEN.items() if choices.get(name) is not None}
    defaults = {"mitigation": NO_MITIGATION, "fairness": UNCONSTRAINED}
    return settled | {field: settled.get(field) or said for field, said in defaults.items()}


def _own_constraint(pipeline: Mapping[str, Any]) -> dict[str, str]:
    """The constraint that is settled, whose allowed difference may be none that the form offers."""
    constraint = parse_constraint(settled_choices(pipeline)["fairness"])
    return {constraint.word: constraint.title} if constraint else {}


def _classes(profile: Profile | None, pipeline: Mapping[str, Any]) -> list[str]:
    """The two classes of what is predicted now; none where it is something else."""
    target = profile.column((pipeline["choices"] or {}).get("target", "")) if profile else None
    return [one.value for one in target.top_values] if target and target.distinct == BINARY_CLASSES else []


def _detail(detail: Mapping[str, Any]) -> str:
    said = (f"{name} {value if isinstance(value, str) else json.dumps(value)}" for name, value in detail.items())
    return textwrap.shorten("; ".join(said), LONGEST_DETAIL, placeholder="…")


def _steps(pipeline: Mapping[str, Any]) -> list[Step]:
    newest = {row["stage"]: row for row in pipeline["stages"]}
    return [Step(title, newest.get(stage.value)) for stage, title in STEP_TITLES.items()]


def _row_title(stage: str) -> str:
    awaited = stage.removeprefix("core-")
    title = STEP_TITLES[Stage(awaited)]
    return title if awaited == stage else f"Foreign core: ask to {title[0].lower()}{title[1:]}"


def _titled(links: Mapping[str, str], titles: Mapping[str, str]) -> dict[str, str]:
    return {title: links[key] for key, title in titles.items() if key in links}
