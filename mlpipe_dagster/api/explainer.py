"""Explains single rows in a process of its own."""

import shutil
from pathlib import Path

from mlpipe_dagster.api.model_process import ModelProcess
from mlpipe_dagster.bias.sensitive import find_sensitive
from mlpipe_dagster.errors import UnknownThing, UserError
from mlpipe_dagster.tables.profile import Profile
from mlpipe_dagster.warehouse import datasets
from mlpipe_dagster.warehouse.schema import DatasetVersion, ModelRow
from mlpipe_dagster.warehouse.warehouse import Warehouse
from mlpipe_dagster.xai.row_answer import RowAnswer, RowQuestion, Value

NOT_OURS = "Single rows are explained for models that were trained here; this one came from outside."


class Explainer(ModelProcess):
    """Asked about one row of a model's table."""

    def ask(
        self, warehouse: Warehouse, row: ModelRow, position: int | None, values: dict[str, Value], seed: int = 0
    ) -> RowAnswer:
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
        folder, parquet, profile = self._at_hand(warehouse, row)
        question = RowQuestion(
            position=position,
            values=values,
            hide=tuple(column.name for column in profile.columns if column.personal),
            keep=tuple(found.column for found in find_sensitive(profile)),
            seed=seed,
        )
        return self.answer("The row could not be explained", _ask, folder, parquet, question)

    def prepare(self, warehouse: Warehouse, row: ModelRow) -> None:
        """Load a model and its table before anybody asks; of one that cannot be explained it is said who asks."""
        if not row.run_id:
            return
        try:
            folder, parquet, _ = self._at_hand(warehouse, row)
        except UserError:
            return
        self.begin(_prepare, folder, parquet)

    def _at_hand(self, warehouse: Warehouse, row: ModelRow) -> tuple[Path, Path, Profile]:
        """The files of the model and of its table, and the table's profile."""
        folder = self.model_folder(warehouse, row, NOT_OURS)
        with warehouse.reading() as session:
            version = datasets.numbered(session, row.user_id, row.dataset_id or "", row.dataset_number or 0)
        profile = datasets.profile_of(version) if version else None
        if version is None or profile is None or version.parquet_path is None:
            raise UnknownThing(f"The table that {row.model_id} was trained from is not there any more.")
        with self.lock:
            return folder, self._table(warehouse, version), profile

    def _table(self, warehouse: Warehouse, version: DatasetVersion) -> Path:
        path = self.folder / f"table-{version.id}.parquet"
        if not path.is_file():
            with warehouse.objects.local(str(version.parquet_path)) as source:
                shutil.copyfile(source, path.with_suffix(".part"))
            path.with_suffix(".part").rename(path)
        return path


def _prepare(folder: Path, parquet: Path) -> None:
    """In the process."""
    from mlpipe_dagster.xai.one_row import prepare

    prepare(folder, parquet)


def _ask(folder: Path, parquet: Path, question: RowQuestion) -> RowAnswer:
    """In the process."""
    from mlpipe_dagster.xai.one_row import answer

    return answer(folder, parquet, question)
