"""Alerts and dashboard: checked by promtool, and every name in them is one that `/metrics` has.

Where Prometheus is installed it runs, and scrapes the API.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest

from mlpipe_dagster.api.platform_metrics import PlatformMetrics
from mlpipe_dagster.api.request_metrics import RequestMetrics
from mlpipe_dagster.messaging.embedded import free_port
from mlpipe_dagster.messaging.log_watch import LogView
from mlpipe_dagster.vocabulary import AccessRole
from mlpipe_dagster.warehouse import keys
from mlpipe_dagster.warehouse.census import DURATION_BUCKETS, Census, Durations
from mlpipe_dagster.warehouse.warehouse import open_warehouse
from mlpipe_dagster_tests.api.conftest import DEAD_BROKER
from mlpipe_dagster_tests.api.scraping import Scrape
from mlpipe_dagster_tests.api.servers import running_server, until

DOCKER = Path(__file__).resolve().parents[2] / "docker"
MONITORING = DOCKER / "monitoring"
DASHBOARD = MONITORING / "grafana" / "dashboards" / "mlpipe.json"
PROMTOOL, PROMETHEUS = shutil.which("promtool"), shutil.which("prometheus")
WORDS = {"and", "or", "unless", "by", "without", "on", "ignoring"}
OF_PROMETHEUS = {"up"}
OF_PROMETHEUS_LABELS = {"job", "instance", "le"}

needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed (Debian: prometheus)")


@pytest.fixture(scope="module")
def everything() -> Scrape:
    """A scrape where each metric has a sample."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    RequestMetrics(registry).observe("GET", "/", 200, 0.1)
    key = ("bias", "ours")
    durations = Durations((1,) * len(DURATION_BUCKETS), 1, 0.1)
    census = Census(
        stages={(*key, "done"): 1}, durations={key: durations}, failed_lately={key: 0}, run_failures={key: 0}
    )
    view = LogView(True, {"bias-events": "id"}, {}, {("bias-events", 0): 1})
    registry.register(PlatformMetrics(lambda: census, lambda: view))
    return Scrape(generate_latest(registry).decode())


def rules() -> list[dict[str, Any]]:
    content = yaml.safe_load((MONITORING / "alerts.yml").read_text(encoding="utf-8"))
    return [rule for group in content["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    return [panel for panel in json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"] if panel["type"] != "row"]


def expressions() -> Iterator[str]:
    yield from (rule["expr"] for rule in rules())
    yield from (target["expr"] for panel in panels() for target in panel["targets"])


def metrics_of(expression: str) -> set[str]:
    """Names in an expression that are no function, label, keyword or string."""
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\b(?:by|without|on|ignoring)\s*\([^)]*\)", " ", expression)
    return {word for word, call in re.findall(r"\b([a-z_]\w*)\b\s*(\(?)", bare) if not call} - WORDS


def labels_of(expression: str) -> set[str]:
    grouped = re.findall(r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)", expression)
    matched = re.findall(r"\{([^}]*)\}", expression)
    names = [name.strip() for group in grouped for name in group.split(",")]
    return set(names) | {name for inner in matched for name in re.findall(r"(\w+)\s*[=!]", inner)}


def test_the_reading_of_expressions() -> None:
    said = 'sum by (a, b) (rate(x_total{c=~"y|z", d!="e"}[5m])) / max(w) > 2 and absent(v)'
    assert metrics_of(said) == {"x_total", "w", "v"}
    assert labels_of(said) == {"a", "b", "c", "d"}


def test_every_metric_in_rules_and_dashboard_exists(everything: Scrape) -> None:
    used = {name for expression in expressions() for name in metrics_of(expression)}
    assert len(used) > 15
    assert used - OF_PROMETHEUS <= everything.names


def test_every_label_in_rules_and_dashboard_exists(everything: Scrape) -> None:
    for expression in expressions():
        families = [name for name in metrics_of(expression) if name not in OF_PROMETHEUS]
        known = {label for name in families for label in everything.labels(name)} | OF_PROMETHEUS_LABELS
        assert labels_of(expression) <= known, expression


