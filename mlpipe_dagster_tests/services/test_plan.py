"""Where the services will be: taken ports, given addresses, and what the children are told."""

import dataclasses
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlpipe_dagster.errors import BrokerUnavailable, UserError
from mlpipe_dagster.messaging.embedded import EmbeddedBroker, free_port
from mlpipe_dagster.services import plan as module
from mlpipe_dagster.services.plan import (
    Plan,
    child_environment,
    choose_dagster_home,
    instance_configuration,
    make_plan,
    prepare_folders,
)
from mlpipe_dagster.settings import Settings

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def taken_port() -> Iterator[int]:
    """A port that a program without manners listens on."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", free_port(21000)))
        server.listen()
        yield server.getsockname()[1]


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return Plan(
        home=tmp_path / "home",
        dagster_home=tmp_path / "home" / "dagster",
        bootstrap_servers="localhost:9093",
        embedded_broker_port=9093,
        api_host="127.0.0.1",
        api_port=8001,
        api_base="http://localhost:8001",
        dagster_port=3000,
        dagster_base="http://localhost:3000",
        code_socket=tmp_path / "code.sock",
        poll_seconds=15.0,
        threads=2,
        definitions="mlpipe_dagster.definitions",
    )


def test_a_given_kafka_that_does_not_answer_is_named(tmp_path: Path, taken_port: int) -> None:
    settings = Settings(MLPIPE_HOME=tmp_path, KAFKA_BOOTSTRAP_SERVERS=f"localhost:{taken_port}")
    with pytest.raises(BrokerUnavailable, match=rf"No Kafka answers at localhost:{taken_port} \(KAFKA_BOOTSTRAP"):
        make_plan(settings, print)


def test_a_kafka_elsewhere_is_not_spoken_to_in_plain_text_unasked(tmp_path: Path) -> None:
    settings = Settings(MLPIPE_HOME=tmp_path, KAFKA_BOOTSTRAP_SERVERS="kafka.example.org:9092")
    with pytest.raises(UserError, match="KAFKA_SECURITY_PROTOCOL is not set"):
        make_plan(settings, print)


def test_the_embedded_broker_does_not_stand_in_for_a_secured_one(tmp_path: Path) -> None:
    nobody = {"kafka_bootstrap_servers": f"localhost:{free_port(21900)}", "kafka_security_protocol": "SSL"}
    settings = Settings.model_construct({"home"}, **{**dict(Settings()), "home": tmp_path, **nobody})
    with pytest.raises(BrokerUnavailable, match="embedded broker speaks plain text only"):
        make_plan(settings, print)


def test_another_homes_embedded_broker_is_not_taken_for_a_kafka(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port(21700)
    monkeypatch.setattr(module, "DEFAULT_KAFKA_PORT", port)
    settings = Settings.model_construct(
        {"home"}, **{**dict(Settings()), "home": tmp_path, "kafka_bootstrap_servers": f"localhost:{port}"}
    )
    said: list[str] = []
    with EmbeddedBroker(port):
        plan = make_plan(settings, said.append)
    assert plan.embedded_broker_port is not None
    assert plan.embedded_broker_port > port
    assert f"The embedded broker uses port {plan.embedded_broker_port}: {port} is taken by another program" in said


def test_a_taken_port_is_said_and_the_next_free_one_used(tmp_path: Path, taken_port: int) -> None:
    said: list[str] = []
    plan = make_plan(Settings(MLPIPE_HOME=tmp_path, MLPIPE_API_PORT=taken_port), said.append)
    assert plan.api_port > taken_port
    assert f"The API uses port {plan.api_port}: {taken_port} is taken by another program" in said
    assert plan.api_base == f"http://localhost:{plan.api_port}"
    assert plan.exports is not None
    assert f"API_BASE=http://localhost:{plan.api_port}" in plan.exports


def test_an_address_elsewhere_is_kept_for_links(tmp_path: Path) -> None:
    plan = make_plan(Settings(MLPIPE_HOME=tmp_path, API_BASE="https://mlpipe.example.org"), lambda _line: None)
    assert plan.api_base == "https://mlpipe.example.org"
    assert plan.api_url == f"http://127.0.0.1:{plan.api_port}"


def test_the_port_of_a_local_address_is_tried_first(tmp_path: Path) -> None:
    port = free_port(21500)
    plan = make_plan(Settings(MLPIPE_HOME=tmp_path, API_BASE=f"http://localhost:{port}"), lambda _line: None)
    assert (plan.api_port, plan.api_base) == (port, f"http://localhost:{port}")


def test_children_are_told_where_everything_is(plan: Plan) -> None:
    inherited = {"PATH": "/bin", "OMP_NUM_THREADS": "1", "no_proxy": "example.org", "API_BASE": "http://elsewhere"}
    environment = child_environment(plan, inherited)
    home = str(plan.home)
    assert environment == {
        "PATH": "/bin",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "2",
        "MKL_NUM_THREADS": "2",
        "NUMEXPR_NUM_THREADS": "2",
        "no_proxy": "example.org,localhost,127.0.0.1",
        "NO_PROXY": "localhost,127.0.0.1",
        "KAFKA_BOOTSTRAP_SERVERS": "localhost:9093",
        "API_BASE": "http://localhost:8001",
        "MLPIPE_API_PORT": "8001",
        "MLPIPE_DAGSTER_BASE": "http://localhost:3000",
        "MLPIPE_SENSOR_POLL_SECONDS": "15",
        "MLPIPE_HOME": home,
        "DAGSTER_HOME": f"{home}/dagster",
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "DAGSTER_GRPC_MAX_WORKERS": "32",
        "PYTHONUNBUFFERED": "1",
        "MALLOC_ARENA_MAX": "2",
    }


def test_other_terminals_are_told_what_differs(plan: Plan) -> None:
    assert plan.exports == "export KAFKA_BOOTSTRAP_SERVERS=localhost:9093 API_BASE=http://localhost:8001"


def test_dagster_lives_in_the_repository_only_with_the_repositorys_own_home(tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").touch()
    assert choose_dagster_home(tmp_path / ".mlpipe") == tmp_path
    assert choose_dagster_home(tmp_path / "other") == tmp_path / "other" / "dagster"
    assert choose_dagster_home(tmp_path / "elsewhere" / ".mlpipe") == tmp_path / "elsewhere" / ".mlpipe" / "dagster"


def test_the_packaged_instance_is_the_repositorys() -> None:
    packaged = ROOT / "mlpipe_dagster" / "services" / "dagster.yaml"
    assert packaged.read_text() == (ROOT / "dagster.yaml").read_text()


def test_a_home_of_its_own_keeps_everything_inside_it() -> None:
    text = instance_configuration(Path("/a b/home"))
    assert 'base_dir: "/a b/home/dagster"\n' in text
    assert 'base_dir: "/a b/home/dagster/compute_logs"\n' in text
    assert "base_dir: .mlpipe" not in text


def test_folders_and_workspace_are_made_and_the_last_logs_kept(plan: Plan) -> None:
    plan.logs.mkdir(parents=True)
    (plan.logs / "api.log").write_text("before")
    prepare_folders(plan)
    server = {"host": "localhost", "socket": str(plan.code_socket), "location_name": "mlpipe_dagster"}
    assert json.loads(plan.workspace.read_text()) == {"load_from": [{"grpc_server": server}]}
    assert (plan.logs / "api.log.1").read_text() == "before"
    assert not (plan.logs / "api.log").exists()
    assert (plan.dagster_home / "dagster.yaml").is_file()


def test_service_logs_never_lie_where_dagster_uploads_from(plan: Plan, tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").touch()
    for home in (plan.home, tmp_path / ".mlpipe"):
        placed = dataclasses.replace(plan, home=home, dagster_home=choose_dagster_home(home))
        assert placed.logs != placed.dagster_home / "logs"
