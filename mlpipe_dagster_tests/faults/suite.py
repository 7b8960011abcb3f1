"""One trial: a platform, a monkey, many datasets, and the verdict in the end. The command line is in run.py."""

import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import requests

from mlpipe_dagster_tests.end_to_end.platforms import QUICK, Platform, running_platform
from mlpipe_dagster_tests.faults.collector import Collector
from mlpipe_dagster_tests.faults.facts import gather, open_pipelines, stages_of
from mlpipe_dagster_tests.faults.monkey import Act, Monkey
from mlpipe_dagster_tests.faults.processes import ZOMBIE, Census, Identity, Kind, identity_of
from mlpipe_dagster_tests.faults.uploads import Uploads
from mlpipe_dagster_tests.faults.verdict import LEFT, LOST, Complaint, judge, repeated_deliveries
from mlpipe_dagster_tests.quick_stages import TABLE
from mlpipe_dagster_tests.tools.apache_kafka.kafka import Cluster, Node

KAFKA, EMBEDDED = "kafka", "embedded"
VARIANTS = (EMBEDDED, KAFKA)
SETTINGS = {
    **QUICK,
    # a run that the monkey kills is an attempt: with the usual three a stage may honestly fail. What is tested here is
    # that nothing is lost and nothing happens twice, not how soon the platform gives up
    "MLPIPE_MAX_ATTEMPTS": "12",
}
UPLOAD_SHARE = 0.85
"""Of the monkey's time; the rest is for what is still under way."""
FINISH_SECONDS = 240.0
SETTLE_SECONDS = 120.0
QUIET_SECONDS = 40.0
"""Longer than anything that sends again waits: an effect that comes twice has come by then."""
GONE_SECONDS = 3.0
LOOK_SECONDS = 2.0
MOST_WAITED_FOR = 5

T = TypeVar("T")


@dataclass(frozen=True)
class Trial:
    """What to do."""

    variant: str
    seed: int
    datasets: int
    seconds: float


@dataclass
class Report:
    """What came of it; `folder` holds the logs where there are complaints."""

    trial: Trial
    acts: list[Act] = field(default_factory=list)
    complaints: list[Complaint] = field(default_factory=list)
    done: int = 0
    records: int = 0
    repeated: int = 0
    logs: int = 0
    behind: int = 0
    """Pipelines that had not ended at the last fault."""
    ended: float = 0.0
    """Seconds from the last fault until the last pipeline had ended."""
    recovered: float = 0.0
    """Seconds from the last fault until nothing was missing any more."""
    waited_for: list[Complaint] = field(default_factory=list)
    """What was missing last before that."""
    seconds: float = 0.0
    folder: Path | None = None


def run_trial(trial: Trial) -> Report:
    """Start, torment, wait, judge, stop, look who is left."""
    folder = Path(tempfile.mkdtemp(prefix=f"mlpipe-faults-{trial.variant}-{trial.seed}-"))
    report, begun = Report(trial), time.monotonic()
    with _broker(trial, folder) as node:
        census = Census(folder / "home")
        with running_platform(folder, node.address if node else None, **SETTINGS) as platform:
            _torment_and_judge(report, platform, census, folder, node)
            census.look()
        report.complaints += _left_after(census)
    report.seconds = time.monotonic() - begun
    if report.complaints:
        report.folder = folder
    else:
        shutil.rmtree(folder)
    return report


@contextmanager
def _broker(trial: Trial, folder: Path) -> Iterator[Node | None]:
    """Apache Kafka where the trial wants it; else `mlpipe up` starts its own."""
    if trial.variant == EMBEDDED:
        yield None
        return
    with Cluster(folder / "kafka") as cluster:
        yield cluster.nodes[0]


@dataclass
class _Scene:
    """What a trial has to do with while its platform is up."""

    report: Report
    platform: Platform
    census: Census
    node: Node | None
    dataset_ids: list[str]
    collector: Collector


def _torment_and_judge(report: Report, platform: Platform, census: Census, folder: Path, node: Node | None) -> None:
    trial, outside = report.trial, platform.outside
    (folder / "table.csv").write_bytes(TABLE)
    dataset_ids = [f"d{number:03}" for number in range(trial.datasets)]
    uploads = Uploads(outside.api, folder / "table.csv", dataset_ids, trial.seconds * UPLOAD_SHARE)
    monkey = Monkey(census, trial.seed, *((lambda: _identity(node), lambda: _raise(node)) if node else ()))
    report.acts = monkey.acts
    with Collector(outside.bootstrap, outside.topic_prefix) as collector:
        try:
            with uploads, monkey:
                _sleep(platform, trial.seconds)
            _judge_when_settled(_Scene(report, platform, census, node, dataset_ids, collector))
        except (AssertionError, requests.RequestException) as error:  # what never came right is the trial's result
            report.complaints.append(Complaint(LOST, "the trial", f"{type(error).__name__}: {error}"))
        report.logs = len(collector.logs)
    report.complaints += [*_outbox(platform), *_leftovers(census)]


