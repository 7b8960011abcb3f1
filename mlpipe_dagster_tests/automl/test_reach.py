"""Of a table that is too large rows are drawn, in proportion for each class; test rows stay positions in the file."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlpipe_dagster.automl import reach
from mlpipe_dagster.automl.model import TrainedModel, TrainingSpec
from mlpipe_dagster.vocabulary import TaskKind

SPEC = TrainingSpec(target="y", task=TaskKind.BINARY)


@pytest.fixture(scope="module")
def parquet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20,000 rows that know their number, 60 of them rare, in five row groups."""
    file = tmp_path_factory.mktemp("reach") / "large.parquet"
    numbers = np.arange(20_000)
    table = pd.DataFrame({"number": numbers, "y": np.where(numbers % 333 == 0, "rare", "common")})
    table.to_parquet(file, row_group_size=4_000)
    return file


def test_what_fits_is_read_whole(parquet: Path, planted_model: TrainedModel) -> None:
    reading = reach.read(parquet, SPEC, budget_seconds=2, memory_bytes=1 << 30)
    assert len(reading.table) == 20_000
    assert reading.described(planted_model) is planted_model


@pytest.mark.parametrize(
    ("seconds", "memory"), [(8_000 / reach.CELLS_A_SECOND, 1 << 30), (60.0, 200 * 2 * 4_000)], ids=["time", "memory"]
)
def test_rows_are_drawn_in_proportion_with_enough_of_each_class(parquet: Path, seconds: float, memory: int) -> None:
    reading = reach.read(parquet, SPEC, seconds, memory)  # 2 columns x 4,000 rows
    assert reading.rows is not None and reading.total == 20_000
    assert list(reading.table["number"]) == list(reading.rows)
    assert 3_700 < len(reading.rows) < 4_400  # a fifth, by chance: standard deviation 57
    assert 35 < (reading.table["y"] == "rare").sum() <= 61  # 50 of 61 wanted, not a fifth
    again = reach.read(parquet, SPEC, seconds, memory)
    other = reach.read(parquet, SPEC.model_copy(update={"seed": 1}), seconds, memory)
    assert list(again.rows) == list(reading.rows) != list(other.rows)


def test_a_number_to_predict_is_drawn_without_classes(parquet: Path) -> None:
    spec = TrainingSpec(target="number", task=TaskKind.REGRESSION)
    reading = reach.read(parquet, spec, 8_000 / reach.CELLS_A_SECOND, 1 << 30)
    assert 3_700 < len(reading.table) < 4_300


def test_test_rows_are_positions_in_the_file(planted_model: TrainedModel) -> None:
    rows = np.arange(600) * 10 + 3
    described = reach.Reading(pd.DataFrame(), rows, 6_000).described(planted_model)
    assert described.test_rows == tuple(10 * row + 3 for row in planted_model.test_rows)
    assert described.notes[0].startswith("The table has 6,000 rows, more than")
