"""Questions to running services: do they really answer? An open port is not enough. Starts and repairs nothing."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

ASK_SECONDS = 3.0

DAEMONS_QUERY = """
{ instance { daemonHealth { allDaemonStatuses { daemonType required healthy lastHeartbeatTime
  lastHeartbeatErrors { message } } } } }
"""
SENSORS_QUERY = """
{ repositoriesOrError {
    ... on RepositoryConnection { nodes { sensors { name sensorState { status
      ticks(limit: 1, statuses: [SKIPPED, SUCCESS, FAILURE]) { status timestamp skipReason error { message } } } } } }
    ... on PythonError { message } } }
"""


@dataclass(frozen=True)
class Daemon:
    """A Dagster daemon as its heartbeats show it; `heartbeat` in seconds since 1970, None before the first."""

    name: str
    healthy: bool
    heartbeat: float | None
    errors: tuple[str, ...]


@dataclass(frozen=True)
class Sensor:
    """A sensor and its last tick, if it had one."""

    name: str
    running: bool
    tick_status: str | None
    tick_text: str


def local_session() -> requests.Session:
    """A session for this machine: proxies and netrc of the environment do not concern it."""
    session = requests.Session()
    session.trust_env = False
    return session


def api_ready(url: str) -> bool:
    """Whether the API says that catalogue, objects and Kafka answer it."""
    return api_trouble(url) is None


def api_trouble(url: str) -> str | None:
    """Why the API is not ready, in its own words where it answers; None when it is."""
    answer = _get(f"{url}/ready")
    if answer is None:
        return "does not answer"
    if answer.ok:
        return None
    try:
        return f"is not ready: {answer.json()['detail']}"
    except (ValueError, KeyError, TypeError):
        return f"answers {answer.status_code} {answer.reason}"


def webserver_ready(url: str) -> bool:
    """Whether the Dagster webserver answers."""
    answer = _get(f"{url}/server_info")
    return answer is not None and answer.ok


def _get(url: str) -> requests.Response | None:
    with local_session() as session:
        try:
            return session.get(url, timeout=ASK_SECONDS)
        except requests.RequestException:
            return None


def code_server_serves(socket: Path) -> bool:
    """Whether the code server has loaded the definitions and answers gRPC's health check."""
    import grpc  # type: ignore[import-untyped]  # slow to import, and needed by `mlpipe up` only
    from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse  # type: ignore[import-untyped]
    from grpc_health.v1.health_pb2_grpc import HealthStub  # type: ignore[import-untyped]

    with grpc.insecure_channel(f"unix:{socket}") as channel:
        try:
            answer = HealthStub(channel).Check(HealthCheckRequest(service="DagsterApi"), timeout=ASK_SECONDS)
        except grpc.RpcError:
            return False
    return bool(answer.status == HealthCheckResponse.SERVING)


def ask_dagster(url: str, query: str) -> dict[str, Any]:
    """The data of a GraphQL query to the Dagster webserver.

    Raises
    ------
    requests.RequestException
        It does not answer, or refuses the query.
    """
    with local_session() as session:
        answer = session.post(f"{url}/graphql", json={"query": query}, timeout=ASK_SECONDS * 3)
    answer.raise_for_status()
    content = answer.json()
    if content.get("errors"):
        raise requests.RequestException(f"Dagster refused the query: {content['errors'][0]['message']}")
    return dict(content["data"])


def daemons(url: str) -> list[Daemon]:
    """The daemons this Dagster instance needs. Raises requests.RequestException."""
    found = ask_dagster(url, DAEMONS_QUERY)["instance"]["daemonHealth"]["allDaemonStatuses"]
    return [
        Daemon(
            name=str(status["daemonType"]),
            healthy=bool(status["healthy"]),
            heartbeat=status["lastHeartbeatTime"],
            errors=tuple(error["message"] for error in status["lastHeartbeatErrors"]),
        )
        for status in found
        if status["required"]
    ]


def daemon_beats(url: str, since: float) -> bool:
    """Whether every needed daemon has given a sign of life since that moment (seconds since 1970)."""
    try:
        found = daemons(url)
    except requests.RequestException:
        return False
    return bool(found) and all(daemon.heartbeat and daemon.heartbeat >= since for daemon in found)


def sensors(url: str) -> list[Sensor]:
    """All sensors of the code location, with their last tick. Raises requests.RequestException."""
    found = ask_dagster(url, SENSORS_QUERY)["repositoriesOrError"]
    if "nodes" not in found:
        raise requests.RequestException(f"Dagster cannot load its code: {found.get('message')}")
    return [_sensor(sensor) for node in found["nodes"] for sensor in node["sensors"]]


def _sensor(content: dict[str, Any]) -> Sensor:
    state = content["sensorState"]
    tick = state["ticks"][0] if state["ticks"] else None
    text = ((tick["error"] or {}).get("message") or tick["skipReason"] or "") if tick else ""
    return Sensor(content["name"], state["status"] == "RUNNING", tick["status"] if tick else None, text.strip())
