"""Times as a table shows them, and what a set of processes costs: CPU time and proportional memory from /proc."""

import math
import os
import platform
import statistics
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Times:
    """Measured seconds."""

    seconds: tuple[float, ...]

    @property
    def p50(self) -> float:
        """Median."""
        return statistics.median(self.seconds)

    @property
    def p95(self) -> float:
        """The smallest value that at least 95 % do not exceed."""
        ordered = sorted(self.seconds)
        return ordered[math.ceil(0.95 * len(ordered)) - 1]

    def cells(self) -> list[str]:
        """p50, p95, largest, how many."""
        if not self.seconds:
            return ["-"] * 4
        return [*(f"{value:.3f}" for value in (self.p50, self.p95, max(self.seconds))), str(len(self.seconds))]


def processes_with(variable: str, value: str) -> list[int]:
    """Processes whose environment says so: a platform's own, whoever started them."""
    wanted = f"{variable}={value}".encode()
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and wanted in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
        except OSError:  # it ended, or is another user's
            continue
    return found


def name_of(pid: int) -> str:
    """What a process is, in a word or two."""
    words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    known = {
        "tansu": "embedded broker", "_daemon": "daemon", "webserver": "webserver", "api grpc": "code server",
        "zygote": "warm process", "uvicorn": "API", "mlpipe_dagster.cli up": "supervisor", "guard": "guard",
    }  # fmt: skip
    return next((name for part, name in known.items() if part in words), words[:40])


def cpu_seconds(pid: int) -> float:
    """CPU time a process and its ended children have used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(field) for field in fields[11:15]) / TICKS


def pss_mib(pid: int) -> float:
    """Memory of a process in MiB, shared pages divided among those who share them."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def idle_cost(pids: Iterable[int], seconds: float) -> dict[str, tuple[float, float]]:
    """By process name: percent of one core over so many seconds, and MiB at their end."""
    before = {pid: cpu_seconds(pid) for pid in pids}
    time.sleep(seconds)
    cost: dict[str, tuple[float, float]] = {}
    for pid, used in before.items():
        percent, memory = cost.get(name_of(pid), (0.0, 0.0))
        cost[name_of(pid)] = (percent + 100 * (cpu_seconds(pid) - used) / seconds, memory + pss_mib(pid))
    return cost


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def where_and_when() -> str:
    """Date, machine and versions, as a line under a table."""
    model = next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), platform.processor())  # fmt: skip
    cores = len(os.sched_getaffinity(0))
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {cores} cores of {model}, Python {platform.python_version()}, "
        f"Dagster {version('dagster')}, kafka-python {version('kafka-python')}"
    )
