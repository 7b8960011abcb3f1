"""Runs a command with MLPIPE_TEST_KAFKA naming a fresh Apache Kafka, which ends with it; or the one it names already.

`python -m mlpipe_dagster_tests.tools.apache_kafka.run -- COMMAND`
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from mlpipe_dagster_tests.brokers import REAL_KAFKA, real_kafka
from mlpipe_dagster_tests.tools.apache_kafka.jars import why_not
from mlpipe_dagster_tests.tools.apache_kafka.kafka import Cluster


def main(arguments: list[str]) -> int:
    """Exit status of the command; 0 where Kafka cannot be had here, saying so."""
    command = arguments[1:] if arguments[:1] == ["--"] else arguments
    if not command:
        print("usage: python -m mlpipe_dagster_tests.tools.apache_kafka.run -- COMMAND", file=sys.stderr)
        return 2
    given = real_kafka()
    if given:
        print(f"{REAL_KAFKA}={given} is used", flush=True)
        return subprocess.run(command, check=False).returncode
    obstacle = why_not()
    if obstacle:
        print(f"skipped: {obstacle}")
        return 0
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mlpipe-kafka-") as folder, Cluster(Path(folder) / "kafka") as cluster:
        address = cluster.bootstrap_servers
        print(f"Apache Kafka answers at {address} after {time.monotonic() - begun:.1f} s", flush=True)
        return subprocess.run(command, env={**os.environ, REAL_KAFKA: address}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
