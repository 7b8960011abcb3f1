"""Where the services of one `mlpipe up` will be: ports, addresses, folders, and what their environment says.

Decides and describes only; nothing is started here.
"""

import json
import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from urllib.parse import urlsplit

from mlpipe_dagster.errors import BrokerUnavailable
from mlpipe_dagster.exposure import check_exposure
from mlpipe_dagster.messaging.connection import BrokerAdmin, Connection, is_embedded, reachable, trouble
from mlpipe_dagster.messaging.embedded import HOST, free_port
from mlpipe_dagster.services.sockets import short_key, socket_folder
from mlpipe_dagster.settings import Settings

LOCATION = "mlpipe_dagster"
DEFAULT_KAFKA_PORT = 9092
DEFAULT_DAGSTER_PORT = 3000
CODE_SERVER_THREADS = 32  # each of the seven waiting sensors holds one; the default is the number of cores + 4
POLL_SECONDS = 15.0
CONNECT_SECONDS = 0.5
ANY_ADDRESS = ("0.0.0.0", "::", "localhost")  # noqa: S104 - how it is asked for, not a default
LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")
THREAD_LIMITS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")

Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """Addresses and folders of the services; all paths are absolute."""

    home: Path
    dagster_home: Path
    bootstrap_servers: str
    embedded_broker_port: int | None
    """None: somebody else's Kafka is used."""
    api_host: str
    api_port: int
    api_base: str
    dagster_port: int
    dagster_base: str
    code_socket: Path
    poll_seconds: float
    threads: int
    definitions: str

    @property
    def logs(self) -> Path:
        """Folder of one log file for each service."""
        return self.home / "logs"

    @property
    def workspace(self) -> Path:
        """The workspace file that names the running code server."""
        return self.home / "run" / "workspace.yaml"

    @property
    def api_url(self) -> str:
        """The API on this machine, whatever links say."""
        host = HOST if self.api_host in ANY_ADDRESS else self.api_host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.api_port}"

    @property
    def dagster_url(self) -> str:
        """The Dagster webserver on this machine, whatever links say."""
        return f"http://{HOST}:{self.dagster_port}"

    @property
    def exports(self) -> str | None:
        """The line that workers and other terminals need; None where every address is the default."""
        wanted = {"KAFKA_BOOTSTRAP_SERVERS": self.bootstrap_servers, "API_BASE": self.api_base}
        usual = {"KAFKA_BOOTSTRAP_SERVERS": f"localhost:{DEFAULT_KAFKA_PORT}", "API_BASE": "http://localhost:8000"}
        if self.dagster_base != f"http://localhost:{DEFAULT_DAGSTER_PORT}":
            wanted["MLPIPE_DAGSTER_BASE"] = self.dagster_base
        if wanted == usual:
            return None
        return "export " + " ".join(f"{name}={value}" for name, value in wanted.items())


def make_plan(settings: Settings, say: Say) -> Plan:
    """Choose brokers and ports; a taken port is said and the next free one used.

    Raises
    ------
    BrokerUnavailable
        KAFKA_BOOTSTRAP_SERVERS is set and no Kafka answers there.
    OpenToAll
        The API is to listen beyond this machine and asks for no keys.
    """
    check_exposure(settings)
    home = settings.home.absolute()
    said = settings.model_fields_set
    bootstrap_servers, broker_port = _choose_broker(settings, say)
    api_wanted = settings.api_port
    if "api_port" not in said and "api_base" in said:
        api_wanted = _local_port(settings.api_base) or api_wanted
    api_port = _choose_port("The API", api_wanted, say)
    dagster_port = _choose_port("Dagster", _local_port(settings.dagster_base) or DEFAULT_DAGSTER_PORT, say)
    return Plan(
        home=home,
        dagster_home=choose_dagster_home(home),
        bootstrap_servers=bootstrap_servers,
        embedded_broker_port=broker_port,
        api_host=settings.api_host,
        api_port=api_port,
        api_base=_base(settings.api_base, api_port),
        dagster_port=dagster_port,
        dagster_base=_base(settings.dagster_base, dagster_port),
        code_socket=socket_folder() / f"code-{short_key(home)}.sock",
        poll_seconds=settings.sensor_poll_seconds if "sensor_poll_seconds" in said else POLL_SECONDS,
        threads=settings.threads,
        definitions=settings.definitions,
    )


def _choose_broker(settings: Settings, say: Say) -> tuple[str, int | None]:
    wanted = settings.kafka_bootstrap_servers
    if "kafka_bootstrap_servers" in settings.model_fields_set:
        connection = Connection.from_settings(settings)
        if not reachable(connection, timeout=5.0):
            raise BrokerUnavailable(
                f"No Kafka answers at {wanted} (KAFKA_BOOTSTRAP_SERVERS). Start it, or unset the variable to use the "
                f"embedded broker. {trouble(connection) or ''}".rstrip()
            )
        say(f"Kafka: {wanted} (KAFKA_BOOTSTRAP_SERVERS)")
        return wanted, None
    if _is_a_kafka_of_its_own(Connection.from_settings(settings)):
        say(f"Kafka: one answers at {wanted} already, so that one is used and the embedded broker is not started")
        return wanted, None
    if settings.kafka_security_protocol not in ("", "PLAINTEXT"):
        raise BrokerUnavailable(
            f"KAFKA_SECURITY_PROTOCOL={settings.kafka_security_protocol} is set and no Kafka answers at {wanted}; the "
            "embedded broker speaks plain text only. Set KAFKA_BOOTSTRAP_SERVERS to your Kafka, or unset both."
        )
    port = _choose_port("The embedded broker", DEFAULT_KAFKA_PORT, say)
    return f"localhost:{port}", port


