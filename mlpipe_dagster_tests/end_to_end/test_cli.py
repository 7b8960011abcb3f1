"""The command line against the running services, as a second terminal uses it."""

import re
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from mlpipe_dagster_tests.end_to_end.outside import Outside, new_id

pytestmark = pytest.mark.end_to_end

USER = ("--user-id", "ada")
STAGES = ("dataset", "bias", "automl", "xai")


def mlpipe(environment: dict[str, str], *words: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "mlpipe_dagster.cli", *words],
        env=environment, cwd=folder, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def done(second_terminal: dict[str, str], small_csv: Path) -> tuple[str, subprocess.CompletedProcess[str]]:
    """A dataset whose upload was watched to its end, and what the command said."""
    dataset_id = new_id("watched")
    words = ("upload", str(small_csv), "--dataset-id", dataset_id, *USER, "--time-budget", "5", "--watch")
    return dataset_id, mlpipe(second_terminal, *words)


def test_watching_a_table_that_cannot_be_used_ends_with_the_reason(
    second_terminal: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "two.csv"
    file.write_text("a,target\n1,yes\n2,no\n")
    dataset_id = new_id("two-rows")
    said = mlpipe(second_terminal, "upload", str(file), "--dataset-id", dataset_id, *USER, "--watch")
    assert said.returncode == 1, said
    assert f"{dataset_id} v1 of ada: failed" in said.stdout
    assert "rows" in said.stdout.split(": failed", 1)[1]
    assert said.stderr == ""
    again = mlpipe(second_terminal, "watch", dataset_id)
    assert (again.returncode, again.stderr) == (1, "")


def test_an_unknown_pipeline_is_one_sentence(second_terminal: dict[str, str]) -> None:
    said = mlpipe(second_terminal, "watch", "no-such-dataset")
    assert (said.returncode, said.stdout) == (1, "")
    assert re.fullmatch(r"mlpipe: .*no-such-dataset.*\n", said.stderr)


def test_an_upload_that_the_api_refuses_is_one_sentence(second_terminal: dict[str, str], small_csv: Path) -> None:
    words = ("upload", str(small_csv), "--dataset-id", new_id("refused"), *USER, "--time-budget", "soon", "--watch")
    said = mlpipe(second_terminal, *words)
    assert (said.returncode, said.stdout) == (1, "")
    assert re.fullmatch(r"mlpipe: .*soon.*\n", said.stderr)


def test_upload_and_watch_to_the_end(done: tuple[str, subprocess.CompletedProcess[str]]) -> None:
    dataset_id, said = done
    assert (said.returncode, said.stderr) == (0, "")
    lines = said.stdout.splitlines()
    assert lines[0].startswith(f"Stored {dataset_id} v1 of ada (120 rows, ")
    finished = [line.split()[0] for line in lines if re.match(r"\w+ +done", line)]
    assert finished == list(STAGES)
    assert f"{dataset_id} v1 of ada: done" in lines


def test_status_and_watch_of_a_pipeline_that_is_done(
    second_terminal: dict[str, str], done: tuple[str, subprocess.CompletedProcess[str]]
) -> None:
    dataset_id, _ = done
    status = mlpipe(second_terminal, "status", dataset_id)
    assert (status.returncode, status.stderr) == (0, "")
    assert f"{dataset_id} v1 of ada: done" in status.stdout
    rows = [line.split() for line in status.stdout.splitlines()]
    assert [row[:2] for row in rows if row and row[0] in STAGES] == [[stage, "done"] for stage in STAGES]
    assert re.findall(r"^  (\S+) +\S+/0/\d+$", status.stdout, re.MULTILINE) == [
        "dataset.uploaded", "bias-trigger.reported", "bias.reported", "automl-trigger.reported", "model.uploaded",
        "xai-trigger.reported", "xai.reported", "xai.reported",
    ]  # fmt: skip
    watch = mlpipe(second_terminal, "watch", dataset_id, *USER)
    assert (watch.returncode, watch.stderr) == (0, "")
    assert "Explanation of the model" in watch.stdout


def test_the_doctor_finds_everything_well(second_terminal: dict[str, str], tmp_path: Path) -> None:
    deadline = time.monotonic() + 90
    said = mlpipe(second_terminal, "doctor", folder=tmp_path)
    while "WARN" in said.stdout and time.monotonic() < deadline:  # a reader's position is stored a moment later
        said = mlpipe(second_terminal, "doctor", folder=tmp_path)
    assert (said.returncode, said.stderr) == (0, "")
    *findings, sum_line = said.stdout.splitlines()
    assert [line for line in findings if not line.startswith("OK    ")] == []
    assert sum_line == f"{len(findings)} checks: 0 failed, 0 to look at."
    assert len(findings) > 30, "broker, 16 topics, 7 readers, warehouse, API, webserver, daemons, 8 sensors"
    assert list(tmp_path.iterdir()) == []


def test_a_question_is_asked_refused_a_wrong_answer_and_answered(
    platform: Outside, second_terminal: dict[str, str], small_csv: Path
) -> None:
    dataset_id = new_id("asked")
    words = ("--dataset-id", dataset_id, *USER, "--engine", "deterministic:2", "--mode", "ask", "--watch")
    upload = mlpipe(second_terminal, "upload", str(small_csv), *words)
    assert (upload.returncode, upload.stderr) == (0, ""), upload
    assert f"{dataset_id} v1 of ada: waiting" in upload.stdout
    inbox = mlpipe(second_terminal, "inbox", *USER)
    assert dataset_id in inbox.stdout and "target_column_name" in inbox.stdout and "task_type" in inbox.stdout
    (question_id,) = {
        *re.findall(r"mlpipe answer (\S+) target_column_name=target", inbox.stdout),
        *re.findall(r"mlpipe answer (\S+) target_column_name=target", upload.stdout),
    }

    wrong = mlpipe(second_terminal, "answer", question_id, "target_column_name=income", "task_type=regression")
    assert wrong.returncode == 1 and "target_column_name" in wrong.stderr, wrong
    right = mlpipe(second_terminal, "answer", question_id, "target_column_name=hours", "task_type=regression")
    assert (right.returncode, right.stderr) == (0, ""), right
    assert question_id not in mlpipe(second_terminal, "inbox", *USER).stdout
    trigger = platform.wait(
        lambda: platform.records("bias-trigger-events", dataset_id), 120, "the pipeline goes on with the answer"
    )[0].value
    assert (trigger["target_column_name"], trigger["task_type"]) == ("hours", "regression")


def test_the_whole_of_it_stands_in_the_audit_trail(
    second_terminal: dict[str, str], done: tuple[str, subprocess.CompletedProcess[str]]
) -> None:
    dataset_id, _ = done
    said = mlpipe(second_terminal, "history", dataset_id).stdout
    what = [line.split()[2] for line in said.splitlines()]
    assert what[0] == "dataset.uploaded" and "pipeline.done" in what, said
    for stage in STAGES:
        for change in ("asked", "taken", "done"):
            assert re.search(rf"stage\.{change} .*stage={stage},", said), (stage, change, said)
    assert [name for name in what if name.endswith(".stored")] == [
        "bias_report.stored", "model.stored", *["xai_report.stored"] * 6,
    ]  # fmt: skip
    verified = mlpipe(second_terminal, "audit", "verify")
    assert verified.returncode == 0 and "0 faults" in verified.stdout


def test_the_warehouse_is_asked_in_sql(
    second_terminal: dict[str, str], done: tuple[str, subprocess.CompletedProcess[str]]
) -> None:
    dataset_id, _ = done
    trials = f"SELECT count(*) FROM leaderboards WHERE model_id = 'automl_{dataset_id}'"
    sent = f"SELECT count(*) FROM events WHERE dataset_id = '{dataset_id}' AND acknowledged_at IS NOT NULL"
    statement = f'SELECT count(*) AS rows, ({trials}) > 1 AS compared, ({sent}) AS announced FROM "{dataset_id}"'
    said = mlpipe(second_terminal, "sql", statement, "--format", "csv")
    assert said.stdout == "rows,compared,announced\n120,True,8\n", said


def test_a_person_is_given_everything_and_erased(
    second_terminal: dict[str, str], platform: Outside, small_csv: Path, tmp_path: Path
) -> None:
    dataset_id, owner = new_id("erased"), ("--user-id", "eve")
    uploaded = mlpipe(
        second_terminal, "upload", str(small_csv), "--dataset-id", dataset_id, *owner, "--engine", "deterministic:2"
    )
    assert uploaded.returncode == 0, uploaded
    platform.wait(lambda: platform.records("bias-events", dataset_id), 120, "the bias report")
    given = mlpipe(second_terminal, "users", "export", "eve", folder=tmp_path)
    assert given.returncode == 0, given
    with zipfile.ZipFile(tmp_path / "eve.zip") as archive:
        assert archive.read(f"datasets/{dataset_id}/v1/small.csv") == small_csv.read_bytes()
    erased = mlpipe(second_terminal, "users", "erase", "eve", "--yes")
    assert "Erased of eve" in erased.stdout and "retention" in erased.stdout, erased
    assert not (tmp_path / ".eve.zip.part").exists()
    platform.wait(lambda: runs_of(platform, dataset_id) == [], 60, "its runs are removed")
    refused = mlpipe(second_terminal, "status", dataset_id)
    assert refused.returncode == 1 and dataset_id in refused.stderr


def runs_of(platform: Outside, partition: str) -> list[str]:
    query = """query($filter: RunsFilter!) { runsOrError(filter: $filter) { ... on Runs { results { runId } } } }"""
    tags = [{"key": "dagster/partition", "value": partition}]
    found = platform.graphql(query, filter={"tags": tags})["runsOrError"]["results"]
    return [run["runId"] for run in found]