def test_every_metric_of_ours_is_on_the_dashboard(everything: Scrape) -> None:
    shown = {name for panel in panels() for target in panel["targets"] for name in metrics_of(target["expr"])}
    families = {name for name in everything.families if not name.endswith("_created")} - {
        "kafka_consumergroup_group_offset"
    }
    ours = {name for name in families if not name.startswith("process_")}
    assert {name for name in ours if not any(one.startswith(name) for one in shown)} == set()


def test_alerts_say_what_to_do() -> None:
    assert {rule["alert"] for rule in rules()} == {
        "MlpipeApiDown", "MlpipeKafkaDown", "MlpipeCatalogueDown", "MlpipeOutboxStuck", "MlpipeLagGrowing",
        "MlpipeDeadLetters", "MlpipeStageFailures", "MlpipeRunsFail", "MlpipeQuestionOverdue", "MlpipeApiErrors",
        "MlpipeQuestionUnanswered", "MlpipeTimeoutsNotApplied", "MlpipeApiSlow", "MlpipeNotificationsUndelivered",
    }  # fmt: skip
    for rule in rules():
        assert set(rule["annotations"]) == {"summary", "description"}
        assert rule["labels"]["severity"] in {"info", "warning", "critical"}


@needs_promtool
def test_promtool_finds_no_fault() -> None:
    for command in (["check", "rules", "alerts.yml"], ["check", "config", "--syntax-only", "prometheus.yml"]):
        checked = promtool(MONITORING, *command)
        assert checked.returncode == 0, checked.stdout + checked.stderr


def promtool(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    assert PROMTOOL is not None
    command = [PROMTOOL, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=60)


@needs_promtool
def test_the_alerts_fire_when_they_should() -> None:
    tested = promtool(MONITORING, "test", "rules", "alerts_test.yml")
    assert tested.returncode == 0, tested.stdout + tested.stderr
    cases = yaml.safe_load((MONITORING / "alerts_test.yml").read_text(encoding="utf-8"))["tests"]
    asked = [one for case in cases for one in case["alert_rule_test"]]
    for fires in (True, False):
        names = {one["alertname"] for one in asked if bool(one.get("exp_alerts")) is fires}
        assert names == {rule["alert"] for rule in rules()}, "each alert is tested both ways"


@needs_promtool
@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ('up{job="mlpipe"} == 0', 'up{job="mlpipe"} == 1'),
        ("max(mlpipe_kafka_up)", "min(mlpipe_kafka_up)"),
        ("mlpipe_outbox_oldest_age_seconds) > 120", "mlpipe_outbox_oldest_age_seconds) > 1200"),
        (">= 0\n", "< 0\n"),
        ("max by (topic) (mlpipe_dead", "sum by (topic) (mlpipe_dead"),
        ("> 86400", "> 864000"),
        ('outcome!="wait"', 'outcome="wait"'),
        ("> 0.05", "> 0.5"),
        ('{route!~".*upload.*"}', ""),
    ],
)  # fmt: skip
def test_the_tests_of_the_alerts_find_a_planted_fault(tmp_path: Path, right: str, wrong: str) -> None:
    text = (MONITORING / "alerts.yml").read_text(encoding="utf-8")
    assert right in text
    (tmp_path / "alerts.yml").write_text(text.replace(right, wrong), encoding="utf-8")
    shutil.copy(MONITORING / "alerts_test.yml", tmp_path)
    assert promtool(tmp_path, "test", "rules", "alerts_test.yml").returncode != 0


def test_the_dashboard_is_provisioned_with_its_source_of_data() -> None:
    sources = yaml.safe_load(
        (MONITORING / "grafana/provisioning/datasources/prometheus.yml").read_text(encoding="utf-8")
    )
    (source,) = sources["datasources"]
    for panel in panels():
        assert {panel["datasource"]["uid"], *(one["datasource"]["uid"] for one in panel["targets"])} == {source["uid"]}
    identifiers = [panel["id"] for panel in json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]]
    assert len(identifiers) == len(set(identifiers))
    services = yaml.safe_load((DOCKER / "compose.yaml").read_text(encoding="utf-8"))["services"]
    provider = yaml.safe_load((MONITORING / "grafana/provisioning/dashboards/mlpipe.yml").read_text(encoding="utf-8"))
    mounted = dict(volume.split(":")[:2] for volume in services["grafana"]["volumes"] if volume.startswith("./"))
    assert mounted == {
        "./monitoring/grafana/provisioning": "/etc/grafana/provisioning",
        "./monitoring/grafana/dashboards": provider["providers"][0]["options"]["path"],
    }
    assert source["url"] == "http://prometheus:9090"


def test_monitoring_is_optional_and_its_secrets_are_files_outside_version_control() -> None:
    content = yaml.safe_load((DOCKER / "compose.yaml").read_text(encoding="utf-8"))
    optional = {name for name, service in content["services"].items() if service.get("profiles") == ["monitoring"]}
    assert optional == {"prometheus", "grafana"}
    files = {secret["file"] for secret in content["secrets"].values()}
    assert files == {"./monitoring/secrets/metrics_key", "./monitoring/secrets/grafana_password"}
    assert "docker/monitoring/secrets/" in (DOCKER.parent / ".gitignore").read_text(encoding="utf-8").splitlines()
    scraped = yaml.safe_load((MONITORING / "prometheus.yml").read_text(encoding="utf-8"))["scrape_configs"][0]
    assert scraped["authorization"]["credentials_file"] == "/run/secrets/metrics_key"
    assert (scraped["metrics_path"], scraped["static_configs"][0]["targets"]) == ("/metrics", ["api:8000"])
    for mount in content["services"]["prometheus"]["volumes"]:
        if mount.startswith("./"):
            assert (DOCKER / mount.split(":")[0]).is_file()


@pytest.mark.skipif(PROMETHEUS is None, reason="prometheus is not installed (Debian: prometheus)")
def test_a_real_prometheus_scrapes_the_api_and_evaluates_every_rule_and_panel(home: Path, tmp_path: Path) -> None:
    settings = {"MLPIPE_AUTH": "api-keys"}
    with open_warehouse().transaction() as session:
        key = keys.create_key(session, "prometheus", AccessRole.SERVICE)
    with running_server(home, DEAD_BROKER, **settings) as api, running_prometheus(tmp_path, api.port, key) as base:
        until(lambda: health(base) == {"mlpipe": "up"}, 60, "the API is scraped")
        loaded = requests.get(f"{base}/api/v1/rules", timeout=10).json()["data"]["groups"]
        assert {rule["name"] for group in loaded for rule in group["rules"]} == {rule["alert"] for rule in rules()}
        for expression in expressions():
            query = {"query": expression.replace("$__rate_interval", "1m")}
            answer = requests.get(f"{base}/api/v1/query", params=query, timeout=10).json()
            assert answer["status"] == "success", (expression, answer)
        depth = requests.get(f"{base}/api/v1/query", params={"query": "mlpipe_outbox_waiting"}, timeout=10).json()
        assert depth["data"]["result"], "a sample of the platform's own"


@contextmanager
def running_prometheus(folder: Path, api_port: int, key: str) -> Iterator[str]:
    """Prometheus with the configuration as it is, but for the address of the API, the key's file and how often."""
    configuration = yaml.safe_load((MONITORING / "prometheus.yml").read_text(encoding="utf-8"))
    (folder / "key").write_text(key)
    shutil.copy(MONITORING / "alerts.yml", folder)
    configuration["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    (job,) = [job for job in configuration["scrape_configs"] if job["job_name"] == "mlpipe"]
    job["static_configs"] = [{"targets": [f"127.0.0.1:{api_port}"]}]
    job["authorization"]["credentials_file"] = str(folder / "key")
    configuration["scrape_configs"] = [job]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration))
    port = free_port(0)
    command = [str(PROMETHEUS), f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([*command, f"--web.listen-address=127.0.0.1:{port}"], stderr=log)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


def health(base: str) -> dict[str, str]:
    """Of each target."""
    try:
        answer = requests.get(f"{base}/api/v1/targets", timeout=10)
    except requests.ConnectionError:  # it is starting
        return {}
    targets = answer.json()["data"]["activeTargets"] if answer.ok else []
    return {target["labels"]["job"]: target["health"] for target in targets}
