"""The page of one pipeline: its object arranged for reading. It computes nothing that the object does not say."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi.responses import Response

from mlpipe_dagster.api.templating import page
from mlpipe_dagster.vocabulary import Stage

RELOAD_SECONDS = 5
STEP_TITLES: Mapping[Stage, str] = {
    Stage.DATASET: "Read the table",
    Stage.BIAS: "Measure bias",
    Stage.AUTOML: "Train a model",
    Stage.XAI: "Explain it",
}
RESULT_TITLES: Mapping[str, str] = {
    "bias_report": "Bias report",
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


def render(pipeline: dict[str, Any], reload: bool) -> Response:
    """The page; a browser keeps it up to date, by script or by loading it again, unless told not to."""
    live = pipeline["status"] == "running"
    rows = [row | {"title": _row_title(str(row["stage"]))} for row in pipeline["stages"]]
    return page(
        "pipeline.html",
        pipeline=pipeline,
        steps=_steps(pipeline),
        rows=rows,
        results=_titled(pipeline["links"], RESULT_TITLES),
        dagster=_titled(pipeline["links"], DAGSTER_TITLES),
        history_titles=HISTORY_TITLES,
        live=live,
        reload=reload,
        reload_seconds=RELOAD_SECONDS,
    )


def _steps(pipeline: Mapping[str, Any]) -> list[Step]:
    newest = {row["stage"]: row for row in pipeline["stages"]}
    return [Step(title, newest.get(stage.value)) for stage, title in STEP_TITLES.items()]


def _row_title(stage: str) -> str:
    awaited = stage.removeprefix("core-")
    title = STEP_TITLES[Stage(awaited)]
    return title if awaited == stage else f"Foreign core: ask to {title[0].lower()}{title[1:]}"


def _titled(links: Mapping[str, str], titles: Mapping[str, str]) -> dict[str, str]:
    return {title: links[key] for key, title in titles.items() if key in links}
