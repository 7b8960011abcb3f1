"""The program behind `predict.py`: a CSV file in, predictions as CSV out, from a folder with a model.

Runs without mlpipe, out of the zip beside the model; what is imported here lies in there.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mlpipe_dagster.automl import artefacts
from mlpipe_dagster.automl.predicting import as_trained, ask, read_csv, table_of
from mlpipe_dagster.errors import UserError


def run(folder: Path, arguments: Sequence[str]) -> int:
    """Predict as the arguments say; 0, or 2 with the reason on standard error."""
    parser = argparse.ArgumentParser(prog="predict.py", description="Predicts the rows of a CSV file.")
    parser.add_argument("file", type=Path, help="CSV with a header: the columns that the model card names")
    parser.add_argument("--output", type=Path, help="where predictions go; standard output if left out")
    parser.add_argument("--onnx", action="store_true", help="ask model.onnx, not model.skops")
    asked = parser.parse_args(arguments)
    try:
        content = _predicted(folder, asked.file, asked.onnx)
    except (UserError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    if asked.output is None:
        sys.stdout.write(content)
    else:
        asked.output.write_text(content, encoding="utf-8")
    return 0


def _predicted(folder: Path, file: Path, onnx: bool) -> str:
    model = artefacts.description(folder) if onnx else artefacts.load(folder)
    rows = as_trained(model.schema, read_csv(file))
    if onnx:
        from mlpipe_dagster.automl.onnx_model import run as onnx_model

        answers = onnx_model.predict(artefacts.onnx_file(folder, model), model.schema, rows)
    else:
        answers = ask(model, rows)
    return str(table_of(model, answers).to_csv(index=False))
