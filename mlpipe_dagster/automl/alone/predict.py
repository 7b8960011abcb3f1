"""Predicts the rows of a CSV file with the model beside this program. mlpipe need not be installed.

    pip install -r requirements.txt
    python predict.py rows.csv --output predictions.csv        # --help for more

Every file is held against its SHA-256 in manifest.json before it is used, and the model is no pickle: it is read with a
list of allowed types.
"""

import hashlib
import json
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
CODE = FOLDER / "mlpipe_code.zip"


def main() -> int:
    """Check the code that reads the model, then let it work; the exit code."""
    wanted = json.loads((FOLDER / "manifest.json").read_text(encoding="utf-8")).get("code_sha256")
    if hashlib.sha256(CODE.read_bytes()).hexdigest() != wanted:
        print(f"{CODE.name} is not the file that was saved: its SHA-256 differs.", file=sys.stderr)
        return 2
    sys.path.insert(0, str(CODE))
    from mlpipe_dagster.automl.alone.program import run

    return run(FOLDER, sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
