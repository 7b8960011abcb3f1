"""`make bench-growth`: what 1,000 and 10,000 finished datasets cost the next one.

One platform: measured empty, then with copies of a finished pipeline in the catalogue, and their partitions, runs and
materializations in Dagster's storage. As Markdown table.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import dagster as dg
import requests
from sqlalchemy import Table, create_engine, insert, select

from mlpipe_dagster.warehouse.schema import Row
from mlpipe_dagster_tests.benchmarks.latency.measure import Times, table, where_and_when
from mlpipe_dagster_tests.benchmarks.latency.mlpipe_subject import USER, Subject, running_subject

FIRST = "whole-0"
NOT_COPIED = {"reader_positions", "roles", "handled_letters"}
NAMED_ANEW = {"id", "ce_id", "cause", "causation_id", "correlation_id", "run_id", "coordinates"}
NUMBERS = 1000
"""Room between the row numbers of two copies."""
ASSETS = ("dataset", "bias_report", "model", "xai_report")
ASSET_QUERY = """query Asset($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) { ... on AssetNode {
  partitionStats { numMaterialized numPartitions }
  assetPartitionStatuses { ... on DefaultPartitionStatuses { materializedPartitions } }
  partitionKeyConnection(limit: 100) { results }
  assetMaterializations(limit: 50) { runId timestamp partition } } } }"""
RUNS_QUERY = "{ runsOrError(limit: 30) { ... on Runs { results { id status tags { key value } } } } }"


def copies(rows: list[dict[str, Any]], first: int, last: int) -> Iterator[dict[str, Any]]:
    """Rows of the finished pipeline as those of other datasets, a day older."""
    for number in range(first, last):
        for row in rows:
            yield {name: _copied(name, value, number) for name, value in row.items()}


def _copied(name: str, value: Any, number: int) -> Any:
    if isinstance(value, str):
        renamed = value.replace(FIRST, f"grown-{number}")
        return f"{renamed}-{number}" if name in NAMED_ANEW else renamed
    if isinstance(value, dict | list):
        return json.loads(json.dumps(value).replace(FIRST, f"grown-{number}"))
    if isinstance(value, datetime):
        return value - timedelta(days=1) if value.year > 1970 else value
    if isinstance(value, int) and name in ("id", "model_row"):
        return value + (number + 1) * NUMBERS
    return value


def grow_catalogue(home: str, originals: dict[Table, list[dict[str, Any]]], first: int, last: int) -> None:
    """Copies number first to last, a thousand at a time."""
    engine = create_engine(f"sqlite:///{home}/catalogue.db", connect_args={"timeout": 60})
    for begin in range(first, last, 1000):
        with engine.begin() as connection:
            for original, rows in originals.items():
                content = list(copies(rows, begin, min(begin + 1000, last)))
                if content:
                    connection.execute(insert(original), content)
    engine.dispose()


def finished_pipeline(home: str) -> dict[Table, list[dict[str, Any]]]:
    """All rows of the only pipeline there is."""
    engine = create_engine(f"sqlite:///{home}/catalogue.db")
    with engine.connect() as connection:
        return {
            each: [dict(row) for row in connection.execute(select(each)).mappings()]
            for each in Row.metadata.sorted_tables
            if each.name not in NOT_COPIED
        }


def finished_runs(home: str) -> list[dg.DagsterRun]:
    """Its runs, one a stage."""
    with dg.DagsterInstance.from_config(f"{home}/dagster") as instance:
        return list(instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.SUCCESS])))


def grow_dagster(home: str, known: list[dg.DagsterRun], first: int, last: int) -> None:
    """Partitions, finished runs and materializations, as the sensors would have made them."""
    with dg.DagsterInstance.from_config(f"{home}/dagster") as instance:
        keys = [f"grown-{number}" for number in range(first, last)]
        instance.add_dynamic_partitions("dataset_id", keys)
        for number, key in zip(range(first, last), keys, strict=True):
            for run in known:
                tags = {**run.tags, "dagster/partition": key, "mlpipe/row": f"{run.tags.get('mlpipe/row')}-{number}"}
                tags["dagster/run_key"] = f"{run.tags.get('dagster/run_key')}-{number}"
                instance.run_storage.add_run(run._replace(run_id=f"{run.run_id}-{number}", tags=tags))
            for asset in ASSETS:
                instance.report_runless_asset_event(dg.AssetMaterialization(asset, partition=key))


def timed(what: Callable[[], Any], times: int = 7) -> Times:
    """Seconds of each call."""
    taken = []
    for _ in range(times):
        begun = time.monotonic()
        what()
        taken.append(time.monotonic() - begun)
    return Times(tuple(taken))


def measure(subject: Subject, events: int) -> dict[str, Times]:
    """Latency of an event, ticks of the sweep and of a sensor, lists of the API, the pages' queries in Dagster."""
    api = subject.platform.outside.api

    def get(path: str, **headers: str) -> None:
        answer = requests.get(f"{api}{path}", headers=headers, timeout=120)
        assert answer.ok, answer.text[:500]

    causes = subject.probe.one_at_a_time(lambda: subject.send_bias_trigger(FIRST), events)
    graphql = subject.platform.outside.graphql
    asset = {"key": {"path": ["model"]}}
    return {
        "append → step start": subject.probe.times_until(subject.step_starts(), causes),
        "append → next event": subject.probe.answer_times(causes),
        "tick of the sweep": _ticks(subject, "sweep"),
        "GET /pipelines (page)": timed(lambda: get(f"/pipelines?user_id={USER}", accept="text/html")),
        "GET /pipelines (JSON)": timed(lambda: get("/pipelines", accept="application/json")),
        "GET /datasets/{user}": timed(lambda: get(f"/datasets/{USER}")),
        "GET /datasets/search/{user}": timed(lambda: get(f"/datasets/search/{USER}?query=grown-7")),
        "GET /ai-models/{user}": timed(lambda: get(f"/ai-models/{USER}")),
        "GET /inbox (page)": timed(lambda: get(f"/inbox?user_id={USER}", accept="text/html")),
        "Dagster: asset page": timed(lambda: graphql(ASSET_QUERY, **asset)),
        "Dagster: runs page": timed(lambda: graphql(RUNS_QUERY)),
    }


