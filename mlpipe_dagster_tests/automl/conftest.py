"""Tables with a known signal, and models trained on them once for all tests of this folder."""

import numpy as np
import pandas as pd
import pytest

from mlpipe_dagster.automl.model import TrainedModel, TrainingSpec
from mlpipe_dagster.automl.train import train
from mlpipe_dagster.vocabulary import TaskKind


def planted_table(rows: int = 600, seed: int = 1) -> pd.DataFrame:
    """`bought` depends on a product of two signs, which no linear model sees, and on a category; the rest is noise."""
    draw = np.random.default_rng(seed)
    left, right = draw.normal(size=rows), draw.normal(size=rows)
    town = draw.choice(["Bonn", "Köln", "<b>Ulm</b>"], size=rows)
    score = 3 * np.sign(left) * np.sign(right) + np.where(town == "Bonn", 1.5, 0) + draw.normal(size=rows)
    table = pd.DataFrame(
        {
            "row_id": np.arange(rows),
            "left": left,
            "right": right,
            "town": town,
            "seen": pd.date_range("2024-01-01", periods=rows, freq="h"),
            "member": draw.random(rows) < 0.5,
            "same": "x",
            "nothing": np.full(rows, np.nan),
            "street": [f"{number} Some Street" for number in range(rows)],
            "bought": np.where(score > 0, "yes", "no"),
        }
    )
    table.loc[::9, "left"] = np.nan
    table.loc[::11, "town"] = None
    return table


@pytest.fixture(scope="session")
def planted() -> pd.DataFrame:
    """The planted table."""
    return planted_table()


@pytest.fixture(scope="session")
def planted_model(planted: pd.DataFrame) -> TrainedModel:
    """A model of the planted table."""
    return train(planted, TrainingSpec(target="bought", task=TaskKind.BINARY, sensitive=("town", "member")), 4)
