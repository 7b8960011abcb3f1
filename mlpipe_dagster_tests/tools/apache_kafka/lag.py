"""What `kafka-consumer-groups.sh --describe` says of a group, run from the jars: the tool that people look at."""

import subprocess
from dataclasses import dataclass

from mlpipe_dagster_tests.tools.apache_kafka.jars import java

TOOL = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"


@dataclass(frozen=True)
class Lag:
    """One partition of one group: the offset it will read next, the log's end, and the difference."""

    current: int
    end: int
    lag: int


def lags(bootstrap_servers: str, group: str) -> dict[tuple[str, int], Lag]:
    """By topic and partition; empty for a group that nobody knows."""
    command = java(TOOL, "--bootstrap-server", bootstrap_servers, "--describe", "--group", group)
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    lines = [line.split() for line in printed.splitlines() if line.strip()]
    heads = next((line for line in lines if line[0] == "GROUP"), [])
    rows = [dict(zip(heads, line, strict=False)) for line in lines if line[0] == group]
    return {(row["TOPIC"], int(row["PARTITION"])): _lag(row) for row in rows if row["CURRENT-OFFSET"] != "-"}


def _lag(row: dict[str, str]) -> Lag:
    return Lag(int(row["CURRENT-OFFSET"]), int(row["LOG-END-OFFSET"]), int(row["LAG"]))
