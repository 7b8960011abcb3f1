"""`mlpipe explain --output`: the explanation made again from what the API gives out is the same one."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sklearn.linear_model import LogisticRegression

from mlpipe_dagster.automl import artefacts
from mlpipe_dagster.commands import explain as command
from mlpipe_dagster.vocabulary import TaskKind
from mlpipe_dagster.xai.explain import explain_model
from mlpipe_dagster.xai.explanation import ModelExplanation
from mlpipe_dagster_tests.xai.models import planted, trained


class FolderClient:
    """Gives out a model's files and its table from a folder, as the API does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, *path: str, **query: str | None) -> dict[str, Any]:
        """About the model, or the table."""
        if path[0] == "datasets":
            return {"original_filename": "table.csv"}
        files = [{"filename": file.name} for file in (self.folder / "model").iterdir()]
        return {"training_dataset": "loans", "files": files}

    def download(self, *path: str, target: Path, **query: str | None) -> int:
        """A file of the model, or the table."""
        source = self.folder / "table.csv" if path[0] == "datasets" else self.folder / "model" / str(query["filename"])
        shutil.copyfile(source, target)
        return target.stat().st_size


def test_the_whole_explanation_is_made_again(tmp_path: Path) -> None:
    table = planted(200)[["noise", "weak", "strong", "colour", "binary"]]
    table.to_csv(tmp_path / "table.csv", index=False)
    model = trained(table, "binary", TaskKind.BINARY, LogisticRegression(), linear=True)
    artefacts.save(model, tmp_path / "model")
    client: Any = FolderClient(tmp_path)
    command.explain_again(client, "ann", "m", None, 3, tmp_path / "out")
    again = ModelExplanation.model_validate_json((tmp_path / "out" / "explanation.json").read_text())
    first = explain_model(model, table, seed=3)
    assert [(column.name, column.shap) for column in again.columns] == [
        (column.name, pytest.approx(column.shap)) for column in first.columns
    ]
    assert (tmp_path / "out" / "expert.html").read_text().startswith("<!doctype html>")


def test_what_is_to_be_explained_has_to_be_said() -> None:
    result = CliRunner().invoke(command.explain, ["m", "--user-id", "ann"])
    assert "Say which row" in str(result.exception)
    result = CliRunner().invoke(command.explain, ["m", "--user-id", "ann", "--set", "nothing"])
    assert "COLUMN=VALUE" in str(result.exception)
