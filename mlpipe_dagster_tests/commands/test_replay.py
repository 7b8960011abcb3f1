"""`mlpipe replay` and `mlpipe train-more`: what they ask the API for, and what they say."""

import hashlib
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from mlpipe_dagster.automl.apart import Budget, train_apart
from mlpipe_dagster.automl.model import DataSource, TrainingSpec
from mlpipe_dagster.commands import replay as replay_command
from mlpipe_dagster.commands import train_more as train_more_command
from mlpipe_dagster.errors import UserError
from mlpipe_dagster.tables.convert import to_parquet
from mlpipe_dagster.vocabulary import TaskKind
from mlpipe_dagster_tests.automl.conftest import planted_table


class Api:
    """Gives out a model and the version of its table that it was trained from; keeps what is posted."""

    def __init__(self, folder: Path, model_id: str = "automl_loans") -> None:
        self.folder, self.model_id, self.posted = folder, model_id, [{}]

    def get(self, *path: str, **query: str | None) -> dict[str, Any]:
        """About the model, or that version of the table."""
        if path[0] == "datasets":
            assert path == ("datasets", "ann", "loans", "version", "v3")
            return {"original_filename": "table.csv"}
        files = [{"filename": file.name} for file in self.folder.glob("work/model/*")]
        return {"training_dataset": "loans", "version": "v1", "files": files}

    def download(self, *path: str, target: Path, **query: str | None) -> int:
        """A file of the model, or the table."""
        name = "table.csv" if path[0] == "datasets" else f"work/model/{query['filename']}"
        shutil.copyfile(self.folder / name, target)
        return target.stat().st_size

    def post(self, *path: str, content: dict[str, object], **query: str | None) -> dict[str, object]:
        """Remembered."""
        self.posted.append({"path": path, "content": content, **query})
        return {}


@pytest.mark.long
def test_a_stored_model_is_trained_again_from_what_the_api_gives_out(tmp_path: Path) -> None:
    planted_table(200).to_csv(tmp_path / "table.csv", index=False)
    to_parquet(tmp_path / "table.csv", "table.csv", tmp_path / "table.parquet")
    md5 = hashlib.md5((tmp_path / "table.csv").read_bytes(), usedforsecurity=False).hexdigest()
    data = DataSource(dataset_id="loans", version="v3", file_hash=md5)
    spec = TrainingSpec(target="bought", task=TaskKind.BINARY, engine="deterministic:1", data=data)
    (tmp_path / "work").mkdir()
    train_apart(tmp_path / "table.parquet", spec, Budget(time.monotonic(), 300), tmp_path / "work")
    api: Any = Api(tmp_path)
    told, kept = replay_command.replayed(api, "ann", "automl_loans", None)
    assert kept
    assert told.splitlines()[0] == "Bit-equal: all answers on 40 test rows are the same."


def test_training_on_names_the_version_to_go_on_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    api = Api(tmp_path)
    monkeypatch.setattr(train_more_command, "ApiClient", lambda: api)
    asked = ["automl_loans", "--user-id", "ann", "--time-budget", "10m"]
    told = CliRunner().invoke(train_more_command.train_more, asked)
    assert told.output == "automl_loans is trained on from v1. Watch it with: mlpipe watch loans\n"
    assert api.posted[1:] == [
        {
            "path": ("pipelines", "loans", "again"),
            "content": {"continue_from": "v1", "time_budget": "10m", "stage": "automl"},
            "user_id": "ann",
        }
    ]
    refused = CliRunner().invoke(train_more_command.train_more, ["theirs", *asked[1:]])
    assert isinstance(refused.exception, UserError)
    assert "was not trained here" in str(refused.exception)