def _sleep(platform: Platform, seconds: float) -> None:
    """Wait; raises AssertionError where `mlpipe up` ends by itself."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        assert platform.process.poll() is None, f"mlpipe up ended by itself:\n{platform.say()[-2000:]}"
        time.sleep(min(left, LOOK_SECONDS))


def _identity(node: Node) -> Identity | None:
    """The broker's process; None while it is down."""
    return identity_of(node.process.pid) if node.process and node.process.poll() is None else None


def _raise(node: Node) -> None:
    """Fetch the dead broker and start it again: same port, same log."""
    node.kill()
    node.launch()


def _judge_when_settled(scene: _Scene) -> None:
    """Wait while something is missing; then long enough for anything that comes twice; then judge."""
    report, calm_since = scene.report, time.monotonic()
    report.behind = len(_open(scene))
    _wait_for_the_end(scene)
    report.ended = time.monotonic() - calm_since
    give_up_at = time.monotonic() + SETTLE_SECONDS
    while (missing := _verdict(scene)) and time.monotonic() < give_up_at:
        report.waited_for = missing
        _sleep(scene.platform, LOOK_SECONDS)
    report.recovered = time.monotonic() - calm_since
    _sleep(scene.platform, QUIET_SECONDS)
    report.complaints += _verdict(scene)
    records = scene.collector.records()
    report.records, report.repeated = len(records), repeated_deliveries(records)


def _wait_for_the_end(scene: _Scene) -> None:
    """Until every pipeline has ended, or for as long as may be expected; the verdict says which have not."""
    give_up_at = time.monotonic() + FINISH_SECONDS
    while (left := _open(scene)) and time.monotonic() < give_up_at:
        said = [Complaint(LOST, it, _stages_of(scene.platform, it)) for it in left[:MOST_WAITED_FOR]]
        scene.report.waited_for = said
        _sleep(scene.platform, LOOK_SECONDS)


def _stages_of(platform: Platform, dataset_id: str) -> str:
    return _patiently(lambda: stages_of(platform.outside, dataset_id))


def _open(scene: _Scene) -> list[str]:
    return _patiently(lambda: open_pipelines(scene.platform.outside, scene.dataset_ids))


def _verdict(scene: _Scene) -> list[Complaint]:
    """What is wrong now."""
    if scene.node:
        scene.collector.read_to_the_end()
    found = _patiently(lambda: gather(scene.platform.outside, scene.dataset_ids, scene.collector.records()))
    scene.report.done = sum((it.pipeline or {}).get("status") == "done" for it in found.datasets)
    return judge(found, log_was_kept=scene.node is not None)


def _patiently(ask: Callable[[], T]) -> T:
    """Ask again while a service that was killed a moment ago is on its way back."""
    give_up_at = time.monotonic() + SETTLE_SECONDS
    while True:
        try:
            return ask()
        except requests.RequestException:
            if time.monotonic() > give_up_at:
                raise
            time.sleep(LOOK_SECONDS)


def _outbox(platform: Platform) -> Iterator[Complaint]:
    """What `mlpipe doctor` says of the outbox."""
    exports = dict(pair.split("=", 1) for pair in re.findall(r"[A-Z_]+=\S+", platform.say()))
    done = subprocess.run(
        [sys.executable, "-m", "mlpipe_dagster.cli", "doctor"],
        env={**platform.environment, **exports}, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    if "outbox: nothing waits to be sent" not in done.stdout:
        yield Complaint(LEFT, "outbox", done.stdout + done.stderr)


def _leftovers(census: Census) -> Iterator[Complaint]:
    """While the platform still runs and has nothing to do: no run worker, one zygote at most, no zombie."""
    give_up_at = time.monotonic() + GONE_SECONDS
    while found := list(_idle_processes_that_must_not_be(census)):
        if time.monotonic() > give_up_at:
            yield from found
            return
        time.sleep(0.2)


def _idle_processes_that_must_not_be(census: Census) -> Iterator[Complaint]:
    there = census.look()
    for it in there:
        if it.state == ZOMBIE and it.parent != 1:  # whoever is process 1 here fetches its children when it likes
            yield Complaint(LEFT, f"{it.kind} {it.identity.pid}", f"a zombie of process {it.parent}: {it.command}")
        elif it.kind is Kind.WORKER and it.state != ZOMBIE:
            yield Complaint(LEFT, f"{it.kind} {it.identity.pid}", f"no run is at work, and it is: {it.command}")
    for it in [it for it in there if it.kind is Kind.ZYGOTE and it.state != ZOMBIE][1:]:
        yield Complaint(LEFT, f"{it.kind} {it.identity.pid}", f"a second zygote: {it.command}")


def _left_after(census: Census) -> Iterator[Complaint]:
    """After Ctrl-C: nobody who ever was is there, but for the dead that process 1 has not fetched."""
    give_up_at = time.monotonic() + GONE_SECONDS
    while left := [it for it in census.look() if not (it.state == ZOMBIE and it.parent == 1)]:
        if time.monotonic() > give_up_at:
            break
        time.sleep(0.2)
    for it in left:
        yield Complaint(LEFT, f"{it.kind} {it.identity.pid}", f"it outlives mlpipe up: {it.command}")
