"""`make bench-growth`: what 1,000 and 10,000 finished datasets cost the next one.

One platform: measured empty, then with copies of a finished pipeline in the catalogue, and their partitions, runs and
materializations in Dagster's storage. As Markdown table.
"""

import argparse
import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import dagster as dg
import requests
from sqlalchemy import MetaData, Table, create_engine, insert, select

from mlpipe_dagster_tests.benchmarks.latency.measure import Times, table, where_and_when
from mlpipe_dagster_tests.benchmarks.latency.mlpipe_subject import USER, Subject, running_subject

FIRST = "whole-0"
COPIED: dict[str, Sequence[str] | None] = {
    "catalogue.db": None,
    "dagster/history/runs.db": ("runs", "run_tags"),
    "dagster/history/runs/index.db": ("event_logs", "asset_event_tags", "asset_check_executions"),
}
"""Databases below the home, and what is copied in them: these tables, or all."""
NOT_COPIED = {"reader_positions", "roles", "handled_letters", "snapshots", "audit_seals", "audit_pending"}
"""A chain of hashes cannot be copied: the entries are, without their seals."""
NUMBERED = ("id", "model_row", "event_id")
ROOM = 5000
"""Between the row numbers of two copies."""
UUID = re.compile(r"(?<![0-9a-f])[0-9a-f]{8}(-?[0-9a-f]{4}){3}-?[0-9a-f]{12}(?![0-9a-f])")
ASSET_QUERY = """query Asset($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) { ... on AssetNode {
  partitionStats { numMaterialized numPartitions }
  assetPartitionStatuses { ... on DefaultPartitionStatuses { materializedPartitions } }
  partitionKeyConnection(limit: 100, ascending: false) { results }
  assetMaterializations(limit: 50) { runId timestamp partition } } } }"""
RUNS_QUERY = "{ runsOrError(limit: 30) { ... on Runs { results { id status tags { key value } } } } }"


Originals = dict[str, list[tuple[Table, list[dict[str, Any]]]]]


def finished_pipeline(home: str) -> Originals:
    """All rows of the only pipeline there is, by database and table."""
    found: Originals = {}
    for database, wanted in COPIED.items():
        engine = create_engine(f"sqlite:///{home}/{database}")
        metadata = MetaData()
        metadata.reflect(engine, only=wanted)
        with engine.connect() as connection:
            found[database] = [
                (each, [dict(row) for row in connection.execute(select(each)).mappings()])
                for each in metadata.sorted_tables
                if each.name not in NOT_COPIED
            ]
    return found


def grow(home: str, originals: Originals, first: int, last: int) -> None:
    """Copies number first to last, a thousand at a time, and their partitions."""
    for database, tables in originals.items():
        engine = create_engine(f"sqlite:///{home}/{database}", connect_args={"timeout": 60})
        for begin in range(first, last, 1000):
            with engine.begin() as connection:
                for original, rows in tables:
                    content = list(copies(rows, begin, min(begin + 1000, last)))
                    if content:
                        connection.execute(insert(original), content)
        engine.dispose()
    with dg.DagsterInstance.from_config(f"{home}/dagster") as instance:
        instance.add_dynamic_partitions("dataset_id", [f"grown-{number}" for number in range(first, last)])


def copies(rows: list[dict[str, Any]], first: int, last: int) -> Iterator[dict[str, Any]]:
    """Rows of the finished pipeline as those of other datasets, a day older."""
    for number in range(first, last):
        for row in rows:
            yield {name: _copied(name, value, number) for name, value in row.items()}


def _copied(name: str, value: Any, number: int) -> Any:
    if isinstance(value, str):
        return UUID.sub(rf"\g<0>-{number}", value.replace(FIRST, f"grown-{number}"))
    if isinstance(value, dict | list):
        return json.loads(_copied(name, json.dumps(value), number))
    if isinstance(value, datetime):
        return value - timedelta(days=1) if value.year > 1970 else value
    if isinstance(value, int) and name in NUMBERED:
        return value + (number + 1) * ROOM
    return value


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

    def ask(query: str, **variables: Any) -> None:
        answer = subject.platform.outside.graphql(query, **variables)
        assert answer, f"Dagster does not understand {query}"

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
        "Dagster: asset page": timed(lambda: ask(ASSET_QUERY, **asset)),
        "Dagster: runs page": timed(lambda: ask(RUNS_QUERY)),
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
        originals = finished_pipeline(home)
        subject.probe.one_at_a_time(lambda: subject.send_bias_trigger(FIRST), 5)
        found.append(measure(subject, wanted.events))
        for begin, end in zip([0, *wanted.sizes], wanted.sizes, strict=False):
            grow(home, originals, begin, end)
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
