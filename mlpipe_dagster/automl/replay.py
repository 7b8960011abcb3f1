"""A model trained again from what is stored with it, and compared: bit for bit, or by how far the two differ.

Where the files and the table come from is decided elsewhere.
"""

import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mlpipe_dagster.automl import artefacts
from mlpipe_dagster.automl.apart import Budget, train_apart
from mlpipe_dagster.automl.model import TrainedModel
from mlpipe_dagster.automl.predicting import ask
from mlpipe_dagster.errors import ModelError
from mlpipe_dagster.tables.load import load

LEAST_DEADLINE = 3600.0
"""Seconds for a training that counts trials: another machine may be slower."""


@dataclass(frozen=True)
class Replay:
    """A stored model beside one that was trained again."""

    stored: TrainedModel
    again: TrainedModel
    changed: tuple[str, ...]
    """What differs from the first training: versions of libraries, the table."""
    rows: int
    """Test rows of the stored model, on which the answers are compared."""
    largest: float
    """Difference of probabilities or values."""
    mean: float

    @property
    def promised(self) -> bool:
        """Whether the same bits were to be expected."""
        return bool(self.stored.spec.trials) and not self.changed

    @property
    def kept(self) -> bool:
        """Whether the promise holds, or none was made."""
        return self.largest == 0 or not self.promised

    def told(self) -> str:
        """What came of it, in a few lines."""
        old, new = self.stored.test_score, self.again.test_score
        same = f"Bit-equal: all answers on {self.rows:,} test rows are the same."
        far = (
            f"The answers on {self.rows:,} test rows differ by up to {self.largest:.3g}, by {self.mean:.3g} on average."
        )
        score = (
            f"{self.stored.metric_name} on the test rows: {old.value:.4g} ({old.low:.4g} to {old.high:.4g}) then, "
            f"{new.value:.4g} ({new.low:.4g} to {new.high:.4g}) now."
        )
        algorithms = f"Algorithm: {self.stored.algorithm} then, {self.again.algorithm} now."
        return "\n".join([*self.changed, same if self.largest == 0 else far, score, algorithms, self._verdict()])

    def _verdict(self) -> str:
        if self.largest == 0:
            return "The model can be made again."
        if self.promised:
            return "It should have been the same: table, versions and specification are. This is a fault of mlpipe."
        if self.stored.spec.trials:
            return "Versions or table have changed, so that the same bits were not to be expected."
        low, high = max(self.stored.test_score.low, self.again.test_score.low), min(
            self.stored.test_score.high, self.again.test_score.high
        )  # fmt: skip
        alike = "overlap" if low <= high else "do not overlap"
        return (
            f"A training by the clock depends on the machine; the intervals of the two scores {alike}. "
            "The engine deterministic gives the same model again."
        )


def replay(folder: Path, parquet: Path, work: Path, table_hash: str | None = None) -> Replay:
    """Train the model saved in `folder` again on the table `parquet`; `work` is an empty folder.

    `table_hash`: MD5 of the table's file as it was uploaded, where it is known.

    Raises
    ------
    ModelError
        The stored model does not load, or its test rows are not in the table.
    """
    stored = artefacts.load(folder)
    table = load(parquet)
    if not stored.test_rows or max(stored.test_rows) >= len(table):
        raise ModelError("The test rows of the model are not in this table. Give the table it was trained from.")
    seconds = stored.budget_seconds
    if stored.spec.trials:
        seconds = max(seconds, LEAST_DEADLINE)
    trained = train_apart(parquet, stored.spec, Budget(time.monotonic(), seconds), work)
    again = artefacts.load(trained.files[0].parent)
    rows = table.iloc[list(stored.test_rows)]
    gap = np.abs(ask(stored, rows) - ask(again, rows))
    return Replay(
        stored, again, changes(folder, stored, table_hash), len(rows), float(gap.max()), float(gap.mean())
    )  # fmt: skip


def changes(folder: Path, stored: TrainedModel, table_hash: str | None) -> tuple[str, ...]:
    """A sentence for each library whose version is another now, and for a table that is another."""
    then = json.loads((folder / artefacts.MANIFEST_FILE).read_text(encoding="utf-8"))["libraries"]
    now = artefacts.libraries()
    found = [
        f"{name} was {then[name]} and is {now[name]} now." for name in now if then.get(name, now[name]) != now[name]
    ]
    found += [f"{name} was {then[name]} and is not installed now." for name in then if name not in now]
    came = {name for names in artefacts.WHERE_INSTALLED.values() for name in names}.intersection(now).difference(then)
    found += [f"{name} was not installed and is {now[name]} now." for name in sorted(came)]
    data = stored.spec.data
    if data is None:
        found.append("It is not recorded which file it was trained from: the table may be another.")
    elif table_hash is not None and table_hash != data.file_hash:
        found.append(f"The table is not the one it was trained from: its MD5 is {table_hash}, not {data.file_hash}.")
    return tuple(found)
