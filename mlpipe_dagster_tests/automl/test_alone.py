"""`predict.py` beside a model: predicts with nothing of mlpipe but the zip beside it, and refuses what was changed."""

import contextlib
import json
import subprocess
import sys
import venv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlpipe_dagster.automl import artefacts
from mlpipe_dagster.automl.alone import program
from mlpipe_dagster.automl.model import TrainedModel
from mlpipe_dagster.automl.onnx_model.export import export

WHO_IS_IMPORTED = """
import runpy, sys
try:
    runpy.run_path(sys.argv.pop(1), run_name="__main__")
finally:
    ours = {module.__file__ for name, module in sys.modules.items() if name.split(".")[0].startswith("mlpipe")}
    print(*[file for file in ours if "mlpipe_code.zip" not in file], "nothing else", sep="\\n", file=sys.stderr)
"""


@pytest.fixture(scope="module")
def folder(planted_model: TrainedModel, planted: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved model with its ONNX file, and 50 rows to predict."""
    folder = tmp_path_factory.mktemp("alone")
    artefacts.save(planted_model, folder)
    made = export(planted_model, planted, folder / artefacts.ONNX_FILE)
    artefacts.describe(replace(planted_model, onnx=made), folder)
    planted.head(50).to_csv(folder / "rows.csv", index=False)
    return folder


def run(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-I", "-c", WHO_IS_IMPORTED, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@contextlib.contextmanager
def changed(file: Path) -> Iterator[None]:
    before = file.read_bytes()
    file.write_bytes(before + b"x")
    yield
    file.write_bytes(before)


@pytest.mark.parametrize("with_onnx", [(), ("--onnx",)], ids=["skops", "onnx"])
def test_it_predicts_with_nothing_but_what_lies_beside_it(
    folder: Path, with_onnx: tuple[str, ...], planted_model: TrainedModel, planted: pd.DataFrame
) -> None:
    ended = run(folder / "predict.py", folder / "rows.csv", "--output", folder / "out.csv", *with_onnx)
    assert (ended.returncode, ended.stderr) == (0, "nothing else\n")
    found = pd.read_csv(folder / "out.csv")
    assert list(found.columns) == ["prediction", "probability of no", "probability of yes"]
    wanted = planted_model.estimator.predict_proba(planted.head(50))
    np.testing.assert_allclose(found.iloc[:, 1:], wanted, rtol=0, atol=1e-6 if with_onnx else 1e-12)
    assert found["prediction"].tolist() == planted_model.estimator.predict(planted.head(50)).tolist()


def test_changed_code_is_not_run(folder: Path) -> None:
    with changed(folder / "mlpipe_code.zip"):
        ended = run(folder / "predict.py", folder / "rows.csv")
    assert (ended.returncode, ended.stderr) == (
        2, "mlpipe_code.zip is not the file that was saved: its SHA-256 differs.\nnothing else\n"
    )  # fmt: skip


@pytest.mark.parametrize(("name", "arguments"), [("model.skops", ()), ("model.onnx", ("--onnx",))])
def test_a_changed_model_is_refused(
    folder: Path, name: str, arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with changed(folder / name):
        assert program.run(folder, [str(folder / "rows.csv"), *arguments]) == 2
    assert f"{name} is not the file that was saved: its SHA-256 differs." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not a CSV file in UTF-8 with a header"),
        ("left,right\n1,2\n", "needs the column(s) town, seen, member, which the rows do not have"),
        ("left,right,town,seen,member\n", "no row under the header"),
        ("left,left\n1,2\n", "“left” stands twice in the header"),
        ("left;right;town;seen;member\n?;1;Bonn;2024-01-01;true\n1;x;;;\n", "“right” takes a number, not “x” (row 2)"),
        ("left,right,town,seen,member\n1,1,a,soon,yes\n", "“seen” takes a date such as 2024-12-31, not “soon” (row 1)"),
        ("left,right,town,seen,member\n1,1,a,,maybe\n", "“member” takes true or false, not “maybe” (row 1)"),
    ],
)
def test_rows_that_do_not_fit_are_refused_with_the_reason(
    folder: Path, text: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "rows.csv").write_text(text)
    assert program.run(folder, [str(tmp_path / "rows.csv"), "--onnx"]) == 2
    assert said in capsys.readouterr().err


def test_the_requirements_are_exact_and_can_be_had(folder: Path) -> None:
    lines = (folder / "requirements.txt").read_text().splitlines()
    assert lines[0].startswith("# Python 3.")
    assert [line.partition("==")[0] for line in lines[1:]] == list(artefacts.REQUIRED)
    assert json.loads((folder / "manifest.json").read_text())["libraries"]["mlpipe-dagster"]


@pytest.mark.long
def test_a_round_trip_in_a_clean_environment(folder: Path, planted_model: TrainedModel, planted: pd.DataFrame) -> None:
    """Installs the requirements from the package index into a new environment, and predicts there both ways."""
    place = folder / "environment"
    venv.create(place, with_pip=True, symlinks=True)
    python = place / "bin" / "python"
    install = [python, "-m", "pip", "install", "-q", "-r", folder / "requirements.txt"]
    subprocess.run(install, check=True)
    assert (
        subprocess.run([python, "-I", "-c", "import mlpipe_dagster"], capture_output=True, check=False).returncode == 1
    )
    wanted = planted_model.estimator.predict_proba(planted.head(50))
    for with_onnx in ((), ("--onnx",)):
        command = [python, "-I", folder / "predict.py", folder / "rows.csv", *with_onnx]
        ended = subprocess.run(command, capture_output=True, text=True, check=True)
        (folder / "out.csv").write_text(ended.stdout)
        np.testing.assert_allclose(pd.read_csv(folder / "out.csv").iloc[:, 1:], wanted, rtol=0, atol=1e-6)
