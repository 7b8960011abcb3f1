"""A process that holds models and answers about them: their libraries stay out of the API, and one that dies, hangs or
takes too much memory is replaced. Only models that were trained here are loaded, and only after their hash is checked.

Processes are forked from one that has imported what they answer with and does nothing else; `warm` starts it. What is
asked is in `explainer.py` and `predictor.py`.
"""

import resource
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import forkserver, get_context
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import ParamSpec, TypeVar

from mlpipe_dagster.automl.artefacts import MANIFEST_FILE
from mlpipe_dagster.errors import Conflict, ModelError
from mlpipe_dagster.warehouse import models
from mlpipe_dagster.warehouse.schema import ModelFileRow, ModelRow
from mlpipe_dagster.warehouse.warehouse import Warehouse

SECONDS = 60.0
MEMORY_BYTES = 6 << 30
"""Address space, libraries included: far more than is in use."""
IDLE_SECONDS = 300.0
"""After so long without a question the process ends."""
MOST_FILES = 8
"""Models and tables kept at hand."""
IMPORTED = (
    "lightgbm",
    "mlpipe_dagster.api.explainer",
    "mlpipe_dagster.api.predictor",
    "mlpipe_dagster.automl.predicting",
    "mlpipe_dagster.xai.one_row",
    "skops.io",
)
"""Two to three seconds of the processor, which are spent once and not with each first question."""
CAN_FORK = sys.platform == "linux"
"""Elsewhere (macOS) processes that hold numerical libraries must not be forked."""
Taken = ParamSpec("Taken")
Answer = TypeVar("Answer")


class ModelProcess:
    """Asks one process, which is started with the first question; used by any number of threads."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        """Held while files are put at hand."""
        self.folder = Path(tempfile.mkdtemp(prefix="mlpipe-"))
        self._pool: ProcessPoolExecutor | None = None
        self._rest: threading.Timer | None = None

    def close(self) -> None:
        """End the process and remove what was kept at hand."""
        if self._rest:
            self._rest.cancel()
        self._end()
        shutil.rmtree(self.folder, ignore_errors=True)

    def answer(
        self, what_failed: str, ask: Callable[Taken, Answer], *given: Taken.args, **named: Taken.kwargs
    ) -> Answer:
        """What a function of a module answers in the process.

        Raises
        ------
        Conflict
            The process broke over it, or took longer than a minute.
        """
        try:
            return self._running().submit(ask, *given, **named).result(SECONDS)
        except (BrokenProcessPool, TimeoutError, MemoryError) as error:
            self._end()
            raise Conflict(f"{what_failed}: the process that does it broke off. Try again, with less.") from error

    def begin(self, prepare: Callable[Taken, None], *given: Taken.args, **named: Taken.kwargs) -> None:
        """Let the process do what makes its next answer quick; what goes wrong with it shows when it is asked."""
        self._running().submit(prepare, *given, **named)

    def model_folder(self, warehouse: Warehouse, row: ModelRow, refusal: str) -> Path:
        """The files of a model at hand; raises ModelError with `refusal` where it was not trained here."""
        with warehouse.reading() as session:
            files = models.model_files(session, row)
        if not row.run_id or MANIFEST_FILE not in {file.filename for file in files}:
            raise ModelError(refusal)
        with self.lock:
            self._make_room()
            return self._put_at_hand(warehouse, row, files)

    def _put_at_hand(self, warehouse: Warehouse, row: ModelRow, files: list[ModelFileRow]) -> Path:
        folder = self.folder / f"model-{row.id}"
        if not folder.is_dir():
            part = Path(tempfile.mkdtemp(dir=self.folder))
            for file in files:
                with warehouse.objects.local(file.file_path) as source:
                    shutil.copyfile(source, part / Path(file.filename).name)
            part.rename(folder)
        return folder

    def _running(self) -> ProcessPoolExecutor:
        with self.lock:
            if self._rest:
                self._rest.cancel()
            self._rest = threading.Timer(IDLE_SECONDS, self._end)
            self._rest.daemon = True
            self._rest.start()
            if self._pool is None:
                self._pool = ProcessPoolExecutor(1, mp_context=_context(), initializer=_bound)
            return self._pool

    def _end(self) -> None:
        with self.lock:
            pool, self._pool = self._pool, None
        if pool:
            for process in list((pool._processes or {}).values()):  # one that hangs would never end by itself
                process.terminate()
            pool.shutdown(wait=False, cancel_futures=True)

    def _make_room(self) -> None:
        held = sorted(self.folder.iterdir(), key=lambda path: path.stat().st_mtime)
        for path in held[: max(len(held) - MOST_FILES, 0)]:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def warm() -> None:
    """Begin to import what the processes answer with, where that can be done ahead; does not wait for it."""
    if CAN_FORK:
        _context()
        forkserver.ensure_running()


def _context() -> BaseContext:
    if not CAN_FORK:
        return get_context("spawn")
    context = get_context("forkserver")
    context.set_forkserver_preload(list(IMPORTED))
    return context


def _bound() -> None:
    """In the process, before anything else. One thread: where the machine is busy, two that meet after every tree of a
    model take a hundred times as long for a row."""
    from threadpoolctl import threadpool_limits

    threadpool_limits(1)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
