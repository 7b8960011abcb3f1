"""`make bench-ingest`: an upload and a download of a large CSV, beside DuckDB's bare COPY of the same file to Parquet.

The API runs as `mlpipe up` starts it, on a home of its own and without Kafka. Peak memory is the kernel's own
high-water mark of each process. As Markdown tables.
"""

import argparse
import http.client
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb

from mlpipe_dagster_tests.benchmarks.latency.measure import table, where_and_when

MIB = 1024 * 1024
CHUNK_BYTES = MIB
ROW_BYTES = 66
BOUNDARY = "mlpipe-bench-ingest"
ROWS = """SELECT i AS id, 18 + (hash(i) % 60)::INT AS age, ['female', 'male'][1 + (hash(i + 1) % 2)::INT] AS sex,
    round((hash(i + 2) % 1000000) / 100.0, 2) AS income, 'street ' || (hash(i + 3) % 100000) AS street,
    '2026-01-01'::DATE + (hash(i + 4) % 365)::INT AS day, (hash(i + 5) % 1000) / 1000.0 AS score,
    ['Oslo', 'Rome', 'Köln'][1 + (hash(i + 6) % 3)::INT] AS city, hash(i + 7) % 2 = 0 AS target"""
BARE_COPY = """import duckdb, sys
with duckdb.connect() as connection:
    connection.execute("SET threads = 2")
    connection.execute("SET enable_progress_bar = false")
    connection.execute(f"COPY (FROM read_csv('{sys.argv[1]}')) TO '{sys.argv[2]}' (FORMAT parquet, COMPRESSION zstd)")
"""
STAGE_READ = """import sys
from pathlib import Path
from mlpipe_dagster.tables.convert import to_parquet
to_parquet(Path(sys.argv[1]), "large.csv", Path(sys.argv[2]))
"""


def main(arguments: Sequence[str]) -> int:
    """Make the file, run each step so many times in turn, print the tables."""
    parser = argparse.ArgumentParser(prog="mlpipe_dagster_tests.benchmarks.ingest", description=__doc__)
    parser.add_argument("--megabytes", type=int, default=2048)
    parser.add_argument("--repeats", type=int, default=3)
    wanted = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="mlpipe-bench-ingest-") as name:
        folder = Path(name)
        source = folder / "large.csv"
        _write_csv(source, wanted.megabytes * MIB)
        with running_api(folder) as (port, api):
            memory = Peaks(api)
            steps: dict[str, Callable[[], None]] = {
                "DuckDB's bare COPY to Parquet": lambda: _in_a_process(BARE_COPY, source, folder / "bare.parquet"),
                "upload: request to answer": lambda: _upload(port, source),
                "download": lambda: _download(port, source.stat().st_size),
                "the dataset stage reads it: types, Parquet, profile": lambda: _in_a_process(
                    STAGE_READ, source, folder / "stage.parquet"
                ),
            }
            seconds = _timed(steps, wanted.repeats)
            memory.stop()
        _print(source.stat().st_size, seconds, memory)
    return 0


def _write_csv(target: Path, size: int) -> None:
    with duckdb.connect() as connection:
        connection.execute("SET enable_progress_bar = false")
        connection.execute(f"COPY ({ROWS} FROM range({size // ROW_BYTES}) t(i)) TO '{target}' (FORMAT csv, HEADER)")


@contextmanager
def running_api(folder: Path) -> Iterator[tuple[int, int]]:
    """The API on a free port; its port and process id."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **os.environ, "MLPIPE_HOME": str(folder / "home"), "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "MALLOC_ARENA_MAX": "2", "MLPIPE_MAX_UPLOAD_BYTES": str(2**34), "MLPIPE_API_PORT": str(port),
    }  # fmt: skip
    command = [sys.executable, "-m", "uvicorn", "mlpipe_dagster.api.app:create_app", "--factory", "--port", str(port)]
    api = subprocess.Popen([*command, "--log-level", "error"], env=environment)
    try:
        while not _answers(port):
            if api.poll() is not None:
                raise RuntimeError("the API has ended")
            time.sleep(0.1)
        yield port, api.pid
    finally:
        api.send_signal(signal.SIGTERM)
        api.wait(60)


def _answers(port: int) -> bool:
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except OSError:
        return False


class Peaks:
    """The high-water marks of a process, and the largest of the processes it starts, until stopped."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.at_rest = _peak_mib(pid)
        self.own, self.childs = self.at_rest, 0.0
        self._stopping = threading.Event()
        self._watch = threading.Thread(target=self._look, daemon=True)
        self._watch.start()

    def stop(self) -> None:
        """Look a last time."""
        self._stopping.set()
        self._watch.join()

    def _look(self) -> None:
        while not self._stopping.wait(0.2):
            self.own = max(self.own, _peak_mib(self.pid))
            children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
            threads = Path(f"/proc/{self.pid}/task").iterdir()
            children += [child for thread in threads for child in _children(thread)]
            self.childs = max([self.childs, *(_peak_mib(int(child)) for child in set(children))])


def _children(thread: Path) -> list[str]:
    try:
        return (thread / "children").read_text().split()
    except OSError:  # the thread has ended
        return []


def _peak_mib(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:  # it has ended
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:")), 0.0)


def _timed(steps: dict[str, Callable[[], None]], repeats: int) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(repeats):
        for name, step in steps.items():
            began = time.monotonic()
            step()
            seconds[name].append(time.monotonic() - began)
    return seconds


def _in_a_process(program: str, source: Path, target: Path) -> None:
    subprocess.run([sys.executable, "-c", program, str(source), str(target)], check=True)
    target.unlink()


def _upload(port: int, source: Path) -> None:
    fields = {"user_id": "ada", "dataset_id": "large", "name": "Large"}
    parts = [f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n' for name in fields]
    before = "".join(f"{part}{value}\r\n" for part, value in zip(parts, fields.values(), strict=True))
    before += f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="large.csv"\r\n\r\n'
    head, tail = before.encode(), f"\r\n--{BOUNDARY}--\r\n".encode()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    connection.putrequest("POST", "/datasets/upload")
    connection.putheader("Content-Type", f"multipart/form-data; boundary={BOUNDARY}")
    connection.putheader("Content-Length", str(len(head) + source.stat().st_size + len(tail)))
    connection.endheaders(head)
    with source.open("rb") as content:
        while chunk := content.read(CHUNK_BYTES):
            connection.send(chunk)
    connection.send(tail)
    answer = connection.getresponse()
    if answer.status != 200:
        raise RuntimeError(answer.read().decode())


def _download(port: int, size: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    connection.request("GET", "/datasets/ada/large/download")
    answer, taken = connection.getresponse(), 0
    while chunk := answer.read(CHUNK_BYTES):
        taken += len(chunk)
    if taken != size:
        raise RuntimeError(f"{taken} bytes came of {size}")


def _print(size: int, seconds: dict[str, list[float]], memory: Peaks) -> None:
    medians = {name: statistics.median(each) for name, each in seconds.items()}
    bare = next(iter(medians.values()))
    rows = [
        [name, f"{median:.1f}", f"{size / MIB / median:.0f}", f"{bare / median:.2f}", str(len(seconds[name]))]
        for name, median in medians.items()
    ]
    print(f"A CSV of {size / MIB:.0f} MiB.\n")
    print(table(["step", "seconds (median)", "MiB/s", "of the bare COPY", "times"], rows))
    print()
    peaks = [
        ["API process at rest", f"{memory.at_rest:.0f}"],
        ["API process", f"{memory.own:.0f}"],
        ["process that looks into the upload", f"{memory.childs:.0f}"],
    ]
    print(table(["peak memory", "MiB"], peaks))
    print(f"\n{where_and_when()}")


if __name__ == "__main__":
    if shutil.disk_usage(tempfile.gettempdir()).free < 20 * 2**30:
        raise SystemExit("This needs 20 GB of free disk.")
    sys.exit(main(sys.argv[1:]))
