"""What can be known of the platform from outside at one moment: REST API, Dagster's GraphQL. Judges nothing."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import requests

from mlpipe_dagster_tests.end_to_end.outside import Outside, Seen
from mlpipe_dagster_tests.faults.uploads import USER

ANSWER_SECONDS = 30.0
ASSETS = ("dataset", "bias_report", "model", "xai_report")
RUNNING = ("QUEUED", "NOT_STARTED", "MANAGED", "STARTING", "STARTED", "CANCELING")
UNFINISHED = """query($statuses: [RunStatus!]!) { runsOrError(filter: {statuses: $statuses}, limit: 500) {
    ... on Runs { results { runId status jobName } } } }"""
MATERIALIZATIONS = """query($key: AssetKeyInput!) { assetOrError(assetKey: $key) { ... on Asset {
    assetMaterializations(limit: 5000) { partition runId } } } }"""


@dataclass(frozen=True)
class DatasetFacts:
    """What the API, Kafka and Dagster say of one dataset; `pipeline` None: the API does not know it."""

    dataset_id: str
    pipeline: dict[str, Any] | None
    versions: Sequence[str] = ()
    models: Sequence[str] = ()
    """Versions of its model."""
    bias_report: str | None = None
    """Id of the stored report."""
    explanations: Sequence[str] = ()
    """Report types that are stored."""
    records: Sequence[Seen] = ()
    materializations: Counter[str] = field(default_factory=Counter)
    """How often each asset has been materialized for it."""


@dataclass(frozen=True)
class Facts:
    """All datasets, and Dagster's runs that have not ended."""

    datasets: Sequence[DatasetFacts]
    unfinished_runs: Sequence[str]


def gather(outside: Outside, dataset_ids: Sequence[str], records: Iterable[Seen]) -> Facts:
    """Ask for everything; raises requests.RequestException where a service does not answer."""
    by_dataset = _by_dataset(records)
    models = _get(outside, f"/ai-models/{USER}", limit="1000") or []
    materialized = _materializations(outside)
    found = [
        DatasetFacts(
            dataset_id=dataset_id,
            pipeline=_get(outside, f"/pipelines/{dataset_id}", user_id=USER),
            versions=[it["version"] for it in _get(outside, f"/datasets/{USER}/{dataset_id}/versions") or []],
            models=[model["version"] for model in models if model["training_dataset"] == dataset_id],
            bias_report=(_get(outside, f"/bias-reports/{USER}/{dataset_id}") or {}).get("id"),
            explanations=_explanations(outside, dataset_id),
            records=by_dataset[dataset_id],
            materializations=materialized[dataset_id],
        )
        for dataset_id in dataset_ids
    ]
    runs = _ask_dagster(outside, UNFINISHED, statuses=list(RUNNING))["runsOrError"]["results"]
    return Facts(found, [f"{run['jobName']} {run['runId']} {run['status']}" for run in runs])


def open_pipelines(outside: Outside, dataset_ids: Sequence[str]) -> list[str]:
    """The datasets whose pipeline has not ended; raises requests.RequestException."""
    known = _get(outside, "/pipelines", user_id=USER, limit="1000") or []
    ended = {pipeline["dataset_id"] for pipeline in known if pipeline["status"] not in ("running", "waiting")}
    return [dataset_id for dataset_id in dataset_ids if dataset_id not in ended]


def stages_of(outside: Outside, dataset_id: str) -> str:
    """How far a pipeline is, with what its stages wait for; raises requests.RequestException."""
    pipeline = _get(outside, f"/pipelines/{dataset_id}", user_id=USER)
    return said_of_stages(pipeline) if pipeline else "unknown to the API"


def said_of_stages(pipeline: dict[str, Any]) -> str:
    """`dataset done, bias expected (why it waits)`."""
    stages = [f"{it['stage']} {it['state']}" + (f" ({it['note']})" if it["note"] else "") for it in pipeline["stages"]]
    return ", ".join(stages) or "no stage begun"


def _by_dataset(records: Iterable[Seen]) -> dict[str, list[Seen]]:
    found: dict[str, list[Seen]] = defaultdict(list)
    for seen in records:
        found[seen.value.get("dataset", seen.value)["dataset_id"]].append(seen)
    return found


def _explanations(outside: Outside, dataset_id: str) -> list[str]:
    stored = _get(outside, f"/xai-reports/{USER}/{dataset_id}/automl_{dataset_id}") or []
    return [report["report_type"] for report in stored]


def _materializations(outside: Outside) -> dict[str, Counter[str]]:
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for asset in ASSETS:
        known = _ask_dagster(outside, MATERIALIZATIONS, key={"path": [asset]})["assetOrError"]
        for event in known.get("assetMaterializations", []):
            found[event["partition"]][asset] += 1
    return found


def _get(outside: Outside, path: str, **parameters: str) -> Any:
    """The answer; None for what the API does not know."""
    answer = requests.get(outside.api + path, params=parameters, timeout=ANSWER_SECONDS)
    if answer.status_code == 404:
        return None
    answer.raise_for_status()
    return answer.json()


def _ask_dagster(outside: Outside, query: str, **variables: Any) -> Any:
    answer = requests.post(
        f"{outside.dagster}/graphql", json={"query": query, "variables": variables}, timeout=ANSWER_SECONDS
    )
    answer.raise_for_status()
    return answer.json()["data"]