def _is_a_kafka_of_its_own(connection: Connection) -> bool:
    """Whether a Kafka answers that is not another home's embedded broker: two platforms on one log would mix."""
    host, port = connection.bootstrap_servers.split(":")
    try:
        socket.create_connection((host, int(port)), CONNECT_SECONDS).close()  # a client would wait its whole limit
    except OSError:
        return False
    admin = BrokerAdmin(connection)
    try:
        return not is_embedded(admin)
    except BrokerUnavailable:
        return False
    finally:
        admin.close()


def _choose_port(who: str, wanted: int, say: Say) -> int:
    port = free_port(wanted)
    if port != wanted:
        say(f"{who} uses port {port}: {wanted} is taken by another program")
    return port


def _local_port(base: str) -> int | None:
    parts = urlsplit(base)
    return parts.port if parts.hostname in LOCAL_HOSTS else None


def _base(configured: str, port: int) -> str:
    """Where people reach the service: the configured address unless it names this machine with another port."""
    if urlsplit(configured).hostname in LOCAL_HOSTS:
        return f"http://localhost:{port}"
    return configured


def choose_dagster_home(home: Path) -> Path:
    """The repository root where its dagster.yaml keeps everything in this home; else a folder inside the home.

    Never the home itself: Dagster takes whatever lies in DAGSTER_HOME/logs for its own telemetry. Plain `dagster dev`
    and `mlpipe up` so share cursors and runs, and a home of its own shares them with nobody.
    """
    root = home.parent
    if home.name == ".mlpipe" and (root / "dagster.yaml").is_file():
        return root
    return home / "dagster"


def kafka_of(plan: Plan, settings: Settings) -> Connection:
    """How the plan's brokers are reached; an embedded one speaks plain text."""
    if plan.embedded_broker_port is None:
        return Connection.from_settings(settings)
    return Connection(plan.bootstrap_servers, settings.kafka_max_message_bytes)


def prepare_folders(plan: Plan) -> None:
    """Make folders, workspace file and, in a home of its own, dagster.yaml; set the last logs aside as .log.1."""
    plan.logs.mkdir(parents=True, exist_ok=True)
    for log in plan.logs.glob("*.log"):
        log.replace(log.with_suffix(".log.1"))
    plan.workspace.parent.mkdir(parents=True, exist_ok=True)
    server = {"host": "localhost", "socket": str(plan.code_socket), "location_name": LOCATION}
    plan.workspace.write_text(json.dumps({"load_from": [{"grpc_server": server}]}))  # JSON is YAML
    if plan.dagster_home.is_relative_to(plan.home):
        plan.dagster_home.mkdir(exist_ok=True)
        (plan.dagster_home / "dagster.yaml").write_text(instance_configuration(plan.home))


def instance_configuration(home: Path) -> str:
    """The packaged dagster.yaml with every folder inside `home`, so that it holds in any working directory."""
    text = (files("mlpipe_dagster.services") / "dagster.yaml").read_text()
    return re.sub(r"(?m)(?<=base_dir: )\.mlpipe/(.+)$", lambda found: json.dumps(str(home / found[1])), text)


def child_environment(plan: Plan, inherited: Mapping[str, str]) -> dict[str, str]:
    """The environment of every service: what was inherited, with the plan's addresses and limits over it."""
    local = ",".join(("localhost", HOST))
    return {
        **inherited,
        **{name: inherited.get(name, str(plan.threads)) for name in THREAD_LIMITS},
        **{name: ",".join(filter(None, (inherited.get(name), local))) for name in ("no_proxy", "NO_PROXY")},
        "KAFKA_BOOTSTRAP_SERVERS": plan.bootstrap_servers,
        "API_BASE": plan.api_base,
        "MLPIPE_API_PORT": str(plan.api_port),
        "MLPIPE_DAGSTER_BASE": plan.dagster_base,
        "MLPIPE_SENSOR_POLL_SECONDS": f"{plan.poll_seconds:g}",
        "MLPIPE_HOME": str(plan.home),
        "DAGSTER_HOME": str(plan.dagster_home),
        # webserver and daemon upload DAGSTER_HOME/logs, and delete it, even where dagster.yaml switches telemetry off
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "DAGSTER_GRPC_MAX_WORKERS": str(CODE_SERVER_THREADS),
        "PYTHONUNBUFFERED": "1",
        "MALLOC_ARENA_MAX": inherited.get("MALLOC_ARENA_MAX", "2"),  # one for each thread of a pool only costs memory
    }
