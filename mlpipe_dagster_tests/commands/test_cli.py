"""The commands against a real API process without a broker, and what they say when something is wrong."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner

from mlpipe_dagster.cli import MODULES, cli
from mlpipe_dagster.messaging.embedded import free_port
from mlpipe_dagster.settings import settings

Run = Callable[..., subprocess.CompletedProcess[str]]
TABLE = "size,price\n1,10\n2,20\n3,30\n"


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A home of its own, and addresses where nothing answers."""
    home = tmp_path_factory.mktemp("home")
    port = free_port(23000)
    own = {
        "MLPIPE_HOME": str(home),
        "API_BASE": f"http://localhost:{port}",
        "MLPIPE_DAGSTER_BASE": f"http://localhost:{free_port(23500)}",
        "KAFKA_BOOTSTRAP_SERVERS": f"localhost:{free_port(23700)}",
        "COLUMNS": "120",
    }
    return {**os.environ, **own}


def test_a_policy_is_shown_as_it_was_changed(api: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_BASE", api)
    settings.cache_clear()
    changed = CliRunner().invoke(cli, ["policy", "set", "ann", "time_budget=5m", "respondents=bob, eve"])
    assert changed.exit_code == 0, changed.exception
    assert changed.output == CliRunner().invoke(cli, ["policy", "show", "ann"]).output
    lines = dict(line.split(maxsplit=1) for line in changed.output.splitlines())
    assert (lines["time_budget"], lines["respondents"]) == ("5m", "bob, eve")
    assert (lines["xai_level"], lines["positive_class"]) == ("beginner  (a setting)", "nothing said")
    settings.cache_clear()


def test_every_command_of_the_table_is_there_and_says_what_it_does() -> None:
    told = CliRunner().invoke(cli, ["--help"])
    assert told.exit_code == 0, told.output
    for name in MODULES:
        asked = CliRunner().invoke(cli, [name, "--help"])
        assert asked.exit_code == 0 and f"cli {name}" in asked.output, asked.output


@pytest.fixture
def run(environment: dict[str, str], tmp_path: Path) -> Run:
    def mlpipe(*arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "mlpipe_dagster.cli", *arguments]
        root = str(Path(__file__).resolve().parents[2])
        settled = {**environment, "PYTHONPATH": root, **changes}
        return subprocess.run(command, env=settled, cwd=tmp_path, capture_output=True, text=True, check=False)

    return mlpipe


@pytest.fixture(scope="module")
def api(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real API. Kafka is down, which never fails a call."""
    base = environment["API_BASE"]
    command = [sys.executable, "-m", "uvicorn", "mlpipe_dagster.api.app:create_app", "--factory"]
    command += ["--host", "127.0.0.1", "--port", base.rpartition(":")[2], "--timeout-graceful-shutdown", "1"]
    log = tmp_path_factory.mktemp("api") / "api.log"
    with log.open("wb") as output, subprocess.Popen(command, env=environment, stdout=output, stderr=output) as process:
        while process.poll() is None:
            try:
                if requests.get(f"{base}/health", timeout=5).ok:
                    break
            except requests.RequestException:
                time.sleep(0.1)
        assert process.poll() is None, log.read_text()
        yield base
        process.terminate()


@pytest.mark.parametrize(
    "arguments",
    [
        ("status", "iris"),
        ("watch", "iris"),
        ("mitigate", "iris"),
        ("inbox",),
        ("role", "bias"),
        ("role", "bias", "foreign"),
        ("answer", "q"),
    ],
)
def test_without_an_api_one_line_says_what_to_do(run: Run, arguments: tuple[str, ...]) -> None:
    base = f"http://localhost:{free_port(24000)}"
    done = run(*arguments, API_BASE=base)
    assert done.returncode == 1
    assert done.stderr == f"mlpipe: Nothing answers at {base}. Start it with: mlpipe up\n"


def test_a_setting_that_cannot_be_read_is_named(run: Run) -> None:
    done = run("inbox", MLPIPE_API_PORT="eighty")
    assert done.returncode == 1
    assert done.stderr.startswith("mlpipe: MLPIPE_API_PORT: Input should be a valid integer")
    assert len(done.stderr.splitlines()) == 1


def test_the_doctor_finds_everything_missing(run: Run, tmp_path: Path) -> None:
    done = run("doctor", API_BASE=f"http://localhost:{free_port(24000)}", MLPIPE_HOME=str(tmp_path / "nothing"))
    assert done.returncode == 1
    failed = [line.split(":")[0] for line in done.stdout.splitlines() if line.startswith("FAIL")]
    assert failed == ["FAIL  Kafka", "FAIL  catalogue", "FAIL  API", "FAIL  Dagster webserver"]
    assert done.stdout.count("mlpipe up") == 4
    assert not (tmp_path / "nothing").exists()


def test_a_dataset_that_nobody_knows_is_one_line(run: Run, api: str) -> None:
    done = run("status", "nothing-of-that-name")
    assert done.returncode == 1
    assert done.stderr.startswith("mlpipe: ")
    assert len(done.stderr.splitlines()) == 1


def test_an_id_that_is_none_is_named(run: Run, api: str, tmp_path: Path) -> None:
    (tmp_path / "houses.csv").write_text(TABLE)
    done = run("upload", "houses.csv", "--dataset-id", "../x", "--user-id", "ada")
    assert done.returncode == 1
    assert "dataset_id" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_upload_and_status(run: Run, api: str, tmp_path: Path) -> None:
    (tmp_path / "houses.csv").write_text(TABLE)
    choices = ("--target", "price", "--time-budget", "10s", "--mode", "ask", "--sensitive", "size")
    done = run("upload", "houses.csv", "--dataset-id", "houses", "--user-id", "ada", *choices)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Stored houses v1 of ada (")
    assert "mlpipe watch houses --user-id ada" in done.stdout
    stored = requests.get(f"{api}/datasets/ada/houses", timeout=10).json()
    assert stored["name"] == "houses"
    wishes = stored["custom_metadata"]["pipeline"]
    assert (wishes["target_column_name"], wishes["time_budget"], wishes["mode"]) == ("price", "10s", "ask")
    shown = run("status", "houses").stdout
    assert shown.splitlines()[0] == "houses v1 of ada: running"
    assert "dataset.uploaded        dataset-events (not sent yet)" in shown


def test_a_role_is_shown_and_set(run: Run, api: str) -> None:
    assert run("role", "xai").stdout == "xai is played by mlpipe (ours).\n"
    assert run("role", "xai", "foreign").stdout == "xai is played by a foreign worker (foreign).\n"
    assert run("role", "xai").stdout == "xai is played by a foreign worker (foreign).\n"
    assert run("role", "janitor").returncode == 2


def test_an_empty_inbox(run: Run, api: str) -> None:
    assert run("inbox", "--user-id", "nobody").stdout == "No question waits for an answer.\n"
