"""`make bench-latency`: mlpipe, Dagster's defaults and plain consumers, side by side in one run, as Markdown tables.

Append is the moment when the broker has acknowledged the trigger; answer, when a consumer holds the next event.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import dagster as dg

from mlpipe_dagster.messaging.connection import Connection
from mlpipe_dagster.messaging.embedded import EmbeddedBroker, free_port
from mlpipe_dagster.messaging.topics import create_topics
from mlpipe_dagster_tests.benchmarks.latency import plain_consumers, polling_definitions
from mlpipe_dagster_tests.benchmarks.latency.measure import Times, table, where_and_when
from mlpipe_dagster_tests.benchmarks.latency.mlpipe_subject import Subject, running_subject
from mlpipe_dagster_tests.benchmarks.latency.probe import Probe
from mlpipe_dagster_tests.end_to_end.platforms import clean_environment
from mlpipe_dagster_tests.tools.apache_kafka.jars import why_not
from mlpipe_dagster_tests.tools.apache_kafka.kafka import Cluster

HEAD = ("subject", "measured", "p50 s", "p95 s", "max s", "n")
STOP_SECONDS = 30
WARM_UP = 3


class Report:
    """Rows as they come; printed at once too, since the whole takes minutes."""

    def __init__(self) -> None:
        self.times: list[list[str]] = []
        self.costs: list[list[str]] = []

    def add(self, subject: str, measured: str, times: Times) -> None:
        """A row of times."""
        self.times.append([subject, measured, *times.cells()])
        print(*self.times[-1], sep=" | ", flush=True)

    def add_burst(self, subject: str, count: int, seconds: float) -> None:
        """A row of one duration."""
        measured = f"burst of {count}: first append to last answer ({count / seconds:.2f} a second)"
        self.times.append([subject, measured, "", "", f"{seconds:.2f}", str(count)])
        print(*self.times[-1], sep=" | ", flush=True)

    def add_cost(self, subject: str, cost: dict[str, tuple[float, float]]) -> None:
        """Rows of idle CPU and memory."""
        total = [sum(values) for values in zip(*cost.values(), strict=True)]
        brokerless = sum(memory for name, (_, memory) in cost.items() if "broker" not in name)
        for name, (percent, memory) in sorted(cost.items()):
            self.costs.append([subject, name, f"{percent:.1f}", f"{memory:.0f}"])
        self.costs.append([subject, "**all**", f"**{total[0]:.1f}**", f"**{brokerless:.0f}** without the broker"])
        print(*self.costs[-1], sep=" | ", flush=True)

    def __str__(self) -> str:
        tables = [table(HEAD, self.times)]
        if self.costs:
            tables.append(table(("idle", "process", "% of a core", "PSS MiB"), self.costs))
        return "\n\n".join([*tables, where_and_when()])


def measure_mlpipe(report: Report, name: str, kafka: str | None, wanted: argparse.Namespace) -> None:
    """One at a time, bursts, whole pipelines, the UI meanwhile, and idle."""
    with running_subject(kafka) as subject:
        report.add(name, "first upload accepted → both explanations", subject.pipelines(1))
        report.add_cost(name, subject.idle(wanted.idle))
        for what, times in subject.interface(20).items():
            report.add(name, f"UI: {what}, while all sensors wait", times)
        report.add(name, "upload accepted → both explanations, four stages", subject.pipelines(wanted.pipelines))
        subject.command("role", "agentic-core", "foreign")  # nobody decides: each trigger is one run
        _measure_triggers(report, name, subject, wanted)


def _measure_triggers(report: Report, name: str, subject: Subject, wanted: argparse.Namespace) -> None:
    def send() -> str:
        return subject.send_bias_trigger("whole-0")

    subject.probe.one_at_a_time(send, WARM_UP)
    singles = subject.probe.one_at_a_time(send, wanted.events)
    used, bursts = subject.cpu(), 0
    for count in wanted.bursts:
        _, seconds = subject.probe.burst(send, count)
        report.add_burst(name, count, seconds)
        bursts += count
    if bursts:
        print(f"CPU of all processes in the bursts: {(subject.cpu() - used) / bursts:.2f} s a run", flush=True)
    report.add(name, "append → step start", subject.probe.times_until(subject.step_starts(), singles))
    report.add(name, "append → next event", subject.probe.answer_times(singles))


def measure_defaults(report: Report, bootstrap: str, interval: int, count: int) -> None:
    """`dagster dev` as it comes, with a polling sensor."""
    trigger, answers = polling_definitions.topics(interval)
    with _dagster_dev(bootstrap) as home:
        probe = Probe(bootstrap, [answers])

        def send() -> str:
            time.sleep(0.37)  # not in step with the interval
            return probe.send(trigger, {}, "some")

        probe.one_at_a_time(send, 1)
        causes = probe.one_at_a_time(send, count)
        name = f"Dagster's defaults, sensor of {interval} s"
        report.add(name, "append → step start", probe.times_until(_defaults_step_starts(home, interval), causes))
        report.add(name, "append → next event", probe.answer_times(causes))
        if interval == 1 and count > 1:
            report.add_burst(name, 20, probe.burst(lambda: probe.send(trigger, {}, "some"), 20)[1])


@contextmanager
def _dagster_dev(bootstrap: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="dagster-defaults-") as name, ExitStack() as stack:
        environment = clean_environment(DAGSTER_HOME=name, DAGSTER_DISABLE_TELEMETRY="1")
        environment[polling_definitions.BOOTSTRAP] = bootstrap
        log = stack.enter_context((Path(name) / "dev.log").open("wb"))
        command = [sys.executable, "-m", "dagster", "dev", "-m", polling_definitions.__name__, "-h", "127.0.0.1"]
        command += ["-p", str(free_port(3300))]
        process = subprocess.Popen(command, env=environment, cwd=name, stdout=log, stderr=log, start_new_session=True)
        try:
            yield Path(name)
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(STOP_SECONDS)
            finally:
                os.killpg(process.pid, signal.SIGKILL) if process.poll() is None else None


def _defaults_step_starts(home: Path, interval: int) -> dict[str, float]:
    started: dict[str, float] = {}
    with dg.DagsterInstance.from_config(str(home)) as instance:
        for run in instance.get_runs():
            config = run.run_config.get("ops", {}).get(f"asset_{interval}")
            records = instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.STEP_START).records
            if config and records:
                started[config["config"]["cause"]] = records[0].event_log_entry.timestamp
    return started


def measure_chain(report: Report, bootstrap: str, count: int) -> None:
    """Four processes: one hop, and all four."""
    first, *_, last = plain_consumers.HOPS
    with plain_consumers.running_chain(bootstrap):
        hop = Probe(bootstrap, [plain_consumers.HOPS[1]])
        report.add(
            "plain consumers", "append → next event",
            hop.answer_times(hop.one_at_a_time(lambda: hop.send(first, {}, "some"), count)),
        )  # fmt: skip
        whole = Probe(bootstrap, [last])
        taken = []
        for _ in range(20):
            whole.send(first, {}, "some")
            begun = time.time()
            while not whole.poll():
                pass
            taken.append(time.time() - begun)
        report.add("plain consumers", "first append → last of four events", Times(tuple(taken)))
        report.add_burst("plain consumers", 200, hop.burst(lambda: hop.send(first, {}, "some"), 200)[1])


@contextmanager
def _broker(kind: str) -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="mlpipe-kafka-") as name, ExitStack() as stack:
        if kind == "apache":
            yield stack.enter_context(Cluster(Path(name) / "kafka")).bootstrap_servers
        else:
            yield stack.enter_context(EmbeddedBroker(free_port(19092))).address


def main() -> None:
    """What the arguments choose."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kafka", choices=("apache", "embedded"), help="only this broker")
    parser.add_argument("--events", type=int, default=200, help="events one at a time")
    parser.add_argument("--pipelines", type=int, default=20)
    parser.add_argument("--bursts", type=int, nargs="*", default=[20, 200])
    parser.add_argument("--idle", type=float, default=60, help="seconds of watching an idle platform")
    parser.add_argument("--only-mlpipe", action="store_true")
    wanted = parser.parse_args()
    report, obstacle = Report(), why_not()
    if obstacle:
        print(f"Apache Kafka is left out: {obstacle}")
    kinds = [kind for kind in ("apache", "embedded") if wanted.kafka in (None, kind)]
    for kind in kinds:
        if kind == "apache" and not obstacle:
            with _broker("apache") as bootstrap:
                measure_mlpipe(report, "mlpipe, Apache Kafka", bootstrap, wanted)
                if not wanted.only_mlpipe:
                    _measure_others(report, bootstrap, wanted)
        elif kind == "embedded":
            measure_mlpipe(report, "mlpipe, embedded broker", None, wanted)
            if obstacle and not wanted.only_mlpipe:
                with _broker("embedded") as bootstrap:
                    _measure_others(report, bootstrap, wanted)
    print(f"\n{report}")


def _measure_others(report: Report, bootstrap: str, wanted: argparse.Namespace) -> None:
    names = [name for interval in polling_definitions.INTERVALS for name in polling_definitions.topics(interval)]
    create_topics(Connection(bootstrap), [*names, *plain_consumers.HOPS])
    measure_defaults(report, bootstrap, 1, min(20, wanted.events))
    measure_defaults(report, bootstrap, 30, min(4, wanted.events))
    measure_chain(report, bootstrap, wanted.events)


if __name__ == "__main__":
    main()
