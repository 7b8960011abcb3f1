"""Predicts rows that are sent, in a process of its own."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from mlpipe_dagster.api.model_process import ModelProcess
from mlpipe_dagster.errors import TooLarge, UserError
from mlpipe_dagster.vocabulary import TaskKind
from mlpipe_dagster.warehouse.schema import ModelRow
from mlpipe_dagster.warehouse.warehouse import Warehouse

if TYPE_CHECKING:
    from mlpipe_dagster.automl.model import TrainedModel

MOST_ROWS = 10_000
NOT_OURS = (
    "Rows are predicted with models that were trained here; this one came from outside and its file may hold code, so "
    "it is never loaded to be asked. Download it and run it where you trust it, or have mlpipe train a model."
)
Sent: TypeAlias = "str | list[dict[str, str | int | float | bool | None]]"
"""The text of a CSV file, or rows as values by column."""


@dataclass(frozen=True)
class Predictions:
    """What a model says of rows, as it travels between processes."""

    target: str
    task: TaskKind
    classes: tuple[str, ...]
    said: tuple[str | float, ...]
    """A class or a number, row by row."""
    chances: list[list[float]]
    """Rows x classes; empty for numbers."""
    csv: str
    """The same as CSV."""


class Predictor(ModelProcess):
    """Asked for the predictions of rows."""

    def ask(self, warehouse: Warehouse, row: ModelRow, sent: Sent) -> Predictions:
        """The model's answers about the rows.

        Raises
        ------
        ModelError, TableError, UserError
            The model was not trained here; it needs a column that is not there; a value does not fit its column.
        TooLarge
            More than 10,000 rows.
        Conflict
            The process broke over it, or took longer than a minute.
        """
        folder = self.model_folder(warehouse, row, NOT_OURS)
        return self.answer("The rows could not be predicted", _ask, folder, sent)


@lru_cache(maxsize=2)
def _model(folder: Path) -> "TrainedModel":
    from mlpipe_dagster.automl import artefacts

    return artefacts.load(folder)


def _ask(folder: Path, sent: Sent) -> Predictions:
    """In the process."""
    import pandas as pd

    from mlpipe_dagster.automl.predicting import as_trained, ask, read_csv, table_of

    rows = read_csv(sent) if isinstance(sent, str) else pd.DataFrame(sent, dtype=object)
    if len(rows) > MOST_ROWS:
        raise TooLarge(
            f"At most {MOST_ROWS:,} rows are predicted at once; these are {len(rows):,}. Send them in parts."
        )
    if not len(rows):
        raise UserError("No row was sent.")
    model = _model(folder)
    answers = ask(model, as_trained(model.schema, rows))
    table = table_of(model, answers)
    return Predictions(
        target=model.spec.target,
        task=model.spec.task,
        classes=model.classes or (),
        said=tuple(table["prediction"].tolist()),
        chances=answers.tolist() if model.classes else [],
        csv=table.to_csv(index=False),
    )
