"""An uploader: POSTs a table, as the curl line of the older warehouse's guide does.

python -m mlpipe_dagster_tests.foreign.uploader FILE USER_ID DATASET_ID
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

from mlpipe_dagster_tests.foreign.wire import Wire


def upload(wire: Wire, file: Path, user_id: str, dataset_id: str) -> dict[str, Any]:
    """The dataset object that the warehouse answers with."""
    form = {
        "user_id": user_id,
        "dataset_id": dataset_id,
        "name": file.stem,
        "description": "from outside",
        "tags": "a,b",
    }
    with file.open("rb") as content:
        stored: dict[str, Any] = wire.post("/datasets/upload", files={"file": (file.name, content)}, data=form).json()
    return stored


if __name__ == "__main__":
    print(json.dumps(upload(Wire(os.environ), Path(sys.argv[1]), sys.argv[2], sys.argv[3])))