def _ticks(subject: Subject, sensor: str) -> Times:
    home = subject.platform.environment["MLPIPE_HOME"]
    with dg.DagsterInstance.from_config(f"{home}/dagster") as instance:
        (state,) = [one for one in instance.all_instigator_state() if one.instigator_name == sensor]
        ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=12)
    return Times(tuple(tick.end_timestamp - tick.timestamp for tick in ticks if tick.end_timestamp))


def main() -> None:
    """Measure, grow, measure again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="*", default=[1000, 10000])
    parser.add_argument("--events", type=int, default=40)
    wanted = parser.parse_args()
    found: list[dict[str, Times]] = []
    with running_subject(None) as subject:
        home = subject.platform.environment["MLPIPE_HOME"]
        subject.pipelines(1)
        subject.command("role", "agentic-core", "foreign")
        time.sleep(5)
        originals, runs = finished_pipeline(home), finished_runs(home)
        subject.probe.one_at_a_time(lambda: subject.send_bias_trigger(FIRST), 5)
        found.append(measure(subject, wanted.events))
        for begin, end in zip([0, *wanted.sizes], wanted.sizes, strict=False):
            grow_catalogue(home, originals, begin, end)
            grow_dagster(home, runs, begin, end)
            time.sleep(20)  # what the new rows once set off has settled
            found.append(measure(subject, wanted.events))
            print(f"measured with {end:,} datasets", flush=True)
    sizes = ["empty", *(f"{size:,} datasets" for size in wanted.sizes)]
    rows = [
        [name, *(f"{times[name].p50:.3f} / {times[name].p95:.3f}" for times in found),
         f"{found[-1][name].p50 / found[0][name].p50:.2f}"]
        for name in found[0]
    ]  # fmt: skip
    print("\n" + table(("p50 / p95, s", *sizes, "last p50 ÷ empty"), rows) + "\n\n" + where_and_when())


if __name__ == "__main__":
    main()
