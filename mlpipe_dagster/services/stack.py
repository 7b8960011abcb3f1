"""The services of mlpipe on one machine: broker, API, and Dagster's code server, webserver and daemon.

Here stands what each of them is and the order in which they start; how they are kept running is the supervisor's.
"""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from mlpipe_dagster.errors import MlpipeError
from mlpipe_dagster.messaging.connection import Connection, reachable
from mlpipe_dagster.messaging.embedded import HOST, EmbeddedBroker
from mlpipe_dagster.messaging.topics import create_topics
from mlpipe_dagster.services import probes
from mlpipe_dagster.services.lock import home_lock
from mlpipe_dagster.services.plan import LOCATION, Plan, Say, child_environment, kafka_of, make_plan, prepare_folders
from mlpipe_dagster.services.supervisor import Service, Supervisor, own_environment, spawn, stop_signals
from mlpipe_dagster.settings import Settings


@contextmanager
def running_stack(settings: Settings, say: Say, stopping: threading.Event) -> Iterator[tuple[Plan, Supervisor]]:
    """All services, up and answering; ended on leaving. Ctrl-C and SIGTERM set `stopping`, also while they start.

    Raises
    ------
    Conflict, ServiceFailed, BrokerUnavailable, MlpipeError
        The home is in use, or something did not start; the message says what to do or names the log.
    """
    with home_lock(settings.home.absolute()), stop_signals(stopping), Supervisor(say, stopping) as supervisor:
        plan = make_plan(settings, say)
        _start(plan, supervisor, kafka_of(plan, settings))
        yield plan, supervisor


def _start(plan: Plan, supervisor: Supervisor, kafka: Connection) -> None:
    prepare_folders(plan)
    programs = _Programs(plan, child_environment(plan, own_environment()))
    if plan.embedded_broker_port is None:
        create_topics(kafka)
    else:
        supervisor.start([_broker(plan, plan.embedded_broker_port, kafka)])
    # two processes that initialise a fresh instance at the same time break it: once, before Dagster's services
    with supervisor.task(programs.initialisation()):
        supervisor.start([programs.api()])
    supervisor.start([programs.code_server()])  # first, since the daemon looks for it only once a minute
    supervisor.start([programs.webserver(), programs.daemon()])


def _broker(plan: Plan, port: int, connection: Connection) -> Service:
    log = plan.logs / "broker.log"

    def launch() -> subprocess.Popen[bytes]:
        broker = EmbeddedBroker(port, log).start()
        try:
            create_topics(connection)  # at once: a topic that a client asks for first gets four partitions
        except MlpipeError:
            broker.stop()
            raise
        return broker.process

    return Service("The embedded broker", log, launch, lambda _since: reachable(connection))


@dataclass(frozen=True)
class _Programs:
    """The services that are Python modules, run with this interpreter."""

    plan: Plan
    environment: dict[str, str]

    def api(self) -> Service:
        port = str(self.plan.api_port)
        command = ["uvicorn", "mlpipe_dagster.api.app:create_app", "--factory", "--host", self.plan.api_host]
        command += ["--port", port]
        command += ["--log-level", "warning", "--timeout-graceful-shutdown", "3"]
        return self._service("The API", "api", command, lambda _since: probes.api_ready(self.plan.api_url))

    def initialisation(self) -> Service:
        command = ["dagster", "instance", "migrate"]
        return self._service(
            "The initialisation of Dagster's storage", "dagster-instance", command, lambda _since: True
        )

    def code_server(self) -> Service:
        socket = self.plan.code_socket
        command = ["dagster", "api", "grpc", "--socket", str(socket), "--log-level", "warning"]
        command += ["--module-name", self.plan.definitions, "--location-name", LOCATION]
        return self._service(
            "Dagster's code server", "code-server", command, lambda _since: probes.code_server_serves(socket)
        )

    def webserver(self) -> Service:
        command = ["dagster_webserver", "--host", HOST, "--port", str(self.plan.dagster_port)]
        command += ["--workspace", str(self.plan.workspace), "--dagster-log-level", "warning"]
        return self._service(
            "Dagster's webserver", "webserver", command, lambda _since: probes.webserver_ready(self.plan.dagster_url)
        )

    def daemon(self) -> Service:
        command = ["dagster._daemon", "run", "--workspace", str(self.plan.workspace), "--log-level", "warning"]
        return self._service(
            "Dagster's daemon", "daemon", command, lambda since: probes.daemon_beats(self.plan.dagster_url, since)
        )

    def _service(self, name: str, log_name: str, module: list[str], ready: Callable[[float], bool]) -> Service:
        log = self.plan.logs / f"{log_name}.log"
        command = [sys.executable, "-m", *module]
        return Service(name, log, lambda: spawn(command, self.environment, self.plan.dagster_home, log), ready)
