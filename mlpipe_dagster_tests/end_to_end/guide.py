"""A page of commands, taken apart and run: its blocks of shell in their order, each in the same folder."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mlpipe_dagster.settings import Settings
from mlpipe_dagster_tests.tools.apache_kafka.jars import FOLDER

BLOCK_SECONDS = 300
SCRIPTS = {
    "kafka-topics.sh": "org.apache.kafka.tools.TopicCommand",
    "kafka-console-consumer.sh": "org.apache.kafka.tools.consumer.ConsoleConsumer",
    "kafka-consumer-groups.sh": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
}
"""What Kafka's own scripts run."""


@dataclass(frozen=True)
class Block:
    """Commands of a page: under which heading, of which kind (`sh`, `sh real-kafka`, `sh platform`)."""

    heading: str
    kind: str
    commands: str


def blocks(page: Path) -> list[Block]:
    """All fenced blocks, whatever their kind."""
    found, heading = [], ""
    for part in re.finditer(
        r"^#+ ([^\n]+)$|^```([^\n]*)\n(.*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL
    ):
        heading = part[1] or heading
        if part[1] is None:
            found.append(Block(heading, part[2], part[3]))
    return found


def tools(folder: Path) -> Path:
    """A folder for PATH with this checkout's `mlpipe`, kafka-python's command, and Kafka's own scripts."""
    commands = {
        "mlpipe": f"{sys.executable} -m mlpipe_dagster.cli",
        "kafka-python": f"{sys.executable} -c 'import sys; from kafka.cli import run_cli; sys.exit(run_cli())'",
    }
    java = f"java -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp '{FOLDER}/*'"
    commands |= {name: f"{java} {main_class}" for name, main_class in SCRIPTS.items()}
    folder.mkdir()
    for name, command in commands.items():
        script = folder / name
        script.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        script.chmod(0o755)
    return folder


def run(block: Block, folder: Path, environment: Mapping[str, str], prefix: str) -> subprocess.CompletedProcess[str]:
    """Run the commands as they stand; on a shared Kafka, whose topics and groups have a prefix, with that prefix."""
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", _prefixed(block.commands, prefix)],
        cwd=folder, env=dict(environment), capture_output=True, text=True, check=False, timeout=BLOCK_SECONDS,
    )  # fmt: skip


def with_tools(environment: Mapping[str, str], folder: Path) -> dict[str, str]:
    """The environment where the tools come first."""
    return {**environment, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}


def _prefixed(commands: str, prefix: str) -> str:
    names = [str(field.default) for name, field in Settings.model_fields.items() if name.endswith(("_topic", "_group"))]
    return re.sub(rf"(?<=[ ])({'|'.join(map(re.escape, names))})(?=\s)", rf"{prefix}\1", commands)
