"""Where the jars of Apache Kafka are: fetched through Maven into the user's cache, once. Starts no broker."""

import fcntl
import os
import shutil
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path

POM = Path(__file__).with_name("pom.xml")
FOLDER = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mlpipe" / "kafka-4.3.0"
FETCH_SECONDS = 600


@lru_cache(maxsize=1)
def why_not() -> str | None:
    """Why Apache Kafka cannot be started here; None where it can: its jars are there, fetched now if need be."""
    if not shutil.which("java"):
        return "Apache Kafka cannot be started: java is not installed"
    if FOLDER.is_dir():
        return None
    if not shutil.which("mvn"):
        return f"Apache Kafka cannot be fetched: mvn is not installed, and {FOLDER} is not there"
    return _fetch()


def java(main_class: str, *arguments: str, heap: str = "512m") -> list[str]:
    """The command that runs a class of the jars."""
    # loopback only, and no waiting for the collector's threads on a small machine
    options = [f"-Xmx{heap}", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.net.preferIPv4Stack=true"]
    return ["java", *options, "-cp", f"{FOLDER}/*", main_class, *arguments]


def _fetch() -> str | None:
    """Fetch beside the folder and rename, under a lock: two test runs may begin at once."""
    FOLDER.parent.mkdir(parents=True, exist_ok=True)
    with (FOLDER.parent / f"{FOLDER.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if FOLDER.is_dir():
            return None
        with tempfile.TemporaryDirectory(dir=FOLDER.parent) as build:
            shutil.copy(POM, build)
            goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={build}/libs"]
            command = ["mvn", "-q", "-B", *goal]
            fetched = subprocess.run(
                command, cwd=build, capture_output=True, text=True, timeout=FETCH_SECONDS, check=False
            )
            if fetched.returncode != 0:
                return f"Apache Kafka could not be fetched through Maven: {(fetched.stdout + fetched.stderr)[-800:]}"
            Path(build, "libs").rename(FOLDER)
    return None
