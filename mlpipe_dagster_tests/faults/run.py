"""The fault suite's command: `python -m mlpipe_dagster_tests.faults.run --seed 7 --datasets 100 --variant kafka`.

Prints what was killed and when, what is wrong, and a table; its exit status is 1 when anything was lost or came twice.
"""

import argparse
import logging
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from mlpipe_dagster_tests.faults.monkey import SHARES
from mlpipe_dagster_tests.faults.processes import PROC
from mlpipe_dagster_tests.faults.suite import KAFKA, MOST_WAITED_FOR, VARIANTS, Report, Trial, run_trial
from mlpipe_dagster_tests.faults.verdict import LOST, TWICE, lost_and_twice
from mlpipe_dagster_tests.tools.apache_kafka.jars import why_not

LONG = (100, 6.0)
SHORT = (10, 0.5)
"""Datasets, and minutes of the monkey, for each variant."""
MOST_SHOWN = 40
COLUMNS = (
    "seed", "variant", "killed", "frozen", "datasets done", "lost", "twice", "other complaints", "records",
    "repeated deliveries", "broker logs", "recovered after", "seconds",
)  # fmt: skip


def main(arguments: Sequence[str]) -> int:
    """Run the trials one after the other; the exit status."""
    wanted = _arguments(arguments)
    if not (PROC / "self" / "environ").exists():
        print("skipped: the platform's processes can be found from outside on Linux only")
        return 0
    reports = []
    with ThreadPoolExecutor(wanted.together) as pool:
        for report in pool.map(_begin, list(_trials(wanted))):
            _show(report)
            reports.append(report)
    print("\n".join(_table(reports)))
    return int(any(report.complaints for report in reports))


def _trials(wanted: argparse.Namespace) -> Iterable[Trial]:
    datasets, minutes = SHORT if wanted.short else LONG
    for variant in wanted.variant or VARIANTS:
        obstacle = why_not() if variant == KAFKA else None
        if obstacle:
            print(f"{variant}: skipped: {obstacle}", flush=True)
            continue
        for seed in wanted.seeds:
            yield Trial(variant, seed, wanted.datasets or datasets, 60.0 * (wanted.minutes or minutes))


def _begin(trial: Trial) -> Report:
    print(f"{trial.variant}, seed {trial.seed}: {trial.datasets} datasets, {trial.seconds:g} s of faults", flush=True)
    return run_trial(trial)


def _arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="mlpipe_dagster_tests.faults.run", description=__doc__)
    parser.add_argument("--seed", "--seeds", dest="seeds", default=[1], type=_numbers, help="7, or 1,2,3,4,5")
    parser.add_argument("--variant", action="append", choices=VARIANTS, help="both where it is not given")
    parser.add_argument("--datasets", type=int, help=f"default {LONG[0]}, with --short {SHORT[0]}")
    parser.add_argument("--minutes", type=float, help=f"of faults; default {LONG[1]:g}, with --short {SHORT[1]:g}")
    parser.add_argument("--short", action="store_true", help="a few datasets, a few faults: for every change")
    parser.add_argument("--together", type=int, default=1, help="so many trials at a time, each on its own platform")
    return parser.parse_args(arguments)


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


def _show(report: Report) -> None:
    print(f"{report.trial.variant}, seed {report.trial.seed}:")
    for act in report.acts:
        print(f"  {act.at:6.1f} s  {act.kind} (process {act.pid}) {act.what}")
    print(
        f"  pipelines ended {report.ended:.0f} s after the last fault, everything in its place {report.recovered:.0f} s"
    )
    for missing in report.waited_for[:MOST_WAITED_FOR]:
        print(f"  last waited for: {missing.about}: {missing.text}")
    for complaint in report.complaints[:MOST_SHOWN]:
        print(f"  {complaint.what.upper()}  {complaint.about}: {complaint.text}")
    if report.folder:
        print(f"  {len(report.complaints)} complaints; the logs are in {report.folder}")
    print(flush=True)


def _table(reports: Iterable[Report]) -> Iterable[str]:
    yield f"| {' | '.join(COLUMNS)} |"
    yield f"|{' --- |' * len(COLUMNS)}"
    for report in reports:
        yield f"| {' | '.join(_row(report))} |"


def _row(report: Report) -> list[str]:
    trial = report.trial
    lost, twice = (lost_and_twice(report.complaints, what) for what in (LOST, TWICE))
    others = sum(complaint.what not in (LOST, TWICE) for complaint in report.complaints)
    numbers = (lost, twice, others, report.records, report.repeated, report.logs)
    times = [f"{report.recovered:.0f} s", f"{report.seconds:.0f}"]
    killed = Counter(act.kind for act in report.acts if act.killed)
    frozen = sum(not act.killed for act in report.acts)
    kinds = ", ".join(f"{killed[kind]} {kind}" for kind in SHARES if killed[kind])
    done = f"{report.done} of {trial.datasets}"
    return [str(trial.seed), trial.variant, f"{killed.total()}: {kinds}", str(frozen), done, *map(str, numbers), *times]


if __name__ == "__main__":
    logging.getLogger("kafka").setLevel(logging.CRITICAL)  # brokers are killed on purpose here
    sys.exit(main(sys.argv[1:]))
