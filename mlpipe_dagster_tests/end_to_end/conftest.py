"""One platform for all end-to-end tests, and a client that knows only HTTP and Kafka.

It ends with the last of them: until the session's end it would cost a third of a core.
"""

import random
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlpipe_dagster_tests.brokers import real_kafka, topic_variables
from mlpipe_dagster_tests.end_to_end.outside import Outside
from mlpipe_dagster_tests.end_to_end.platforms import Platform, clean_environment, running_platform
from mlpipe_dagster_tests.faults.processes import PROC, Census, Seen


def processes_of(running: Platform) -> list[Seen]:
    """Those that are there now; none where there is no /proc to see them in."""
    return Census(running.outside.home).look() if PROC.is_dir() else []


@pytest.fixture(scope="package")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """The running services; Ctrl-C ends them, and leaves no process."""
    with running_platform(
        tmp_path_factory.mktemp("platform"), real_kafka(), MLPIPE_UNKNOWN_GRACE="5", MLPIPE_FIRST_MODEL_GRACE="60"
    ) as running:
        yield running
    assert running.process.returncode == 0
    assert running.say().endswith("Stopping …\nStopped.\n")
    give_up_at = time.monotonic() + 60
    while left := processes_of(running):
        assert time.monotonic() < give_up_at, left
        time.sleep(0.2)


@pytest.fixture(scope="package")
def platform(up: Platform) -> Outside:
    """The running services, as somebody outside sees them."""
    return up.outside


@pytest.fixture(scope="package")
def second_terminal(up: Platform) -> dict[str, str]:
    """The environment of somebody who has set what `mlpipe up` was started with, and pasted the line it printed."""
    platform = up.outside
    (exports,) = re.findall(r"Workers and other terminals need:\n  export (.+)", up.say())
    printed = dict(pair.split("=", 1) for pair in exports.split())
    return clean_environment(MLPIPE_HOME=str(platform.home), **topic_variables(platform.topic_prefix), **printed)


@pytest.fixture(scope="session")
def small_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 rows in which the hours decide about the target."""
    generator = random.Random(7)
    lines = ["age,sex,hours,target"]
    for _ in range(120):
        hours = generator.randint(10, 60)
        label = "yes" if hours + generator.gauss(0, 8) > 38 else "no"
        lines.append(f"{generator.randint(18, 80)},{generator.choice(['female', 'male'])},{hours},{label}")
    file = tmp_path_factory.mktemp("cli") / "small.csv"
    file.write_text("\n".join(lines) + "\n")
    return file
