"""A training process that does what a test asks of it, in the place of the real one: no library to load, no model.

The wish is the target of its task: what it does once it has, or has not, left a best so far.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from mlpipe_dagster.automl import worker
from mlpipe_dagster.errors import TargetError

KEPT_MODEL = "kept"


def hang() -> None:
    """With a grandchild, as engines have."""
    child = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"])
    Path("/tmp").joinpath(f"mlpipe-test-{os.getppid()}").write_text(f"{os.getpid()} {child.pid}")
    time.sleep(600)


def hoard() -> None:
    kept = []
    while True:
        kept.append(bytearray(16 << 20))


def refuse() -> None:
    raise TargetError("Choose another column.")


WISHES = {
    "hang": hang,
    "hoard": hoard,
    "die": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "crash": os.abort,
    "refuse": refuse,
    "raise": lambda: print(1 / 0),
}


def train(task: worker.Task) -> None:
    """Leave a copy of the model beside the task as the best so far, if there is one; then do as asked."""
    kept = task.folder / KEPT_MODEL
    if kept.is_dir():
        shutil.copytree(kept, task.folder / f"{worker.PART}0")
        (task.folder / f"{worker.PART}0").rename(task.folder / f"{worker.BEST}0")
    WISHES[task.spec.target]()


if __name__ == "__main__":
    worker._train = train
    worker.main(*sys.argv[1:])
