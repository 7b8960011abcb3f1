"""How much of a table a training can read in its time and memory, and which rows are drawn where that is not all.

Rows are drawn by DuckDB, which streams: nothing but their positions is held. What is read then is `tables/load.py`'s.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mlpipe_dagster.automl.model import TrainedModel, TrainingSpec
from mlpipe_dagster.tables.duck import connect, literal, quote
from mlpipe_dagster.tables.load import load
from mlpipe_dagster.vocabulary import TaskKind

if TYPE_CHECKING:
    import pandas as pd

CELLS_A_SECOND = 600_000
"""Of a table, for each second of budget: reading, typing and splitting them takes a fifth of it (3 million a second
where most columns are texts, 8 million where they are numbers)."""
BYTES_A_CELL = 200
"""In memory at most at once: as read, typed, encoded, and copied once more."""
LEAST_OF_A_CLASS = 50
MOST_CLASSES = 200


@dataclass(frozen=True)
class Reading:
    """A table as it is trained on: all of it, or drawn rows."""

    table: "pd.DataFrame"
    rows: NDArray[np.int64] | None = None
    """Positions in the file of the rows drawn; None where all are read."""
    total: int = 0

    def described(self, model: TrainedModel) -> TrainedModel:
        """The model with its test rows as positions in the file, and the note of what was drawn."""
        if self.rows is None:
            return model
        note = (
            f"The table has {self.total:,} rows, more than the time and memory of this training allow: "
            f"{len(self.rows):,} were drawn at random, in proportion for each class, and all scores are about those."
        )
        test_rows = tuple(int(row) for row in self.rows[list(model.test_rows)])
        return replace(model, test_rows=test_rows, notes=(note, *model.notes))


def read(parquet: Path, spec: TrainingSpec, budget_seconds: float, memory_bytes: int) -> Reading:
    """As many rows as the budget (seconds) and the memory allow."""
    about = pq.read_metadata(parquet)
    cells = min(CELLS_A_SECOND * budget_seconds, memory_bytes / BYTES_A_CELL)
    most = max(1_000, int(cells / max(about.num_columns, 1)))
    if about.num_rows <= most:
        return Reading(load(parquet))
    rows = _drawn(parquet, spec, most / about.num_rows)
    return Reading(load(parquet, rows=rows), rows, about.num_rows)


def _drawn(parquet: Path, spec: TrainingSpec, share: float) -> NDArray[np.int64]:
    """Positions of about that share of the rows, in order; of each class at least 50 where it has them."""
    relation = f"read_parquet({literal(str(parquet.absolute()))}, file_row_number = true)"
    chance = f"hash(file_row_number + {int(spec.seed)}) / 18446744073709551616.0"
    known = pq.read_schema(parquet).names
    with connect([parquet]) as connection:
        strata = 0
        if spec.task is not TaskKind.REGRESSION and spec.target in known:
            counted = f"SELECT {quote(spec.target)} AS class, count(*) AS rows FROM {relation} GROUP BY ALL"
            strata = connection.execute(f"SELECT count(*) FROM ({counted})").fetchall()[0][0]
        if 0 < strata <= MOST_CLASSES:
            least = f"greatest({share!r}, {LEAST_OF_A_CLASS} / rows)"
            query = (
                f"SELECT file_row_number FROM {relation} AS t JOIN ({counted}) AS c "
                f"ON t.{quote(spec.target)} IS NOT DISTINCT FROM c.class WHERE {chance} < {least}"
            )
        else:
            query = f"SELECT file_row_number FROM {relation} WHERE {chance} < {share!r}"
        found = connection.execute(query).fetchnumpy()["file_row_number"]
    return np.sort(np.asarray(found, dtype=np.int64))
