"""One `mlpipe up` a home: a lock that ends with the process that holds it, however it ends."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlpipe_dagster.errors import Conflict


@contextmanager
def home_lock(home: Path) -> Iterator[None]:
    """Hold the home for as long as the context lasts.

    Raises
    ------
    Conflict
        Another process holds it; the message names the process.
    """
    home.mkdir(parents=True, exist_ok=True)
    with (home / "up.lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise Conflict(
                f"mlpipe is up already on {home} (process {file.read().strip() or 'unknown'}). "
                "Stop it with Ctrl-C there, or set MLPIPE_HOME to another folder."
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield
