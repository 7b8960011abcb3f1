"""Explains single rows in a process of its own: the libraries for that stay out of the API, and one that dies is
replaced. Only models that were trained here are loaded, and only after their hash is checked.
"""

import shutil
import tempfile
import threading
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

from mlpipe_dagster.automl.artefacts import MANIFEST_FILE
from mlpipe_dagster.bias.sensitive import find_sensitive
from mlpipe_dagster.errors import Conflict, ModelError, UnknownThing
from mlpipe_dagster.warehouse import datasets, models
from mlpipe_dagster.warehouse.schema import DatasetVersion, ModelFileRow, ModelRow
from mlpipe_dagster.warehouse.warehouse import Warehouse

if TYPE_CHECKING:
    from mlpipe_dagster.xai.one_row import RowAnswer, Value

SECONDS = 60.0
IDLE_SECONDS = 300.0
"""After so long without a question the process ends."""
MOST_FILES = 8
"""Models and tables kept at hand."""


class Explainer:
    """Asks one process, which is started with the first question; used by any number of threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pool: ProcessPoolExecutor | None = None
        self._rest: threading.Timer | None = None
        self._folder = Path(tempfile.mkdtemp(prefix="mlpipe-"))

    def ask(
        self, warehouse: Warehouse, row: ModelRow, position: int | None, values: "dict[str, Value]", seed: int = 0
    ) -> "RowAnswer":
        """The answer about a row of the model's table, some of its values replaced.

        Raises
        ------
        ModelError
            The model was not trained here.
        UnknownThing, TableError, UserError
            The model's table is gone or has no such row; a value does not fit.
        Conflict
            The process broke over it, or took longer than a minute.
        """
        with warehouse.reading() as session:
            files = models.model_files(session, row)
            version = datasets.numbered(session, row.user_id, row.dataset_id or "", row.dataset_number or 0)
        if not row.run_id or MANIFEST_FILE not in {file.filename for file in files}:
            raise ModelError("Single rows are explained for models that were trained here; this one came from outside.")
        profile = datasets.profile_of(version) if version else None
        if version is None or profile is None or version.parquet_path is None:
            raise UnknownThing(f"The table that {row.model_id} was trained from is not there any more.")
        with self._lock:
            self._make_room()
            folder = self._model_folder(warehouse, row, files)
            parquet = self._table(warehouse, version)
        question: dict[str, object] = {
            "position": position,
            "values": values,
            "hide": [column.name for column in profile.columns if column.personal],
            "keep": [found.column for found in find_sensitive(profile)],
            "seed": seed,
        }
        return self._answer(folder, parquet, question)

    def _answer(self, folder: Path, parquet: Path, question: dict[str, object]) -> "RowAnswer":
        try:
            return self._running().submit(_ask, folder, parquet, question).result(SECONDS)
        except (BrokenProcessPool, TimeoutError) as error:
            self._end()
            raise Conflict("The row could not be explained: the process that does it broke off. Try again.") from error

    def _running(self) -> ProcessPoolExecutor:
        with self._lock:
            if self._rest:
                self._rest.cancel()
            self._rest = threading.Timer(IDLE_SECONDS, self._end)
            self._rest.daemon = True
            self._rest.start()
            if self._pool is None:
                self._pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"))
            return self._pool

    def _end(self) -> None:
        with self._lock:
            pool, self._pool = self._pool, None
        if pool:
            for process in list((pool._processes or {}).values()):  # one that hangs would never end by itself
                process.terminate()
            pool.shutdown(wait=False, cancel_futures=True)

    def close(self) -> None:
        """End the process and remove what was kept at hand."""
        if self._rest:
            self._rest.cancel()
        self._end()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _make_room(self) -> None:
        held = sorted(self._folder.iterdir(), key=lambda path: path.stat().st_mtime)
        for path in held[: max(len(held) - MOST_FILES, 0)]:
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def _model_folder(self, warehouse: Warehouse, row: ModelRow, files: list[ModelFileRow]) -> Path:
        folder = self._folder / f"model-{row.id}"
        if not folder.is_dir():
            part = Path(tempfile.mkdtemp(dir=self._folder))
            for file in files:
                with warehouse.objects.local(file.file_path) as source:
                    shutil.copyfile(source, part / Path(file.filename).name)
            part.rename(folder)
        return folder

    def _table(self, warehouse: Warehouse, version: DatasetVersion) -> Path:
        path = self._folder / f"table-{version.id}.parquet"
        if not path.is_file():
            with warehouse.objects.local(str(version.parquet_path)) as source:
                shutil.copyfile(source, path.with_suffix(".part"))
            path.with_suffix(".part").rename(path)
        return path


def _ask(folder: Path, parquet: Path, question: dict[str, object]) -> "RowAnswer":
    """In the process."""
    from mlpipe_dagster.xai.one_row import RowQuestion, answer

    return answer(folder, parquet, RowQuestion.model_validate(question))
