"""`mlpipe mitigate` against a running API and its warehouse: what it starts and says, and why it does not."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mlpipe_dagster.commands.intervene import mitigate
from mlpipe_dagster.settings import settings
from mlpipe_dagster.vocabulary import Mitigation
from mlpipe_dagster.warehouse import decisions, interventions
from mlpipe_dagster.warehouse.outbox import Owner
from mlpipe_dagster.warehouse.warehouse import Warehouse, open_warehouse
from mlpipe_dagster_tests.api.conftest import DEAD_BROKER
from mlpipe_dagster_tests.api.servers import running_server
from mlpipe_dagster_tests.warehouse import scenes


@pytest.fixture
def warehouse(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Warehouse]:
    """A warehouse that a process of the API serves; commands talk to that."""
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", DEAD_BROKER)
    with running_server(home, DEAD_BROKER) as server:
        monkeypatch.setenv("API_BASE", server.base)
        settings.cache_clear()
        yield open_warehouse()


def read(warehouse: Warehouse, folder: Path, dataset_id: str, user_id: str = "ann", **wishes: object) -> None:
    """A table that was read, in a pipeline that was cancelled then."""
    version = scenes.upload(warehouse, folder, dataset_id, user_id, custom_metadata={"pipeline": wishes})
    scenes.read_table(warehouse, folder, version)
    interventions.cancel_pipeline(warehouse, dataset_id, user_id, by=user_id)


def run(*words: str) -> Result:
    return CliRunner().invoke(mitigate, list(words))


def test_mitigate_says_what_it_starts_and_why_it_cannot(warehouse: Warehouse, tmp_path: Path) -> None:
    read(warehouse, tmp_path, "loans", target_column_name="paid")
    read(warehouse, tmp_path, "numbers", target_column_name="income")
    for dataset_id in ("nobody", "alone"):
        read(warehouse, tmp_path, dataset_id, target_column_name="paid", sensitive_features=())
    for user_id in ("ann", "bob"):
        read(warehouse, tmp_path, "both", user_id, target_column_name="paid")
    unread = scenes.upload(warehouse, tmp_path, "unread")
    interventions.cancel_pipeline(warehouse, "unread", unread.user_id, by="ann")

    command = [sys.executable, "-m", "mlpipe_dagster.cli", "mitigate", "loans", "--method", "resampling"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[:2] == [
        "loans runs again from the stage bias. Mitigation: resampling (as you asked).",
        "What it changes: GET /transformation-reports/ann/loans/v1",
    ]
    with warehouse.reading() as session:
        choices = decisions.recorded_choices(session, Owner("ann", "loans", 1))
    assert choices is not None and choices.mitigation is Mitigation.RESAMPLING
    assert len(scenes.outbox_rows(warehouse, "bias-trigger.reported")) == 7  # of each table that was read, and this one

    nothing = run("nobody").stdout
    assert nothing == "nobody runs again from the stage bias. Mitigation: none (no sensitive columns).\n"
    refusals = {
        ("loans",): "The pipeline of loans is at work. Cancel it first, or wait.",
        ("nowhere",): "nowhere",
        ("loans", "--user-id", "bob"): "loans",
        ("both",): "user_id",
        ("unread",): "The table of unread has not been read yet",
        ("numbers", "--method", "reweighing"): "Mitigation by reweighing needs classes to predict, not numbers.",
        ("alone", "--method", "reweighing"): "Mitigation by reweighing needs sensitive columns. Name them",
    }
    for words, reason in refusals.items():
        refused = run(*words)
        assert (refused.exit_code, refused.stdout) == (1, ""), words
        assert reason in str(refused.exception), words
    assert "reweighing" in run("loans", "--method", "magic").stderr  # the methods there are
