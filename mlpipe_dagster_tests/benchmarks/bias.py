"""`make bench-bias`: the bias report of a made-up table, beside fairlearn and AIF360, and as rows and columns grow.

Every subject runs in a process of its own, from the Parquet file to its numbers; imports are not counted. Peak memory
is the kernel's high-water mark of that process. As Markdown tables.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from mlpipe_dagster_tests.benchmarks.latency.measure import table, where_and_when

SUBJECT, OTHERS = Path(__file__).parent / "bias_subject.py", Path(__file__).parent / "bias_others.py"
PEOPLE = """CASE WHEN hash(i) % 100 < 48 THEN 'female' ELSE 'male' END AS sex,
    ['White', 'Black', 'Asian', 'Hispanic', 'Other'][1 + (hash(i + 1) % 100 >= 60)::INT + (hash(i + 1) % 100 >= 75)::INT
        + (hash(i + 1) % 100 >= 85)::INT + (hash(i + 1) % 100 >= 97)::INT] AS race,
    18 + (hash(i + 2) % 60)::BIGINT AS age,
    ['sales', 'care', 'office', 'works'][1 + ((hash(i + 4) % 4 + (hash(i) % 100 < 48)::INT) % 4)::INT] AS job,
    CASE WHEN hash(i + 5) % 20 = 0 THEN NULL ELSE (hash(i + 5) % 100000) / 10.0 END AS pay,
    hash(i + 9) % 3 = 0 AS married"""
HIRED = """CASE WHEN hash(i + 3) % 100
        < 15 + 10 * (sex = 'male')::INT + 5 * (race = 'White')::INT + 8 * (job = 'care')::INT
    THEN 'yes' ELSE 'no' END AS hired"""
FILLERS = (
    "(hash(i + {n}) % 1000) / 10.0",
    "CASE WHEN hash(i + {n}) % 30 = 0 THEN NULL ELSE ['low', 'mid', 'high'][1 + (hash(i - {n}) % 3)::INT] END",
    "(hash(i + {n}) % 40)::BIGINT",
    "'town ' || hash(i + {n}) % 500",
)
OWN_COLUMNS = 7
COLUMNS = 12


@dataclass(frozen=True)
class Ran:
    """What a subject took."""

    seconds: float
    cpu: float
    peak: float
    """MiB."""
    made: str
    """What it has computed."""


def main(arguments: Sequence[str]) -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="mlpipe_dagster_tests.benchmarks.bias", description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000, help="of the large table, and the most of the growth")
    parser.add_argument("--beside", type=int, default=1_000_000, help="rows for the comparison with other libraries")
    parser.add_argument("--columns", type=int, default=1000, help="the most columns of the growth")
    parser.add_argument("--wide-rows", type=int, default=100_000, help="rows of the wide tables")
    parser.add_argument("--repeats", type=int, default=3, help="the median is shown")
    parser.add_argument("--resamples", type=int, default=10, help="of fairlearn's bootstrap")
    parser.add_argument("--aif360", type=Path, help="a Python that has aif360 and pyarrow: python -m venv …")
    wanted = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="mlpipe-bench-bias-") as name:
        folder = Path(name)
        print(_beside(folder, wanted), flush=True)
        print("\n" + _growth(_row_steps(folder, wanted.rows), wanted.repeats), flush=True)
        print("\n" + _growth(_column_steps(folder, wanted.columns, wanted.wide_rows), wanted.repeats))
    print(f"\n{where_and_when()}")
    return 0


def write_table(target: Path, rows: int, columns: int = COLUMNS) -> Path:
    """A table of people with a target `hired`; `columns` of at least 7. Its profile is written beside it."""
    fillers = [f"{FILLERS[n % len(FILLERS)].format(n=n + 20)} AS f{n}" for n in range(columns - OWN_COLUMNS)]
    made = f"SELECT {', '.join((PEOPLE, *fillers))}, i FROM range({rows}) t(i)"
    with duckdb.connect() as connection:
        connection.execute("SET threads = 2")
        connection.execute("SET enable_progress_bar = false")
        select = f"SELECT * EXCLUDE (i), {HIRED} FROM ({made})"
        connection.execute(f"COPY ({select}) TO '{target}' (FORMAT parquet, COMPRESSION zstd)")
    _run([sys.executable, str(SUBJECT), "profile", str(target)])
    return target


def _run(command: Sequence[str]) -> Ran:
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return Ran(**json.loads(done.stdout.splitlines()[-1]))


def _median(command: Sequence[str], repeats: int) -> Ran:
    runs = [_run(command) for _ in range(repeats)]
    return Ran(
        statistics.median(run.seconds for run in runs),
        statistics.median(run.cpu for run in runs),
        max(run.peak for run in runs),
        runs[0].made,
    )


def _beside(folder: Path, wanted: argparse.Namespace) -> str:
    source = str(write_table(folder / "beside.parquet", wanted.beside))
    python = sys.executable
    subjects = {
        "mlpipe, groups alone": ([python, str(SUBJECT), "groups", source, "hired"], wanted.repeats),
        "mlpipe, the whole report": ([python, str(SUBJECT), "measure", source, "hired"], wanted.repeats),
        "fairlearn MetricFrame": ([python, str(OTHERS), "fairlearn", source], 1),
        "fairlearn MetricFrame, intervals": ([python, str(OTHERS), "fairlearn", source, str(wanted.resamples)], 1),
        "aif360.sklearn": ([str(wanted.aif360), str(OTHERS), "aif360", source], 1),
    }
    rows, ours = [], 0.0
    for name, (command, repeats) in subjects.items():
        if command[0] == "None":
            rows.append([name, "skipped: no --aif360 named a Python that has it", "", "", "", ""])
            continue
        ran = _median(command, repeats)
        ours = ours or ran.cpu
        rows.append(
            [name, ran.made, f"{ran.seconds:.2f}", f"{ran.cpu:.2f}", f"{ran.peak:.0f}", f"{ran.cpu / ours:.0f}"]
        )
    head = [f"{wanted.beside:,} rows x {COLUMNS} columns", "computed", "seconds", "CPU s", "peak MiB", "times CPU"]
    return table(head, rows)


def _row_steps(folder: Path, most: int) -> Iterator[tuple[str, Path, str]]:
    rows = 10_000
    while rows <= most:
        source = write_table(folder / "rows.parquet", rows)
        for target in ("hired", "pay"):
            yield f"{rows:,} rows x {COLUMNS} columns, {target}", source, target
        rows *= 10


def _column_steps(folder: Path, most: int, rows: int) -> Iterator[tuple[str, Path, str]]:
    columns = 10
    while columns <= most:
        source = write_table(folder / "columns.parquet", rows, columns)
        yield f"{rows:,} rows x {columns:,} columns, hired", source, "hired"
        columns *= 10


def _growth(steps: Iterator[tuple[str, Path, str]], repeats: int) -> str:
    rows = []
    for name, source, target in steps:
        ran = _median([sys.executable, str(SUBJECT), "measure", str(source), target], repeats)
        rows.append([name, ran.made, f"{ran.seconds:.2f}", f"{ran.cpu:.2f}", f"{ran.peak:.0f}"])
    return table(["table and target", "computed", "seconds", "CPU s", "peak MiB"], rows)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
