"""LIME: the truth of a linear function is found again; what cannot be known is not invented."""

import numpy as np
import pandas as pd
import pytest

from mlpipe_dagster.automl.model import FeatureKind
from mlpipe_dagster.xai.lime import explain_row

KINDS: dict[str, FeatureKind] = {"a": "number", "b": "number", "c": "category", "idle": "number"}


def background(rows: int = 300) -> pd.DataFrame:
    draw = np.random.default_rng(5)
    return pd.DataFrame(
        {
            "a": draw.normal(2.0, 3.0, rows),
            "b": draw.normal(-1.0, 0.5, rows),
            "c": draw.choice(["x", "y"], rows),
            "idle": draw.normal(size=rows),
        }
    )


def linear(rows: pd.DataFrame) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    return (3 * rows["a"] - 2 * rows["b"] + 5 * (rows["c"] == "x")).to_numpy(dtype=np.float64)


def test_a_linear_function_is_recovered() -> None:
    known = background()
    row = pd.DataFrame({"a": [4.0], "b": [0.0], "c": ["x"], "idle": [1.0]})
    found = explain_row(linear, row, known, KINDS, samples=2000)
    spread = known[["a", "b"]].std(ddof=0)
    assert found.slopes["a"] == pytest.approx(3 * spread["a"], rel=0.02)
    assert found.slopes["b"] == pytest.approx(-2 * spread["b"], rel=0.04)
    assert found.slopes["c"] == pytest.approx(5.0, rel=0.04)
    assert found.slopes["idle"] == pytest.approx(0.0, abs=0.05)
    assert found.contributions["a"] == pytest.approx(3 * (4.0 - known["a"].mean()), rel=0.02)
    assert found.contributions["c"] == pytest.approx(5 * (1 - (known["c"] == "x").mean()), rel=0.04)
    assert found.fidelity > 0.99
    assert found.prediction == pytest.approx(17.0, abs=0.3)


def test_a_function_that_is_nothing_like_linear_has_a_low_fidelity() -> None:
    row = pd.DataFrame({"a": [2.0], "b": [-1.0], "c": ["x"], "idle": [0.0]})
    found = explain_row(lambda rows: np.cos(40 * rows["a"].to_numpy(dtype=np.float64)), row, background(), KINDS)
    assert found.fidelity < 0.1


def test_a_constant_function_owes_nothing_to_any_column() -> None:
    row = pd.DataFrame({"a": [2.0], "b": [-1.0], "c": ["x"], "idle": [0.0]})
    found = explain_row(lambda rows: np.full(len(rows), 7.0), row, background(), KINDS)
    assert found.contributions == pytest.approx({"a": 0.0, "b": 0.0, "c": 0.0, "idle": 0.0})
    assert found.fidelity == 1.0


def test_missing_values_and_empty_columns_do_no_harm() -> None:
    known = background().assign(idle=np.nan)
    row = pd.DataFrame({"a": [np.nan], "b": [-1.0], "c": [None], "idle": [np.nan]})
    found = explain_row(lambda rows: rows["b"].to_numpy(dtype=np.float64), row, known, KINDS)
    assert found.contributions["a"] == pytest.approx(0.0, abs=0.02)
    assert found.contributions["idle"] == 0.0
    assert all(np.isfinite(value) for value in found.slopes.values())


def test_the_same_seed_gives_the_same_answer() -> None:
    row = pd.DataFrame({"a": [4.0], "b": [0.0], "c": ["x"], "idle": [1.0]})
    first, second = (explain_row(linear, row, background(), KINDS, seed=9) for _ in range(2))
    assert first == second
